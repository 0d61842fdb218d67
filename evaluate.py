"""Measures how well a checkpoint predicts a text.

    python evaluate.py cv/lm_lstm_epoch50.00_1.3500.pt -file other.txt

Prints the loss per character in nats and in bits, and the perplexity, on a split of the text that the checkpoint was
trained on or on any other text.
"""

from __future__ import annotations

if __name__ == "__main__":
    import util.cli.early  # noqa: F401  (before the other imports)

import math
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from tqdm import tqdm

from util.checkpoint.content import Checkpoint
from util.checkpoint.store import load_checkpoint
from util.checkpoint.text_of_checkpoint import (
    add_text_flags,
    batches_of_split,
    check_text_flags,
    find_text_of,
    load_text_of,
    reading,
    source_of_file,
)
from util.cli import console
from util.cli.console import tell
from util.cli.device import choose_device
from util.cli.files import output, read_input
from util.cli.flags import STRING, Flags, as_bytes
from util.cli.signals import StopSignals
from util.errors import UserError
from util.sampling.growing import texts_in
from util.text.batches import TRAIN, VALIDATION
from util.text.cache import Text, read_vocabulary
from util.text.loading import batches_of_run
from util.text.novelty import Span, line_number, novelty, without_primetext
from util.text.source import CACHE_FILES, Source
from util.text.vocabulary import Vocabulary
from util.training.evaluation import one_stream_predictor, streams_predictor

PIECE = 1000
"""How many characters of a file to feed to the model at once."""
PIECE_LOG_PROBS = 1 << 24
"""The most log-probabilities to compute at once; a large vocabulary makes the pieces shorter."""


def flags() -> Flags:
    flags = Flags("Measures how well a checkpoint predicts a text.", "python evaluate.py CHECKPOINT -split test")
    flags.add_checkpoint()
    add_text_flags(flags, "predict", "another text file to predict instead, as one stream; - = standard input")
    add = flags.group("novelty")
    add("novelty", STRING, "", "text written by sample.py; find what it copies from the training text instead")
    add("primetext", STRING, "", "primetext at the front of that text, which is not counted")
    add = flags.group("output")
    per_char = "file to write each character and its surprise in bits to, tab-separated; - = standard output"
    add("per_char", STRING, "", per_char)
    flags.add_machine()
    return flags


def main() -> None:
    options = flags().parse()
    check_text_flags(options)
    if options.primetext and not options.novelty:
        raise UserError("-primetext is for -novelty; leave it out, or name a sampled text with -novelty")
    checkpoint = load_checkpoint(options.checkpoint)
    if options.novelty:
        print_novelty(checkpoint, options)
        return
    device = choose_device(options.gpuid, options.opencl, tell)
    task = (
        predict_file(checkpoint, source_of_file(options.file)) if options.file else predict_split(checkpoint, options)
    )
    cache = [task.source.folder / name for name in CACHE_FILES]

    reads = [options.checkpoint, *task.source.files, *cache]
    table = output(options.per_char, "-per_char", reads) if options.per_char else nullcontext()
    with table as file, StopSignals(silent=True) as signals:
        rows = Table(file, checkpoint, task.batch_size) if file else None
        alone = options.file and device == "cpu"
        predict = one_stream_predictor(checkpoint) if alone else streams_predictor(checkpoint, task.batch_size, device)
        total = 0.0
        quiet = not sys.stderr.isatty() or options.per_char == "-"
        with tqdm(total=task.length, unit=" characters", unit_scale=True, leave=False, disable=quiet) as bar:
            for x, y in task.batches:
                loss, losses = predict(x, y)
                total += loss
                if rows:
                    rows.add(y, losses / math.log(2))
                bar.update(y.size)
                if signals.received:
                    raise SystemExit(signals.exit_status)
        if rows:
            rows.flush()

    mean = total / task.length
    out = sys.stderr if options.per_char == "-" else sys.stdout
    print(f"{task.source}{task.part}: {task.length} characters", file=out)
    print(f"loss per character: {mean!r} nats", file=out)
    print(f"bits per character: {mean / math.log(2):.6f}", file=out)
    print(f"perplexity:         {math.inf if mean > 700 else math.exp(mean):.6f}", file=out)


@dataclass
class Task:
    """A text to predict: batches of inputs and targets, (S, B) indices each, with `length` targets in all."""

    source: Source
    part: str
    """Which part of the text, as printed; empty for all of it."""
    batch_size: int
    length: int
    batches: Iterator[tuple[np.ndarray, np.ndarray]]


def predict_split(checkpoint: Checkpoint, options: Namespace) -> Task:
    """Returns a split of the checkpoint's own text in the run's own batches, so the loss equals the run's.

    Raises UserError if there is no text or the split is empty.
    """
    source = text_of(checkpoint, options)
    text = load_text_of(checkpoint, source)
    translation = checkpoint.vocabulary.translation_from(text.vocabulary, str(source))
    batches, split = batches_of_split(checkpoint, text, source, options, translation)
    B, S, count = checkpoint.options["batch_size"], checkpoint.options["seq_length"], batches.split_sizes[split]
    part = f", {options.split} split, {count} batches of {B} x {S}"
    return Task(source, part, B, count * B * S, (batches.batch(split, number) for number in range(count)))


