"""Which checkpoint of a folder is meant."""

import dataclasses
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.folders import names
from tests.helpers.inputs import GOLDEN
from util.checkpoint.choice import all_checkpoints, best_checkpoint, newest_checkpoint
from util.checkpoint.content import Checkpoint
from util.checkpoint.store import load_checkpoint, save_checkpoint
from util.errors import UserError


@pytest.fixture
def write(at, tmp_path):
    """write(name, iteration, losses): saves a checkpoint under that name; each looks newer than the one before."""

    def write(name, iteration, losses=None):
        save_checkpoint(at(iteration, losses), tmp_path / name)
        age(tmp_path, name, len(names(tmp_path)))

    return write


def age(folder, name, time):
    os.utime(folder / name, (1e9 + time, 1e9 + time))


def best(folder):
    said = []
    path, _ = best_checkpoint(folder, said.append)
    return path.name, *said


def test_the_best_of_the_original_s_files_is_that_with_the_lowest_loss(tmp_path):
    for time, (name, source) in enumerate((("1.00_2.5000", "lstm"), ("2.00_2.7500", "gru"), ("3.00_10.0000", "rnn"))):
        shutil.copy(GOLDEN / f"{source}.t7", tmp_path / f"lm_lstm_epoch{name}.t7")
        age(tmp_path, f"lm_lstm_epoch{name}.t7", time)
    assert best(tmp_path)[0] == "lm_lstm_epoch1.00_2.5000.t7"


def test_the_best_of_torch_rnn_s_files_is_known_by_what_they_hold(tmp_path, monkeypatch):
    """Their names tell no loss; the newest file need not be the best, nor the one that was trained longest."""
    losses = {}
    for name in ("lstm_2x32.t7", "rnn_2x32.t7", "lstm_1x32_bytes.t7"):
        shutil.copy(GOLDEN / "torch_rnn" / name, tmp_path)
        checkpoint = load_checkpoint(tmp_path / name)
        losses[checkpoint.validations[checkpoint.iteration]] = name
    for time, loss in enumerate(sorted(losses)):
        age(tmp_path, losses[loss], time)
    with monkeypatch.context() as patch:  # of several the last loss counts
        patch.setattr(Checkpoint, "validations", property(lambda c: {1: -c.val_losses[c.iteration]} | c.val_losses))
        name, said = best(tmp_path)
    assert name == losses[min(losses)] and said.endswith(f"{name}, the checkpoint with the lowest validation loss")
    monkeypatch.setattr(Checkpoint, "validations", {})
    name, said = best(tmp_path)
    iterations = {path.name: load_checkpoint(path).iteration for path in tmp_path.iterdir()}
    assert iterations[name] == max(iterations.values()) and "the one with the most iterations" in said


def test_damaged_files_and_names_that_do_not_tell(write, tmp_path, capsys):
    """The names tell the losses; without one in any that is whole, the newest is taken, whatever losses it holds."""
    write("lm_s_epoch0.20_2.0000.pt", 2, {2: 2.0})
    write("b.pt", 3, {2: 2.0})
    (tmp_path / "lm_s_epoch9.00_0.1000.pt").write_bytes(b"PK\3\4 and no more")
    name, said = best(tmp_path)
    assert said == f"using {tmp_path / name}, the checkpoint with the lowest validation loss" and "2.0000" in name
    assert f"warning: {tmp_path}/lm_s_epoch9.00_0.1000.pt is not" in capsys.readouterr().err
    (tmp_path / name).rename(tmp_path / "a.pt")
    assert best(tmp_path) == ("b.pt", f"using {tmp_path / 'b.pt'}")


