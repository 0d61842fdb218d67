"""Which checkpoint of a folder is meant: the newest to resume from, the best for everything else, or all."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from util.checkpoint.content import Checkpoint, same
from util.checkpoint.store import SUFFIXES, load_checkpoint
from util.cli.console import tell
from util.errors import UserError, reason


def newest_checkpoint(path: Path) -> tuple[Path, Checkpoint]:
    """Returns the checkpoint at `path` or, if that is a folder, the latest one of the run that wrote there last.

    The newest file may have been touched or copied, so if a name there promises a later checkpoint of the same run,
    that one is used. Warns about damaged files. Raises UserError if there is no checkpoint.
    """
    if not path.is_dir():
        return path, load_checkpoint(path)
    found: tuple[Path, Checkpoint] | None = None
    ours = (file for file in files_in(path) if file.suffix == ".pt")
    for file, checkpoint in sound(file for file in ours if not found or promises_more(file, found[1])):
        if not found or is_earlier(found[1], checkpoint):
            found = file, checkpoint
    if not found:
        instead = f"start from a .t7 with -init_from {path}" if any(path.glob("*.t7")) else "start without -resume"
        raise UserError(f"there is no checkpoint in {path} to resume; {instead}")
    return found


def best_checkpoint(path: Path, say: Callable[[str], object] = tell) -> tuple[Path, Checkpoint]:
    """Returns the checkpoint at `path` or, if that is a folder, the one with the lowest validation loss.

    The names tell the losses; only where none does, all files are read, and without a loss the newest is taken. Says
    which one it is. Warns about damaged files. Raises UserError if there is no checkpoint.
    """
    if not path.is_dir():
        return path, load_checkpoint(path)
    files, found = files_in(path), None
    for file, checkpoint in sound(sorted(files, key=promised_loss)):
        loss = checkpoint.validations.get(checkpoint.iteration, math.inf)
        if not found or (loss, files.index(file)) < (found[0], files.index(found[1])):
            found = loss, file, checkpoint
        if max(loss, promised_loss(file)) < math.inf:
            break
    if not found:
        raise UserError(f"there is no checkpoint in {path}; train.py makes one")
    loss, file, checkpoint = found
    say(f"using {file}, the checkpoint with the lowest validation loss" if loss < math.inf else f"using {file}")
    return file, checkpoint


def all_checkpoints(path: Path) -> Iterator[tuple[Path, Checkpoint]]:
    """Yields the checkpoint at `path` or, if that is a folder, all that are there, the oldest first."""
    found = False
    for one in sound(reversed(files_in(path))) if path.is_dir() else [(path, load_checkpoint(path))]:
        found = True
        yield one
    if not found:
        raise UserError(f"there is no checkpoint in {path}; train.py makes one")


def files_in(folder: Path) -> list[Path]:
    """Returns the checkpoints in a folder as their names tell, the newest first. Raises UserError."""
    try:
        files = [file for file in folder.iterdir() if file.suffix in SUFFIXES and not file.name.startswith(".")]
        return sorted(files, key=lambda file: (-file.lstat().st_mtime_ns, file))
    except OSError as error:
        raise UserError(f"cannot read {folder}: {reason(error)}") from error


def sound(files: Iterable[Path]) -> Iterator[tuple[Path, Checkpoint]]:
    """Yields the checkpoints among the files, and warns about those that cannot be read."""
    for file in files:
        try:
            yield file, load_checkpoint(file)
        except UserError as error:
            tell(f"warning: {error}")


def promised_loss(path: Path) -> float:
    """Returns the validation loss in a file's name, ours or the original's; infinity if there is none."""
    loss = re.search(r"_(\d+\.\d+)\.(pt|t7)", path.name)
    return float(loss[1]) if loss else math.inf


def promises_more(path: Path, checkpoint: Checkpoint) -> bool:
    """Whether a file's name, as `CheckpointFolder` makes them, promises a later point of a run."""
    if epoch := re.match(r"lm_.*_epoch(\d+\.\d+)_", path.name):
        return float(epoch[1]) > round(checkpoint.epoch, 2)
    iteration = re.match(r"resume_.*_iteration(\d+)", path.name)
    return iteration is not None and int(iteration[1]) > checkpoint.iteration


def is_earlier(earlier: Checkpoint, later: Checkpoint, strictly: bool = False) -> bool:
    """Whether `later` comes from the same run, no earlier: its losses begin with the same ones, to the last bit."""
    n = earlier.iteration
    return 0 < n <= later.iteration - strictly and same(earlier.train_losses, later.train_losses[:n])
