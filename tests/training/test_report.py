"""What a run says besides its log."""

from types import SimpleNamespace

import pytest
import torch

from util.training.report import tell_sizes


@pytest.mark.parametrize(
    ("characters", "parameters", "words"),
    [(100, 10_000, ""), (100, 10_001, "much larger than the text"), (1000, 10, ""), (1001, 10, "will underfit")],
)
def test_rule_of_thumb(characters, parameters, words, capsys):
    trainer = SimpleNamespace(iteration=0, flat=SimpleNamespace(values=torch.zeros(parameters)))
    tell_sizes(characters, trainer, 1)
    out, err = capsys.readouterr()
    assert out == "" and words in err and err.count("warning: ") == bool(words)
