"""Measures how well a checkpoint predicts a text.

    python evaluate.py cv/lm_lstm_epoch50.00_1.3500.pt -file other.txt

Prints the loss per character in nats and in bits, and the perplexity, on a split of the text that the checkpoint was
trained on or on any other text; for several checkpoints, or for each line of a text, as a table.
"""

from __future__ import annotations

if __name__ == "__main__":
    import util.cli.early  # noqa: F401  (before the other imports)

import math
import sys
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from util.checkpoint.content import Checkpoint
from util.checkpoint.folder import all_checkpoints
from util.checkpoint.store import load_checkpoint
from util.checkpoint.text_of_checkpoint import (
    add_text_flags,
    batches_of_split,
    check_text_flags,
    load_text_of,
    reading,
    source_of_file,
    text_of,
)
from util.cli import console
from util.cli.console import tell
from util.cli.device import choose_device
from util.cli.flags import STRING, SWITCH, Flags
from util.cli.signals import StopSignals
from util.errors import UserError
from util.sampling.copied import print_novelty
from util.text.cache import read_vocabulary
from util.text.source import Source, code_points
from util.text.vocabulary import Vocabulary
from util.training.evaluation import one_stream_predictor, passage_losses, streams_predictor

COLUMNS = ("file", "model", "layers", "size", "parameters", "characters", "nats", "bits", "perplexity", "epochs")
LINE_COLUMNS = ("line", "characters", "nats", "bits", "perplexity", "text")
PIECE = 1000
"""How many characters of a file to feed to the model at once."""
PIECE_LOG_PROBS = 1 << 24
"""The most log-probabilities to compute at once; a large vocabulary makes the pieces shorter."""


def flags() -> Flags:
    flags = Flags("Measures how well checkpoints predict a text.", "python evaluate.py CHECKPOINT -split test")
    flags.add_checkpoint(several=True)
    add = add_text_flags(flags, "predict", "another text file to predict instead, as one stream; - = standard input")
    add("lines", SWITCH, 0, "1 = predict each line of this file by itself, and print a row for each")
    add = flags.group("novelty")
    add("novelty", STRING, "", "text written by sample.py; find what it copies from the training text instead")
    add("primetext", STRING, "", "primetext at the front of that text, which is not counted")
    add = flags.group("output")
    add("table", SWITCH, 0, "1 = print a row for each checkpoint, and of a folder for each in it")
    flags.add_machine()
    return flags


def main() -> None:
    options = flags().parse()
    check_flags(options)
    paths, read = options.checkpoint, all_checkpoints if options.table else one_checkpoint
    found = (pair for path in paths for pair in read(path))
    if options.novelty:
        options.checkpoint, checkpoint = next(found)
        print_novelty(checkpoint, options)
        return
    source = source_of_file(options.file) if options.file else None
    if source and options.lines:
        print_lines(next(found)[1], source)
        return
    device = choose_device(options.gpuid, options.opencl, tell)
    rows = options.table or len(paths) > 1
    for number, (options.checkpoint, checkpoint) in enumerate(found):
        task = predict_file(checkpoint, source) if source else predict_split(checkpoint, options)
        loss, characters = measure(checkpoint, task, device)
        if rows and not number:
            print(*COLUMNS, sep="\t")
        if rows:
            print_row(options.checkpoint, checkpoint, task, loss)
        else:
            print_loss(checkpoint, task, loss, characters)


def check_flags(options: Namespace) -> None:
    """Raises UserError if the flags contradict each other."""
    check_text_flags(options)
    if options.primetext and not options.novelty:
        raise UserError("-primetext is for -novelty; leave it out, or name a sampled text with -novelty")
    if options.novelty and options.given & {"file", "split", "lines", "table"}:
        raise UserError("-novelty measures no loss; leave out -file, -split, -lines and -table")
    if options.lines and not options.file:
        raise UserError("-lines takes the lines of a -file; name one")
    if (options.novelty or options.lines) and (options.table or len(options.checkpoint) > 1):
        raise UserError("-novelty and -lines take one checkpoint and no -table; leave out the others")


