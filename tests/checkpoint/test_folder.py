"""Which checkpoints a run keeps, which it deletes, and that another's are never among them."""

import dataclasses
import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import train
from tests.helpers.checkpoints import checkpoints, same
from tests.helpers.failing import ERRORS, OPERATIONS, failing
from tests.helpers.folders import names
from util.checkpoint import folder as folder_module
from util.checkpoint.content import Checkpoint
from util.checkpoint.folder import CheckpointFolder, newest_checkpoint
from util.checkpoint.store import load_checkpoint, save_checkpoint
from util.errors import UserError


@pytest.fixture
def at(checkpoint):
    """at(iteration, {iteration: validation loss}, **options): a run's checkpoint then, or one's with other options."""
    whole = load_checkpoint(checkpoint)

    def make(iteration: int, val_losses: dict[int, float] | None = None, **options: Any) -> Checkpoint:
        return dataclasses.replace(
            whole,
            options=whole.options | options,
            iteration=iteration,
            train_losses=whole.train_losses[:iteration],
            val_losses={i: loss for i, loss in (val_losses or {}).items() if i <= iteration},
        )

    return make


FLAGS = train.flags()


def folder_of(folder: Path, savefile: str, keep: int = 0) -> CheckpointFolder:
    return CheckpointFolder(folder, savefile, keep, FLAGS)


def rolling(folder: CheckpointFolder, checkpoint: Checkpoint) -> None:
    folder.save(checkpoint, folder.rolling_path(checkpoint.iteration))
    assert not folder.failed


def validated(folder: CheckpointFolder, checkpoint: Checkpoint) -> None:
    """Saves it as after a validation; 10 iterations are an epoch."""
    loss = checkpoint.val_losses[checkpoint.iteration]
    folder.save(checkpoint, folder.validated_path(checkpoint.iteration / 10, loss))
    assert not folder.failed


def test_each_rolling_checkpoint_takes_the_place_of_the_last(at, tmp_path, capsys):
    folder = folder_of(tmp_path, "s")
    for iteration in (1, 2, 3):
        rolling(folder, at(iteration))
        assert names(tmp_path) == {f"resume_s_iteration{iteration}.pt"}
    validated(folder, at(4, {4: 2.0}))
    assert names(tmp_path) == {"lm_s_epoch0.40_2.0000.pt"}
    rolling(folder, at(5, {4: 2.0}))
    assert names(tmp_path) == {"lm_s_epoch0.40_2.0000.pt", "resume_s_iteration5.pt"}
    assert (folder.newest, folder.newest_iteration) == (tmp_path / "resume_s_iteration5.pt", 5)
    assert capsys.readouterr().err == ""


LOSSES = {1: 3.0, 2: 2.0, 3: 2.5, 4: 2.25, 5: 4.0}


@pytest.mark.parametrize(
    ("keep", "left"), [(0, {1, 2, 3, 4, 5}), (1, {2, 5}), (2, {2, 4, 5}), (3, {2, 3, 4, 5}), (9, {1, 2, 3, 4, 5})]
)
@pytest.mark.parametrize("resumed_at", [None, 1, 3])
def test_keep(keep, left, resumed_at, at, tmp_path):
    folder = folder_of(tmp_path, "s", keep)
    for iteration in LOSSES:
        validated(folder, at(iteration, LOSSES))
        if iteration == resumed_at:
            folder = folder_of(tmp_path, "s", keep)
            folder.adopt(*newest_checkpoint(tmp_path, FLAGS))
    assert {content.iteration for content in checkpoints(tmp_path).values()} == left


def test_keep_after_a_resume_with_another_number(at, tmp_path):
    folder = folder_of(tmp_path, "s")
    for iteration in (1, 2, 3):
        validated(folder, at(iteration, LOSSES))
    folder = folder_of(tmp_path, "s", keep=1)
    folder.adopt(*newest_checkpoint(tmp_path, FLAGS))
    validated(folder, at(4, LOSSES, keep=1))
    assert names(tmp_path) == {"lm_s_epoch0.20_2.0000.pt", "lm_s_epoch0.40_2.2500.pt"}


def test_what_another_savefile_or_run_has_written_stays(at, tmp_path):
    one, two = folder_of(tmp_path, "s", keep=1), folder_of(tmp_path, "s2", keep=1)
    other = folder_of(tmp_path, "s", keep=1)
    validated(two, at(1, LOSSES))
    validated(other, dataclasses.replace(at(1, LOSSES), train_losses=np.array([9.0])))
    theirs = names(tmp_path)
    validated(one, at(1, LOSSES))
    one = folder_of(tmp_path, "s", keep=1)
    one.adopt(tmp_path / "lm_s_epoch0.10_3.0000_2.pt", at(1, LOSSES))
    validated(one, at(2, LOSSES))
    assert names(tmp_path) == theirs | {"lm_s_epoch0.20_2.0000.pt"}


