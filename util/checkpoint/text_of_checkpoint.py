"""The text that a checkpoint was trained on, for the scripts that read it again."""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from util import ROOT
from util.checkpoint.content import Checkpoint
from util.cli.console import tell
from util.errors import UserError
from util.text.batches import SPLITS, Batches
from util.text.cache import Text, is_ours, load_text
from util.text.loading import batches_of_run, says_how_it_was_split
from util.text.source import CACHE_FILES, JOINING, Source, find_text


class TextIsMissing(UserError):
    """The text of a checkpoint's run is gone, or was never known."""


def text_of_run(options: Mapping[str, Any], sha256: str | None) -> Source | None:
    """Returns the text that a checkpoint's options name, seen from here or from the program's folder; None if gone.

    A checkpoint may come from a stranger, so what it names is opened only to see that it has the run's SHA-256: if our
    own cache states that, or if it is called input.txt or input.txt.gz. Without a SHA-256 it is not opened.
    """
    stored, *how = (str(options.get(name, "")) for name in ("data_dir", *JOINING))
    for folder in (Path(stored), ROOT / stored):
        with suppress(UserError, OSError, ValueError, LookupError):
            if not (stored and sha256 and folder.is_dir()):
                continue
            cache = folder / CACHE_FILES[0]
            if how[0] and not (is_ours(cache) and json.loads(cache.read_bytes())["sha256"] == sha256):
                continue
            if (source := find_text(folder, *how)).files[0].is_file():
                return source
    return None


def load_text_of(checkpoint: Checkpoint, path: Path, data_dir: str, or_file: bool = True) -> tuple[Source, Text]:
    """Loads the text of the checkpoint at `path`: that in the folder `data_dir` or, if that is empty, its run's.

    Where the user names the folder, another text than the run's costs only a warning, and the cache is kept. Raises
    UserError like `load_text` and `find_text`, and TextIsMissing; `or_file` says whether -file would help then.
    """
    options, expected = checkpoint.options, checkpoint.text_sha256
    if data_dir:
        source = find_text(Path(data_dir), *(str(options.get(name, "")) for name in JOINING))
        text = load_text(source, checkpoint.vocabulary.encoding)
        if expected not in (None, text.sha256):
            tell(f"warning: {source} is not the text that the checkpoint was trained on, so its splits are different")
        return source, text
    if found := text_of_run(options, expected):
        return found, load_text(found, checkpoint.vocabulary.encoding, expected, keep=False)
    raise TextIsMissing(text_is_missing(checkpoint, path, or_file))


def text_is_missing(checkpoint: Checkpoint, path: Path, or_file: bool = True) -> str:
    """Says that the text of the checkpoint at `path` was not found, and what to do; `or_file`: whether -file helps."""
    stored, is_known = checkpoint.options.get("data_dir"), checkpoint.text_sha256
    what = f"was not found in {stored!r}" if is_known and isinstance(stored, str) else "is unknown"
    if not or_file:
        advice = "give its folder with -data_dir"
    elif says_how_it_was_split(checkpoint.options):
        advice = "give its folder with -data_dir, or another text with -file"
    else:
        advice = "give a text with -file"
    return f"the text of {path} {what}; {advice}"


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
        why = f"{source} is short"
        if (train, val, 1 - train - val)[number] < 1e-9:
            why = f"the run's -train_frac {train:g} and -val_frac {val:g} leave it nothing"
        what_to_do = "choose another -split, or give a text with -file"
        raise UserError(f"the {SPLITS[number]} split is empty, since {why}; {what_to_do}")
    return batches, number
