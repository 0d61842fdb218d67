"""Damaged checkpoints are refused or sound, even where a checksum does not tell."""

from tests.campaigns.damage import SORTS, campaign


def test_damage_is_noticed_or_does_no_harm(tmp_path):
    figures = campaign(70, tmp_path, measure_every=20)
    assert sum(figures.values()) == 70 * len(SORTS)
    for sort in SORTS:
        assert figures[f"{sort}: refused"] > 10, figures  # the damage does reach what matters
    assert figures[".t7: accepted"] > 2 and figures[".pt's array: accepted"] > 2  # and where any bit will do
