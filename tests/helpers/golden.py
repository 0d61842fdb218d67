"""The original's runs in golden/runs.json, and how to compare with them.

They are in double precision; see golden/numbers_corpus.py for their text, `numbers(1500)`.
"""

import json
import re
import shlex
from pathlib import Path
from typing import Any

from tests.helpers.inputs import GOLDEN

RUNS = json.loads((GOLDEN / "runs.json").read_text())
LINE = re.compile(
    r"(\d+)/(\d+) \(epoch (\d+\.\d{3})\), train_loss = (\d+\.\d{8}), "
    r"grad/param norm = (\d\.\d{4}e[+-]\d\d), time/batch = \d+\.\d{4}s"
)


def flags_of(run: dict[str, Any], folder: Path, checkpoint_dir: Path) -> list[object]:
    """Returns the flags of a golden run, in double precision on a CPU; the original calls every cell's files lstm."""
    flags = shlex.split(run["flags"].replace("-init_from CHECKPOINT_OF_lstm", ""))
    more = ["-dtype", "float64", "-gpuid", "-1", "-savefile", "lstm"]
    return [*flags, "-data_dir", folder, "-checkpoint_dir", checkpoint_dir, *more]


def last_checkpoint(name: str) -> str:
    """Returns the name of a golden run's last checkpoint here."""
    return RUNS[name]["checkpoints"][-1].replace(".t7", ".pt")


def check_log(out: str, run: dict[str, Any], cv: Path) -> None:
    """Compares what a run printed, and the names of its checkpoints, with the original."""
    train_batches, val_batches, test_batches = run["batches"]
    assert f"vocab size: {run['vocab_size']}\n" in out
    assert f"number of parameters in the model: {run['parameters']}\n" in out
    assert f"batches in train: {train_batches}, val: {val_batches}, test: {test_batches}\n" in out

    lines = LINE.findall(out)
    assert [int(i) for i, *_ in lines] == list(range(1, run["iterations"] + 1))
    assert {int(total) for _, total, *_ in lines} == {run["iterations"]}
    assert [epoch for _, _, epoch, *_ in lines] == [f"{i / train_batches:.3f}" for i in range(1, run["iterations"] + 1)]
    losses = [float(loss) for *_, loss, _ in lines]
    assert max(abs(a - b) for a, b in zip(losses, run["train_loss"], strict=True)) <= 1.0001e-8
    assert [norm for *_, norm in lines] == [f"{norm:.4e}" for norm in run["grad_param_norm"]]

    rates = re.findall(r"decayed learning rate by a factor \S+ to (\S+)", out)
    assert [float(rate) for rate in rates] == run["learning_rate_after_decay"]
    names = [name.replace(".t7", ".pt") for name in run["checkpoints"]]
    assert re.findall(r"saving checkpoint to .*/(\S+)", out) == names
    assert sorted(path.name for path in cv.iterdir()) == sorted(names)
