"""Damaged checkpoints are refused or sound, even where a checksum does not tell; what is no file is refused."""

import pytest

from tests.campaigns import flips, t7_mutations
from util.checkpoint.store import load_checkpoint
from util.errors import UserError


def test_damage_is_noticed_or_does_no_harm(checkpoint, tmp_path):
    figures = flips.campaign(120, 1, checkpoint, tmp_path / "damaged.pt")
    assert sum(figures.values()) == 240
    for what in (".pt, bit flipped", ".pt, pickle behind its checksum", ".pt, array behind its checksum"):
        assert figures[f"{what}: refused"], figures


def test_damaged_t7_files(tmp_path):
    figures = t7_mutations.campaign(60, tmp_path, measure_every=20)
    assert figures["accepted"] + figures["refused"] == 60
    assert figures["refused"] > 30  # the damage does reach what matters
    assert figures["accepted"] > 2  # and the weights, where any bit will do


def test_what_is_no_file_is_called_what_it_is(tmp_path):
    (tmp_path / "x.pt").symlink_to("nowhere")
    for path, what in ((tmp_path, "a folder"), (tmp_path / "x.pt", "a link to a file"), ("/dev/null", "not a regular")):
        with pytest.raises(UserError, match=f"{path} is {what}"):
            load_checkpoint(path)
