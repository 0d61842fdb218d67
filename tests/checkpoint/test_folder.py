"""Which checkpoints a run keeps, which it deletes, and that another's are never among them."""

import dataclasses
import errno
import os

import numpy as np
import pytest

from tests.helpers.checkpoints import checkpoints, same
from tests.helpers.failing import ERRORS, OPERATIONS, failing
from tests.helpers.folders import names
from util.checkpoint.choice import newest_checkpoint
from util.checkpoint.content import Checkpoint
from util.checkpoint.folder import CheckpointFolder
from util.checkpoint.store import load_checkpoint
from util.errors import UserError


def save(folder: CheckpointFolder, checkpoint: Checkpoint) -> None:
    folder.save(checkpoint)
    assert folder.last.iteration == checkpoint.iteration


def test_each_rolling_checkpoint_takes_the_place_of_the_last(at, tmp_path, capsys):
    folder = CheckpointFolder(tmp_path, "s", keep=0)
    for iteration in (1, 2, 3):
        save(folder, at(iteration))
        assert names(tmp_path) == {f"resume_s_iteration{iteration}.pt"}
    save(folder, at(4, {4: 2.0}))
    assert names(tmp_path) == {"lm_s_epoch0.40_2.0000.pt"}
    save(folder, at(5, {4: 2.0}))
    assert names(tmp_path) == {"lm_s_epoch0.40_2.0000.pt", "resume_s_iteration5.pt"}
    assert folder.last == (5, tmp_path / "resume_s_iteration5.pt")
    assert capsys.readouterr() == (f"saving checkpoint to {tmp_path}/lm_s_epoch0.40_2.0000.pt\n", "")


LOSSES = {1: 3.0, 2: 2.0, 3: 2.5, 4: 2.25, 5: 4.0}


@pytest.mark.parametrize(("keep", "left"), [(0, {1, 2, 3, 4, 5}), (1, {2, 5}), (2, {2, 4, 5})])
@pytest.mark.parametrize("resumed_at", [None, 3])
def test_keep(keep, left, resumed_at, at, tmp_path):
    """Also in a run that was resumed, and kept all until then."""
    folder = CheckpointFolder(tmp_path, "s", 0 if resumed_at else keep)
    for iteration in LOSSES:
        save(folder, at(iteration, LOSSES))
        if iteration == resumed_at:
            folder = CheckpointFolder(tmp_path, "s", keep)
            folder.continue_from(*newest_checkpoint(tmp_path))
    assert {content.iteration for content in checkpoints(tmp_path).values()} == left
    assert folder.path_of(2.0) == tmp_path / "lm_s_epoch0.20_2.0000.pt"


def test_what_another_savefile_or_run_has_written_stays(at, tmp_path):
    others = [at(1, LOSSES, seed=5), dataclasses.replace(at(1, LOSSES), train_losses=np.array([9.0]))]
    save(CheckpointFolder(tmp_path, "s2", keep=1), at(1, LOSSES, savefile="s2"))
    save(CheckpointFolder(tmp_path, "s", keep=1), others[1])
    save(CheckpointFolder(tmp_path, "s", keep=1), at(1, seed=5))
    save(CheckpointFolder(tmp_path, "s", keep=1), at(1, LOSSES))
    (mine,) = tmp_path.glob("lm_s_epoch0.10_2_3.0000.pt")
    for copy in ("lm_copy_3.0000.pt", f"{mine.name}.copy.pt", "resume_copy.pt"):
        (tmp_path / copy).write_bytes(mine.read_bytes())
    theirs = names(tmp_path) - {mine.name}
    folder = CheckpointFolder(tmp_path, "s", keep=1)
    folder.continue_from(mine, at(1, LOSSES))
    save(folder, at(2, LOSSES))
    assert names(tmp_path) == theirs | {"lm_s_epoch0.20_2.0000.pt"}


def test_a_name_that_is_taken_brings_another_one_and_a_warning(at, tmp_path, capsys):
    folders = [CheckpointFolder(tmp_path, "s", keep=0) for _ in range(3)]
    for seed, folder in enumerate(folders):
        save(folder, at(1, seed=seed))
    first, second, third = (f"resume_s_iteration1{number}.pt" for number in ("", "_2", "_3"))
    assert capsys.readouterr().err.splitlines() == [
        f"warning: {tmp_path}/{first} already exists; writing {other} instead" for other in (second, third)
    ]
    found = checkpoints(tmp_path)
    assert {name: content.options["seed"] for name, content in found.items()} == {first: 0, second: 1, third: 2}
    assert [folder.last.path.name for folder in folders] == [first, second, third]  # which messages name
    save(folders[1], at(2, seed=1))
    assert names(tmp_path) == {first, third, "resume_s_iteration2.pt"}
    assert same(found[first], load_checkpoint(tmp_path / first))


def test_a_run_takes_over_what_it_wrote_under_any_number(at, tmp_path):
    """The tenth name, but not a copy that the user made."""
    for seed in range(9):
        save(CheckpointFolder(tmp_path, "s", keep=0), at(1, seed=seed))
    others = names(tmp_path)
    save(CheckpointFolder(tmp_path, "s", keep=0), at(1))
    mine = tmp_path / "resume_s_iteration1_10.pt"
    copy = tmp_path / "resume_s_iteration1_b.pt"
    copy.write_bytes(mine.read_bytes())
    folder = CheckpointFolder(tmp_path, "s", keep=0)
    folder.continue_from(mine, at(1))
    save(folder, at(2))
    assert names(tmp_path) == others | {copy.name, "resume_s_iteration2.pt"}


