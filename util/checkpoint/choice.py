"""Which checkpoint of a folder is meant: the newest to resume from, the best for everything else, or all."""

import math
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from util.checkpoint.content import Checkpoint, same
from util.checkpoint.store import SUFFIXES, load_checkpoint
from util.cli.console import tell
from util.errors import UserError, reason

POINT = re.compile(r"lm_(?P<of>.*)_epoch(?P<epoch>\d+\.\d+)_|resume_(?P<by>.*)_iteration(?P<iteration>\d+)")
"""How names begin that `CheckpointFolder` makes."""


def newest_checkpoint(path: Path) -> tuple[Path, Checkpoint]:
    """Returns the checkpoint at `path` or, if that is a folder, the latest one of the run that wrote there last.

    The newest file may have been touched or copied, so if a name there promises a later checkpoint of the same run,
    that one is used. Warns about damaged files. Raises UserError if there is no checkpoint.
    """
    if not path.is_dir():
        return path, load_checkpoint(path)
    found: tuple[Path, Checkpoint] | None = None
    files = [file for file in files_in(path) if file.suffix == ".pt"]
    # Each file is compared with what was found before it.
    for file, checkpoint in sound(file for file in files if not found or promises_more(file, found[1])):
        if not found or is_earlier(found[1], checkpoint):
            found = file, checkpoint
    if not found:
        raise UserError(
            f"there is no run to resume in {path}; leave out -resume, or start from a model with -init_from"
        )
    return found


def best_checkpoint(path: Path, say: Callable[[str], object] = tell) -> tuple[Path, Checkpoint]:
    """Returns the checkpoint at `path` or, if that is a folder, the one with the lowest loss; else the newest.

    Says which one it is. Warns about damaged files. Raises UserError if there is no checkpoint.
    """
    if not path.is_dir():
        return path, load_checkpoint(path)
    files = files_in(path)
    orders = {file: order_of(file) for file in files}
    for file, checkpoint in sound(sorted(files, key=lambda file: orders[file])):
        loss, iterations = orders[file]
        if loss == math.inf or not checkpoint.validations:
            say(f"using {file}" + ", the one with the most iterations, since none says its loss" * bool(iterations))
            return file, checkpoint
        say(f"using {file}, the checkpoint with the lowest validation loss")
        newer = (one for one in files[: files.index(file)] if orders[one][0] == math.inf)
        if later := [one for one in newer if promises_more(one, checkpoint)]:
            say(f"there is a newer one without a validation loss: {later[0]}")
        return file, checkpoint
    if inside := sorted({file.parent for file in path.glob("[!.]*/[!.]*") if file.suffix in SUFFIXES}):
        raise UserError(f"there is no checkpoint in {path} itself; name one of its folders, such as {inside[0]}")
    raise UserError(f"there is no checkpoint in {path}; train.py makes one")


def all_checkpoints(path: Path) -> Iterator[tuple[Path, Checkpoint]]:
    """Yields the checkpoint at `path` or, if that is a folder, all that are in it and in its folders.

    In each, the run that began first comes first, and those of one run in the order of their epochs, as names tell.
    """
    if not path.is_dir():
        yield path, load_checkpoint(path)
        return
    found = None
    for folder in (path, *sorted(path.glob("[!.]*/"))):
        try:
            files = by_runs(files_in(folder))
        except UserError as error:
            if folder == path:
                raise
            tell(f"warning: {error}")
            continue
        for found in sound(files):
            yield found
    if not found:
        raise UserError(f"there is no checkpoint in {path}; train.py makes one")


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
    run_of = {file: (point["of"] or point["by"] if point else file.name) for file, point in points.items()}
    epoch_of = {file: float(point["epoch"] or math.inf) if point else 0.0 for file, point in points.items()}
    oldest = {run_of[file]: number for number, file in enumerate(files)}
    return sorted(files, key=lambda file: (-oldest[run_of[file]], epoch_of[file], file))


def sound(files: Iterable[Path]) -> Iterator[tuple[Path, Checkpoint]]:
    """Yields those of the files that are checkpoints, with what they hold; the others cost a warning."""
    for file in files:
        try:
            checkpoint = load_checkpoint(file)
        except UserError as error:
            tell(f"warning: {error}")
        else:
            yield file, checkpoint


def order_of(file: Path) -> tuple[float, int]:
    """Returns what is lowest for the best file: its validation loss, or infinity, and 0.

    The name tells the loss. Torch-rnn's does not, so that file is read, and without a loss its iterations decide.
    """
    if loss := re.search(r"_(\d+\.\d+)\.(pt|t7)", file.name):
        return float(loss[1]), 0
    if file.suffix == ".t7":
        with suppress(UserError):  # which is told where the file is taken
            checkpoint = load_checkpoint(file)
            losses = [loss for _, loss in sorted(checkpoint.validations.items()) if math.isfinite(loss)]
            return losses[-1] if losses else math.inf, -checkpoint.iteration
    return math.inf, 0


def promises_more(file: Path, checkpoint: Checkpoint) -> bool:
    """Whether a file's name promises a later point of a run."""
    point = POINT.match(file.name)
    if not point:
        return False
    if point["epoch"]:
        return float(point["epoch"]) > round(checkpoint.epoch, 2)
    return int(point["iteration"]) > checkpoint.iteration


def is_earlier(earlier: Checkpoint, later: Checkpoint, strictly: bool = False) -> bool:
    """Whether `later` comes from the same run, no earlier: its losses begin with the same ones, to the last bit."""
    n = earlier.iteration
    return 0 < n <= later.iteration - strictly and same(earlier.train_losses, later.train_losses[:n])
