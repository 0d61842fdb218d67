"""Several processes train as one does, with the same log, the same end and one voice. See also the campaign."""

import errno
import re
import signal
import sys
from datetime import timedelta
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from torch import distributed

from tests.helpers import runs
from tests.helpers.checkpoints import checkpoints
from tests.helpers.folders import names
from tests.helpers.inputs import EPOCH, SMALL, numbers
from tests.helpers.logs import LINE, saved
from tests.helpers.processes import finish, start, torchrun, wait_for
from util.training import processes

SENTENCE = re.compile(
    "error: process [02] lost contact with another process, which has died or not answered for .* -resume .*\n"
)


@pytest.fixture
def folder(tmp_path):
    """A folder with a small text."""
    (tmp_path / "input.txt").write_bytes(numbers(140))
    return tmp_path


def small(folder: Path, *flags: object) -> list:
    return [*SMALL, "-data_dir", folder, "-checkpoint_dir", folder / "cv", "-dtype", "float64", *flags]


def figures(*outs: str) -> dict[int, tuple[str, str]]:
    """Loss and norm of each iteration, as they were printed."""
    lines = [match for out in outs for match in LINE.finditer(out)]
    found = {int(match[1]): (match[3], match[4]) for match in lines}
    assert len(found) == len(lines), "an iteration was printed twice"
    return found


def test_several_are_as_one_and_only_the_first_speaks_and_writes(folder):
    """Also if the streams do not divide evenly. (That the others are silent is asserted where `finish` is.)"""
    flags = small(folder, "-batch_size=50", "-seq_length=5", "-dropout=0.3", "-max_epochs=5")
    more = ["-checkpoint_dir", folder / "three", "-log_csv", folder / "log.csv", "-save_every=3"]
    several, one = finish(folder, 3, *flags, *more), runs.finish(folder, *flags)
    assert several.status == one.status == 0, several.err + one.err
    assert len(figures(one.out)) == 40
    assert figures(several.out) == figures(one.out)
    assert several.err == one.err and several.err.startswith("warning: the text is short")
    assert len((folder / "log.csv").read_text().splitlines()) == 1 + 40
    assert names(folder / "three") == set(saved(several.out))
    written = {name for name in names(folder) if not name.endswith((".out", ".err"))}
    assert written == {"input.txt", "vocab.json", "data.bin", "cv", "three", "log.csv"}
    # Both could be of one run: nothing in them says how many processes there were.
    (name, theirs), (other, ours) = (next(iter(checkpoints(folder / cv).items())) for cv in ("three", "cv"))
    assert name == other
    assert theirs.training["random"]["pos"] == ours.training["random"]["pos"]
    assert theirs.training["state"].shape == (2, 2, 50, 8)
    np.testing.assert_allclose(theirs.training["state"], ours.training["state"], rtol=0, atol=1e-12)
    for parameter, values in ours.parameters.items():
        np.testing.assert_allclose(theirs.parameters[parameter], values, rtol=0, atol=1e-12)


def test_a_signal_to_torchrun_saves_and_another_number_of_processes_resumes(folder):
    process = torchrun(folder, 2, *small(folder, "-dropout=0.3", "-max_epochs=10000"))
    wait_for(folder, process, "\n30/")
    process.send_signal(signal.SIGTERM)
    process.wait(60)
    out, err = ((folder / name).read_text() for name in ("out", "err"))
    (stopped,) = re.findall(
        r"^stopped at iteration (\d+); resume with: torchrun --nproc_per_node=2 \S+/train.py -resume .*\.pt$", out, re.M
    )
    assert err.count("stopping after this iteration") == 1, err
    epochs = int(stopped) // EPOCH + 2
    resumed = finish(folder, 3, "-resume", folder / "cv", f"-max_epochs={epochs}")
    assert resumed.status == 0, resumed.err
    whole = runs.finish(folder, *small(folder, "-dropout=0.3", f"-max_epochs={epochs}"), "-checkpoint_dir", "whole")
    assert figures(out, resumed.out) == figures(whole.out)
    assert int(stopped) < len(figures(whole.out)) == epochs * EPOCH


def test_a_killed_process_ends_the_others_and_each_says_why(folder):
    """The first may be the one that has died."""
    first, second, third = start(folder, 3, *small(folder, "-max_epochs=10000", "-save_every=5"))
    first.wait_for("\n20/")
    second.send(signal.SIGKILL)
    assert (first.wait(10).status, third.wait(10).status) == (1, 1)
    assert SENTENCE.fullmatch(first.err) and SENTENCE.fullmatch(third.err), first.err + third.err
    assert checkpoints(folder / "cv")  # all of which have loaded


def be_impatient(rank: int) -> None:
    processes.PATIENCE = timedelta(seconds=2)


