"""Runs to evaluate."""

import pytest

from tests.helpers.evaluations import RUNS, TEXT
from tests.helpers.inputs import SMALL
from tests.helpers.runs import finish
from util.checkpoint.store import load_checkpoint


@pytest.fixture(scope="session")
def text(tmp_path_factory):
    """A folder with a text of characters of one to four bytes."""
    folder = tmp_path_factory.mktemp("text")
    (folder / "input.txt").write_bytes(TEXT.encode())
    return folder


@pytest.fixture(scope="session")
def trained(text, tmp_path_factory):
    """The last checkpoint of a run of each cell, on that text."""
    paths = {}
    for model, flags in RUNS.items():
        folder = tmp_path_factory.mktemp(model)
        more = (f"-model={model}", f"-data_dir={text}", "-max_epochs=1", "-eval_val_every=50", *flags)
        assert finish(folder, *SMALL, *more).status == 0
        paths[model] = max((folder / "cv").iterdir(), key=lambda path: load_checkpoint(path).iteration)
    return paths