def test_a_name_that_is_taken_brings_another_one_and_a_warning(at, tmp_path, capsys):
    path = tmp_path / "resume_s_iteration1.pt"
    contents = [at(1, seed=seed) for seed in (1, 2, 3)]
    folders = [folder_of(tmp_path, "s") for _ in contents]
    for folder, content in zip(folders, contents):
        rolling(folder, content)
    assert names(tmp_path) == {path.name, "resume_s_iteration1_2.pt", "resume_s_iteration1_3.pt"}
    assert capsys.readouterr().err.splitlines() == [
        f"warning: {path} already exists; writing resume_s_iteration1_{number}.pt instead" for number in (2, 3)
    ]
    found = checkpoints(tmp_path)
    assert [content.options["seed"] for content in found.values()] == [1, 2, 3]
    rolling(folders[1], at(2, seed=2))
    assert names(tmp_path) == {path.name, "resume_s_iteration1_3.pt", "resume_s_iteration2.pt"}
    assert same(found[path.name], load_checkpoint(path))


@pytest.mark.parametrize("taken", ["folder", "text"])
def test_a_name_that_something_else_has_is_left_alone(taken, at, tmp_path):
    path = tmp_path / "resume_s_iteration1.pt"
    path.mkdir() if taken == "folder" else path.write_text("mine")
    folder = folder_of(tmp_path, "s")
    rolling(folder, at(1))
    rolling(folder, at(2))
    assert names(tmp_path) == {path.name, "resume_s_iteration2.pt"}
    assert path.is_dir() if taken == "folder" else path.read_text() == "mine"


def test_the_same_checkpoint_is_not_written_twice(at, tmp_path, capsys):
    """As when a run was stopped between two checkpoints and continues from the older one."""
    rolling(folder_of(tmp_path, "s"), at(1))
    folder = folder_of(tmp_path, "s")
    rolling(folder, at(1, data_dir="another way to the same folder"))
    assert (names(tmp_path), capsys.readouterr().err) == ({"resume_s_iteration1.pt"}, "")
    rolling(folder, at(2))
    assert names(tmp_path) == {"resume_s_iteration2.pt"}


@pytest.mark.parametrize("field", ["parameters", "training", "val_losses", "train_losses"])
def test_a_checkpoint_that_differs_anywhere_is_another(field, at, tmp_path):
    mine = at(2, {1: 2.0, 2: 1.0})
    value = getattr(mine, field)
    match field:
        case "parameters":
            changed: Any = {name: np.nextafter(array, array.dtype.type(9)) for name, array in value.items()}
        case "training":
            changed = dataclasses.replace(value, learning_rate=0.5)
        case "val_losses":
            changed = value | {1: 3.0}
        case _:
            changed = value + 1
    validated(folder_of(tmp_path, "s"), dataclasses.replace(mine, **{field: changed}))
    validated(folder_of(tmp_path, "s"), mine)
    assert len(names(tmp_path)) == 2


def test_a_file_that_another_program_has_replaced_is_not_deleted(at, tmp_path):
    folder = folder_of(tmp_path, "s", keep=1)
    rolling(folder, at(1))
    (tmp_path / "new").write_text("mine")
    os.replace(tmp_path / "new", tmp_path / "resume_s_iteration1.pt")
    rolling(folder, at(2))
    assert names(tmp_path) == {"resume_s_iteration1.pt", "resume_s_iteration2.pt"}


def test_a_file_that_goes_while_it_is_compared_leaves_its_name(at, tmp_path, monkeypatch, capsys):
    """The same run, started twice: the other one deletes its rolling checkpoint in this very moment."""
    path = tmp_path / "resume_s_iteration1.pt"
    rolling(folder_of(tmp_path, "s"), at(1))
    load = load_checkpoint

    def load_too_late(candidate: Path) -> Checkpoint:
        candidate.unlink()
        return load(candidate)

    monkeypatch.setattr("util.checkpoint.folder.load_checkpoint", load_too_late)
    rolling(folder_of(tmp_path, "s"), at(1))
    assert (names(tmp_path), capsys.readouterr().err) == ({path.name}, "")


def test_a_crash_between_writing_and_deleting_leaves_nothing_behind(at, tmp_path):
    """Both checkpoints are there then; the run continues from the newer one."""
    rolling(folder_of(tmp_path, "s"), at(1))
    validated(folder_of(tmp_path, "s"), at(2, {2: 2.0}))
    folder_of(tmp_path, "s").adopt(*newest_checkpoint(tmp_path, FLAGS))
    assert names(tmp_path) == {"lm_s_epoch0.20_2.0000.pt"}


