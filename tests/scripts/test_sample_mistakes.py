"""What a user of sample.py can get wrong: one sentence that names the thing and the way out."""

from subprocess import CompletedProcess

import pytest

from tests.helpers.refusals import told
from tests.helpers.scripts import run


def sample(*arguments: object) -> CompletedProcess:
    return run("sample.py", *arguments, "-gpuid=-1")


def test_a_folder_in_the_place_of_a_checkpoint(tmp_path):
    told(sample(tmp_path), str(tmp_path), "is a folder", ".pt")


def test_files_that_are_no_checkpoint(data_dir):
    told(sample(data_dir / "input.txt"), str(data_dir / "input.txt"), "is not a char-rnn checkpoint")
    told(sample("/dev/zero"), "/dev/zero", "is not a regular file")


@pytest.mark.parametrize("left", [0, 100, 0.5, -1])
def test_a_truncated_checkpoint(checkpoint, tmp_path, left):
    content = checkpoint.read_bytes()
    path = tmp_path / "x.pt"
    path.write_bytes(content[: int(left * len(content)) if isinstance(left, float) else left])
    told(sample(path), str(path), "is not a char-rnn checkpoint")


@pytest.mark.parametrize("prime", ["ABC", "one\U0001f600", "é"])
def test_a_primetext_with_an_unknown_character(checkpoint, prime):
    done = sample(checkpoint, "-primetext", prime, "-verbose", "0")
    told(done, f"the primetext contains {prime.lstrip('one')[0]!r}", "leave it out")
    assert done.stdout == ""


@pytest.mark.parametrize("temperature", ["1e-320", "1e-50", "1e-5", "1e300"])
def test_any_temperature_above_0_is_valid(checkpoint, temperature):
    done = sample(checkpoint, "-temperature", temperature, "-length", "30", "-primetext", "one", "-verbose", "0")
    assert (done.returncode, done.stderr) == (0, "")
    if float(temperature) < 1:
        coldest = sample(checkpoint, "-sample", "0", "-length", "30", "-primetext", "one", "-verbose", "0")
        assert done.stdout == coldest.stdout
