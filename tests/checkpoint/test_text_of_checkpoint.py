"""What is said of a text that is gone: only what works is advised."""

from pathlib import Path

import pytest

from tests.helpers.inputs import GOLDEN
from util.checkpoint.store import load_checkpoint
from util.checkpoint.text_of_checkpoint import text_is_missing


@pytest.mark.parametrize(
    ("name", "or_file", "words"),
    [
        ("lstm.t7", True, "is unknown; give its folder with -data_dir, or another text with -file"),
        ("lstm.t7", False, "is unknown; give its folder with -data_dir"),
        ("torch_rnn/rnn_2x32.t7", True, "is unknown; give a text with -file"),
        ("torch_rnn/rnn_2x32.t7", False, "is unknown; give its folder with -data_dir"),
        ("gru_adam.pt", True, "was not found in 'data'; give its folder with -data_dir, or another text with -file"),
    ],
)
def test_only_what_works_is_advised(name, or_file, words):
    """Torch-rnn's files do not say how the text was split, so a split of it in -data_dir would be refused."""
    assert text_is_missing(load_checkpoint(GOLDEN / name), Path("x"), or_file) == f"the text of x {words}"