def test_a_newer_checkpoint_without_a_validation_loss_is_told(write, tmp_path):
    """It is what Ctrl-C leaves; one from before the best, of iteration or of time, is nothing to tell."""
    write("resume_s_iteration7.pt", 7)
    write("resume_s_iteration3.pt", 3)
    write("lm_s_epoch0.40_2.0000.pt", 4, {4: 2.0})
    write("resume_s_iteration2.pt", 2)
    assert len(best(tmp_path)) == 2
    write("resume_s_iteration6.pt", 6)
    name, _, told = best(tmp_path)
    assert name == "lm_s_epoch0.40_2.0000.pt"
    assert told == f"there is a newer one without a validation loss: {tmp_path / 'resume_s_iteration6.pt'}"


def test_all_of_a_folder_are_those_in_its_folders_too(write, tmp_path):
    for folder in ("b", "a", ".hidden", "a/deeper"):
        (tmp_path / folder).mkdir(exist_ok=True, parents=True)
    for name in ("b/resume_s_iteration3.pt", "a/x.pt", ".hidden/x.pt", "a/deeper/x.pt", "y.pt"):
        write(name, 3)
    found = [str(path.relative_to(tmp_path)) for path, _ in all_checkpoints(tmp_path)]
    assert found == ["y.pt", "a/x.pt", "b/resume_s_iteration3.pt"]
    (tmp_path / "y.pt").unlink()
    with pytest.raises(
        UserError, match=f"no checkpoint in {tmp_path} itself; name one of its folders, such as {tmp_path}/a$"
    ):
        best_checkpoint(tmp_path)


def test_a_folder_of_folders_that_cannot_be_read_costs_a_warning(write, tmp_path, capsys, monkeypatch):
    for folder in ("a", "b", "c"):
        (tmp_path / folder).mkdir()
        write(f"{folder}/x.pt", 3)
    iterdir = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda path: iterdir(path / "nobody's") if path.name == "b" else iterdir(path))
    assert [path.parent.name for path, _ in all_checkpoints(tmp_path)] == ["a", "c"]
    assert capsys.readouterr().err == f"warning: cannot read {tmp_path}/b: no such file or directory\n"
    with pytest.raises(UserError, match=f"cannot read {tmp_path}/b: "):
        [*all_checkpoints(tmp_path / "b")]


def test_hidden_files_are_nobody_s_checkpoints(write, tmp_path, capsys):
    """macOS puts such files beside every file on a foreign disk."""
    write("lm_s_epoch0.20_2.0000.pt", 2, {2: 2.0})
    (tmp_path / "._lm_s_epoch0.20_2.0000.pt").write_bytes(b"Mac OS X")
    (tmp_path / "._lm_s_epoch0.30_1.0000.t7").write_bytes(b"Mac OS X")
    (tmp_path / "notes_1.0000.pt.txt").write_text("mine")
    assert best(tmp_path)[0] == newest_checkpoint(tmp_path)[0].name == "lm_s_epoch0.20_2.0000.pt"
    assert len([*all_checkpoints(tmp_path)]) == 1
    assert capsys.readouterr() == ("", "")


def test_a_run_is_never_rewound(at, write, tmp_path, capsys):
    """The newest of equal ones is resumed, and else the latest, whichever file was touched, unless it is damaged."""
    for name in ("lm_s_epoch0.20_2.0000.pt", "resume_s_iteration2.pt", "copy.pt"):
        write(name, 2, {2: 2.0})
        assert newest_checkpoint(tmp_path)[0].name == name
    write("resume_s_iteration3.pt", 3)
    write("touched.pt", 2)
    other = dataclasses.replace(at(9), train_losses=np.ones(9))  # another run came further, and did not write last
    save_checkpoint(other, tmp_path / "resume_t_iteration9.pt")
    age(tmp_path, "resume_t_iteration9.pt", 0)
    assert newest_checkpoint(tmp_path)[1].iteration == 3
    (tmp_path / "lm_s_epoch0.90_1.0000.pt").write_bytes(b"PK and no more")
    assert newest_checkpoint(tmp_path)[1].iteration == 3
    assert "lm_s_epoch0.90_1.0000.pt is not a valid char-rnn checkpoint" in capsys.readouterr().err
