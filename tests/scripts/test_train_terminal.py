"""What a newcomer sees: text that the model writes, how long it takes, bars; and a validation that is cut short."""

import csv
import os
import pty
import re
import signal
import sys
import termios
import threading
from functools import partial
from pathlib import Path

import pytest

from tests.helpers.checkpoints import checkpoints, same
from tests.helpers.folders import folder_in, names
from tests.helpers.inputs import EPOCH, SMALL
from tests.helpers.logs import saved
from tests.helpers.runs import Run, all_of, finish, signals_at
from tests.helpers.scripts import run


@pytest.fixture
def flags(small_text):
    return [*SMALL, "-data_dir", small_text, "-max_epochs=1", "-eval_val_every=40"]


def test_a_terminal_shows_the_time_a_preview_and_a_bar(flags, tmp_path):
    run_, text = finish_on_terminal(tmp_path, *flags)
    assert (run_.status, text.count(" it writes -----")) == (0, 2), text
    assert "about 0 minutes to go on cpu; -print_every 100 prints fewer lines" in text and "characters/s" in text


def test_a_terminal_shows_what_the_model_writes_before_it_is_validated_and_the_run_does_not_notice(flags, tmp_path):
    more = [*flags, "-max_epochs=6", "-eval_val_every=1000", "-dropout=0.5", "-save_every=100", "-preview=70"]
    quiet = finish(folder_in(tmp_path, "quiet"), *more, "-preview=0")
    noisy, text = finish_on_terminal(tmp_path, *more, piped=True)
    assert (quiet.status, noisy.status, "it writes" in quiet.err) == (0, 0, False)
    assert "minutes to go" in text and "characters/s" not in text  # no bar, since the log may come there as well
    shown = re.findall(r"-- at epoch (\S+) it writes -+\n(.*?)\n-----\n", text.replace("\r", ""), re.S)
    assert [epoch for epoch, _ in shown] == [f"{i / EPOCH:.2f}" for i in (100, 300, 6 * EPOCH)]
    _, last = shown[-1]
    (name,) = names(tmp_path / "cv")
    assert run("sample.py", f"cv/{name}", "-length=70", "-verbose=0", cwd=tmp_path).stdout == f"{last}\n"
    without, with_it = (checkpoints(folder / "cv") for folder in (tmp_path / "quiet", tmp_path))
    assert without.keys() == with_it.keys() and all(same(without[name], with_it[name]) for name in without)


def finish_on_terminal(cwd: Path, *flags: object, piped: bool = False) -> tuple[Run, str]:
    """Returns a run that has ended and what a terminal showed of it, on which standard error is."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 120))
    shown: list[bytes] = []
    reader = threading.Thread(target=lambda: shown.extend(iter(partial(read, ours), b"")))
    reader.start()
    run_ = finish(cwd, *flags, prepare=partial(on_terminal, os.ttyname(theirs), piped))
    os.close(theirs)
    reader.join()
    os.close(ours)
    return run_, b"".join(shown).decode()


def read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 4096)
    except OSError:  # how a pseudo-terminal ends
        return b""


def on_terminal(name: str, piped: bool) -> None:
    """Standard error becomes a terminal, and standard output a pipe, which has room for the whole log."""
    sys.stderr = os.fdopen(os.open(name, os.O_WRONLY | os.O_NOCTTY), "w")
    if piped:
        sys.stdout = os.fdopen(os.pipe()[1], "w")


def test_a_long_validation_is_cut_short_and_made_up_for(flags, finished, tmp_path):
    """The run stops as if it had not begun, but for its row in the table; resumed, it is the same run."""
    flags += ["-print_every=1000", "-log_csv=log.csv"]
    first = finish(tmp_path, *flags, prepare=all_of(signals_at(40, signal.SIGINT), validations_are_long))
    assert (first.status, names(tmp_path / "cv")) == (128 + signal.SIGINT, {"resume_s_iteration40.pt"})
    (row,) = csv.DictReader((tmp_path / "log.csv").open())
    assert (row["iteration"], row["val_loss"]) == ("40", "")
    assert "stopped at iteration 40; resume with: " in first.out
    last = all_of(signals_at(EPOCH, signal.SIGINT), validations_are_long)
    second = finish(tmp_path, "-resume=cv", "-print_every=1", prepare=last)
    assert f"stopped at iteration {EPOCH}; resume with: " in second.out
    third = finish(tmp_path, "-resume=cv")
    undisturbed = checkpoints(finished / "cv")
    assert third.status == 0 and saved(second.out) + saved(third.out) == list(undisturbed)
    for name, checkpoint in checkpoints(tmp_path / "cv").items():
        assert same(checkpoint, undisturbed[name])


def validations_are_long() -> None:
    from util.training import trainer

    trainer.LONG = -1.0
