"""A run that was stopped goes on as if nothing had happened; a folder that takes no files does not end it."""

import errno
import fcntl
import functools
import math
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import termios
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch

import train
from model.stepper import Stepper
from tests.campaigns.faults import campaign as faults
from tests.campaigns.kill import campaign as kills
from tests.campaigns.starts import campaign as starts
from tests.helpers.inputs import EPOCH, ROOT, SMALL, numbers
from tests.helpers.runs import (
    Run,
    before_steps,
    best,
    checkpoints,
    fails_saves,
    finish,
    limits_file_size,
    lists_folder,
    log,
    names,
    progress,
    saved,
    signals_at,
)
from util.checkpoint.folder import same
from util.checkpoint.store import load_checkpoint
from util.errors import UserError
from util.training.trainer import Trainer


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    """A folder with a small text, for all runs here: its cache is made once."""
    folder = tmp_path_factory.mktemp("text")
    (folder / "input.txt").write_bytes(numbers(140))
    return folder


@pytest.fixture
def flags(text):
    """Two epochs, in which all that is carried on changes: validations, decays, the random stream."""
    return [*SMALL, "-data_dir", text, "-max_epochs", 2, "-eval_val_every", 40, "-learning_rate_decay_after", 1]


@pytest.fixture(scope="module")
def finished(text, tmp_path_factory):
    """A run that has come to its end: its folder."""
    folder = tmp_path_factory.mktemp("finished")
    assert finish(folder, *SMALL, "-data_dir", text, "-max_epochs", 1, "-eval_val_every", 40).status == 0
    return folder


@pytest.fixture(scope="module")
def stopped(text, tmp_path_factory):
    """The checkpoint of a run of one epoch that was stopped at its 7th iteration."""
    folder = tmp_path_factory.mktemp("stopped")
    flags = [*SMALL, "-data_dir", text, "-max_epochs", 1]
    assert finish(folder, *flags, prepare=signals_at(7, signal.SIGINT)).status == 130
    return folder / "cv" / "resume_s_iteration7.pt"


def folder_in(parent: Path, name: str) -> Path:
    folder = parent / name
    folder.mkdir()
    return folder


def refused(run: Run, *words: str, status: int = 1) -> None:
    """Asserts that a run ended with one sentence with these words, before it trained."""
    assert (run.status, log([run.out])) == (status, {})
    assert run.err.startswith("error: ") and run.err.count("\n") == 1
    assert [word for word in words if word not in run.err] == [], run.err


# Going on exactly


@pytest.mark.parametrize(
    ("model", "dropout", "dtype"),
    [("lstm", 0.3, "float32"), ("lstm", 0, "float64"), ("gru", 0.3, "float64"), ("rnn", 0, "float32")],
)
def test_a_resumed_run_equals_the_uninterrupted_one(model, dropout, dtype, flags, tmp_path):
    flags += ["-model", model, "-dropout", dropout, "-dtype", dtype]
    whole, parts = folder_in(tmp_path, "whole"), folder_in(tmp_path, "parts")
    uninterrupted = finish(whole, *flags)
    # In the first epoch, then at its last iteration, which decays the learning rate, then in the last epoch.
    first = finish(parts, *flags, prepare=signals_at(7, signal.SIGINT))
    second = finish(parts, "-resume", "cv/resume_s_iteration7.pt", prepare=signals_at(EPOCH, signal.SIGTERM))
    third = finish(parts, "-resume", "cv", prepare=signals_at(90, signal.SIGINT))
    last = finish(parts, "-resume", "cv")
    assert [run.status for run in (uninterrupted, first, second, third, last)] == [0, 130, 143, 130, 0]
    assert len(log([uninterrupted.out])) == 2 * EPOCH
    assert [line for run in (first, second, third, last) for line in progress(run.out)] == progress(uninterrupted.out)
    assert len(names(whole / "cv")) == 3
    assert same(checkpoints(parts / "cv"), checkpoints(whole / "cv"))


