"""What a run says besides its log."""

from argparse import Namespace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from util.checkpoint.store import load_checkpoint
from util.cli.signals import StopSignals
from util.training.report import preview, tell_sizes


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