def test_the_best_is_found_whatever_the_savefile_is(at, tmp_path):
    """Brackets and stars in it are no pattern."""
    first, second = (CheckpointFolder(tmp_path, "a1", keep=0) for _ in range(2))
    save(first, at(1, LOSSES, savefile="a1"))
    folder = CheckpointFolder(tmp_path, "a[1]*", keep=0)
    assert folder.path_of(3.0) is None
    save(folder, at(1, LOSSES, savefile="a[1]*"))
    for one in (folder, CheckpointFolder(tmp_path, "a[1]*", keep=0)):
        assert one.path_of(3.0) == tmp_path / "lm_a[1]*_epoch0.10_3.0000.pt"
    save(second, at(1, LOSSES, savefile="a1", seed=5))  # another run with the same loss
    found = [one.path_of(3.0).name for one in (first, second)]
    assert found == ["lm_a1_epoch0.10_3.0000.pt", "lm_a1_epoch0.10_2_3.0000.pt"]


def test_a_name_that_something_else_has_is_left_alone(at, tmp_path):
    path = tmp_path / "lm_s_epoch0.10_3.0000.pt"
    path.symlink_to("nowhere")
    folder = CheckpointFolder(tmp_path, "s", keep=1)
    save(folder, at(1, LOSSES))
    assert names(tmp_path) == {path.name, "lm_s_epoch0.10_2_3.0000.pt"}
    save(folder, at(2, LOSSES))
    assert names(tmp_path) == {path.name, "lm_s_epoch0.20_2.0000.pt"}


def test_the_same_checkpoint_is_not_written_twice_and_one_that_differs_anywhere_is_another(at, tmp_path, capsys):
    mine = at(2)
    for same_one in (mine, at(2, data_dir="another way to the same folder")):
        save(CheckpointFolder(tmp_path, "s", keep=0), same_one)
        assert (names(tmp_path), capsys.readouterr().err) == ({"resume_s_iteration2.pt"}, "")
    moved = {name: np.nextafter(array, array.dtype.type(9)) for name, array in mine.parameters.items()}
    training = mine.training | {"learning_rate": 0.5}
    for count, other in enumerate(({"parameters": moved}, {"training": training}), 2):
        save(CheckpointFolder(tmp_path, "s", keep=0), dataclasses.replace(mine, **other))
        assert len(names(tmp_path)) == count


def test_a_crash_between_writing_and_deleting_leaves_nothing_behind(at, tmp_path):
    """What the run wrote after the checkpoint from which it is resumed stays until it is superseded."""
    for iteration in (1, 2):
        save(CheckpointFolder(tmp_path, "s", keep=0), at(iteration))
    older = tmp_path / "resume_s_iteration1.pt"
    folder = CheckpointFolder(tmp_path, "s", keep=0)
    folder.continue_from(older, load_checkpoint(older))
    assert names(tmp_path) == {older.name, "resume_s_iteration2.pt"}
    save(folder, at(2))  # the same again, which is not written twice
    assert names(tmp_path) == {"resume_s_iteration2.pt"}
    save(CheckpointFolder(tmp_path, "s", keep=0), at(3, {3: 2.0}))
    CheckpointFolder(tmp_path, "s", keep=0).continue_from(*newest_checkpoint(tmp_path))
    assert names(tmp_path) == {"lm_s_epoch0.30_2.0000.pt"}


@pytest.mark.parametrize("number", ERRORS, ids=errno.errorcode.get)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_failure_costs_a_warning_and_no_file(operation, number, at, tmp_path, capsys):
    folder = CheckpointFolder(tmp_path, "s", keep=0)
    save(folder, at(1))
    before = checkpoints(tmp_path)
    with failing(operation, number):
        folder.save(at(2))
    err = capsys.readouterr().err
    if operation in {"mkdir", "chmod", "link", "replace", "unlink"}:
        assert (err, folder.last.iteration) == ("", 2)
        assert load_checkpoint(tmp_path / "resume_s_iteration2.pt").iteration == 2
    else:
        path, reason = tmp_path / "resume_s_iteration2.pt", os.strerror(number).lower()
        assert err == f"warning: cannot write {path} ({reason}), so this checkpoint is missing\n"
        assert folder.last == (1, tmp_path / "resume_s_iteration1.pt")
        assert names(tmp_path) == before.keys() and same(checkpoints(tmp_path), before)
    save(folder, at(3))
    assert "resume_s_iteration3.pt" in names(tmp_path)


def test_where_nothing_can_be_written_is_reported_beforehand(tmp_path):
    """A folder, and a -savefile that is no part of a name."""
    with failing("open", errno.EACCES), pytest.raises(UserError, match=r"cannot write checkpoints to .*-checkpoint"):
        CheckpointFolder(tmp_path / "cv", "s", keep=0).check_writable()
    for savefile in ("a/b", "/a", "a\0", "x" * 229):
        with pytest.raises(UserError, match="-savefile"):
            CheckpointFolder(tmp_path / "cv", savefile, keep=0).check_writable()
    CheckpointFolder(tmp_path / "cv", "x" * 200, keep=0).check_writable()