def test_a_folder_stands_for_its_newest_whole_checkpoint(finished, tmp_path):
    run = finish(finished, "-resume", "cv", "-checkpoint_dir", tmp_path)
    newest = next(path for path in (finished / "cv").iterdir() if "epoch1.00" in path.name)
    assert (run.status, run.err) == (0, "")
    assert f"resuming from cv/{newest.name}, iteration {EPOCH}\n" in run.out

    folder = folder_in(tmp_path, "damaged")
    for age, path in enumerate((newest, next(path for path in (finished / "cv").iterdir() if path != newest))):
        (folder / path.name).write_bytes(path.read_bytes()[: -1000 if age == 0 else None])
        os.utime(folder / path.name, (1e9 - age, 1e9 - age))
    run = finish(finished, "-resume", folder)
    assert run.status == 0
    assert f"{path.name}, iteration 40\n" in run.out
    assert run.err.startswith(f"warning: {folder / newest.name} is no checkpoint of char-rnn, or a damaged one")
    assert list(log([run.out])) == list(range(41, EPOCH + 1))


def test_a_folder_without_a_whole_checkpoint(finished, tmp_path):
    refused(finish(tmp_path, "-resume", "."), "there is no checkpoint in .", "without -resume")
    (tmp_path / "x.pt").write_bytes(b"x")
    run = finish(tmp_path, "-resume", ".")
    assert (run.status, run.err.count("\n")) == (1, 2)


def test_a_run_that_is_complete_has_nothing_to_do(finished):
    before = names(finished / "cv")
    run = finish(finished, "-resume", "cv")
    assert (run.status, progress(run.out), run.err) == (0, [], "")
    assert names(finished / "cv") == before


CHANGEABLE = {
    "print_every": 2,
    "eval_val_every": 20,
    "save_every": 4,
    "keep": 2,
    "max_epochs": 2,
    "learning_rate": 0.001,
    "learning_rate_decay": 0.5,
    "learning_rate_decay_after": 3,
    "max_loss_ratio": 9.0,
    "early_stop": 50,
    "log_csv": "figures.csv",
    "savefile": "other",
    "gpuid": 0,
    "opencl": 1,
    "accurate_gpu_timing": 1,
}
FIXED = {
    "rnn_size": 9,
    "num_layers": 1,
    "model": "gru",
    "dropout": 0.5,
    "dtype": "float64",
    "init_from": "x.pt",
    "decay_rate": 0.9,
    "seq_length": 5,
    "batch_size": 5,
    "grad_clip": 1.0,
    "train_frac": 0.8,
    "val_frac": 0.2,
    "encoding": "latin-1",
    "seed": 1,
    "optim": "adam",
}


def test_every_flag_may_change_or_not():
    known = {action.dest for action in train.flags()._actions} - {"help", "resume"}
    assert known == CHANGEABLE.keys() | FIXED.keys() | {
        "data_dir",
        "files",
        "separator",
        "checkpoint_dir",
        "tensorboard",
    }


def test_flags_that_may_change_are_said(stopped, text, tmp_path):
    moved = folder_in(tmp_path, "moved")
    (moved / "input.txt").write_bytes((text / "input.txt").read_bytes())
    changes = CHANGEABLE | {"data_dir": moved, "checkpoint_dir": tmp_path / "new"}
    more = [word for name, value in changes.items() for word in (f"-{name}", value)]
    run = finish(tmp_path, "-resume", stopped, *more)
    assert run.status == 0, run.err
    said = dict(re.findall(r"going on with (\w+)=(.*) instead of .*", run.out))
    assert said == {name: str(value) for name, value in changes.items()}
    assert list(log([run.out])) == [*range(8, 2 * EPOCH + 1, 2)]
    # The other learning rate counts at once, and no decay came before the third epoch.
    assert "decayed" not in run.out
    written = checkpoints(tmp_path / "new")
    assert written.keys() == best(saved(run.out), 2) | {saved(run.out)[-1]}
    assert len(saved(run.out)) == 6 and all(name.startswith("lm_other_epoch") for name in written)
    assert {content["training"]["learning_rate"] for content in written.values()} == {0.001}
    assert stopped.exists()  # in another folder, which is no longer the run's


