"""Writes one run's checkpoints to a folder and deletes those that are superseded, but never another run's."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from util.checkpoint.content import Checkpoint, same
from util.checkpoint.store import load_checkpoint, save_checkpoint
from util.cli.console import log, rank, tell
from util.cli.files import create, discard, replacing
from util.errors import UserError, reason

TEXT_OPTIONS = {"data_dir", "files", "separator"}
"""Where a run finds its text, which may change without making it another run."""


class Saved(NamedTuple):
    """A checkpoint to resume from; without a path if there is none yet."""

    iteration: int = 0
    path: Path | None = None


class CheckpointFolder:
    """Where a run writes its checkpoints.

    One with a validation loss has the original's name, but with .pt. Between two of these there may be a rolling one to
    resume from, which goes when the next checkpoint is written. `keep`, if not 0, is how many of the former to keep:
    those with the lowest losses, and the newest.
    """

    def __init__(self, folder: Path, savefile: str, keep: int) -> None:
        self.folder, self.savefile, self.keep = folder, savefile, keep
        self.last = Saved()
        """The last checkpoint that was written or resumed from."""
        self.tried = 0
        """The iteration of the last one that the run tried to write: the same in each of several processes."""
        self._validated: dict[int, Path] = {}  # by iteration
        self._mine: set[Path] = set()  # what may be deleted when it is superseded

    def check_writable(self) -> None:
        """Raises UserError if checkpoints cannot be written, before hours of training are spent."""
        if not rank().first:
            return
        if not self.savefile or Path(self.savefile).name != self.savefile or "\0" in self.savefile:
            raise UserError(
                f"-savefile {self.savefile!r} cannot be part of a file name; use -checkpoint_dir for the folder"
            )
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with replacing(self.folder / f"resume_{self.savefile}_iteration{10**9}.pt", commit=discard):
                pass  # no run will have a longer name
        except OSError as error:
            raise UserError(
                f"cannot write checkpoints to {self.folder}: {reason(error)}; choose another -checkpoint_dir"
                " (or a shorter -savefile, if the name is too long)"
            ) from error

    def continue_from(self, path: Path, checkpoint: Checkpoint) -> None:
        """Takes over the files of the run that is resumed from `checkpoint`, which was loaded from `path`."""
        self.last, self.tried = Saved(checkpoint.iteration, path), checkpoint.iteration
        if not rank().first:
            return
        losses, options, savefile = checkpoint.val_losses, run_options(checkpoint), glob.escape(self.savefile)
        if losses:  # the best may have been written under another -savefile
            name = f"lm_*_{min(losses.values()):.4f}.pt"
            found = earlier_in(path.parent, name, checkpoint)
            self._validated = {earlier.iteration: file for file, earlier in found if earlier.iteration in losses}
        for loss in losses.values() if self.keep else ():
            for file, earlier in earlier_in(self.folder, f"lm_{savefile}_epoch*_{loss:.4f}.pt", checkpoint):
                if earlier.iteration in losses and same(run_options(earlier), options):
                    self._validated[earlier.iteration] = file
                    self._mine.add(file)
        for file, earlier in earlier_in(self.folder, f"resume_{savefile}_iteration*.pt", checkpoint):
            if same(run_options(earlier), options):
                self._mine.add(file)
                if earlier.iteration < checkpoint.iteration:  # the run was killed before it could do this itself
                    self._delete(file)

    def save(self, checkpoint: Checkpoint) -> None:
        """Writes a checkpoint, in the first of several processes. A failure only prints a warning."""
        wanted, self.tried = self._path(checkpoint), checkpoint.iteration
        if not rank().first:
            self.last = Saved(checkpoint.iteration, wanted)
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            path = self._write(checkpoint)
        except OSError as error:
            tell(f"warning: cannot write {wanted} ({reason(error)}), so this checkpoint is missing")
            return
        if path != wanted:
            tell(f"warning: {wanted} already exists; writing {path.name} instead")
        self.last = Saved(checkpoint.iteration, path)
        self._mine.add(path)
        if checkpoint.iteration in checkpoint.val_losses:
            log(f"saving checkpoint to {path}")
            self._validated[checkpoint.iteration] = path
        by_loss = sorted(self._validated, key=lambda at: (checkpoint.val_losses[at], at))
        kept = [file for at in by_loss if (file := self._validated[at]) in self._mine]
        for old in self._mine.difference(kept[: self.keep or None], [path]):
            self._delete(old)

    def path_at(self, iteration: int) -> Path | None:
        """Returns this run's checkpoint of a validation, if it is known and still there."""
        path = self._validated.get(iteration)
        return path if path and path.exists() else None

    def _path(self, checkpoint: Checkpoint, number: int = 1) -> Path:
        """Returns a checkpoint's path; with a number above 1 a different one, for when the first is taken."""
        numbered = f"_{number}" if number > 1 else ""
        loss = checkpoint.val_losses.get(checkpoint.iteration)
        if loss is None:
            return self.folder / f"resume_{self.savefile}_iteration{checkpoint.iteration}{numbered}.pt"
        return self.folder / f"lm_{self.savefile}_epoch{checkpoint.epoch:.2f}{numbered}_{loss:.4f}.pt"

    def _write(self, checkpoint: Checkpoint) -> Path:
        """Writes to the first path that is free, unless one holds this checkpoint already; returns the path."""
        number = 1
        while True:
            path = self._path(checkpoint, number)
            try:
                save_checkpoint(checkpoint, path, create)
                return path
            except FileExistsError:
                if holds(path, checkpoint):
                    return path
                number += os.path.lexists(path)  # otherwise its run has just deleted it

    def _delete(self, path: Path) -> None:
        self._mine.discard(path)
        with suppress(OSError):
            path.unlink()


