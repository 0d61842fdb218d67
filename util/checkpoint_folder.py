"""The checkpoints of one run in its folder: which there are, which go, and none of another run's touched."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import numpy as np

from util.checkpoint import Checkpoint, checkpoint_name, load_checkpoint, save_checkpoint
from util.errors import UserError, reason, warn
from util.files import create, discard, replacing


class CheckpointFolder:
    """Where a run writes its checkpoints.

    A validated checkpoint is named by its loss. Between two of them there may be one to resume from, named by its
    iteration, which goes when the next one is written. `keep`, if not 0, is how many of the validated ones stay:
    those with the lowest losses, and the newest.
    """

    def __init__(self, folder: Path, savefile: str, keep: int = 0) -> None:
        self.folder, self.savefile, self.keep = folder, savefile, keep
        self.newest: Path | None = None
        """The last checkpoint written or resumed from."""
        self.newest_iteration = 0
        self.failed = False
        """Whether the last attempt to write one failed."""
        self._losses: dict[Path, float] = {}  # this run's validated checkpoints
        self._rolling: Path | None = None
        self._signatures: dict[Path, tuple[int, int, int]] = {}  # this run's files, as it left them

    def try_writing(self) -> None:
        """Raises UserError where checkpoints could not be written; better known before hours of training."""
        if not self.savefile or Path(self.savefile).name != self.savefile:
            raise UserError(f"-savefile {self.savefile!r} is no part of a file name; -checkpoint_dir names the folder")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with replacing(self.folder / checkpoint_name(self.savefile, 0, 0), commit=discard):
                pass
        except (OSError, ValueError) as error:
            raise UserError(
                f"cannot write checkpoints to {self.folder} ({error}); name another -checkpoint_dir"
            ) from error

    def adopt(self, path: Path, checkpoint: Checkpoint) -> None:
        """Takes over the files of the run that `checkpoint`, loaded from `path`, goes on with."""
        self.newest, self.newest_iteration = path, checkpoint.iteration
        iterations_per_epoch = round(checkpoint.iteration / checkpoint.epoch)
        for iteration, loss in checkpoint.val_losses.items():
            self._remember(self.validated_path(iteration / iterations_per_epoch, loss), loss)
        if checkpoint.iteration not in checkpoint.val_losses:
            self._remember(path)
            self._rolling = path

    def save(self, checkpoint: Checkpoint, path: Path) -> bool:
        """Writes a checkpoint. A failure costs a warning, not the run: the next one is tried again."""
        try:
            path = self._write(checkpoint, path)
        except OSError as error:
            self.failed = True
            warn(f"warning: cannot write {path} ({reason(error)}); training goes on, and the next one is tried again")
            return False
        self.failed = False
        self.newest, self.newest_iteration = path, checkpoint.iteration
        superseded, self._rolling = self._rolling, None
        loss = checkpoint.val_losses.get(checkpoint.iteration)
        self._remember(path, loss)
        if loss is None:
            self._rolling = path
        if superseded and superseded != path:
            self._delete(superseded)
        self._prune()
        return True

    def validated_path(self, epoch: float, val_loss: float) -> Path:
        return self.folder / checkpoint_name(self.savefile, epoch, val_loss)

    def rolling_path(self, iteration: int) -> Path:
        """The name of a checkpoint without a validation: it says so, and holds no loss."""
        return self.folder / f"resume_{self.savefile}_iteration{iteration}.pt"

    def _write(self, checkpoint: Checkpoint, path: Path) -> Path:
        """Writes to `path`, or beside it where another run has put something else there; returns where."""
        if self._is_ours(path):
            save_checkpoint(checkpoint, path)
            return path
        wanted, number = path, 1
        while True:
            try:
                save_checkpoint(checkpoint, path, commit=create)
                break
            except FileExistsError:
                if holds(path, checkpoint):
                    return path
                number += 1
                path = wanted.with_name(f"{wanted.stem}_{number}.pt")
        if path != wanted:
            warn(f"warning: {wanted} is there already, from another run; writing {path.name} instead")
        return path

    def _remember(self, path: Path, loss: float | None = None) -> None:
        with suppress(OSError):
            self._signatures[path] = signature(path)
            if loss is not None:
                self._losses[path] = loss

    def _is_ours(self, path: Path) -> bool:
        try:
            return self._signatures.get(path) == signature(path)
        except OSError:
            return False

    def _delete(self, path: Path) -> None:
        if self._is_ours(path):
            with suppress(OSError):
                path.unlink()
        self._signatures.pop(path, None)
        self._losses.pop(path, None)

    def _prune(self) -> None:
        if self.keep:
            best = sorted(self._losses, key=self._losses.__getitem__)[: self.keep]
            for path in set(self._losses) - {*best, self.newest}:
                self._delete(path)


def signature(path: Path) -> tuple[int, int, int]:
    """What changes when another process puts another file in a file's place."""
    status = os.stat(path)
    return status.st_ino, status.st_mtime_ns, status.st_size


def holds(path: Path, checkpoint: Checkpoint) -> bool:
    """Whether the file holds this very model already: the same run may have written it before it was stopped."""
    try:
        other = load_checkpoint(path)
    except UserError:
        return False
    return other.iteration == checkpoint.iteration and all(
        name in other.parameters and np.array_equal(other.parameters[name], np.asarray(array))
        for name, array in checkpoint.parameters.items()
    )


def newest_checkpoint(path: Path) -> tuple[Path, Checkpoint]:
    """The checkpoint at `path`, or where that is a folder the newest whole one in it, damaged ones named.

    Raises UserError where there is none.
    """
    if not path.is_dir():
        return path, load_checkpoint(path)
    for candidate in sorted(path.glob("*.pt"), key=lambda p: p.stat().st_mtime_ns, reverse=True):
        try:
            return candidate, load_checkpoint(candidate)
        except UserError as error:
            warn(f"warning: {error}")
    raise UserError(f"there is no checkpoint in {path}; start without -resume")
