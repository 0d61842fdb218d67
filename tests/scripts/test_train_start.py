"""What a run waits for before its first iteration."""

from tests.helpers.inputs import SMALL
from tests.helpers.scripts import imported


def test_nothing_slow_is_imported_besides_torch(small_text, tmp_path):
    """Some of torch's functions import sympy, which takes as long as indexing 100 MB of text."""
    modules = imported("train.py", *SMALL, "-data_dir", small_text, "-checkpoint_dir", tmp_path, "-max_epochs", 1)
    assert "torch" in modules and not modules & {"sympy", "torch._dynamo", "torch._inductor", "matplotlib"}