def test_a_flag_that_is_repeated_unchanged_says_nothing(finished):
    run = finish(finished, "-resume", "cv", "-rnn_size", 8, "-seed", 123, "-checkpoint_dir", "cv")
    assert (run.status, "going on with" in run.out) == (0, False)


@pytest.mark.parametrize("name", FIXED)
def test_flags_that_make_another_run_are_refused(name, stopped, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train.py", "-resume", str(stopped), f"-{name}", str(FIXED[name])])
    with pytest.raises(UserError, match=f"^-{name} {FIXED[name]} would make it another run.*-init_from {stopped}$"):
        train.main()


def test_another_text_is_refused_with_a_way_out(finished, tmp_path):
    (tmp_path / "input.txt").write_bytes(numbers(139))
    refused(finish(finished, "-resume", "cv", "-data_dir", tmp_path), "is not the text", "-init_from")


def test_the_same_text_in_another_place_and_newer_is_the_same(finished, tmp_path, text):
    (tmp_path / "input.txt").write_bytes((text / "input.txt").read_bytes())
    assert finish(finished, "-resume", "cv", "-data_dir", tmp_path, "-checkpoint_dir", tmp_path).status == 0


# Stopping


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_with_a_checkpoint_and_the_command_to_go_on(number, text, tmp_path):
    """As a user types it, and the printed command as well."""
    here = folder_in(tmp_path, "a folder's name")
    flags = [*SMALL, "-data_dir", text, "-max_epochs", 1000, "-checkpoint_dir", here]
    command = [sys.executable, ROOT / "train.py", *map(str, flags)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    printed, told = tmp_path / "out", tmp_path / "err"
    with printed.open("w") as out, told.open("w") as err:
        run = subprocess.Popen(command, stdout=out, stderr=err, env=environment)
    while "\n3/" not in printed.read_text():
        assert run.poll() is None
        time.sleep(0.01)
    run.send_signal(number)
    assert run.wait(60) == 128 + number
    assert told.read_text() == "stopping after this iteration; once more stops at once, without saving\n"
    out = printed.read_text()
    iteration = max(log([out]))
    assert names(here) == {f"resume_s_iteration{iteration}.pt"}
    command = re.search(rf"stopped at iteration {iteration}; go on with: python (train.py .*)\n$", out)[1]
    last_epoch = iteration // EPOCH + 1
    resumed = finish(tmp_path, *shlex.split(command)[1:], "-max_epochs", last_epoch, "-print_every", 1)
    assert resumed.status == 0, resumed.err
    assert list(log([resumed.out])) == list(range(iteration + 1, last_epoch * EPOCH + 1))


def test_a_signal_before_anything_was_learned_leaves_nothing(flags, tmp_path):
    run = finish(tmp_path, *flags, prepare=signals_at(1, signal.SIGINT, signal.SIGINT))
    assert (run.status, names(tmp_path / "cv")) == (-signal.SIGINT, set())


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_stops_at_once(second, flags, tmp_path):
    run = finish(tmp_path, *flags, prepare=signals_at(7, signal.SIGINT, second))
    assert (run.status, list(log([run.out]))) == (-second, [1, 2, 3, 4, 5, 6])
    assert names(tmp_path / "cv") == set()


def test_a_signal_in_an_iteration_that_is_saved_anyway_adds_no_file(flags, tmp_path):
    run = finish(tmp_path, *flags, "-save_every", 30, prepare=signals_at(40, signal.SIGTERM))
    (name,) = names(tmp_path / "cv")
    assert (run.status, saved(run.out)) == (143, [name])
    assert run.out.endswith(f"stopped at iteration 40; go on with: python train.py -resume cv/{name}\n")


def test_a_signal_finds_output_that_nobody_reads(text, tmp_path):
    """The run waits in a write to a full pipe when the signal comes; it saves once the pipe is read."""
    flags = [*SMALL, "-data_dir", text, "-max_epochs", 1000, "-checkpoint_dir", tmp_path / "cv"]
    command = [sys.executable, ROOT / "train.py", *map(str, flags)]
    read, write = os.pipe()
    capacity = fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
    with subprocess.Popen(
        command, stdout=write, stderr=subprocess.PIPE, env=os.environ | {"OMP_NUM_THREADS": "1"}
    ) as run:
        os.close(write)
        while waiting_bytes(read) < capacity - 200 or waiting_bytes(read) != later(waiting_bytes, read):
            assert run.poll() is None
        run.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        assert run.poll() is None
        with os.fdopen(read) as pipe:
            out = pipe.read()
        err = run.communicate()[1]
    assert (run.returncode, err.count(b"\n")) == (143, 1), err
    assert names(tmp_path / "cv") == {f"resume_s_iteration{max(log([out]))}.pt"}


def waiting_bytes(descriptor: int) -> int:
    return int.from_bytes(fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4)), sys.byteorder)


