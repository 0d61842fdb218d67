"""The claim of the project: the same flags and seed give the log of the original, digit for digit.

golden/runs.json holds eight runs of the original in double precision, see golden/numbers_corpus.py for their text.
"""

import json
import os
import re
import shlex
import subprocess
import sys

import pytest

from tests.helpers.inputs import GOLDEN, ROOT

RUNS = json.loads((GOLDEN / "runs.json").read_text())
LINE = re.compile(
    r"(\d+)/(\d+) \(epoch (\d+\.\d{3})\), train_loss = (\d+\.\d{8}), "
    r"grad/param norm = (\d\.\d{4}e[+-]\d\d), time/batch = \d+\.\d{4}s"
)


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    """The folder with the text of the golden runs."""
    folder = tmp_path_factory.mktemp("numbers")
    corpus = subprocess.run([sys.executable, GOLDEN / "numbers_corpus.py", "1500"], capture_output=True, check=True)
    (folder / "input.txt").write_bytes(corpus.stdout)
    return folder


def train(run, folder, checkpoint_dir, *more):
    """Trains as the golden run did, in double precision on a CPU."""
    command = [sys.executable, "train.py", *flags_of(run, folder, checkpoint_dir), *more]
    # The model is too small for a second thread to help.
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


def flags_of(run, folder, checkpoint_dir):
    """The flags of a golden run, in double precision on a CPU."""
    flags = shlex.split(run["flags"].replace("-init_from CHECKPOINT_OF_lstm", ""))
    return [*flags, "-data_dir", folder, "-checkpoint_dir", checkpoint_dir, "-dtype", "float64", "-gpuid", "-1"]


@pytest.mark.parametrize("name", [name for name in RUNS if name != "lstm_init_from"])
def test_log_equals_the_reference(name, numbers, tmp_path):
    check_log(train(RUNS[name], numbers, tmp_path / "cv"), RUNS[name], tmp_path / "cv")


def test_log_from_a_checkpoint_equals_the_reference(numbers, tmp_path):
    train(RUNS["lstm"], numbers, tmp_path / "lstm")
    checkpoint = tmp_path / "lstm" / RUNS["lstm"]["checkpoints"][-1].replace(".t7", ".pt")
    run = RUNS["lstm_init_from"]
    check_log(train(run, numbers, tmp_path / "cv", "-init_from", checkpoint), run, tmp_path / "cv")


def test_log_from_a_checkpoint_of_the_original_equals_the_reference(numbers, tmp_path):
    run = RUNS["lstm_init_from"]
    check_log(train(run, numbers, tmp_path / "cv", "-init_from", GOLDEN / "lstm.t7"), run, tmp_path / "cv")


def check_log(result, run, cv):
    """Holds everything that a run printed and wrote against the original's figures."""
    assert result.returncode == 0, result.stderr
    train_batches, val_batches, test_batches = run["batches"]
    assert f"vocab size: {run['vocab_size']}\n" in result.stdout
    assert f"number of parameters in the model: {run['parameters']}\n" in result.stdout
    assert (
        f"data load done. Number of data batches in train: {train_batches}, val: {val_batches}, test: {test_batches}\n"
    ) in result.stdout

    lines = LINE.findall(result.stdout)
    assert [int(i) for i, *_ in lines] == list(range(1, run["iterations"] + 1))
    assert {int(total) for _, total, *_ in lines} == {run["iterations"]}
    assert [epoch for _, _, epoch, *_ in lines] == [f"{i / train_batches:.3f}" for i in range(1, run["iterations"] + 1)]
    losses = [float(loss) for *_, loss, _ in lines]
    assert max(abs(a - b) for a, b in zip(losses, run["train_loss"], strict=True)) <= 1.0001e-8
    assert [norm for *_, norm in lines] == [f"{norm:.4e}" for norm in run["grad_param_norm"]]

    rates = re.findall(r"decayed learning rate by a factor \S+ to (\S+)", result.stdout)
    assert [float(rate) for rate in rates] == run["learning_rate_after_decay"]
    names = [name.replace(".t7", ".pt") for name in run["checkpoints"]]
    assert re.findall(r"saving checkpoint to .*/(\S+)", result.stdout) == names
    assert sorted(path.name for path in cv.iterdir()) == sorted(names)
