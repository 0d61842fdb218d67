"""Manages one run's checkpoints in a folder: writes them, deletes superseded ones, and never touches another run's."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from util.checkpoint.content import Checkpoint, same
from util.checkpoint.store import load_checkpoint, save_checkpoint
from util.cli.console import log, rank, tell
from util.cli.files import create, discard, replacing
from util.cli.flags import Flags, Role
from util.errors import UserError, reason

LONGEST_ITERATION = 10**9
"""For checking that file names can be written; no run will have a longer one."""


class CheckpointFolder:
    """Where a run writes its checkpoints.

    A validated checkpoint is named by its loss. Between two of these there may be a rolling one to resume from, named
    by its iteration and deleted when the next checkpoint is written. `keep`, if not 0, is how many validated ones to
    keep: those with the lowest losses, and the newest. `flags` are train.py's, whose roles tell runs apart.
    """

    def __init__(self, folder: Path, savefile: str, keep: int, flags: Flags) -> None:
        self.folder, self.savefile, self.keep = folder, savefile, keep
        self.newest: Path | None = None
        """The last checkpoint written or resumed from."""
        self.newest_iteration = 0
        self.attempted = 0
        """The iteration of the last checkpoint that the run tried to write, or resumed from."""
        self.failed = False
        """Whether the last attempt to write a checkpoint failed."""
        self._fixed = flags.defaults(Role.RUN)
        self._figures = flags.defaults(Role.RUN, Role.COURSE)
        self._places = flags.named(Role.TEXT, Role.CALL)
        self._validated: dict[Path, tuple[float, int]] = {}  # this run's: loss and iteration
        self._rolling: set[Path] = set()  # this run's others: at most one, or two for a moment
        self._best_before: tuple[int, list[Path]] = 0, []  # a resumed run's lowest loss: iteration, files
        self._signatures: dict[Path, tuple[int, int, int]] = {}  # this run's files, as it left them

    def try_writing(self) -> None:
        """Raises UserError if checkpoints cannot be written, before hours of training are spent."""
        if not rank().first:
            return
        if not self.savefile or Path(self.savefile).name != self.savefile:
            raise UserError(
                f"-savefile {self.savefile!r} cannot be part of a file name; use -checkpoint_dir for the folder"
            )
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with replacing(self.rolling_path(LONGEST_ITERATION), commit=discard):
                pass
        except (OSError, ValueError) as error:
            why = reason(error) if isinstance(error, OSError) else str(error)
            raise UserError(
                f"cannot write checkpoints to {self.folder}: {why}; choose another -checkpoint_dir"
                " (or a shorter -savefile, if the name is too long)"
            ) from error

    def adopt(self, path: Path, checkpoint: Checkpoint) -> None:
        """Takes over the files of the run being resumed from `checkpoint`, which was loaded from `path`."""
        self.newest, self.newest_iteration = path, checkpoint.iteration
        self.attempted = checkpoint.iteration
        loss = checkpoint.val_losses.get(checkpoint.iteration)
        mine = None if loss is None else self.validated_path(checkpoint.epoch, loss)
        if mine and mine.exists() and mine.samefile(path):  # the next validation may be called the same
            self._remember(mine, checkpoint)
        for other, earlier in self._written_by(checkpoint):
            self._remember(other, earlier)
            if other in self._rolling and earlier.iteration < checkpoint.iteration:
                self._delete(other)  # the run was stopped before it could do this itself
        best = min(checkpoint.val_losses, key=checkpoint.val_losses.__getitem__, default=0)
        self._best_before = best, list(self._validated_then(best, {path.parent, self.folder}, checkpoint))

    @property
    def newest_on_disk(self) -> Path | None:
        """`newest`, if it is still there."""
        return self.newest if self.newest and self.newest.exists() else None

    def save(self, checkpoint: Checkpoint, path: Path) -> None:
        """Writes a checkpoint, in the first of several processes. A failure only prints a warning."""
        self.attempted = checkpoint.iteration
        if not rank().first:
            self.newest, self.newest_iteration = path, checkpoint.iteration
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            path = self._write(checkpoint, path)
        except OSError as error:
            self.failed = True
            tell(f"warning: cannot write {path} ({reason(error)}), so this checkpoint is missing")
            return
        self.failed = False
        self.newest, self.newest_iteration = path, checkpoint.iteration
        superseded, self._rolling = self._rolling - {path}, set()
        self._remember(path, checkpoint)
        for old in superseded:
            self._delete(old)
        self._prune()

    def validated_path(self, epoch: float, val_loss: float) -> Path:
        """Returns the path of a checkpoint with a validation loss: the original's name, but with .pt."""
        return self.folder / f"lm_{self.savefile}_epoch{epoch:.2f}_{val_loss:.4f}.pt"

    def rolling_path(self, iteration: int) -> Path:
        """Returns the path of a checkpoint made without validation, so its name has no loss."""
        return self.folder / f"resume_{self.savefile}_iteration{iteration}.pt"

    def validated_at(self, iteration: int) -> Path | None:
        """Returns this run's checkpoint of a validation, if it is known and still there."""
        best, files = self._best_before
        known = [path for path, (_, at) in self._validated.items() if at == iteration]
        return next((path for path in (*known, *(files if best == iteration else ())) if path.exists()), None)

    def _write(self, checkpoint: Checkpoint, wanted: Path) -> Path:
        """Writes to the wanted path, or to a numbered one if that is taken; logs and returns the path used."""
        path, number = wanted, 1
        while True:
            ours = self._is_ours(path)
            there = not ours and os.path.lexists(path)
            if there and not self._holds(path, checkpoint):
                if os.path.lexists(path):  # otherwise its run has just deleted it
                    number += 1
                    path = wanted.with_name(f"{wanted.stem}_{number}.pt")
                continue
            if not there:
                try:
                    save_checkpoint(checkpoint, path, os.replace if ours else create)
                except FileExistsError:
                    continue  # another process has just taken the name
            if path != wanted:
                tell(f"warning: {wanted} already exists; writing {path.name} instead")
            if checkpoint.iteration in checkpoint.val_losses:
                log(f"saving checkpoint to {path}")
            return path

    def _holds(self, path: Path, checkpoint: Checkpoint) -> bool:
        """Whether the file already holds exactly this checkpoint, written by the same run before it was stopped.

        Another run's checkpoint may hold the same model but would resume differently.
        """
        try:
            other = load_checkpoint(path)
        except UserError:
            return False
        mine, theirs = (without(self._places, one.options) for one in (checkpoint, other))
        return same(vars(other) | {"options": theirs}, vars(checkpoint) | {"options": mine})

    def _written_by(self, checkpoint: Checkpoint) -> Iterator[tuple[Path, Checkpoint]]:
        """Yields the checkpoints in the folder that the run of `checkpoint` has written up to this one.

        When in doubt a file counts as another run's and stays. A rolling one must match this run in all options, a
        validated one in those that affect its figures; without `keep` no validated one is deleted, so none is read.
        """
        savefile = glob.escape(self.savefile)
        patterns = {f"resume_{savefile}_iteration*.pt": dict.fromkeys(checkpoint.options.keys() - self._places)}
        if self.keep:
            patterns[f"lm_{savefile}_epoch*.pt"] = self._figures
        for pattern, options in patterns.items():
            for path in sorted(self.folder.glob(pattern)):
                with suppress(UserError):
                    other = load_checkpoint(path)
                    if (
                        other.iteration
                        and other.iteration <= checkpoint.iteration
                        and is_earlier(other, checkpoint, options)
                    ):
                        yield path, other

    def _validated_then(self, iteration: int, folders: set[Path], checkpoint: Checkpoint) -> Iterator[Path]:
        """Yields the checkpoints of an earlier validation of this run, whatever was changed since."""
        name = f"lm_*_epoch*_{checkpoint.val_losses.get(iteration, 0.0):.4f}*.pt"
        for path in sorted(path for folder in folders for path in folder.glob(name)):
            with suppress(UserError):
                other = load_checkpoint(path)
                if other.iteration == iteration and is_earlier(other, checkpoint, self._fixed):
                    yield path

    def _remember(self, path: Path, checkpoint: Checkpoint) -> None:
        with suppress(OSError):
            self._signatures[path] = signature(path)
            loss = checkpoint.val_losses.get(checkpoint.iteration)
            if loss is None:
                self._rolling.add(path)
            else:
                self._validated[path] = loss, checkpoint.iteration

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
        self._validated.pop(path, None)
        self._rolling.discard(path)

    def _prune(self) -> None:
        if self.keep:
            best = sorted(self._validated, key=self._validated.__getitem__)[: self.keep]
            for path in set(self._validated) - {*best, self.newest}:
                self._delete(path)


