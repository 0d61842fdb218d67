"""Runs that the tests of train.py start from."""

import signal

import pytest

from tests.helpers.inputs import SMALL
from tests.helpers.runs import finish, signals_at


@pytest.fixture
def flags(small_text):
    """Two epochs, in which everything that is carried on changes: validations, decays, the random stream."""
    return [*SMALL, "-data_dir", small_text, "-max_epochs", 2, "-eval_val_every", 40, "-learning_rate_decay_after", 1]


@pytest.fixture(scope="session")
def finished(small_text, tmp_path_factory):
    """The folder of a run that has ended."""
    folder = tmp_path_factory.mktemp("finished")
    assert finish(folder, *SMALL, "-data_dir", small_text, "-max_epochs", 1, "-eval_val_every", 40).status == 0
    return folder


@pytest.fixture(scope="session")
def stopped(small_text, tmp_path_factory):
    """The checkpoint of a run of one epoch that was stopped at its 7th iteration."""
    folder = tmp_path_factory.mktemp("stopped")
    flags = [*SMALL, "-data_dir", small_text, "-max_epochs", 1]
    assert finish(folder, *flags, prepare=signals_at(7, signal.SIGINT)).status == 130
    return folder / "cv" / "resume_s_iteration7.pt"
