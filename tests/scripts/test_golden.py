"""The claim of the project: the same flags and seed give the log of the original, digit for digit."""

import pytest

from tests.helpers.golden import RUNS, check_log, flags_of
from tests.helpers.inputs import GOLDEN
from tests.helpers.scripts import run, run_command


@pytest.mark.parametrize("name", RUNS)
def test_log_equals_the_original_s(name, long_text, tmp_path):
    """One of them as a user types it; one begins with the original's own checkpoint."""
    train = run_command if name == "gru_dropout" else run
    start = ["-init_from", GOLDEN / "lstm.t7"] if name == "lstm_init_from" else []
    done = train("train.py", *flags_of(RUNS[name], long_text, tmp_path / "cv"), *start)
    assert done.returncode == 0, done.stderr
    check_log(done.stdout, RUNS[name], tmp_path / "cv")
