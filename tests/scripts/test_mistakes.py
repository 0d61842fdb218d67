"""What a user can get wrong, by running the scripts: one sentence that names the thing and the way out."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.inputs import ROOT
from util import errors
from util.errors import UserError

SMALL = ["-gpuid=-1", "-rnn_size=4", "-num_layers=1", "-batch_size=5", "-seq_length=5"]


def told(done: subprocess.CompletedProcess, *words: str, status: int = 1) -> None:
    """Asserts that a script ended with one sentence with these words in it, and without a traceback."""
    lines = done.stderr.splitlines()
    assert done.returncode == status, done.stderr
    assert lines[-1].startswith("error: ") and all(line.startswith("warning: ") for line in lines[:-1]), done.stderr
    assert [word for word in words if word not in lines[-1]] == [], done.stderr


def files(folder: Path) -> set[str]:
    """All that is in a folder and below."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.fixture
def train(run_script, data_dir, tmp_path):
    """train(*flags): runs train.py on a small text and model; later flags overrule."""

    def run(*flags: object, **options: object) -> subprocess.CompletedProcess:
        more = ["-data_dir", data_dir, "-checkpoint_dir", tmp_path / "cv", *flags]
        return run_script("train.py", *SMALL, *more, **options)

    return run


@pytest.fixture
def sample(run_script):
    def run(*arguments: object, **options: object) -> subprocess.CompletedProcess:
        return run_script("sample.py", *arguments, "-gpuid=-1", **options)

    return run


# The data


def test_a_missing_folder(train, tmp_path):
    told(train("-data_dir", tmp_path / "nowhere"), str(tmp_path / "nowhere" / "input.txt"), "-data_dir")


def test_a_folder_without_a_text(train, tmp_path):
    told(train("-data_dir", tmp_path), f"there is no {tmp_path / 'input.txt'}", "-data_dir")


def test_a_folder_in_the_place_of_the_text(train, tmp_path):
    (tmp_path / "input.txt").mkdir()
    told(train("-data_dir", tmp_path), str(tmp_path / "input.txt"), "-data_dir")


def test_a_file_in_the_place_of_the_folder(train, data_dir):
    told(train("-data_dir", data_dir / "input.txt"), str(data_dir / "input.txt"), "is a file", "-data_dir")


def test_a_name_that_is_too_long(train, sample):
    name = "x" * 300
    told(train("-data_dir", name), name, "file name too long")
    told(train("-init_from", name), name, "file name too long")
    told(train("-checkpoint_dir", name), name, "-checkpoint_dir")
    told(train("-savefile", name), "-savefile")
    told(sample(name), name, "file name too long")


def test_an_empty_text(train, data_dir):
    (data_dir / "input.txt").write_bytes(b"")
    told(train(), str(data_dir / "input.txt"), "is empty")
    assert files(data_dir) == {"input.txt"}


def test_a_text_in_another_encoding(train, data_dir):
    (data_dir / "input.txt").write_bytes(b"abc\xe9" * 100)
    told(train(), "offset 3", "-encoding latin-1 or bytes")
    assert files(data_dir) == {"input.txt"}


def test_an_encoding_that_does_not_exist(train):
    told(train("-encoding", "klingon"), "'klingon' is no text encoding", "utf-8")


@pytest.mark.parametrize(
    "flags",
    [
        ["-batch_size", "5000"],
        ["-batch_size", "1", "-seq_length", "4341"],  # one batch, so none for training
        ["-train_frac", "1"],
        ["-train_frac", "0"],
        ["-train_frac", "0.5", "-val_frac", "0.001"],
        ["-batch_size", str(10**30)],
        ["-seq_length", str(10**30)],
    ],
)
def test_too_little_text_for_the_splits(train, flags):
    told(train(*flags), "batches for training", "for validation", "-batch_size", "-seq_length", "-train_frac")


def test_a_small_text_costs_a_warning(train):
    done = train("-batch_size", "40", "-train_frac", "1")
    told(done, "21 batches for training and 0 for validation")
    assert done.stderr.startswith("warning: the text is small: 4341 characters make only 21 batches of 40 x 5; ")
    # What it proposes will do.
    sizes = re.search(r"(-batch_size) (\d+) (-seq_length) (\d+) make 50", done.stderr).groups()
    assert "the text is small" not in train(*sizes, "-max_epochs", "1").stderr


