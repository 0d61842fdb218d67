"""Says how much of a sampled text is copied from the training text."""

from __future__ import annotations

import codecs
import math
from argparse import Namespace

from util.checkpoint.content import Checkpoint
from util.checkpoint.text_of_checkpoint import load_text_of, text_of
from util.cli.console import tell
from util.cli.files import read_input
from util.cli.flags import as_bytes
from util.errors import UserError
from util.sampling.growing import texts_in
from util.text.batches import TRAIN, VALIDATION, Span
from util.text.cache import Text
from util.text.loading import batches_of_run
from util.text.novelty import LENGTHS, locate, novelty, without_primetext


def print_novelty(checkpoint: Checkpoint, options: Namespace) -> None:
    """Prints how much of a sampled text is copied word for word from the training text. Raises UserError."""
    vocabulary, unit = checkpoint.vocabulary, checkpoint.vocabulary.unit
    try:
        content = read_input(options.novelty).decode("latin-1" if vocabulary.is_bytes else "utf-8")
    except UnicodeError as error:
        raise UserError(f"{options.novelty} is not UTF-8 text, which sample.py writes for this model") from error
    prime = vocabulary.primetext(options.primetext)
    if vocabulary.is_bytes:
        prime = as_bytes(prime)
    samples = without_primetext(texts_in(content), prime)
    source = text_of(checkpoint, options)
    text = load_text_of(checkpoint, source)
    training, validation = learned_spans(checkpoint, text)
    result = novelty(samples, text, training, validation)

    print(f"{options.novelty}: {sum(map(len, samples))} {unit}s in {len(samples)} text{'s' * (len(samples) != 1)}")
    print(f"{source}: {sum(stop - start for start, stop in training)} {unit}s for training")
    print("passages in the training text: of the sample, of the validation text")
    for length, share in result.sampled.items():
        print(f"{length:>4} {unit}s: {percent(share)} {percent(result.validation[length])}")
    print("longest copied passage of each text:")
    lines = locate(source, vocabulary.encoding, [copy.position for copy in result.copies if copy])
    for number, copy in enumerate(result.copies, 1):
        if not copy:
            print(f"text {number}: none of {LENGTHS[0]} {unit}s or more")
            continue
        file, line = lines[copy.position]
        where = f"line {line}" + (f" of {file.relative_to(source.folder)}" if len(source.files) > 1 else "")
        passage = whole_letters(copy.passage) if vocabulary.is_bytes else copy.passage
        beginning = repr(passage[:200]) + (" ..." if len(passage) > 200 else "")
        print(f"text {number}: {len(copy.passage)} {unit}s, {where}: {beginning}")


def whole_letters(passage: str) -> str:
    """Returns bytes, given as the characters of their numbers, as UTF-8 without the letters that are cut in two."""
    return codecs.utf_8_decode(passage.encode("latin-1").lstrip(bytes(range(0x80, 0xC0))), "replace")[0]


def learned_spans(checkpoint: Checkpoint, text: Text) -> tuple[list[Span], list[Span]]:
    """Returns the parts of a text for training and validation; if the checkpoint does not say, all and none of it."""
    batches = batches_of_run(text, checkpoint.options)
    if batches and batches.split_sizes[TRAIN]:
        return batches.spans(TRAIN), batches.spans(VALIDATION)
    tell("the checkpoint does not say which part of its text was for training, so all of it counts")
    return [(0, len(text.indices))], []


def percent(share: float) -> str:
    return "      -" if math.isnan(share) else f"{share:7.2%}"
