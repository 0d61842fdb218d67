"""The checkpoints of one run in its folder: which there are, which go, and none of another run's touched."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from util.checkpoint.content import Checkpoint
from util.checkpoint.store import checkpoint_name, load_checkpoint, save_checkpoint
from util.cli.files import create, discard, replacing
from util.errors import UserError, reason, warn

FOLDERS = {"data_dir", "files", "separator", "checkpoint_dir"}
"""Options whose other value may be another way to the same place."""
HARMLESS = FOLDERS | {
    "print_every",
    "eval_val_every",
    "save_every",
    "keep",
    "max_epochs",
    "early_stop",
    "accurate_gpu_timing",
}
"""Options that no figure of a run depends on."""


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
        self._rolling: set[Path] = set()  # its others: one at most, or two for a moment
        self._signatures: dict[Path, tuple[int, int, int]] = {}  # this run's files, as it left them

    @property
    def best(self) -> tuple[float, Path] | None:
        """The lowest validation loss of this run's checkpoints, and which has it."""
        return min(((loss, path) for path, loss in self._losses.items()), default=None)

    def try_writing(self) -> None:
        """Raises UserError where checkpoints could not be written; better known before hours of training."""
        if not self.savefile or Path(self.savefile).name != self.savefile:
            raise UserError(f"-savefile {self.savefile!r} is no part of a file name; -checkpoint_dir names the folder")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with replacing(self.rolling_path(10**9), commit=discard):  # no name will be longer
                pass
        except (OSError, ValueError) as error:
            why = reason(error) if isinstance(error, OSError) else str(error)
            raise UserError(
                f"cannot write checkpoints to {self.folder}: {why}; name another -checkpoint_dir"
                " (or a shorter -savefile, where the name is too long)"
            ) from error

    def adopt(self, path: Path, checkpoint: Checkpoint) -> None:
        """Takes over the files of the run that `checkpoint`, loaded from `path`, goes on with."""
        self.newest, self.newest_iteration = path, checkpoint.iteration
        for other, earlier in self._written_by(checkpoint):
            self._remember(other, earlier.val_losses.get(earlier.iteration))
            if other in self._rolling and earlier.iteration < checkpoint.iteration:
                self._delete(other)  # as would have been done, had the run not ended before

    def save(self, checkpoint: Checkpoint, path: Path) -> bool:
        """Writes a checkpoint. A failure costs a warning, not the run: the next one is tried again."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            path = self._write(checkpoint, path)
        except OSError as error:
            self.failed = True
            warn(f"warning: cannot write {path} ({reason(error)}); training goes on, and the next one is tried again")
            return False
        self.failed = False
        self.newest, self.newest_iteration = path, checkpoint.iteration
        superseded, self._rolling = self._rolling - {path}, set()
        self._remember(path, checkpoint.val_losses.get(checkpoint.iteration))
        for old in superseded:
            self._delete(old)
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
                if path.exists():  # else its run has deleted it meanwhile
                    number += 1
                    path = wanted.with_name(f"{wanted.stem}_{number}.pt")
        if path != wanted:
            warn(f"warning: {wanted} is there already, from another run; writing {path.name} instead")
        return path

    def _written_by(self, checkpoint: Checkpoint) -> Iterator[tuple[Path, Checkpoint]]:
        """The checkpoints in the folder that the run of `checkpoint` has written up to this one.

        In doubt a file is another run's: it stays. A rolling one must have all options of this run, a validated one
        those that its figures depend on.
        """
        savefile = glob.escape(self.savefile)
        kinds = [(f"resume_{savefile}_iteration*.pt", FOLDERS)]
        if self.keep:  # else nobody asks for them, and reading them all may take long
            kinds.append((f"lm_{savefile}_epoch*.pt", HARMLESS))
        for pattern, may_differ in kinds:
            wanted = without(may_differ, checkpoint.options)
            for path in sorted(self.folder.glob(pattern)):
                with suppress(UserError):
                    other = load_checkpoint(path)
                    losses = checkpoint.train_losses[: other.iteration]
                    ours = same(other.train_losses, losses) and same(without(may_differ, other.options), wanted)
                    if ours and other.iteration:
                        yield path, other

    def _remember(self, path: Path, loss: float | None) -> None:
        with suppress(OSError):
            self._signatures[path] = signature(path)
            if loss is None:
                self._rolling.add(path)
            else:
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
        self._rolling.discard(path)

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
    """Whether the file holds this very checkpoint already: the same run may have written it before it was stopped.

    Another run's would lead elsewhere when it is resumed, even where the model is still the same.
    """
    try:
        other = load_checkpoint(path)
    except UserError:
        return False
    mine = {field.name: getattr(checkpoint, field.name) for field in fields(Checkpoint)}
    return same(
        vars(other) | {"options": without(FOLDERS, other.options)},
        mine | {"options": without(FOLDERS, checkpoint.options)},
    )


def without(names: set[str], options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name not in names}


def same(a: Any, b: Any) -> bool:
    """Whether two values are equal to the last bit; a tensor may be one of numpy's or of torch's."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, np.ndarray):
        b = np.asarray(b)
        return (a.dtype, a.shape) == (b.dtype, b.shape) and a.tobytes() == b.tobytes()
    return type(a) is type(b) and a == b


def newest_checkpoint(path: Path) -> tuple[Path, Checkpoint]:
    """The checkpoint at `path`, or where that is a folder the newest whole one in it, damaged ones named.

    Raises UserError where there is none.
    """
    if not path.is_dir():
        return path, load_checkpoint(path)
    for candidate in sorted(path.glob("*.pt"), key=modified, reverse=True):
        try:
            return candidate, load_checkpoint(candidate)
        except UserError as error:
            warn(f"warning: {error}")
    raise UserError(f"there is no checkpoint in {path}; start without -resume")


def modified(path: Path) -> int:
    """When a file was last written, in nanoseconds; 0 where another run has deleted it meanwhile."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
