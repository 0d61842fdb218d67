"""What is no checkpoint is called what it is."""

import re

import pytest

from util.checkpoint.store import load_checkpoint
from util.errors import UserError


def test_what_is_not_a_checkpoint(tmp_path):
    (tmp_path / "x.txt").write_bytes(b"one two\n")
    (tmp_path / "link.pt").symlink_to("nowhere")
    for name, words in (
        ("x.txt", "is not a valid char-rnn checkpoint: it is neither a .pt nor a .t7 file"),
        ("link.pt", "is a link to a file that is not there; give the name of a checkpoint"),
        ("/dev/zero", "is not a regular file; give the name of a checkpoint"),
        ("x" * 300, "file name too long"),
        (".", "is a folder; give the name of a checkpoint"),
    ):
        with pytest.raises(UserError, match=re.escape(words)) as caught:
            load_checkpoint(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)


def test_a_wrong_name_is_answered_with_those_that_are_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"^there is no checkpoint x\.pt$"):
        load_checkpoint("x.pt")
    (tmp_path / "cv").mkdir()
    right = "lm_s_epoch2.35_1.7616.pt"
    for name in (right, "lm_notes.txt"):
        (tmp_path / "cv" / name).touch()
    for wrong in ("cv/lm_s_epoch2.36_1.7616.pt", "vc", "x.pt", right):
        with pytest.raises(UserError, match=rf"^there is no checkpoint {wrong}; cv has {right}$"):
            load_checkpoint(wrong)