def later(measure, *args):
    time.sleep(0.1)
    return measure(*args)


# Checkpoints between validations, and how many stay


def test_one_rolling_checkpoint_which_goes_when_a_validated_one_is_there(flags, tmp_path):
    run = finish(tmp_path, *flags, "-save_every", 15, prepare=lists_folder(tmp_path / "cv"))
    assert run.status == 0
    validated = dict(zip((40, 80), saved(run.out)))
    for iteration, *found in map(str.split, run.err.splitlines()):
        done = int(iteration) - 1
        expected = [name for at, name in validated.items() if at <= done]
        last = done // 15 * 15
        if last > done // 40 * 40:
            expected.append(f"resume_s_iteration{last}.pt")
        assert found == expected, iteration
    assert names(tmp_path / "cv") == set(saved(run.out))


def test_keep_keeps_the_best_and_the_newest_also_after_a_resume(flags, tmp_path):
    # So fast that the loss goes up and down.
    flags = [*flags, "-model", "gru", "-learning_rate", 1, "-max_loss_ratio", 0, "-eval_val_every", 9, "-keep", 2]
    first = finish(tmp_path, *flags, prepare=signals_at(60, signal.SIGINT))
    assert names(tmp_path / "cv") == best(saved(first.out), 2) | {"resume_s_iteration60.pt"}
    second = finish(tmp_path, "-resume", "cv")
    assert (first.status, second.status) == (130, 0)
    every = saved(first.out) + saved(second.out)
    assert best(every, 2) == {every[3], every[8]}  # one from before the stop, one from after it, not the newest
    assert names(tmp_path / "cv") == best(every, 2) | {every[-1]}


def test_a_copy_that_a_run_is_resumed_from_stays(stopped, tmp_path):
    copy = tmp_path / "my backup.pt"
    copy.write_bytes(stopped.read_bytes())
    run = finish(tmp_path, "-resume", copy, "-keep", 1)
    assert (run.status, names(tmp_path)) == (0, {copy.name, *saved(run.out), run._out.name, run._err.name})


# Losses that explode


@pytest.mark.parametrize("learning_rate", [1e3, 9.9e37])
def test_an_exploding_loss_ends_the_run_and_names_the_last_good_checkpoint(learning_rate, stopped, tmp_path):
    """The larger one makes parameters that are no numbers, which would be no checkpoint to go on from."""
    copy = tmp_path / stopped.name
    copy.write_bytes(stopped.read_bytes())
    more = ["-save_every", 1] if learning_rate > 1e3 else []
    run = finish(tmp_path, "-resume", copy, "-learning_rate", learning_rate, *more)
    assert (run.status, list(log([run.out]))) == (1, [8, 9])
    assert re.fullmatch(rf"error: the loss is .*; the last good checkpoint is {copy}\. .*\n", run.err)
    assert checkpoints(tmp_path).keys() == {copy.name}