def test_a_process_that_hangs_ends_the_others(folder):
    first, second = start(folder, 2, *small(folder, "-max_epochs=10000"), prepare=be_impatient)
    try:
        first.wait_for("\n20/")
        second.send(signal.SIGSTOP)
        assert first.wait(20).status == 1
    finally:
        second.send(signal.SIGKILL)
    # No checkpoint was written, so there is none to resume from.
    assert first.err == (
        "error: process 0 lost contact with another process, which has died or not answered for 2 seconds; "
        "there is no checkpoint yet, so start again\n"
    )


def has_another_text(rank: int) -> None:
    sys.argv += ["-data_dir", "other"] * rank


def test_processes_that_differ_are_noticed_at_the_start(folder):
    """In what test_start.py lists."""
    (folder / "other").mkdir()
    (folder / "other" / "input.txt").write_bytes(numbers(139))
    both = [run.wait() for run in start(folder, 2, *small(folder), prepare=has_another_text)]
    assert [run.status for run in both] == [1, 1]
    assert both[0].err == "error: process 1 differs from process 0 in its text; all must have the same\n"
    assert both[1].err == both[1].out == "" and "train_loss" not in both[0].out


def have_gpus(names: str, rank: int) -> None:
    processes.identity_of = lambda device: names[rank]


def test_more_processes_than_gpus(folder):
    """As where a machine has one GPU; whether or not each process can see the others' does not matter."""
    first, second = [run.wait() for run in start(folder, 2, *small(folder), prepare=partial(have_gpus, "AA"))]
    assert (first.status, second.status) == (1, 1) and "train_loss" not in first.out
    assert re.fullmatch("error: two processes would use the same GPU; .* -gpuid -1\n", first.err), first.err
    assert finish(folder, 2, *small(folder, "-max_epochs=1"), prepare=partial(have_gpus, "AB")).status == 0


@pytest.mark.parametrize(
    ("flag", "status", "sentence"),
    [
        ("-batch_size=2", 1, "error: 3 processes need a -batch_size of at least 3; it is 2\n"),
        ("-max_epoch=1", 2, "error: there is no flag -max_epoch (did you mean -max_epochs?); train.py -help "),
    ],
)
def test_a_mistake_is_told_once(flag, status, sentence, folder):
    first = finish(folder, 3, *small(folder, flag))
    assert (first.status, first.out, first.err.count("\n")) == (status, "", 1) and first.err.startswith(sentence)


def test_a_mistake_and_a_signal_end_in_good_order(folder):
    """An exploding loss; and a signal to the second process alone, of which the first one learns."""
    wild = [run.wait() for run in start(folder, 2, *small(folder), "-max_epochs=9", "-learning_rate=1000")]
    assert [run.status for run in wild] == [1, 1]
    assert wild[0].err.count("error: the loss") == 1 and "-max_loss_ratio" in wild[0].err
    assert wild[1].err == "" and wild[0].err.count("\n") == 1

    first, second = (run.wait() for run in start(folder, 2, *small(folder), "-max_epochs=99", prepare=stop))
    assert second.status == 128 + signal.SIGTERM
    (name,) = checkpoints(folder / "cv")
    words = re.search(
        r"^stopped at iteration 8; resume with: (torchrun --nproc_per_node=2 train\.py -resume \S*cv/(\S+))$",
        first.out,
        re.M,
    )
    assert words and words[2] == name


def stop(rank):
    """The second process gets a signal when it has told the others of its seventh iteration that it goes on."""
    from util.training.trainer import Trainer

    fetch = Trainer.fetch

    def fetch_and_strike(self: Trainer):
        fetch(self)
        if rank == 1 and self.iteration == 7:
            signal.raise_signal(signal.SIGTERM)

    Trainer.fetch = fetch_and_strike


def test_a_process_alone_needs_nothing_of_torch_distributed(monkeypatch):
    """Some builds of torch come without it."""
    monkeypatch.delattr(distributed, "is_initialized")
    processes.Processes().close()


def test_a_checkpoint_that_the_first_cannot_write_is_tried_by_none_again(folder):
    """Whether to save once more at the end is the same for all, or one would wait for the others."""
    flags = small(folder, "-max_epochs=99", "-save_every=9")
    first, second = (run.wait() for run in start(folder, 2, *flags, prepare=stop_on_a_full_disk))
    assert (first.status, second.status) == (128 + signal.SIGINT,) * 2, first.err
    assert "the last checkpoint could not be written" in first.err and names(folder / "cv") == set()


def stop_on_a_full_disk(rank):
    runs.send_at(9, signal.SIGINT)
    if rank == 0:
        runs.fail_saves("write", errno.ENOSPC, {0})
