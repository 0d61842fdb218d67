"""Checkpoints that an earlier version wrote load, sample and resume exactly.

golden/lstm_rmsprop.pt and gru_adam.pt were saved at iteration 40 of 114, in double precision, with all that training
adds; golden/resumed.json holds what that version printed from there on, and what it sampled from them.
"""

import json
import re
import shutil

import pytest

from tests.helpers.inputs import GOLDEN, numbers
from tests.helpers.runs import finish
from tests.helpers.scripts import run
from util.checkpoint.store import load_checkpoint

EXPECTED = json.loads((GOLDEN / "resumed.json").read_text())


@pytest.mark.parametrize("name", EXPECTED)
def test_resuming_is_exact(name, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "input.txt").write_bytes(numbers(140))
    shutil.copy(GOLDEN / f"{name}.pt", tmp_path)
    resumed = finish(tmp_path, "-resume", f"{name}.pt", "-data_dir", "data")
    assert resumed.status == 0, resumed.err
    lines = [line.partition(", time/batch")[0] for line in resumed.out.splitlines()]
    lines = [re.sub(r"(?<=saving checkpoint to ).*/", "", line) for line in lines]
    start = next(number for number, line in enumerate(lines) if line.startswith("41/114 "))
    assert lines[start:] == EXPECTED[name]["log"]
    last = load_checkpoint(max(tmp_path.glob("lm_*2.00_*.pt")))
    assert last.iteration == 114
    assert sorted(last.val_losses) == [40, 80, 114]


@pytest.mark.parametrize("name", EXPECTED)
def test_sampling_repeats_its_text(name):
    done = run(
        "sample.py", GOLDEN / f"{name}.pt", "-length=200", "-temperature=0.8", "-seed=5", "-verbose=0", "-gpuid=-1"
    )
    assert (done.returncode, done.stdout) == (0, EXPECTED[name]["sampled"])
