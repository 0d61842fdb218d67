"""Makes a run's batches from its options, for training and for whatever reads the run's text afterwards."""

from __future__ import annotations

import math
from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from util.cli.console import log, tell
from util.cli.flags import FRACTION, unescape
from util.errors import UserError
from util.text.batches import Batches
from util.text.cache import Text
from util.text.documents import Documents
from util.text.vocabulary import Vocabulary

FEW_BATCHES = 50


def batches_of_run(
    text: Text,
    options: Mapping[str, Any],
    translation: np.ndarray | None = None,
    streams: slice = slice(None),
) -> Batches | None:
    """Returns a text's batches, cut as a run's options say; None if they do not say.

    `translation` and `streams` are those of Batches. Raises UserError if the text does not contain -document_end.
    """
    train_frac, val_frac, document_end = (options.get(name, "") for name in ("train_frac", "val_frac", "document_end"))
    if not (FRACTION.accepts(train_frac) and FRACTION.accepts(val_frac) and isinstance(document_end, str)):
        return None
    how = options["batch_size"], options["seq_length"], train_frac, val_frac, translation, streams
    if not document_end:
        return Batches(text.indices, *how)
    try:
        separator = text.vocabulary.encode_flag(document_end, "-document_end")
        documents = Documents(text.indices, separator, *how, options.get("seed") if options.get("shuffle") else None)
        if sum(documents.counts) > 1 or text.indices[-len(separator) :].tolist() == separator:
            return documents
    except UserError:  # a character of it is not in the text
        pass
    raise UserError(
        f"the text does not contain {unescape(document_end)!r}, which -document_end says ends a document; "
        r"in that flag \n is a newline"
    )


def make_batches(text: Text, vocabulary: Vocabulary, options: Namespace, streams: slice) -> Batches:
    """Returns a text's batches for training, as indices into `vocabulary`, and logs how many there are.

    Raises UserError for a character that is not in the vocabulary, or if a split is empty.
    """
    translation = vocabulary.translation_from(
        text.vocabulary, "the text", "remove them, or give them room with -new_chars add"
    )
    batches = batches_of_run(text, vars(options), translation, streams)
    assert batches, "the flags say how the text is split"
    characters, parts, least = len(text.indices), [len(text.indices)], 1 if options.val_frac else 0
    if isinstance(batches, Documents):
        parts = [stop - start for start, stop in batches.parts]
        learned, rest, _ = batches.counts
        if learned < 1 or rest < least:
            raise UserError(
                f"of the text's {sum(batches.counts)} documents {learned} are for training and {rest} for validation, "
                "and each needs at least one; add more documents, or change -train_frac and -val_frac"
            )
    B, S = options.batch_size, options.seq_length
    train, val, test = batches.split_sizes
    total = train + val + test
    if total < FEW_BATCHES:
        advice = smaller_batches(parts, B, S) or "add more text"
        tell(f"warning: the text is short: {characters} characters make only {total} batches of {B} x {S}; {advice}")
    if train < 1 or val < least:
        raise UserError(
            f"the text makes {train} batches for training and {val} for validation, and each needs at least one; "
            "add more text, lower -batch_size or -seq_length, or change -train_frac and -val_frac (0 = no validation)"
        )
    shares = options.train_frac, options.val_frac, 1 - options.train_frac - options.val_frac
    lacking = (share < -1e-9 or (share > 1e-9 and size < 10) for size, share in zip(batches.split_sizes, shares))
    if options.given & {"train_frac", "val_frac"} and any(lacking):
        what = f"{train} batches for training, {val} for validation and {test} for testing"
        tell("warning: -train_frac {:g} and -val_frac {:g} leave ".format(*shares) + what)
    log(f"data load done. Number of data batches in train: {train}, val: {val}, test: {test}")
    if isinstance(batches, Documents):
        log("number of documents in train: {}, val: {}, test: {}".format(*batches.counts))
        if text.files > 1:
            inside = (documents := sum(batches.counts)) - text.files
            ends = "1 end stands" if inside == 1 else f"{inside:,} ends stand"
            log(f"{text.files:,} files, {documents:,} documents" + (f": {ends} within a file" if inside > 0 else ""))
    if not options.val_frac:
        log("no validation split: checkpoints are named by the mean training loss over the last epoch")
    log(f"vocab size: {len(vocabulary)}")
    return batches


def smaller_batches(parts: Sequence[int], batch_size: int, seq_length: int) -> str:
    """Returns flags that would make about enough batches of texts of these lengths; empty if they are too short."""
    most = sum(parts) // FEW_BATCHES
    if most < seq_length * 10:
        seq_length = min(seq_length, math.isqrt(most))
    if not seq_length:
        return ""
    batch_size = min(batch_size, most // seq_length)
    count = sum(characters // (batch_size * seq_length) for characters in parts)
    return f"-batch_size {batch_size} -seq_length {seq_length} would make {count}"
