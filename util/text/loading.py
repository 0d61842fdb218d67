"""Makes a run's batches from its options, for training and for whatever reads the run's text afterwards."""

import math
from argparse import Namespace
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from util.cli.console import log, tell
from util.cli.flags import FRACTION, unescape
from util.errors import UserError
from util.text.batches import Batches
from util.text.cache import Text
from util.text.source import code_points
from util.text.vocabulary import Vocabulary

FEW_BATCHES = 50


def batches_of_run(
    text: Text, options: Mapping[str, Any], translation: np.ndarray | None = None, streams: slice = slice(None)
) -> Batches | None:
    """Returns a text's batches, cut as a run's options say; None if they do not say.

    `translation` and `streams` are those of Batches. Raises UserError if -document_end does not divide the text.
    """
    if not says_how_it_was_split(options):
        return None
    train_frac, val_frac, document_end = options["train_frac"], options["val_frac"], options.get("document_end", "")
    how = options["batch_size"], options["seq_length"], train_frac, val_frac, translation, streams
    seed = options.get("seed") if options.get("shuffle") else None
    with suppress(UserError):  # a character of it is not in the text
        separator = text.vocabulary.encode(unescape(document_end), what="-document_end")
        batches = Batches(text.indices, *how, separator, seed)
        if not separator or sum(batches.documents) > 1:
            return batches
    end, advice = unescape(document_end), r"in that flag \n is a newline"
    if "\r" in text.vocabulary.index and "\r" not in end:
        with_returns = end.replace("\n", "\r\n")
        advice = rf"if its lines end in \r\n, write -document_end {with_returns!r}"
    raise UserError(f"the text does not contain {end!r} between documents, which -document_end says ends one; {advice}")


def says_how_it_was_split(options: Mapping[str, Any]) -> bool:
    """Whether a run's options say how its text was cut; those of other programs may not."""
    fractions = all(FRACTION.accepts(options.get(name)) for name in ("train_frac", "val_frac"))
    return fractions and isinstance(options.get("document_end", ""), str)


def make_batches(text: Text, vocabulary: Vocabulary, options: Namespace, streams: slice) -> Batches:
    """Returns a text's batches for training, as indices into `vocabulary`, and logs how many there are.

    Raises UserError for a character that is not in the vocabulary, or if a split is empty.
    """
    advice = "remove them, or give them room with -new_chars add"
    translation = vocabulary.indices_of(code_points(text.vocabulary.characters), "the text", advice)
    batches = batches_of_run(text, vars(options), translation, streams)
    assert batches, "the flags say how the text is split"
    characters, B, S = len(text.indices), options.batch_size, options.seq_length
    train, val, test = batches.split_sizes
    total = train + val + test
    if total < FEW_BATCHES:
        advice = smaller_batches(characters, B, S) or "add more text"
        tell(f"warning: the text is short: {characters} characters make only {total} batches of {B} x {S}; {advice}")
    if not train or (options.val_frac and not val):
        raise UserError(
            f"the text makes {train} batches for training and {val} for validation, and each needs at least one; "
            "add more text, lower -batch_size or -seq_length, or change -train_frac and -val_frac (0 = no validation)"
        )
    shares = options.train_frac, options.val_frac, 1 - options.train_frac - options.val_frac
    lacking = (share < -1e-9 or (share > 1e-9 and size < 10) for size, share in zip(batches.split_sizes, shares))
    if options.given & {"train_frac", "val_frac"} and any(lacking):
        left = f"{train} batches for training, {val} for validation and {test} for testing"
        tell(f"warning: -train_frac {options.train_frac:g} and -val_frac {options.val_frac:g} leave {left}")
    log(f"data load done. Number of data batches in train: {train}, val: {val}, test: {test}")
    if batches.documents:
        log("number of documents in train: {}, val: {}, test: {}".format(*batches.documents))
        if options.document_end.startswith(r"\n") and "\r" in vocabulary.index:
            tell(r"warning: this text has \r before its newlines, and so do its documents; '\r\n' would end both")
    if text.file_count > 1:
        log(f"{text.file_count:,} files" + (f", {sum(batches.documents):,} documents" if batches.documents else ""))
    if not options.val_frac:
        log("no validation split: checkpoints are named by the mean training loss over the last epoch")
    log(f"vocab size: {len(vocabulary)}")
    return batches


def smaller_batches(characters: int, batch_size: int, seq_length: int) -> str:
    """Returns flags that would make enough batches of a text of this length; empty if it is too short."""
    most = characters // FEW_BATCHES
    if not most:
        return ""
    if most < seq_length * 10:
        seq_length = min(seq_length, math.isqrt(most))
    batch_size = min(batch_size, most // seq_length)
    return f"-batch_size {batch_size} -seq_length {seq_length} would make {characters // (batch_size * seq_length)}"