def test_a_ratio_of_0_never_stops(stopped, tmp_path):
    wild = ["-resume", stopped, "-checkpoint_dir", tmp_path, "-learning_rate", 10]
    assert finish(tmp_path, *wild, "-savefile", "a").status == 1
    assert finish(tmp_path, *wild, "-savefile", "b", "-max_loss_ratio", 1000).status == 0
    assert finish(tmp_path, *wild, "-savefile", "c", "-max_loss_ratio", 0).status == 0


# Ends without a warning


def test_a_killed_run_goes_on_exactly(tmp_path):
    figures = kills(4, 1, tmp_path)
    assert figures["kills"] == 4


# A folder that takes no files


@pytest.mark.parametrize(
    ("operation", "number"), [("write", errno.ENOSPC), ("fsync", errno.EIO), ("open", errno.EACCES)]
)
def test_a_checkpoint_that_cannot_be_written_costs_a_warning(operation, number, tmp_path):
    figures = faults([operation], [number], tmp_path)
    assert figures == {
        "went on, exit status 0": 1,
        "last one missing, exit status 1": 1,
        "all missing, exit status 1": 1,
    }


def test_a_stopped_run_that_cannot_be_saved_says_what_there_is(flags, tmp_path):
    prepare = both(signals_at(50, signal.SIGINT), fails_saves("write", errno.ENOSPC, {1}))
    run = finish(tmp_path, *flags, prepare=prepare)
    (name,) = names(tmp_path / "cv")
    assert (run.status, saved(run.out)) == (130, [name])
    assert "warning: cannot write cv/resume_s_iteration50.pt (no space left on device)" in run.err
    assert run.out.endswith(f"stopped at iteration 40; go on with: python train.py -resume cv/{name}\n")


def both(*calls):
    return functools.partial(call_all, calls)


def call_all(calls) -> None:
    for call in calls:
        call()


