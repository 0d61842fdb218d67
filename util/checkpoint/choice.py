"""Which checkpoint of a folder is meant: the newest to resume from, the best for everything else, or all."""

import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from util.checkpoint.content import Checkpoint, same
from util.checkpoint.store import SUFFIXES, load_checkpoint
from util.cli.console import tell
from util.errors import UserError, reason

MISSING = "there is no checkpoint in {}; train.py makes one"


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
    """Returns the checkpoint at `path` or, if that is a folder, the one whose name has the lowest loss, or the newest.

    Says which one it is. Warns about damaged files. Raises UserError if there is no checkpoint.
    """
    if not path.is_dir():
        return path, load_checkpoint(path)
    files = files_in(path)
    if all(file.suffix == ".t7" and promised_loss(file) == math.inf for file in files):
        return best_by_content(path, files, say)
    for file in sorted(files, key=promised_loss):
        if checkpoint := load_if_sound(file):
            validated = promised_loss(file) < math.inf and checkpoint.iteration in checkpoint.validations
            say(f"using {file}" + ", the checkpoint with the lowest validation loss" * validated)
            newer = [one for one in files[: files.index(file)] if promised_loss(one) == math.inf]
            if validated and (later := [one for one in newer if promises_more(one, checkpoint)]):
                say(f"there is a newer one without a validation loss: {later[0]}")
            return file, checkpoint
    raise missing(path)


def best_by_content(folder: Path, files: list[Path], say: Callable[[str], object]) -> tuple[Path, Checkpoint]:
    """Returns the best of files whose names tell no loss, as torch-rnn's do, and says by which rule."""
    found = [(file, checkpoint) for file in files if (checkpoint := load_if_sound(file))]
    if not found:
        raise missing(folder)
    validated = [(c.validations[max(c.validations)], file) for file, c in found if c.validations]
    validated = [(loss, file) for loss, file in validated if math.isfinite(loss)]
    if validated:
        loss, file = min(validated)
        say(f"using {file}, whose last validation loss is the lowest, {loss:.4f}")
        return file, dict(found)[file]
    file, checkpoint = max(found, key=lambda pair: pair[1].iteration)
    say(f"using {file}, the one with the most iterations, {checkpoint.iteration}, since none says its loss")
    return file, checkpoint


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
            files = files_in(folder)
        except UserError as error:
            if folder == path:
                raise
            tell(f"warning: {error}")
            continue
        for file in by_runs(files):
            if checkpoint := load_if_sound(file):
                found = True
                yield file, checkpoint
    if not found:
        raise UserError(MISSING.format(path))


def missing(folder: Path) -> UserError:
    """Returns what to raise where a folder itself has no checkpoint."""
    if inside := sorted({file.parent for file in folder.glob("[!.]*/[!.]*") if file.suffix in SUFFIXES}):
        return UserError(f"there is no checkpoint in {folder} itself; name one of its folders, such as {inside[0]}")
    return UserError(MISSING.format(folder))


def files_in(folder: Path) -> list[Path]:
    """Returns the checkpoints in a folder as their names tell, the newest first. Raises UserError."""
    try:
        files = [file for file in folder.iterdir() if file.suffix in SUFFIXES and not file.name.startswith(".")]
        return sorted(files, key=lambda file: (-file.lstat().st_mtime_ns, file))
    except OSError as error:
        raise UserError(f"cannot read {folder}: {reason(error)}") from error


def by_runs(files: list[Path]) -> list[Path]:
    """Returns files, the newest first, in the order of the runs and epochs that their names tell."""
    names = {file: re.match(r"lm_(.*)_epoch(\d+\.\d+)_|resume_(.*)_iteration(\d+)", file.name) for file in files}
    run_of = {file: (name[1] or name[3] if name else file.name) for file, name in names.items()}
    epoch_of = {file: float(name[2] or math.inf) if name else 0.0 for file, name in names.items()}
    oldest = {run_of[file]: number for number, file in enumerate(files)}
    return sorted(files, key=lambda file: (-oldest[run_of[file]], epoch_of[file], file))


def load_if_sound(file: Path) -> Checkpoint | None:
    """Returns a checkpoint, or None after a warning if the file is none."""
    try:
        return load_checkpoint(file)
    except UserError as error:
        tell(f"warning: {error}")
        return None


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