def text_of(checkpoint: Checkpoint, options: Namespace) -> Source:
    """Returns the checkpoint's text. Raises UserError if it has moved and -data_dir does not say where."""
    source = find_text_of(checkpoint, options.data_dir)
    if not source:
        stored = str(checkpoint.options.get("data_dir", ""))
        raise UserError(
            f"the text of {options.checkpoint} is no longer in {stored!r}; give its folder with -data_dir, "
            "or another text with -file"
        )
    return source


def predict_file(checkpoint: Checkpoint, source: Source) -> Task:
    """Returns a file as one stream, starting from a zero state; every character after the first is predicted.

    Raises UserError if it is not text, or has characters that the model does not know.
    """
    vocabulary = checkpoint.vocabulary
    with reading(source):
        characters, length = read_vocabulary(source, vocabulary.encoding)
    if length < 2:
        raise UserError(f"{source} is too short: predicting takes at least two characters")
    vocabulary.translation_from(Vocabulary(characters, vocabulary.encoding), str(source))
    piece = max(1, min(PIECE, PIECE_LOG_PROBS // len(vocabulary)))

    def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        last = np.zeros(0, int)
        for chunk in source.characters(vocabulary.encoding):
            window = np.concatenate([last, vocabulary.indices_of(chunk, str(source))])[:, None]
            for start in range(0, len(window) - 1, piece):
                stop = min(start + piece, len(window) - 1)
                yield window[start:stop], window[start + 1 : stop + 1]
            last = window[-1:, 0]

    return Task(source, "", 1, length - 1, batches())


def print_novelty(checkpoint: Checkpoint, options: Namespace) -> None:
    """Prints how much of a sampled text is copied word for word from the training text. Raises UserError."""
    if options.given & {"file", "split", "per_char"}:
        raise UserError("-novelty measures no loss; leave out -file, -split and -per_char")
    vocabulary = checkpoint.vocabulary
    try:
        content = read_input(options.novelty).decode("latin-1" if vocabulary.is_bytes else "utf-8")
    except UnicodeError as error:
        raise UserError(f"{options.novelty} is not UTF-8 text, which sample.py writes for this model") from error
    prime = options.primetext
    if vocabulary.is_bytes:
        prime = as_bytes(prime)
    samples = without_primetext(texts_in(content), prime)
    source = text_of(checkpoint, options)
    text = load_text_of(checkpoint, source)
    training, validation = learned_spans(checkpoint, text)
    result = novelty(samples, text, training, validation)

    print(f"{options.novelty}: {sum(map(len, samples))} characters in {len(samples)} text{'s' * (len(samples) != 1)}")
    print(f"{source}: {sum(stop - start for start, stop in training)} characters for training")
    print("passages in the training text: of the sample, of the validation text")
    for length, share in result.sampled.items():
        print(f"{length:>4} characters: {percent(share)} {percent(result.validation[length])}")
    print("longest copied passages:" if result.copies else "no passage of 10 characters or more is copied")
    for copy in result.copies:
        passage = copy.passage.encode("latin-1").decode("utf-8", "replace") if vocabulary.is_bytes else copy.passage
        beginning = repr(passage[:200]) + (" ..." if len(passage) > 200 else "")
        print(f"{len(copy.passage):>4} characters, line {line_number(text, copy.position)}: {beginning}")


def learned_spans(checkpoint: Checkpoint, text: Text) -> tuple[list[Span], list[Span]]:
    """Returns the parts of a text for training and validation; if the checkpoint does not say, all and none of it."""
    batches = batches_of_run(text, checkpoint.options)
    if batches and batches.split_sizes[TRAIN]:
        return batches.spans(TRAIN), batches.spans(VALIDATION)
    tell("the checkpoint does not say which part of its text was for training, so all of it counts")
    return [(0, len(text.indices))], []


def percent(share: float) -> str:
    return "      -" if math.isnan(share) else f"{share:7.2%}"


class Table:
    """Writes a line for each character, in the order of the text: the character as Python writes it, and its surprise.

    With several streams, lines are held back until the end, since each stream is a passage of its own.
    """

    def __init__(self, file: BinaryIO, checkpoint: Checkpoint, batch_size: int) -> None:
        self._file, self._streamed, self._literals = file, batch_size == 1, checkpoint.vocabulary.literals
        self._held: list[tuple[np.ndarray, np.ndarray]] = []

    def add(self, targets: np.ndarray, bits: np.ndarray) -> None:
        """Adds the next batch: indices and surprises in bits, (S, B) each."""
        self._held.append((targets, bits))
        if self._streamed:
            self.flush()

    def flush(self) -> None:
        """Writes the lines held back."""
        if self._held:
            indices, bits = (np.concatenate(parts).T.ravel().tolist() for parts in zip(*self._held))
            lines = (f"{self._literals[i]}\t{surprise:.4f}\n" for i, surprise in zip(indices, bits))
            self._file.write("".join(lines).encode(errors="backslashreplace"))
            self._held.clear()


if __name__ == "__main__":
    console.run(main)