# Flags


def test_bad_flags(run_script):
    told(run_script("train.py", "-rnnsize", "5"), "-rnnsize", "-rnn_size", "-help", status=2)
    told(run_script("train.py", "-dropout", "1"), "-dropout", "'1'", "below 1", "-help", status=2)
    told(run_script("sample.py", "x.pt", "-temperature", "0"), "-temperature", "above 0", "-help", status=2)
    told(run_script("sample.py"), "CHECKPOINT", "-help", status=2)


@pytest.mark.parametrize("name", ["a/b", "/x", "../x", "", "x/"])
def test_a_savefile_that_is_no_part_of_a_file_name(train, name):
    told(train("-savefile", name), "-savefile", repr(name), "-checkpoint_dir")


@pytest.mark.parametrize("flags", [["-rnn_size", "100000000"], ["-num_layers", str(10**9)], ["-rnn_size", str(10**30)]])
def test_sizes_beyond_the_machine(train, flags):
    told(train(*flags), "this model needs more than", "GB", "this machine has")


# Checkpoints


def test_a_missing_checkpoint(train, sample, tmp_path):
    told(sample(tmp_path / "x.pt"), f"there is no checkpoint {tmp_path / 'x.pt'}")
    told(train("-init_from", tmp_path / "x.pt"), f"there is no checkpoint {tmp_path / 'x.pt'}")


def test_a_folder_in_the_place_of_a_checkpoint(sample, tmp_path):
    told(sample(tmp_path), str(tmp_path), "is a folder", ".pt")


def test_files_that_are_no_checkpoint(sample, data_dir):
    told(sample(data_dir / "input.txt"), str(data_dir / "input.txt"), "is no checkpoint of char-rnn")
    told(sample("/dev/zero"), "/dev/zero", "is no file")


@pytest.mark.parametrize("left", [0, 100, 0.5, -1])
def test_a_truncated_checkpoint(sample, checkpoint, tmp_path, left):
    content = checkpoint.read_bytes()
    path = tmp_path / "x.pt"
    path.write_bytes(content[: int(left * len(content)) if isinstance(left, float) else left])
    told(sample(path), str(path), "is no checkpoint of char-rnn")


def test_a_text_with_characters_that_the_checkpoint_does_not_have(train, checkpoint, data_dir):
    (data_dir / "input.txt").write_text("zebra crossing, QUIZ é\n" * 100)
    told(train("-init_from", checkpoint), "',', 'I', 'Q', 'U', 'Z', ...", "vocabulary")


@pytest.mark.parametrize("prime", ["ABC", "one\U0001f600", "é"])
def test_a_primetext_with_an_unknown_character(sample, checkpoint, prime):
    done = sample(checkpoint, "-primetext", prime, "-verbose", "0")
    told(done, f"the primetext has {prime.lstrip('one')[0]!r}", "leave it out")
    assert done.stdout == ""


@pytest.mark.parametrize("temperature", ["1e-320", "1e-50", "1e-5", "1e300"])
def test_any_temperature_above_0_is_valid(sample, checkpoint, temperature):
    done = sample(checkpoint, "-temperature", temperature, "-length", "30", "-primetext", "one", "-verbose", "0")
    assert (done.returncode, done.stderr) == (0, "")
    if float(temperature) < 1:
        coldest = sample(checkpoint, "-sample", "0", "-length", "30", "-primetext", "one", "-verbose", "0")
        assert done.stdout == coldest.stdout


# Where checkpoints go

AS_NOBODY = """
import os, sys
sys.path.insert(0, {root!r})
import train, mmap, errno, encodings.latin_1  # early, since nobody may not be able to read Python's library
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
train.errors.run(train.main)
"""


def test_a_folder_that_cannot_be_written_to(read_only_dir):
    command = [sys.executable, "-c", AS_NOBODY.format(root=str(ROOT)), *SMALL, "-data_dir", str(read_only_dir)]
    for folder in (read_only_dir, read_only_dir / "cv"):
        done = subprocess.run([*command, "-checkpoint_dir", str(folder)], capture_output=True, text=True)
        told(done, str(folder), "ermission denied", "-checkpoint_dir")
    assert files(read_only_dir) == {"input.txt"}


