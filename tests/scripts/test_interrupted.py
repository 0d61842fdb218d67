"""A closed terminal, Ctrl-C while sampling, and a cache that is cut off under a run."""

import itertools
import os
import signal
from functools import partial

import pytest

from model.stepper import Stepper
from tests.helpers.folders import names
from tests.helpers.inputs import GOLDEN, SMALL
from tests.helpers.logs import log
from tests.helpers.runs import Run, finish, signals_at
from tests.helpers.scripts import run
from util.checkpoint.folder import CheckpointFolder
from util.checkpoint.store import load_checkpoint


def test_a_closed_terminal_saves(flags, tmp_path):
    run = finish(tmp_path, *flags, prepare=signals_at(7, signal.SIGHUP, signal.SIGHUP))
    assert run.status == 128 + signal.SIGHUP
    assert load_checkpoint(tmp_path / "cv" / "resume_s_iteration7.pt").iteration == 7
    assert "cv/resume_s_iteration7.pt" in run.out


def test_nohup_keeps_running(flags, tmp_path):
    run = finish(tmp_path, *flags, "-max_epochs=1", prepare=ignores_hangup)
    assert (run.status, max(log([run.out]))) == (0, 57)


def ignores_hangup():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signals_at(7, signal.SIGHUP)()


def test_a_text_so_far_is_written_and_marked_by_the_status(checkpoint, tmp_path):
    (tmp_path / "poem.txt").write_text("roses")
    words = ["-length=100000000", "-verbose=0", "-primetext=one", "-output=poem.txt"]
    done = run("sample.py", checkpoint, *words, cwd=tmp_path, prepare=partial(ended_while_sampling, 20))
    assert (done.returncode, done.stderr, names(tmp_path)) == (128 + signal.SIGTERM, "", {"poem.txt"})
    text = (tmp_path / "poem.txt").read_text()
    assert text.startswith("one") and len(text) == len("one\n") + 17  # each step but those for "one" draws a character


def ended_while_sampling(wanted: int, *more: int) -> None:
    """The process gets SIGTERM, and then more, in a step of the model."""
    call, steps = Stepper.__call__, itertools.count(1)

    def step(self, indices):
        if next(steps) == wanted:
            for number in (signal.SIGTERM, *more):
                os.kill(os.getpid(), number)
        return call(self, indices)

    Stepper.__call__ = step


def killed_while_flushing(number: int) -> None:
    """Prepares a script to get a signal when its file is complete, but not yet in its place."""
    os.fsync = lambda descriptor: os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_at_the_last_moment_leaves_the_old_file_and_no_other(number, checkpoint, tmp_path):
    (tmp_path / "x.pt").write_bytes(checkpoint.read_bytes())
    old = (GOLDEN / "gru_adam.pt").read_bytes()
    (tmp_path / "x.pt_cpu.pt").write_bytes(old)
    script = "convert_gpu_cpu_checkpoint.py"
    done = run(script, "x.pt", cwd=tmp_path, prepare=partial(killed_while_flushing, number))
    assert (done.returncode, done.stderr) == (128 + number, "")
    assert names(tmp_path) == {"x.pt", "x.pt_cpu.pt"} and (tmp_path / "x.pt_cpu.pt").read_bytes() == old


def test_two_signals_leave_the_old_text_and_no_other_file(checkpoint, tmp_path):
    (tmp_path / "poem.txt").write_text("roses")
    twice = partial(ended_while_sampling, 1, signal.SIGINT)
    done = run("sample.py", checkpoint, "-output=poem.txt", cwd=tmp_path, prepare=twice)
    assert done.returncode == 128 + signal.SIGINT
    assert names(tmp_path) == {"poem.txt"} and (tmp_path / "poem.txt").read_text() == "roses"


def test_a_cache_that_is_cut_off_ends_the_run_with_a_sentence(small_text, tmp_path):
    (tmp_path / "input.txt").write_bytes((small_text / "input.txt").read_bytes())
    run = Run(tmp_path, *SMALL, "-data_dir=.", "-max_epochs=100000", "-save_every=5")
    run.wait_for("\n9/")
    os.truncate(tmp_path / "data.bin", 100)
    assert run.wait().status == 1
    assert run.err.startswith("error: ") and "data.bin" in run.err and run.err.count("\n") == 1, run.err
    (name,) = names(tmp_path / "cv")
    assert finish(tmp_path, "-resume", f"cv/{name}", "-max_epochs=1").status == 0


@pytest.mark.parametrize("numbers", ["SIGINT SIGINT", "SIGTERM SIGTERM", "SIGINT SIGTERM", "SIGHUP SIGTERM"])
def test_two_signals_during_a_save_leave_no_part_of_it(numbers, flags, tmp_path):
    run = finish(tmp_path, *flags, "-save_every", 5, prepare=partial(strike_during_save, *numbers.split()))
    assert run.status not in (0, 1) and "Traceback" not in run.err
    assert names(tmp_path / "cv") == set()


def strike_during_save(*numbers: str) -> None:
    """The process gets these signals while its first checkpoint is flushed to the disk."""
    save, fsync = CheckpointFolder.save, os.fsync

    def striking(descriptor: int) -> None:
        for number in numbers:
            signal.raise_signal(getattr(signal, number))
        fsync(descriptor)

    def saving(*arguments: object) -> None:
        os.fsync = striking
        save(*arguments)

    CheckpointFolder.save = saving


def test_what_a_killed_save_left_goes_when_its_run_is_resumed(flags, tmp_path):
    """But not another run's."""
    cv = tmp_path / "cv"
    assert finish(tmp_path, *flags, prepare=signals_at(7, signal.SIGINT)).status == 130
    for name in ("resume_s_iteration9.pt", "lm_s_x.pt", "lm_t_x.pt"):
        (cv / f".{name}.1234.tmp").touch()
    assert finish(tmp_path, "-resume", "cv", "-max_epochs", 1).status == 0
    assert {path.name for path in cv.glob(".*")} == {".lm_t_x.pt.1234.tmp"}
