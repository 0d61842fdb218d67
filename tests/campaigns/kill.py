"""Kills training runs at random moments, resumes each from its newest checkpoint, and compares with undisturbed ones.

    python -m tests.campaigns.kill 50

Every third kill comes at any time, every third in some iteration, and every third while a checkpoint is being saved.
"""

import itertools
import random
import time
from collections import Counter
from pathlib import Path

from tests.helpers.campaigns import run as run_campaign
from tests.helpers.checkpoints import checkpoints, same
from tests.helpers.folders import names
from tests.helpers.inputs import SMALL, numbers
from tests.helpers.logs import log, progress, saved
from tests.helpers.runs import Run, finish
from util.checkpoint.choice import newest_checkpoint

CONFIGURATIONS = list(itertools.product(("lstm", "gru", "rnn"), (0, 0.3), ("float32", "float64")))
FLAGS = [*SMALL, *["-max_epochs", "2", "-learning_rate_decay_after", "1", "-eval_val_every", "6", "-save_every", "2"]]


def campaign(kills: int, seed: int, folder: Path) -> Counter[str]:
    """Spreads kills over all configurations; returns counts of what happened."""
    dice, figures = random.Random(seed), Counter[str]()
    (folder / "input.txt").write_bytes(numbers(140))
    for number, (model, dropout, dtype) in enumerate(dice.sample(CONFIGURATIONS, min(kills, len(CONFIGURATIONS)))):
        share, place = len(range(number, kills, len(CONFIGURATIONS))), folder / f"{model}-{dropout}-{dtype}"
        flags = [*FLAGS, "-data_dir", folder, "-model", model, "-dropout", dropout, "-dtype", dtype]
        (place / "whole").mkdir(parents=True)
        whole = finish(place / "whole", *flags)
        while share > 0:
            of_run = survive(share, flags, whole, place / f"run{figures['runs that came to their end']}", dice)
            share -= of_run["kills"]
            figures += of_run + Counter({"runs that came to their end": 1})
        figures["configurations"] += 1
    return figures


def survive(kills: int, flags: list, whole: Run, folder: Path, dice: random.Random) -> Counter[str]:
    """Takes one run from its first iteration to its last, killing it at most `kills` times."""
    figures = Counter[str]()
    folder.mkdir()
    runs: list[Run] = []
    resumed_from = set()
    while not runs or runs[-1].status != 0:
        started = bool(runs) and any((folder / "cv").glob("*.pt"))
        run = Run(folder, "-resume", "cv") if started else Run(folder, *flags)
        runs.append(run)
        if figures["kills"] < kills:
            strike(run, folder / "cv", dice)
        run.wait()
        assert run.status in (0, -9), run.err
        if run.status == -9:
            figures["kills"] += 1
            for path in (folder / "cv").glob(".*.tmp"):
                figures["while saving"] += 1
                path.unlink()  # so that the next one is counted
            if checkpoints(folder / "cv"):  # all of which have loaded
                path, newest = newest_checkpoint(folder / "cv")
                resumed_from.add(newest.iteration)
                figures["then resumed from a rolling checkpoint"] += path.name.startswith("resume_")
    compare(runs, whole, resumed_from, folder)
    figures["iterations compared"] += len(log([whole.out]))
    return figures


def strike(run: Run, folder: Path, dice: random.Random) -> None:
    """Kills a run that writes to `folder` at a moment of a random kind, unless it has ended."""
    match dice.randrange(3):
        case 0:
            time.sleep(dice.uniform(0, 0.3))
        case 1:
            run.wait_for("train_loss", dice.randrange(1, 60))
            time.sleep(dice.uniform(0, 0.004))
        case 2:
            run.wait_for("saving checkpoint", dice.randrange(1, 9))
            while run.running and not any(name.endswith(".tmp") for name in names(folder)):
                pass  # the next one that is saved
            time.sleep(dice.uniform(0, 0.001))  # about how long saving takes
    if run.running:
        run.send(9)


def compare(runs: list[Run], whole: Run, resumed_from: set[int], folder: Path) -> None:
    """Compares what killed runs printed and wrote together with what the undisturbed one did."""
    expected, found = log([whole.out]), log(run.out for run in runs)
    # An iteration's line is printed after its checkpoint: a kill between them takes the line.
    assert {iteration: found.get(iteration, line) for iteration, line in expected.items()} == expected | found
    assert expected.keys() - found.keys() <= resumed_from
    assert set(itertools.chain(*(progress(run.out) for run in runs))) <= set(progress(whole.out))
    undisturbed = checkpoints(folder.parent / "whole" / "cv")
    assert undisturbed.keys() == set(saved(whole.out)) == names(folder / "cv"), names(folder / "cv")
    assert same(checkpoints(folder / "cv"), undisturbed)


if __name__ == "__main__":
    run_campaign(lambda kills, folder: campaign(kills, 0, folder), 50)
