"""Which checkpoint of a folder is meant: the newest to resume from, the best for everything else, or all."""

import math
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from util.checkpoint.content import Checkpoint, same
from util.checkpoint.store import SUFFIXES, load_checkpoint
from util.cli.console import tell
from util.errors import UserError, reason

POINT = re.compile(r"(lm|resume)_(?P<savefile>.*)_(epoch(?P<epoch>\d+\.\d+)_|iteration(?P<iteration>\d+))")
"""How names begin that `CheckpointFolder` makes."""
MISSING = "there is no checkpoint in {}; train.py makes one"


class Promise(NamedTuple):
    """What a file says of its model before it is chosen: the validation loss, and torch-rnn's the iterations."""

    loss: float = math.inf
    iterations: int = 0


def newest_checkpoint(path: Path) -> tuple[Path, Checkpoint]:
    """Returns the checkpoint at `path` or, if that is a folder, the latest one of the run that wrote there last.

    The newest file may have been touched or copied, so if a name there promises a later checkpoint of the same run,
    that one is used. Warns about damaged files. Raises UserError if there is no checkpoint.
    """
    if not path.is_dir():
        return path, load_checkpoint(path)
    found: tuple[Path, Checkpoint] | None = None
    for file in files_in(path):
        if file.suffix != ".pt" or (found and not promises_more(file, found[1])):
            continue
        checkpoint = load_if_sound(file)
        if checkpoint and (not found or is_earlier(found[1], checkpoint)):
            found = file, checkpoint
    if not found:
        raise UserError(
            f"there is no run to resume in {path}; leave out -resume, or start from a model with -init_from"
        )
    return found


def best_checkpoint(path: Path, say: Callable[[str], object] = tell) -> tuple[Path, Checkpoint]:
    """Returns the checkpoint at `path` or, if that is a folder, the one with the lowest loss.

    If none there says its loss, it is torch-rnn's with the most iterations, or else the newest. Says which one
    it is. Warns about damaged files. Raises UserError if there is no checkpoint.
    """
    if not path.is_dir():
        return path, load_checkpoint(path)
    files = files_in(path)
    promises = {file: promise_of(file) for file in files}
    for file in sorted(files, key=lambda file: (promises[file].loss, -promises[file].iterations)):
        checkpoint = load_if_sound(file)
        if not checkpoint:
            continue
        if promises[file].loss < math.inf and checkpoint.validations:
            say(f"using {file}, the checkpoint with the lowest validation loss")
            newer = [one for one in files[: files.index(file)] if promises[one].loss == math.inf]
            if later := [one for one in newer if promises_more(one, checkpoint)]:
                say(f"there is a newer one without a validation loss: {later[0]}")
        elif promises[file].iterations:
            say(f"using {file}, the one with the most iterations, since none says its loss")
        else:
            say(f"using {file}")
        return file, checkpoint
    if inside := sorted({file.parent for file in path.glob("[!.]*/[!.]*") if file.suffix in SUFFIXES}):
        raise UserError(f"there is no checkpoint in {path} itself; name one of its folders, such as {inside[0]}")
    raise UserError(MISSING.format(path))


def all_checkpoints(path: Path) -> Iterator[tuple[Path, Checkpoint]]:
    """Yields the checkpoint at `path` or, if that is a folder, all that are in it and in its folders.

    In each, the run that began first comes first, and those of one run in the order of their epochs, as names tell.
    """
    if not path.is_dir():
        yield path, load_checkpoint(path)
        return
    found = False
    for folder in (path, *sorted(path.glob("[!.]*/"))):
        try:
            files = by_runs(files_in(folder))
        except UserError as error:
            if folder == path:
                raise
            tell(f"warning: {error}")
            continue
        for file in files:
            if checkpoint := load_if_sound(file):
                found = True
                yield file, checkpoint
    if not found:
        raise UserError(MISSING.format(path))


def files_in(folder: Path) -> list[Path]:
    """Returns the checkpoints in a folder as their names tell, the newest first. Raises UserError."""
    try:
        files = [file for file in folder.iterdir() if file.suffix in SUFFIXES and not file.name.startswith(".")]
        return sorted(files, key=lambda file: (-file.lstat().st_mtime_ns, file))
    except OSError as error:
        raise UserError(f"cannot read {folder}: {reason(error)}") from error


def by_runs(files: list[Path]) -> list[Path]:
    """Returns files, the newest first, in the order of the runs and epochs that their names tell."""
    points = {file: POINT.match(file.name) for file in files}
    runs = {file: point["savefile"] if point else file.name for file, point in points.items()}
    # A checkpoint between validations is the last one of its run.
    epochs = {file: float(point["epoch"] or math.inf) if point else 0.0 for file, point in points.items()}
    oldest = {runs[file]: number for number, file in enumerate(files)}
    return sorted(files, key=lambda file: (-oldest[runs[file]], epochs[file], file))


def load_if_sound(file: Path) -> Checkpoint | None:
    """Returns a checkpoint, or None after a warning if the file is none."""
    try:
        return load_checkpoint(file)
    except UserError as error:
        tell(f"warning: {error}")
        return None


def promise_of(file: Path) -> Promise:
    """Returns what a file promises. Torch-rnn's names tell no loss, so its files are read."""
    if loss := re.search(r"_(\d+\.\d+)\.(pt|t7)", file.name):
        return Promise(float(loss[1]))
    if file.suffix == ".t7":
        with suppress(UserError):  # which is told where the file is taken
            checkpoint = load_checkpoint(file)
            losses = [loss for _, loss in sorted(checkpoint.validations.items()) if math.isfinite(loss)]
            return Promise(losses[-1] if losses else math.inf, checkpoint.iteration)
    return Promise()


def promises_more(file: Path, checkpoint: Checkpoint) -> bool:
    """Whether a file's name promises a later point of a run."""
    point = POINT.match(file.name)
    if not point:
        return False
    if point["epoch"]:
        return float(point["epoch"]) > round(checkpoint.epoch, 2)
    return int(point["iteration"]) > checkpoint.iteration


def is_earlier(earlier: Checkpoint, later: Checkpoint, strictly: bool = False) -> bool:
    """Whether `later` is from the same run and no earlier, or `strictly` later: its losses begin with the same ones."""
    n = earlier.iteration
    if n == 0 or n > later.iteration or (strictly and n == later.iteration):
        return False
    return same(earlier.train_losses, later.train_losses[:n])