def signature(path: Path) -> tuple[int, int, int]:
    """Returns a fingerprint of a file that changes if another process replaces it."""
    status = os.stat(path)
    return status.st_ino, status.st_mtime_ns, status.st_size


def without(names: set[str], options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name not in names}


def is_earlier(earlier: Checkpoint, later: Checkpoint, options: dict[str, Any]) -> bool:
    """Whether a run at `earlier` may have led to `later`: the losses are the same, and so are these options.

    `options` are those that must agree, with their values for a checkpoint that is older than the flag.
    """
    losses = later.train_losses[: earlier.iteration]
    return same(earlier.train_losses, losses) and all(
        same(earlier.options.get(name, default), later.options.get(name, default)) for name, default in options.items()
    )


def newest_checkpoint(path: Path, flags: Flags) -> tuple[Path, Checkpoint]:
    """Returns the checkpoint at `path` or, if that is a folder, the latest one of the run that wrote there last.

    The newest file may have been touched or copied, so if a name there promises a later checkpoint of the same run,
    that one is used, with a warning. Warns about damaged files. Raises UserError if there is no checkpoint.
    """
    if not path.is_dir():
        return path, load_checkpoint(path)
    try:
        candidates = [path / name for name in os.listdir(path) if name.endswith(".pt") and not name.startswith(".")]
    except OSError as error:
        raise UserError(f"cannot read {path}: {reason(error)}") from error
    for newest in sorted(candidates, key=modified, reverse=True):
        try:
            checkpoint = load_checkpoint(newest)
            break
        except UserError as error:
            tell(f"warning: {error}")
    else:
        raise UserError(f"there is no checkpoint in {path}; start without -resume")
    found = newest, checkpoint
    for other in candidates:
        if promises_more(other, found[1]):
            with suppress(UserError):
                later = load_checkpoint(other)
                if later.iteration > found[1].iteration and is_earlier(found[1], later, flags.defaults(Role.RUN)):
                    found = other, later
    if found[0] != newest:
        tell(f"warning: {newest} was written last, but {found[0]} is from later in the same run; using that one")
    return found


def promises_more(path: Path, checkpoint: Checkpoint) -> bool:
    """Whether a file's name, as `CheckpointFolder` makes them, promises a later place in a run."""
    epoch = re.match(r"lm_.*_epoch(\d+\.\d+)_", path.name)
    iteration = re.match(r"resume_.*_iteration(\d+)", path.name)
    if epoch:
        return float(epoch[1]) > round(checkpoint.epoch, 2)
    return bool(iteration) and int(iteration[1]) > checkpoint.iteration  # type: ignore[index]


def modified(path: Path) -> int:
    """Returns when a file was last written, in nanoseconds; 0 if another run has just deleted it."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