def test_a_file_in_the_place_of_the_checkpoint_folder(train, data_dir):
    for path in (data_dir / "input.txt", data_dir / "input.txt" / "cv"):
        told(train("-checkpoint_dir", path), str(path), "-checkpoint_dir")


# Runs that end in the middle


def test_a_loss_that_is_no_number(train, tmp_path):
    told(train("-learning_rate", "1e37"), "the loss is not a number", "no checkpoint", "-learning_rate")
    assert files(tmp_path / "cv") == set()


@pytest.mark.parametrize("flag", ["-grad_clip", "-learning_rate"])
def test_numbers_beyond_single_precision(train, flag):
    told(train(flag, "1e300"), flag, "above 0 and below 1e38", status=2)


def test_ctrl_c(data_dir, tmp_path):
    more = ["-max_epochs=1000000", "-eval_val_every=20", f"-data_dir={data_dir}", f"-checkpoint_dir={tmp_path / 'cv'}"]
    command = [sys.executable, str(ROOT / "train.py"), *SMALL, *more]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        for line in process.stdout:
            if line.startswith("60/"):
                break
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in error and "Error" not in error
    names = files(tmp_path / "cv")
    assert names and all(re.fullmatch(r"(lm|resume)_lstm_.*\.pt", name) for name in names)
    assert files(data_dir) == {"input.txt", "vocab.json", "data.bin"}


@pytest.mark.parametrize("module", ["numpy", "torch"])
def test_ctrl_c_while_it_starts(train, tmp_path, module):
    # In the place of the module, whose import takes a while, one in whose middle Ctrl-C is pressed.
    (tmp_path / f"{module}.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    done = train(env=os.environ | {"PYTHONPATH": str(tmp_path)})
    assert done.returncode in (130, -signal.SIGINT)
    assert done.stderr == ""


# Where the output goes


def test_a_reader_that_has_gone(checkpoint):
    command = [sys.executable, str(ROOT / "sample.py"), str(checkpoint), "-gpuid=-1", "-length=1000000", "-verbose=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert len(process.stdout.read(10)) == 10
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_a_full_disk_behind_the_output(checkpoint, sample, train):
    with open("/dev/full", "w") as full:
        options = {"capture_output": False, "stdout": full, "stderr": subprocess.PIPE}
        told(sample(checkpoint, "-verbose=0", **options), "no space left on device", "output")
        told(train(**options), "no space left on device", "output")


@pytest.mark.parametrize("closed", ["1", "2", "1 2"])
def test_closed_streams(checkpoint, closed):
    redirections = " ".join(f"{number}>&-" for number in closed.split())
    script = f'exec "$@" {redirections}'
    command = ["sh", "-c", script, "sh", sys.executable, str(ROOT / "sample.py"), str(checkpoint), "-length=9"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and "Traceback" not in done.stderr
    assert len(done.stdout) == (0 if "1" in closed else 10)


def test_names_that_standard_output_cannot_show(train, data_dir):
    strict = {"env": os.environ | {"PYTHONIOENCODING": "ascii:strict"}}
    told(train("-init_from", "é", **strict), r"there is no checkpoint \xe9")


def test_messages_of_the_program_s_own_errors_are_not_hidden(capfd):
    def fails() -> None:
        raise RuntimeError("a mistake of ours")

    with pytest.raises(RuntimeError, match="a mistake of ours"):
        errors.run(fails)


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (UserError("the sentence"), 1, "error: the sentence\n"),
        (MemoryError(), 1, "memory does not suffice"),
        (RuntimeError("CUDA out of memory. Tried to allocate"), 1, "memory does not suffice"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), 1, "memory does not suffice"),
        (KeyboardInterrupt(), 130, ""),
        (SystemExit(2), 2, ""),
        (SystemExit(None), 0, ""),
    ],
)
def test_exit_statuses(error, status, words, capfd):
    def fails() -> None:
        raise error

    with pytest.raises(SystemExit) as stop:
        errors.run(fails)
    assert stop.value.code == status
    assert words in (said := capfd.readouterr().err) and said.count("\n") == (words != "")
