"""Checkpoints that an earlier version wrote load, sample and resume.

The files in golden/ were saved at iteration 40 of 114, with all that training adds; golden/resumed.json holds what
that version printed from there on, and what it sampled from them.
"""

import json
import re
import shutil

import pytest

from tests.helpers.inputs import GOLDEN, numbers
from tests.helpers.runs import finish
from tests.helpers.scripts import run_here
from util.checkpoint.store import load_checkpoint

EXPECTED = json.loads((GOLDEN / "resumed.json").read_text())
PRECISION = {"lstm_float32": 1e-6, "gru_bfloat16": 1e-2}
"""How far a figure may be from that version's, relative to it; no digit in double precision. What bfloat16 rounds
depends on the processor."""


@pytest.mark.parametrize("name", EXPECTED)
def test_resuming_continues_the_log_and_sampling_repeats_its_text(name, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "input.txt").write_bytes(numbers(140))
    shutil.copy(GOLDEN / f"{name}.pt", tmp_path)
    resumed = finish(tmp_path, "-resume", f"{name}.pt", "-data_dir", "data")
    assert resumed.status == 0, resumed.err
    lines = [line.partition(", time/batch")[0] for line in resumed.out.splitlines()]
    lines = [re.sub(r"(?<=saving checkpoint to ).*/", "", line) for line in lines]
    start = next(number for number, line in enumerate(lines) if line.startswith("41/114 "))
    check_lines(lines[start:], EXPECTED[name]["log"], PRECISION.get(name, 0))
    last = load_checkpoint(max(tmp_path.glob("lm_*2.00_*.pt")))
    assert last.iteration == 114
    assert sorted(last.val_losses) == [40, 80, 114]
    flags = ("-length=200", "-temperature=0.8", "-seed=5", "-verbose=0", "-gpuid=-1")
    assert run_here("sample.py", GOLDEN / f"{name}.pt", *flags).stdout.decode() == EXPECTED[name]["sampled"]


def check_lines(lines: list[str], expected: list[str], precision: float) -> None:
    """Compares what was printed; with a precision the numbers may differ that much, and as much as was rounded."""
    number = re.compile(r"\d+\.\d+(?:e[-+]\d+)?")
    if not precision:
        assert lines == expected
    assert [number.sub("#", line) for line in lines] == [number.sub("#", line) for line in expected]
    for line, other in zip(lines, expected, strict=True):
        rounding = 6e-5 if "norm" not in line else 1e-8
        for mine, theirs in zip(number.findall(line), number.findall(other), strict=True):
            relative = max(precision, 5e-5) if "e" in theirs else precision  # a norm is printed with five digits
            assert float(mine) == pytest.approx(float(theirs), rel=relative, abs=rounding), line
