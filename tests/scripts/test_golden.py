"""The claim of the project: the same flags and seed give the log of the original, digit for digit."""

import pytest

from tests.helpers.golden import RUNS, check_log, flags_of, last_checkpoint
from tests.helpers.inputs import GOLDEN
from tests.helpers.scripts import run, run_command


@pytest.fixture(scope="module")
def trained(long_text, tmp_path_factory):
    """trained(name): the finished golden run of this name, and its folder of checkpoints; each runs once."""
    found = {}

    def trained(name):
        if name not in found:
            cv = tmp_path_factory.mktemp(name) / "cv"
            found[name] = run("train.py", *flags_of(RUNS[name], long_text, cv)), cv
        return found[name]

    return trained


@pytest.mark.parametrize("name", [name for name in RUNS if name != "lstm_init_from"])
def test_log_equals_the_reference(name, trained):
    done, cv = trained(name)
    assert done.returncode == 0, done.stderr
    check_log(done.stdout, RUNS[name], cv)


def test_log_as_a_user_types_it_equals_the_reference(long_text, tmp_path):
    done = run_command("train.py", *flags_of(RUNS["gru_dropout"], long_text, tmp_path / "cv"))
    assert done.returncode == 0, done.stderr
    check_log(done.stdout, RUNS["gru_dropout"], tmp_path / "cv")


@pytest.mark.parametrize("by", ["this version", "the original"])
def test_log_from_a_checkpoint_equals_the_reference(by, trained, long_text, tmp_path):
    start = GOLDEN / "lstm.t7" if by == "the original" else trained("lstm")[1] / last_checkpoint("lstm")
    flags = flags_of(RUNS["lstm_init_from"], long_text, tmp_path / "cv")
    done = run("train.py", *flags, "-init_from", start)
    assert done.returncode == 0, done.stderr
    check_log(done.stdout, RUNS["lstm_init_from"], tmp_path / "cv")