def one_checkpoint(path: Path) -> list[tuple[Path, Checkpoint]]:
    return [(path, load_checkpoint(path))]


def print_loss(checkpoint: Checkpoint, task: Task, loss: float, characters: int) -> None:
    """Prints the loss for one checkpoint, also by character if its bytes are those of so many characters."""
    unit = checkpoint.vocabulary.unit
    print(f"{task.source}{task.part}: {task.length} {unit}s")
    print(f"{f'loss per {unit}:':<19} {loss!r} nats")
    print(f"{f'bits per {unit}:':<19} {loss / math.log(2):.6f}")
    if characters:
        print(f"bits per character: {loss / math.log(2) * task.length / characters:.6f} ({characters} characters)")
    print(f"perplexity:         {perplexity(loss):.6f}")


def print_row(path: Path, checkpoint: Checkpoint, task: Task, loss: float) -> None:
    """Prints the row of one of several checkpoints."""
    _, H, L, model = checkpoint.model_shape
    figures = (repr(loss), f"{loss / math.log(2):.6f}", f"{perplexity(loss):.6f}")
    epochs = f"{checkpoint.epoch:.2f}" if checkpoint.epoch_is_known else ""
    print(path, model, L, H, checkpoint.size, task.length, *figures, epochs, sep="\t", flush=True)


def print_lines(checkpoint: Checkpoint, source: Source) -> None:
    """Prints a row for each line of a text: the loss on its characters after the first, from a zero state."""
    vocabulary = checkpoint.vocabulary
    with reading(source):
        codes = np.concatenate([chunk.astype("<u4") for chunk in source.characters(vocabulary.encoding)])
    text = codes.tobytes().decode("utf-32-le", "surrogatepass").replace("\r\n", "\n")
    lines = text.removesuffix("\n").split("\n")
    indices = vocabulary.indices_of(code_points("".join(lines)), str(source))
    passages = np.split(indices, np.cumsum([len(line) for line in lines])[:-1])
    print(*LINE_COLUMNS, sep="\t")
    for number, (passage, total) in enumerate(zip(passages, passage_losses(checkpoint, passages)), 1):
        count = max(0, len(passage) - 1)
        loss = total / count if count else math.nan
        figures = f"{loss:.6f}", f"{loss / math.log(2):.6f}", f"{perplexity(loss):.6f}"
        print(number, count, *figures, vocabulary.decode(passage), sep="\t")


def perplexity(loss: float) -> float:
    return math.inf if loss > 700 else math.exp(loss)


def measure(checkpoint: Checkpoint, task: Task, device: str) -> tuple[float, int]:
    """Predicts a text; returns the mean loss in nats and, if its bytes are UTF-8, of how many characters they are."""
    alone = not task.part and device == "cpu"
    predict = one_stream_predictor(checkpoint) if alone else streams_predictor(checkpoint, task.batch_size, device)
    starts = np.array([not "\x80" <= c < "\xc0" for c in checkpoint.vocabulary.characters])
    total, characters, quiet = 0.0, 0, not sys.stderr.isatty()
    with (
        StopSignals(silent=True) as signals,
        tqdm(total=task.length, unit=" characters", unit_scale=True, leave=False, disable=quiet) as bar,
    ):
        for x, y in task.batches:
            total += predict(x, y)
            characters += int(starts[y].sum())
            bar.update(y.size)
            if signals.received:
                raise SystemExit(signals.exit_status)
    counted = checkpoint.vocabulary.is_bytes and is_utf8(task.source)
    return total / task.length, characters if counted else 0


def is_utf8(source: Source) -> bool:
    try:
        return all(True for _ in source.characters("utf-8"))
    except UserError:
        return False


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


if __name__ == "__main__":
    console.run(main)