def test_a_limit_on_the_size_of_files(flags, finished, tmp_path):
    finish(tmp_path, *flags, "-print_every", 60)  # so that there is a cache of the text
    run = finish(tmp_path, *flags, "-print_every", 60, "-savefile", "t", prepare=limits_file_size(8000))
    assert run.status == 1
    assert run.err.count("(file too large); training goes on") == 3
    assert run.err.endswith("error: the last checkpoint could not be written; the newest one is missing, too\n")
    assert len(names(tmp_path / "cv")) == 3


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own with room for some checkpoints."""
    folder = folder_in(tmp_path, "disk")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=196k", "tmpfs", folder], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"mounting a small file system takes root: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.skipif(not shutil.which("mount"), reason="there is no mount")
def test_a_real_disk_that_is_full(flags, small_disk, tmp_path):
    run = finish(tmp_path, *flags, "-eval_val_every", 10, "-save_every", 5, "-checkpoint_dir", small_disk)
    assert run.status == 1
    assert list(log([run.out])) == list(range(1, 2 * EPOCH + 1))
    found = checkpoints(small_disk)
    assert names(small_disk) == found.keys() and 1 < len(found) < 13
    newest = max(found.values(), key=lambda content: content["iteration"])
    assert run.err.count("(no space left on device); training goes on") >= 10
    assert run.err.endswith(f"the newest one is {small_disk}/{next(n for n, c in found.items() if c is newest)}\n")
    # With room again, it goes on.
    (small_disk / saved(run.out)[0]).unlink()
    resumed = finish(tmp_path, "-resume", small_disk, "-keep", 1, "-eval_val_every", 100, "-save_every", 0)
    assert (resumed.status, resumed.err) == (0, "")
    assert log([run.out, resumed.out]) == log([run.out])


def test_a_folder_that_is_deleted_is_made_again(flags, tmp_path):
    run = finish(tmp_path, *flags, prepare=before_steps(functools.partial(delete, tmp_path / "cv", 50)))
    assert (run.status, run.err) == (0, "")
    assert checkpoints(tmp_path / "cv").keys() == names(tmp_path / "cv") == set(saved(run.out)[1:])


def delete(folder: Path, wanted: int, iteration: int) -> None:
    if iteration == wanted:
        shutil.rmtree(folder)


# Two runs at once


@pytest.mark.parametrize("keep", [0, 1])
def test_two_runs_at_once_in_one_folder_keep_out_of_each_others_way(keep, flags, tmp_path):
    """They print the same figures in the first epoch, and so want the same names; resumed they would differ."""
    flags = [*flags, "-eval_val_every", 20, "-save_every", 3, "-keep", keep, "-print_every", 200]
    runs = [Run(tmp_path, *flags, "-learning_rate_decay", decay) for decay in (0.5, 0.9)]
    assert [run.wait().status for run in runs] == [0, 0]
    found = checkpoints(tmp_path / "cv")
    assert names(tmp_path / "cv") == found.keys()
    for run, decay in zip(runs, (0.5, 0.9)):
        mine = [name for name, content in found.items() if content["options"]["learning_rate_decay"] == decay]
        every = saved(run.out)
        wanted = best(every, keep) | {every[-1]} if keep else every
        assert sorted(name.replace("_2.pt", ".pt") for name in mine) == sorted(wanted)
    told = [line for run in runs for line in run.err.splitlines()]
    pattern = r"warning: cv/(\S+)\.pt is there already, from another run; writing \1_2\.pt instead"
    assert [line for line in told if not re.fullmatch(pattern, line)] == []
    if not keep:
        # Whoever came second to one of the two names of the first epoch has said so.
        assert sum("lm_s_" in line for line in told) == 2


def test_two_runs_of_the_same_share_their_files(flags, tmp_path):
    runs = [Run(tmp_path, *flags, "-print_every", 200) for _ in range(2)]
    assert [(run.wait().status, run.err) for run in runs] == [(0, ""), (0, "")]
    assert names(tmp_path / "cv") == checkpoints(tmp_path / "cv").keys() == set(saved(runs[0].out))


def test_a_resumed_run_leaves_the_files_of_another_alone(flags, tmp_path):
    for decay in (0.5, 0.9):
        run = [*flags, "-save_every", 5, "-learning_rate_decay", decay]
        assert finish(tmp_path, *run, prepare=signals_at(47, signal.SIGINT)).status == 130
    theirs = {path: path.read_bytes() for path in (tmp_path / "cv").iterdir() if not path.stem.endswith("_2")}
    assert len(theirs) == 2
    resumed = finish(tmp_path, "-resume", "cv/resume_s_iteration47_2.pt", "-keep", 1)
    assert resumed.status == 0
    assert {path: path.read_bytes() for path in theirs} == theirs
    assert "resume_s_iteration47_2.pt" not in names(tmp_path / "cv")


def test_many_starts_at_once_on_a_text_without_a_cache(tmp_path):
    assert starts(4, tmp_path)["runs"] == 4


# Checkpoints from strangers


def test_a_checkpoint_of_a_model_alone_cannot_be_resumed(finished, tmp_path):
    content = torch.load(next((finished / "cv").glob("*epoch0.70*")), weights_only=True)
    torch.save(content | {"training": None}, tmp_path / "x.pt")
    refused(finish(tmp_path, "-resume", "x.pt"), "x.pt holds a model, but not where its run stood", "-init_from")


def test_a_checkpoint_does_not_say_where_to_write(finished, tmp_path):
    content = torch.load(next((finished / "cv").glob("*epoch0.70*")), weights_only=True)
    elsewhere, here = folder_in(tmp_path, "elsewhere"), folder_in(tmp_path, "here")
    content["options"]["checkpoint_dir"] = str(elsewhere)
    torch.save(content, here / "x.pt")
    run = finish(tmp_path, "-resume", here / "x.pt")
    assert run.status == 0, run.err
    assert (names(elsewhere), names(here)) == (set(), {"x.pt", *saved(run.out)})
    content["options"]["savefile"] = "../elsewhere/x"
    torch.save(content, here / "x.pt")
    refused(finish(tmp_path, "-resume", here / "x.pt"), "-savefile", "is no part of a file name")
    assert names(elsewhere) == set()


WRONG = {
    "None": None,
    "minus one": -1,
    "text": "x",
    "empty text": "",
    "large": 1e308,
    "nan": math.nan,
    "list": [],
    "dict": {},
    "huge": 10**400,
    "too long to print": 10**5000,
    "true": True,
    "tensor": torch.ones(3, 2, dtype=torch.int16),
    "scalar": torch.tensor(1.0),
}


def wrong_tensors(value: torch.Tensor) -> dict[str, torch.Tensor]:
    return {
        "of another type": value.to(torch.float32 if value.dtype == torch.float64 else torch.float64),
        "cut": value.reshape(-1)[:-1],
        "deeper": value[None],
        "of large numbers": torch.full_like(value, 1e38 if value.is_floating_point() else 2**62),
        "of no numbers": torch.full_like(value, math.nan) if value.is_floating_point() else -value,
        "negative": -abs(value) - 1,
    }


def variants(content: dict[str, Any], *above: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """A nested dictionary with each of its values missing, or wrong in every way; and what that is."""
    for key, value in content.items():
        place = ".".join([*above, str(key)])
        rest = {name: item for name, item in content.items() if name != key}
        yield f"{place} missing", rest
        yield f"{place} under another name", {**rest, 0: value}
        for what, wrong in (WRONG | (wrong_tensors(value) if isinstance(value, torch.Tensor) else {})).items():
            yield f"{place} {what}", {**content, key: wrong}
        if isinstance(value, dict):
            for what, variant in variants(value, *above, key):
                yield what, {**content, key: variant}


def test_no_wrong_value_anywhere_ends_in_a_traceback(finished, tmp_path, monkeypatch, capsys):
    """Refused with one sentence, or a checkpoint that can be sampled from and resumed, for one iteration here."""
    monkeypatch.setattr(train, "HERE", tmp_path)  # the text that is fetched where no folder is named is not
    monkeypatch.chdir(tmp_path)
    step = Trainer.step
    monkeypatch.setattr(Trainer, "step", lambda *a: (signal.raise_signal(signal.SIGINT), step(*a))[1])
    content = torch.load(next((finished / "cv").glob("*epoch0.70*")), weights_only=True)
    outcomes = Counter()
    for what, variant in variants(content):
        with TemporaryDirectory(dir=tmp_path) as name:
            path = Path(name) / "x.pt"
            torch.save(variant, path)
            try:
                outcomes[attempt(path, monkeypatch, capsys)] += 1
            except Exception as error:
                raise AssertionError(what) from error
    # The model and the run's position cannot be wrong; most flags can be another run's.
    assert outcomes["refused"] > 500 and outcomes["not resumed"] > 100 and outcomes["resumed"] > 50, outcomes


def attempt(path: Path, monkeypatch, capsys) -> str:
    """What comes of a checkpoint."""
    try:
        checkpoint = load_checkpoint(path)
    except UserError as error:
        reason = str(error).removeprefix(f"{path} is no sound checkpoint of char-rnn: ")
        assert re.fullmatch(r"its? .{1,90}|another program wrote it", reason), reason
        return "refused"
    V, _, L, model = checkpoint.model_shape
    assert Stepper(checkpoint.parameters, L, model)(0).shape == (V,)
    monkeypatch.setattr(sys, "argv", ["train.py", "-resume", str(path)])
    try:
        assert train.main() in (0, 130)
    except (UserError, OSError) as error:
        assert re.fullmatch(r".{1,900}", str(error))
        return "not resumed"
    except SystemExit as stop:
        assert (stop.code, capsys.readouterr().err.count("\n")) == (2, 1)
        return "not resumed"
    return "resumed"
