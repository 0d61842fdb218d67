"""What a run says besides its log; the number of threads, and what is said when other programs want the cores."""

from argparse import Namespace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from model.fast.unrolled import Unrolled
from util.checkpoint.store import load_checkpoint
from util.cli.signals import StopSignals
from util.training.report import RunLog, preview, tell_sizes


@pytest.mark.parametrize(
    ("characters", "parameters", "words"),
    [(100, 10_000, ""), (100, 10_001, "much larger than the text"), (1000, 10, ""), (1001, 10, "will underfit")],
)
def test_rule_of_thumb(characters, parameters, words, capsys):
    flat, batches = SimpleNamespace(values=torch.zeros(parameters)), SimpleNamespace(indices=range(characters))
    tell_sizes(SimpleNamespace(iteration=0, iterations=1, flat=flat, batches=batches))
    out, err = capsys.readouterr()
    assert out == "" and words in err and err.count("warning: ") == bool(words)


def test_a_model_of_no_numbers_has_no_preview(checkpoint, capsys):
    """Its next loss ends the run, which it does on a terminal no sooner than elsewhere."""
    model = load_checkpoint(checkpoint)
    trainer = SimpleNamespace(options=Namespace(preview=10, given={"preview"}), stop=StopSignals())
    preview(trainer, lambda: model)
    assert "it writes" in capsys.readouterr().err
    model.parameters["decoder.bias"] = model.parameters["decoder.bias"] * np.nan
    preview(trainer, lambda: model)
    assert capsys.readouterr().err == ""


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
    err = capsys.readouterr().err
    assert err.count("an iteration takes 0.50 s now, and took 0.05 s before") == err.count("\n") == told
