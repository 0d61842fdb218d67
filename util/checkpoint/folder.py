"""Writes one run's checkpoints to a folder and deletes those that are superseded, but never another run's."""

import glob
import math
import re
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import NamedTuple

from util.checkpoint.choice import is_earlier
from util.checkpoint.content import Checkpoint, same
from util.checkpoint.store import load_checkpoint, save_checkpoint
from util.cli.console import log, rank, tell
from util.cli.files import create, discard, remove_abandoned, replacing
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
        self._iterations: dict[Path, int] = {}
        """The iterations of the run's own files, which may be deleted when they are superseded."""
        self._folders = [folder]
        """Where files of the run are: here, and where it was resumed from."""

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

    def continue_from(self, path: Path, checkpoint: Checkpoint, forked: bool = False) -> None:
        """Takes over the files of the run that is resumed from `checkpoint`, which was loaded from `path`.

        Those of a run that is `forked`, to go on in another way, stay.
        """
        self.last, self.tried = Saved(checkpoint.iteration, path), checkpoint.iteration
        if not rank().first:
            return
        self._folders.append(path.parent)
        for start in (f"lm_{self.savefile}_", f"resume_{self.savefile}_"):
            remove_abandoned(self.folder, start)
        if forked:
            return
        for file in self.folder.glob("*.pt" if self.keep else "resume_*.pt"):
            with suppress(UserError):
                earlier = load_checkpoint(file)
                same_run = is_earlier(earlier, checkpoint) and same(run_options(earlier), run_options(checkpoint))
                # Under any other name it is the user's copy.
                names = re.escape(self._name(earlier, taken="\0")).replace("\0", r"(_\d+)?")
                if same_run and re.fullmatch(names, file.name):
                    self._iterations[file] = earlier.iteration
        self._delete_superseded(checkpoint, path)

    def save(self, checkpoint: Checkpoint) -> None:
        """Writes a checkpoint, in the first of several processes. A failure only prints a warning."""
        wanted = path = self.folder / self._name(checkpoint)
        self.tried = checkpoint.iteration
        if not rank().first:
            self.last = Saved(checkpoint.iteration, wanted)
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            numbers = count(2)
            while not writes(checkpoint, path):
                path = self.folder / self._name(checkpoint, taken=f"_{next(numbers)}")
        except OSError as error:
            tell(f"warning: cannot write {wanted} ({reason(error)}), so this checkpoint is missing")
            return
        if path != wanted:
            tell(f"warning: {wanted} already exists; writing {path.name} instead")
        self.last = Saved(checkpoint.iteration, path)
        self._iterations[path] = checkpoint.iteration
        if checkpoint.iteration in checkpoint.val_losses:
            log(f"saving checkpoint to {path}")
        self._delete_superseded(checkpoint, path)

    def path_of(self, loss: float) -> Path | None:
        """Returns the run's checkpoint with a validation loss, as its name tells, if it is still there."""
        name = f"lm_{glob.escape(self.savefile)}_epoch*_{loss:.4f}.pt"
        own = (file for file in self._iterations if file.match(name))
        return next(own, None) or next((file for folder in self._folders for file in folder.glob(name)), None)

    def _name(self, checkpoint: Checkpoint, taken: str = "") -> str:
        """Returns a checkpoint's name; where that is `taken`, it gets a _2, _3 and so on."""
        loss = checkpoint.val_losses.get(checkpoint.iteration)
        if loss is None:
            return f"resume_{self.savefile}_iteration{checkpoint.iteration}{taken}.pt"
        return f"lm_{self.savefile}_epoch{checkpoint.epoch:.2f}{taken}_{loss:.4f}.pt"

    def _delete_superseded(self, checkpoint: Checkpoint, newest: Path) -> None:
        """Deletes this run's files but for the newest and the best."""
        losses = {path: (checkpoint.val_losses.get(at, math.inf), at) for path, at in self._iterations.items()}
        validated = sorted((path for path in losses if path.name.startswith("lm_")), key=lambda path: losses[path])
        for superseded in self._iterations.keys() - {*validated[: self.keep or None], newest}:
            del self._iterations[superseded]
            with suppress(OSError):
                superseded.unlink()


def run_options(checkpoint: Checkpoint) -> dict[str, str | int | float]:
    return {name: value for name, value in checkpoint.options.items() if name not in TEXT_OPTIONS}


def writes(checkpoint: Checkpoint, path: Path) -> bool:
    """Writes a checkpoint unless its path is taken; returns whether it lies there, also if a killed run wrote it."""
    try:
        save_checkpoint(checkpoint, path, create)
    except FileExistsError:
        with suppress(UserError):
            there = load_checkpoint(path)
            ours, theirs = run_options(checkpoint), run_options(there)
            return same(replace(checkpoint, options=ours), replace(there, options=theirs))
        return False
    return True
