"""Damaged checkpoints are refused or sound, even where a checksum does not tell."""

from tests.campaigns.flips import campaign


def test_damage_is_noticed_or_does_no_harm(checkpoint, tmp_path):
    figures = campaign(120, 1, checkpoint, tmp_path / "damaged.pt")
    assert sum(figures.values()) == 360
    for what in (".pt, bit flipped", ".pt, pickle behind its checksum", ".pt, array behind its checksum", ".t7"):
        assert figures[f"{what}: refused"], figures
    assert figures[".t7: taken for a sound one, and is"], figures
