"""Writes one run's checkpoints to a folder and deletes those that are superseded, but never another run's."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from util.checkpoint.choice import is_earlier
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
        name = f"resume_{self.savefile}_iteration{10**9}.pt"  # no run will have a longer one
        if Path(name).name != name or "\0" in name:
            raise UserError(f"-savefile {self.savefile!r} cannot be part of a file name; a folder is -checkpoint_dir")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with replacing(self.folder / name, commit=discard):
                pass
        except OSError as error:
            what_to_do = "choose another -checkpoint_dir (or a shorter -savefile, if the name is too long)"
            raise UserError(f"cannot write checkpoints to {self.folder}: {reason(error)}; {what_to_do}") from error

    def continue_from(self, path: Path, checkpoint: Checkpoint) -> None:
        """Takes over the files of the run that is resumed from `checkpoint`, which was loaded from `path`."""
        self.last, self.tried = Saved(checkpoint.iteration, path), checkpoint.iteration
        if not rank().first:
            return
        losses = sorted(checkpoint.val_losses.values())[: None if self.keep else 1]
        for pattern in {"resume_*.pt", *(f"lm_*_{loss:.4f}.pt" for loss in losses)}:
            for file in path.parent.glob(pattern):
                with suppress(UserError):
                    self._take_over(file, load_checkpoint(file), checkpoint)
        self._delete_superseded(checkpoint, path)

    def _take_over(self, file: Path, earlier: Checkpoint, checkpoint: Checkpoint) -> None:
        """Remembers a file if it is from earlier in the run of `checkpoint`."""
        if not is_earlier(earlier, checkpoint):
            return
        # Under any other name it is the user's copy.
        own = file in (self._path(earlier, number) for number in range(1, 10))
        own = own and same(run_options(earlier), run_options(checkpoint))
        if own:
            self._mine.add(file)
        if earlier.iteration in checkpoint.val_losses and (own or earlier.iteration not in self._validated):
            self._validated[earlier.iteration] = file

    def save(self, checkpoint: Checkpoint) -> None:
        """Writes a checkpoint, in the first of several processes. A failure only prints a warning."""
        wanted, self.tried = self._path(checkpoint), checkpoint.iteration
        if not rank().first:
            self.last = Saved(checkpoint.iteration, wanted)
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            number = 1
            while not writes(checkpoint, path := self._path(checkpoint, number)):
                number += os.path.lexists(path)  # otherwise the run that had the name has just deleted its file
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
        self._delete_superseded(checkpoint, path)

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

    def _delete_superseded(self, checkpoint: Checkpoint, newest: Path) -> None:
        """Deletes this run's files but for the newest and the best."""
        by_loss = sorted(self._validated, key=lambda at: (checkpoint.val_losses[at], at))
        kept = [file for at in by_loss if (file := self._validated[at]) in self._mine]
        for old in self._mine.difference(kept[: self.keep or None], [newest]):
            self._mine.discard(old)
            with suppress(OSError):
                old.unlink()


def run_options(checkpoint: Checkpoint) -> dict[str, str | int | float]:
    return {name: value for name, value in checkpoint.options.items() if name not in TEXT_OPTIONS}


def writes(checkpoint: Checkpoint, path: Path) -> bool:
    """Writes a checkpoint unless the path is taken. Whether it is there, also if a killed run has written the same."""
    try:
        save_checkpoint(checkpoint, path, create)
    except FileExistsError:
        with suppress(UserError):
            a, b = (vars(one) | {"options": run_options(one)} for one in (load_checkpoint(path), checkpoint))
            return same(a, b)
        return False
    return True
