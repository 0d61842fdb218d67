"""The log of a run, in a CSV file and on standard output: nobody's file is lost to it, and no run to its failing."""

import fcntl
import importlib.util
import os
import re
import resource
import signal
import sys
from functools import partial

import pytest

from tests.helpers.folders import names
from tests.helpers.inputs import EPOCH, SMALL, numbers
from tests.helpers.refusals import refused_to_train
from tests.helpers.runs import Run, before_steps, finish, signals_at
from tests.helpers.scripts import run
from util.checkpoint.store import load_checkpoint


@pytest.fixture
def flags(small_text):
    """One epoch, in which a checkpoint is written after its 40th iteration."""
    return [*SMALL, "-data_dir", small_text, "-max_epochs", 1, "-eval_val_every", 40]


def test_a_log_is_continued_only_by_its_own_run(flags, tmp_path):
    assert finish(tmp_path, *flags, "-log_csv=log.csv", prepare=signals_at(7, signal.SIGINT)).status == 130
    before = (tmp_path / "log.csv").read_text()
    refused_to_train(finish(tmp_path, *flags, "-log_csv=log.csv").done, "log.csv", "-resume")
    assert (tmp_path / "log.csv").read_text() == before
    assert finish(tmp_path, "-resume=cv", "-log_csv=log.csv").status == 0
    rows = (tmp_path / "log.csv").read_text().splitlines()
    assert rows[:8] == before.splitlines() and [int(row.split(",")[0]) for row in rows[1:]] == [*range(1, EPOCH + 1)]


def test_a_checkpoint_finds_its_line_in_the_log(flags, tmp_path):
    """Killed after a log line that comes later than the last checkpoint."""
    flags = [*flags, "-print_every=20", "-save_every=15", "-log_csv=log.csv"]
    assert finish(tmp_path, *flags, prepare=signals_at(25, signal.SIGKILL)).status == -signal.SIGKILL
    again = finish(tmp_path, "-resume=cv", "-log_csv=log.csv")
    rows = (tmp_path / "log.csv").read_text().splitlines()
    assert again.status == 0 and "iteration 15" in again.out
    assert [int(row.split(",")[0]) for row in rows[1:]] == [15, 20, 30, 40, 45, EPOCH]


def test_the_log_is_tried_before_the_text_is_indexed(tmp_path):
    (tmp_path / "input.txt").write_bytes(numbers(140))
    (tmp_path / "empty.csv").touch()
    for flag, value, words in (
        ("log_csv", "input.txt/log.csv", "input.txt/log.csv"),
        ("tensorboard", "board", "pip install -e '.[tensorboard]'"),
    ):
        done = finish(tmp_path, *SMALL, "-data_dir=.", f"-{flag}", value, prepare=without_tensorboard).done
        refused_to_train(done, words)
    assert {name for name in names(tmp_path) if not name.endswith((".out", ".err"))} == {"input.txt", "empty.csv"}
    assert finish(tmp_path, *SMALL, "-data_dir=.", "-max_epochs=1", "-log_csv=empty.csv").status == 0


def without_tensorboard():
    importlib.util.find_spec = lambda name: None


def test_a_log_that_fails_costs_a_warning(flags, tmp_path):
    run = finish(tmp_path, *flags, "-log_csv=log.csv", prepare=before_steps(fill_the_disk))
    assert run.status == 0 and run.err.count("warning: cannot write log.csv (file too large)") == 1, run.err
    assert 1 < len((tmp_path / "log.csv").read_text().splitlines()) < EPOCH


