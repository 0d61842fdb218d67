"""Starts many runs at the same moment on a text that has no cache yet, all with the same folder for checkpoints.

python -m tests.campaigns.starts 10
"""

from collections import Counter
from pathlib import Path

from tests.helpers.campaigns import run as run_campaign
from tests.helpers.checkpoints import checkpoints, same
from tests.helpers.folders import names
from tests.helpers.inputs import EPOCH, SMALL, numbers
from tests.helpers.logs import log, saved
from tests.helpers.runs import Run, finish


def campaign(count: int, folder: Path) -> Counter[str]:
    """Starts `count` runs at once; returns counts of what they did."""
    together, alone = folder / "together", folder / "alone"
    for place in (together, alone):
        place.mkdir()
        (place / "input.txt").write_bytes(numbers(140))
    flags = [*SMALL, "-data_dir", ".", "-max_epochs", 1, "-eval_val_every", EPOCH // 3, "-save_every", 4]
    expected = finish(alone, *flags)
    runs = [Run(together, *flags) for _ in range(count)]
    for run in runs:
        assert (run.wait(600).status, run.err) == (0, ""), run.err
        assert log([run.out]) == log([expected.out])
    assert same(checkpoints(together / "cv"), checkpoints(alone / "cv"))
    assert names(together / "cv") == set(saved(expected.out))
    for cache in ("vocab.json", "data.bin"):
        assert (together / cache).read_bytes() == (alone / cache).read_bytes()
    assert not any(name.endswith(".tmp") for name in names(together))
    lines = len(log([expected.out]))
    return Counter({"runs": count, "equal lines of the log": count * lines, "checkpoints": len(saved(expected.out))})


if __name__ == "__main__":
    run_campaign(campaign, 10)
