"""The number of threads, and what is said when other programs want the same cores."""

import pytest
import torch

from util.training.threads import Pace, choose_threads


@pytest.mark.parametrize(
    ("model", "rnn_size", "wanted", "number"),
    [("rnn", 128, 0, 1), ("lstm", 128, 0, 3), ("lstm", 512, 0, 8), ("lstm", 8, 0, 1), ("rnn", 128, 1, 1)],
)
def test_the_number_follows_from_the_size_of_the_model(model, rnn_size, wanted, number, monkeypatch):
    chosen = []
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    monkeypatch.setattr(torch, "set_num_threads", chosen.append)
    assert [choose_threads(wanted, model, rnn_size, 50)] == chosen == [number]


def test_more_threads_than_cores_are_warned_of(monkeypatch, capsys):
    monkeypatch.setattr(torch, "set_num_threads", lambda number: None)
    assert choose_threads(1000, "rnn", 8, 5) == 1000
    assert "warning: with -threads 1000 on " in capsys.readouterr().err


@pytest.mark.parametrize(("threads", "told"), [(2, 1), (1, 0)])
def test_slow_iterations_are_told_of_once(threads, told, capsys):
    """One slow iteration, as when the text is read from a disk, is nothing; several are."""
    pace = Pace(threads, "cpu")
    for seconds in [0.05] * 10 + [1.0] + [0.06] * 10 + [0.5] * 20:
        pace.took(seconds, 1)
    assert capsys.readouterr().err.count("an iteration takes 0.50 s now, and took 0.05 s before") == told