def fill_the_disk(iteration):
    """Files cannot become longer than 400 bytes for a while."""
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400 if 5 <= iteration < 30 else most, most))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no /dev/full")
def test_a_full_disk_behind_standard_output_ends_no_run(flags, tmp_path):
    done = run("train.py", *flags, cwd=tmp_path, prepare=print_to_full_disk)
    warnings = [line for line in done.stderr.splitlines() if line.startswith("warning: ")]
    assert done.returncode == 0 and len(warnings) == 1 and "no space left" in warnings[0], done.stderr
    assert len(names(tmp_path / "cv")) == 2
    done = run("train.py", *flags, "-log_csv", "-", cwd=tmp_path, prepare=print_to_full_disk)
    sentence = "error: cannot write standard output: no space left on device; choose another -log_csv"
    assert done.returncode == 1 and done.stderr.endswith(f"\n{sentence}\n")


def print_to_full_disk():
    os.dup2(os.open("/dev/full", os.O_WRONLY), 1)


def test_a_closed_pipe_ends_a_run_that_has_not_begun(flags, tmp_path):
    """As `| head -1` does: there is nothing to save."""
    run = finish(tmp_path, *flags, "-max_epochs", 100_000, prepare=partial(prints_into_a_pipe, 0))
    assert (run.status, run.err, names(tmp_path / "cv")) == (0, "", set())


@pytest.mark.parametrize(("signals", "status"), [((), 128 + signal.SIGPIPE), ((signal.SIGINT,), 128 + signal.SIGINT)])
def test_a_closed_pipe_saves_and_says_how_to_go_on(signals, status, flags, tmp_path):
    """As `| head -20` does; and Ctrl-C, which ends what reads the log as well, such as tee, maybe between two lines."""
    flags += ["-print_every=20"] * len(signals)
    run = finish(tmp_path, *flags, "-max_epochs", 100_000, prepare=partial(prints_into_a_pipe, 7, *signals))
    assert run.status == status, run.err
    assert names(tmp_path / "cv") == {"resume_s_iteration7.pt"}
    assert re.search(r"train\.py -resume cv/resume_s_iteration7\.pt\n", run.err), run.err
    assert load_checkpoint(tmp_path / "cv" / "resume_s_iteration7.pt").iteration == 7


def prints_into_a_pipe(closed_at, *signals):
    """Standard output becomes a pipe, whose reader goes at an iteration, or at once, with these signals."""
    read, write = os.pipe()
    sys.stdout = os.fdopen(write, "w")
    if closed_at:
        before_steps(partial(close, closed_at, signals, read))()
    else:
        os.close(read)


def close(wanted, signals, descriptor, iteration):
    if iteration == wanted:
        for number in signals:
            signal.raise_signal(number)
        os.close(descriptor)


def test_a_refused_command_changes_nothing(flags, tmp_path):
    """Neither the files of the run that it would have gone on with, nor does it leave anything new."""
    log = ["-eval_val_every=15", "-log_csv=log.csv"]
    assert finish(tmp_path, *flags, *log, prepare=signals_at(50, signal.SIGINT)).status == 130
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.suffix in (".csv", ".pt")}
    assert len(before) == 5
    earlier = ["-resume", min((tmp_path / "cv").glob("lm_*")), "-log_csv=log.csv"]
    refused_to_train(finish(tmp_path, *earlier, "-data_dir=nope").done, "nope")
    words = "cannot write checkpoints to log.csv/cv"
    refused_to_train(finish(tmp_path, *earlier, "-checkpoint_dir=log.csv/cv").done, words)
    with (tmp_path / "log.csv").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        refused_to_train(finish(tmp_path, *earlier, "-keep=1").done, "another run writes to log.csv")
    refused_to_train(finish(tmp_path, *SMALL, "-data_dir=nope", "-log_csv=new/log.csv").done, "nope")
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.suffix in (".csv", ".pt")}
    assert not (tmp_path / "new").exists()


def test_a_long_preview_ends_with_a_signal(flags, tmp_path):
    run = Run(tmp_path, *flags, "-preview", 100_000_000)
    run.wait_for("saving checkpoint")
    run.send(signal.SIGINT)
    assert run.wait(10).status == 130 and "----- at epoch" in run.err
