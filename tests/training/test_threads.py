"""The number of threads, and what is said when other programs want the same cores."""

from argparse import Namespace
from types import SimpleNamespace

import pytest
import torch

from model.fast.unrolled import Unrolled
from util.training.report import RunLog


@pytest.mark.parametrize(("cell", "rnn_size", "number"), [("rnn", 128, 1), ("lstm", 128, 1), ("lstm", 300, 4)])
def test_the_steps_of_a_small_model_use_fewer_threads(cell, rnn_size, number, monkeypatch):
    """Forward and back; everything else uses all."""
    chosen = []
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    monkeypatch.setattr(torch, "set_num_threads", chosen.append)
    outputs, _ = Unrolled(cell, 3, rnn_size)(torch.zeros(1, 50, 3), torch.zeros(2, 50, rnn_size))
    outputs.sum().backward()
    assert chosen == [number, 8, number, 8]


@pytest.mark.parametrize(("threads", "told"), [(2, 1), (1, 0)])
def test_slow_iterations_are_told_of_once(threads, told, monkeypatch, capsys):
    """One slow iteration, as when the text is read from a disk, is nothing; several are."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    options = Namespace(batch_size=1, seq_length=1)
    trainer = SimpleNamespace(iteration=0, iterations=50, device=torch.device("cpu"), options=options)
    run_log = RunLog(trainer, [])
    for seconds in [0.05] * 10 + [1.0] + [0.06] * 10 + [0.5] * 20:
        run_log.tell_pace(seconds)
    assert capsys.readouterr().err.count("an iteration takes 0.50 s now, and took 0.05 s before") == told
