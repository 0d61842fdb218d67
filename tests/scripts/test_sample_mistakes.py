"""What a user of sample.py can get wrong: one sentence that names the thing and the way out."""

from subprocess import CompletedProcess

import pytest

from tests.helpers.refusals import refused
from tests.helpers.scripts import run_here


def sample(*arguments: object) -> CompletedProcess:
    return run_here("sample.py", *arguments, "-gpuid=-1")


def test_what_is_not_a_checkpoint(data_dir, tmp_path):
    refused(sample(tmp_path), f"there is no checkpoint in {tmp_path}")
    refused(sample(data_dir / "input.txt"), str(data_dir / "input.txt"), "is not a valid char-rnn checkpoint")
    refused(sample("/dev/zero"), "/dev/zero", "is not a regular file")
    refused(sample("x" * 300), "x" * 300, "file name too long")
    refused(sample(tmp_path / "x.pt"), f"there is no checkpoint {tmp_path / 'x.pt'}")


def test_a_truncated_checkpoint(checkpoint, tmp_path):
    content, path = checkpoint.read_bytes(), tmp_path / "x.pt"
    for left in (0, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:left])
        refused(sample(path), str(path), "is not a valid char-rnn checkpoint")


@pytest.mark.parametrize("prime", ["ABC", "one\U0001f600", "é"])
def test_a_primetext_with_an_unknown_character(checkpoint, prime):
    done = sample(checkpoint, "-primetext", prime, "-verbose", "0")
    refused(done, f"the primetext contains {prime.lstrip('one')[0]!r}", "leave it out")


def test_any_temperature_above_0_is_valid(checkpoint):
    words = [checkpoint, "-length", "30", "-primetext", "one", "-verbose", "0"]
    coldest = sample(*words, "-sample", "0").stdout
    for temperature in ("1e-320", "1e-5", "1e37"):
        done = sample(*words, "-temperature", temperature)
        assert (done.returncode, done.stderr) == (0, b"")
        assert (done.stdout == coldest) == (temperature != "1e37")
