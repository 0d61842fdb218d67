"""The text that a checkpoint was trained on, for the scripts that read it again."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import numpy as np

from util.checkpoint.content import Checkpoint
from util.cli.console import tell
from util.errors import UserError
from util.text.batches import SPLITS, Batches
from util.text.cache import Text, is_ours, load_text
from util.text.loading import batches_of_run
from util.text.source import CACHE_FILES, JOINING, Source, find_text, text_of_run


def find_text_of(checkpoint: Checkpoint, data_dir: str) -> Source | None:
    """Returns the checkpoint's text: in the folder -data_dir, or where its run had it; None if it is no longer there.

    A stranger's checkpoint must not choose what is read. So what only it names must be known by its SHA-256, and be
    called input.txt, or have a cache of ours that is of this very text.
    Raises UserError if nothing in -data_dir matches the run's -files.
    """
    if data_dir:
        return find_text(Path(data_dir), *(str(checkpoint.options.get(name, "")) for name in JOINING))
    sha256 = checkpoint.training["text_sha256"] if checkpoint.training else ""
    source = text_of_run(checkpoint.options) if sha256 else None
    if source and (not checkpoint.options.get("files") or has_cache(source.folder, sha256)):
        return source
    return None


def has_cache(folder: Path, sha256: str) -> bool:
    """Whether a folder has a cache of ours that says to be of this text."""
    header = folder / CACHE_FILES[0]
    with suppress(OSError, ValueError, LookupError, TypeError):
        return is_ours(header) and json.loads(header.read_bytes())["sha256"] == sha256
    return False


def text_of(checkpoint: Checkpoint, path: Path, data_dir: str, advice: str = "") -> Source:
    """Returns the text of the checkpoint at `path`. Raises UserError, with further advice, if it has moved."""
    source = find_text_of(checkpoint, data_dir)
    if not source:
        stored = checkpoint.options.get("data_dir")
        known = stored is not None and checkpoint.training
        gone = f"not found in {str(stored)!r}" if known else "unknown"
        raise UserError(f"the text of {path} is {gone}; give its folder with -data_dir{advice}")
    return source


def load_text_of(checkpoint: Checkpoint, source: Source, named: bool) -> Text:
    """Loads the checkpoint's text. Raises UserError like `load_text`, and if the text has changed.

    If the user has `named` it, that costs only a warning: a stranger's checkpoint must not choose what is read.
    """
    expected = checkpoint.training["text_sha256"] if checkpoint.training else None
    text = load_text(source, checkpoint.vocabulary.encoding, None if named else expected)
    if expected not in (None, text.sha256):
        tell(f"warning: {source} is not the text that the checkpoint was trained on, so its splits are different")
    return text


def batches_of_split(
    checkpoint: Checkpoint, path: Path, text: Text, source: Source, split: str, translation: np.ndarray | None = None
) -> tuple[Batches, int]:
    """Returns the text's batches as the run of the checkpoint at `path` cut them, and the number of a split.

    Without a `split` it is the one for validation or, if the run had none, for training. `translation` is that of
    Batches. Raises UserError if the split is empty or its run is not known.
    """
    batches = batches_of_run(text, checkpoint.options, translation)
    if not batches:
        raise UserError(f"{path} does not say how its text was split; give a text with -file")
    number = SPLITS.index(split or ("val" if checkpoint.options["val_frac"] else "train"))
    if not batches.split_sizes[number]:
        train, val = (checkpoint.options[name] for name in ("train_frac", "val_frac"))
        none = (train, val, 1 - train - val)[number] < 1e-9  # however long the text is
        why = (
            f"the run's -train_frac {train:g} and -val_frac {val:g} leave it nothing" if none else f"{source} is short"
        )
        what_to_do = "choose another -split, or give a text with -file"
        raise UserError(f"the {SPLITS[number]} split is empty, since {why}; {what_to_do}")
    return batches, number
