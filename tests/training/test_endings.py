"""How several processes end, and what they say of it."""

import re
import signal

import pytest

from tests.campaigns.endings import CRASHES
from tests.helpers.checkpoints import checkpoints
from tests.helpers.inputs import SMALL, numbers
from tests.helpers.processes import start
from tests.helpers.runs import signals_at


@pytest.fixture
def folder(tmp_path):
    """A folder with a text."""
    (tmp_path / "input.txt").write_bytes(numbers(140))
    return tmp_path


def test_a_misspelt_flag_is_told_once(folder):
    runs = [run.wait() for run in start(folder, 3, *SMALL, "-data_dir=.", "-max_epoch=1")]
    assert [run.status for run in runs] == [2, 2, 2]
    assert [run.err.count("\n") for run in runs] == [1, 0, 0] and "-max_epochs" in runs[0].err


def test_a_mistake_and_a_signal_end_in_good_order(folder):
    """An exploding loss; and a signal to the second process alone, of which the first one learns."""
    wild = [run.wait() for run in start(folder, 2, *SMALL, "-data_dir=.", "-max_epochs=9", "-learning_rate=1000")]
    assert [run.status for run in wild] == [1, 1]
    assert wild[0].err.count("error: the loss") == 1 and "-max_loss_ratio" in wild[0].err
    assert wild[1].err == "" and not any(word in wild[0].err for word in CRASHES)

    first, second = (run.wait() for run in start(folder, 2, *SMALL, "-data_dir=.", "-max_epochs=99", prepare=stop))
    assert second.status == 128 + signal.SIGTERM and not any(word in first.err + second.err for word in CRASHES)
    (name,) = checkpoints(folder / "cv")
    words = re.search(r"^stopped at .*: (torchrun --nproc_per_node=2 train\.py -resume cv/(\S+))$", first.out, re.M)
    assert words and words[2] == name


def stop(rank):
    if rank == 1:
        signals_at(7, signal.SIGTERM)()


def test_a_lost_process_without_a_checkpoint(folder):
    """There is nothing to resume, and so nobody is told to."""
    first, _ = (run.wait() for run in start(folder, 2, *SMALL, "-data_dir=.", "-max_epochs=99", prepare=die))
    assert first.status == 1 and re.match("error: process 0 .*lost", first.err), first.err
    assert "-resume" not in first.err and "no checkpoint" in first.err


def die(rank):
    if rank == 1:
        signals_at(7, signal.SIGKILL)()