def test_what_a_run_wrote_after_the_checkpoint_it_is_resumed_from_stays(at, tmp_path):
    for iteration in (1, 2):
        rolling(folder_of(tmp_path, "s"), at(iteration))
    older = tmp_path / "resume_s_iteration1.pt"
    folder = folder_of(tmp_path, "s")
    folder.adopt(older, load_checkpoint(older))
    assert names(tmp_path) == {older.name, "resume_s_iteration2.pt"}
    rolling(folder, at(2))
    assert names(tmp_path) == {"resume_s_iteration2.pt"}


@pytest.mark.parametrize("number", ERRORS, ids=errno.errorcode.get)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_failure_costs_a_warning_and_no_file(operation, number, at, tmp_path, capsys):
    folder = folder_of(tmp_path, "s")
    rolling(folder, at(1))
    before = checkpoints(tmp_path)
    with failing(operation, number):
        folder.save(at(2), folder.rolling_path(2))
    err = capsys.readouterr().err
    assert folder.failed != (operation in {"mkdir", "chmod", "link", "replace", "unlink"})
    if not folder.failed:
        assert (err, folder.newest_iteration) == ("", 2)
        assert load_checkpoint(tmp_path / "resume_s_iteration2.pt").iteration == 2
    else:
        path, reason = folder.rolling_path(2), os.strerror(number).lower()
        assert err == f"warning: cannot write {path} ({reason}), so this checkpoint is missing\n"
        assert folder.newest_iteration == 1
        assert names(tmp_path) == before.keys() and same(checkpoints(tmp_path), before)
    rolling(folder, at(3))
    assert not folder.failed and "resume_s_iteration3.pt" in names(tmp_path)


@pytest.mark.parametrize("operation", ["open", "fsync"])
def test_a_folder_that_cannot_be_written_to_is_reported_beforehand(operation, tmp_path):
    with failing(operation, errno.EACCES), pytest.raises(UserError, match=r"cannot write checkpoints to .*-checkpoint"):
        folder_of(tmp_path / "cv", "s").try_writing()
    assert names(tmp_path / "cv") == set()


@pytest.mark.parametrize("savefile", ["", ".", "a/b", "/a", "a\0", "x" * 230])
def test_a_savefile_that_cannot_be_part_of_a_name(savefile, tmp_path):
    with pytest.raises(UserError):
        folder_of(tmp_path / "cv", savefile).try_writing()


def test_a_savefile_of_any_length_that_passes_can_be_written(at, tmp_path):
    for length in range(180, 230):
        folder = folder_of(tmp_path, "x" * length)
        try:
            folder.try_writing()
        except UserError:
            break
        folder.save(at(1), folder.rolling_path(999_999_999))
        assert not folder.failed
    assert 190 < length < 229


def test_patterns_in_a_savefile_are_text(at, tmp_path):
    rolling(folder_of(tmp_path, "s"), at(1))
    folder = folder_of(tmp_path, "[s]*")
    folder.adopt(tmp_path / "elsewhere.pt", at(2))
    rolling(folder, at(3))
    assert names(tmp_path) == {"resume_s_iteration1.pt", "resume_[s]*_iteration3.pt"}


def test_the_newest_checkpoint_may_go_while_it_is_looked_for(at, tmp_path, monkeypatch):
    for iteration in (1, 2):
        save_checkpoint(at(iteration), tmp_path / f"{iteration}.pt")
    stat = Path.stat
    # As if another run deleted it after the folder was listed.
    gone = {"2.pt": tmp_path / "gone"}
    monkeypatch.setattr(Path, "stat", lambda path, **options: stat(gone.get(path.name, path), **options))
    assert newest_checkpoint(tmp_path, FLAGS)[0] == tmp_path / "1.pt"


def test_a_name_that_is_taken_at_the_last_moment_is_not_said_to_be_written(at, tmp_path, monkeypatch, capsys):
    real = folder_module.create

    def create(temporary: str, path: Path) -> None:
        if path.name == "lm_s_epoch0.10_3.0000.pt":
            save_checkpoint(at(1, LOSSES, seed=7), path)
        real(temporary, path)

    monkeypatch.setattr(folder_module, "create", create)
    validated(folder_of(tmp_path, "s"), at(1, LOSSES))
    said = capsys.readouterr()
    assert said.out == f"saving checkpoint to {tmp_path}/lm_s_epoch0.10_3.0000_2.pt\n"
    assert said.err.endswith("lm_s_epoch0.10_3.0000.pt already exists; writing lm_s_epoch0.10_3.0000_2.pt instead\n")
    assert {content.options["seed"] for content in checkpoints(tmp_path).values()} == {7, at(1).options["seed"]}
