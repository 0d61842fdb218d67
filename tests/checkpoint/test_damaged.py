"""Damaged checkpoints are refused or sound, even where a checksum does not tell."""

from tests.campaigns import flips, t7_mutations


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
