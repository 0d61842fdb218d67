"""The text that a script reads with a checkpoint: the one it was trained on, or another file that the user names."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from util.checkpoint.content import Checkpoint
from util.cli.console import tell
from util.cli.files import is_stream, read_input
from util.cli.flags import STRING, Flags, choice
from util.errors import UserError
from util.text.batches import SPLITS, Batches
from util.text.cache import Text, load_text
from util.text.loading import batches_of_run
from util.text.source import JOINING, Source, find_text, text_of_run


def add_text_flags(flags: Flags, verb: str, file_help: str) -> Callable[..., None]:
    """Adds the flags that say which text to `verb`, in a group; returns a function that adds further flags to it."""
    add = flags.group("text")
    add("split", choice(*SPLITS), "val", f"which split of the checkpoint's own text to {verb}")
    add("data_dir", STRING, "", "folder with the checkpoint's text, if it has moved")
    add("file", STRING, "", file_help)
    return add


def check_text_flags(options: Namespace) -> None:
    """Raises UserError if the flags name two texts."""
    if options.file and options.given & {"split", "data_dir"}:
        raise UserError("-file cannot be combined with -split or -data_dir; leave one or the other out")


def find_text_of(checkpoint: Checkpoint, data_dir: str) -> Source | None:
    """Returns the checkpoint's text: in the folder -data_dir, or where its run had it; None if it is no longer there.

    Raises UserError if nothing in -data_dir matches the run's -files.
    """
    if not data_dir:
        return text_of_run(checkpoint.options)
    return find_text(Path(data_dir), *(str(checkpoint.options.get(name, "")) for name in JOINING))


def text_of(checkpoint: Checkpoint, options: Namespace) -> Source:
    """Returns the checkpoint's text. Raises UserError if it has moved and -data_dir does not say where."""
    source = find_text_of(checkpoint, options.data_dir)
    if not source:
        stored = checkpoint.options.get("data_dir")
        gone = "unknown" if stored is None else f"no longer in {str(stored)!r}"
        other = "" if options.novelty else ", or another text with -file"
        raise UserError(f"the text of {options.checkpoint} is {gone}; give its folder with -data_dir{other}")
    return source


def load_text_of(checkpoint: Checkpoint, source: Source, options: Namespace) -> Text:
    """Loads the checkpoint's text. Raises UserError like `load_text`, and if the text has changed.

    If the user has named it, that costs only a warning: a stranger's checkpoint must not choose what is read.
    """
    expected = checkpoint.training["text_sha256"] if checkpoint.training else None
    text = load_text(source, checkpoint.vocabulary.encoding, None if options.data_dir else expected)
    if expected not in (None, text.sha256):
        tell(f"warning: {source} is not the text that the checkpoint was trained on, so its splits are different")
    return text


def batches_of_split(
    checkpoint: Checkpoint, text: Text, source: Source, options: Namespace, translation: np.ndarray | None = None
) -> tuple[Batches, int]:
    """Returns the text's batches as the run cut them, and the number of the split that -split names.

    `translation` is that of Batches. Raises UserError if the split is empty or its run is not known.
    """
    batches = batches_of_run(text, checkpoint.options, translation)
    if not batches:
        raise UserError(f"{options.checkpoint} does not say how its text was split; give a text with -file")
    validated = checkpoint.options["val_frac"] or "split" in options.given
    split = SPLITS.index(options.split if validated else "train")
    if not batches.split_sizes[split]:
        what_to_do = "choose another -split, or give a text with -file"
        raise UserError(f"the {SPLITS[split]} split is empty, since {source} is short; {what_to_do}")
    return batches, split


class StreamSource(Source):
    """A text that can be read only once, such as a pipe, as it lies in memory."""

    def __init__(self, name: str) -> None:
        super().__init__(Path("standard input" if name == "-" else name))
        self._content = read_input(name)

    def read(self, task: str) -> Iterator[tuple[Path, Iterator[bytes]]]:
        yield self.files[0], iter([self._content])


def source_of_file(name: str) -> Source:
    """Returns the text that -file names; `-` is standard input. Raises UserError if there is none."""
    path = Path(name)
    if name == "-" or (is_stream(path) and not path.is_dir()):
        return StreamSource(name)
    if not path.is_file():
        raise UserError(f"there is no file {path}; -file takes the name of a text file")
    return Source(path)