def run_options(checkpoint: Checkpoint) -> dict[str, str | int | float]:
    return {name: value for name, value in checkpoint.options.items() if name not in TEXT_OPTIONS}


def holds(path: Path, checkpoint: Checkpoint) -> bool:
    """Whether a file holds exactly this checkpoint, as when a run was killed and repeats some iterations.

    Another run's checkpoint may hold the same model but would resume differently.
    """
    try:
        other = load_checkpoint(path)
    except UserError:
        return False
    a, b = (vars(one) | {"options": run_options(one)} for one in (other, checkpoint))
    return same(a, b)


def is_earlier(earlier: Checkpoint, later: Checkpoint) -> bool:
    """Whether `later` comes from the same run, no earlier: its losses begin with the same ones, to the last bit."""
    return 0 < earlier.iteration <= later.iteration and same(
        earlier.train_losses, later.train_losses[: earlier.iteration]
    )


def earlier_in(folder: Path, pattern: str, checkpoint: Checkpoint) -> Iterator[tuple[Path, Checkpoint]]:
    """Yields the checkpoints in a folder that the run of `checkpoint` has written up to this one."""
    for path in sorted(folder.glob(pattern)):
        with suppress(UserError):
            other = load_checkpoint(path)
            if is_earlier(other, checkpoint):
                yield path, other


def all_checkpoints(path: Path) -> Iterator[tuple[Path, Checkpoint]]:
    """Yields the checkpoint at `path` or, if that is a folder, all that are there, the oldest first."""
    files = [file for suffix in ("pt", "t7") for file in path.glob(f"[!.]*.{suffix}")] if path.is_dir() else [path]
    if not files:
        raise UserError(f"there is no checkpoint in {path}")
    for file in sorted(files, key=lambda file: (file.exists() and file.stat().st_mtime_ns, file)):
        yield file, load_checkpoint(file)


def newest_checkpoint(path: Path) -> tuple[Path, Checkpoint]:
    """Returns the checkpoint at `path` or, if that is a folder, the latest one of the run that wrote there last.

    The newest file may have been touched or copied, so if a name there promises a later checkpoint of the same run,
    that one is used, with a warning. Warns about damaged files. Raises UserError if there is no checkpoint.
    """
    if not path.is_dir():
        return path, load_checkpoint(path)
    try:
        files = [file for file in path.iterdir() if file.suffix == ".pt" and not file.name.startswith(".")]
        files.sort(key=lambda file: file.lstat().st_mtime_ns, reverse=True)
    except OSError as error:
        raise UserError(f"cannot read {path}: {reason(error)}") from error
    found: list[tuple[Path, Checkpoint]] = []
    for file in files:
        if found and not promises_more(file, found[-1][1]):
            continue
        try:
            checkpoint = load_checkpoint(file)
        except UserError as error:
            tell(f"warning: {error}")
            continue
        if not found or is_earlier(found[-1][1], checkpoint):
            found.append((file, checkpoint))
    if not found:
        raise UserError(f"there is no checkpoint in {path}; start without -resume")
    if len(found) > 1:
        tell(f"warning: {found[0][0]} was written last, but {found[-1][0]} is from later in the same run; using that")
    return found[-1]


def promises_more(path: Path, checkpoint: Checkpoint) -> bool:
    """Whether a file's name, as `CheckpointFolder` makes them, promises a later point of a run."""
    if epoch := re.match(r"lm_.*_epoch(\d+\.\d+)_", path.name):
        return float(epoch[1]) > round(checkpoint.epoch, 2)
    iteration = re.match(r"resume_.*_iteration(\d+)", path.name)
    return iteration is not None and int(iteration[1]) > checkpoint.iteration
