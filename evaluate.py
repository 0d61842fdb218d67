"""Measures how well a checkpoint predicts a text.

    python evaluate.py cv -file other.txt

Prints the loss per character in nats and in bits, and the perplexity, on a split of the text that the checkpoint was
trained on or on any other text; for several checkpoints, or for each line of a text, as a table.
"""

from __future__ import annotations

if __name__ == "__main__":
    import util.cli.early  # noqa: F401  (before the other imports)

import math
from argparse import Namespace
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from util.checkpoint.choice import all_checkpoints, best_checkpoint
from util.checkpoint.content import Checkpoint
from util.checkpoint.text_of_checkpoint import (
    add_text_flags,
    batches_of_split,
    check_text_flags,
    load_text_of,
    source_of_file,
    text_of,
)
from util.cli import console
from util.cli.console import tell
from util.cli.device import choose_device
from util.cli.flags import STRING, SWITCH, Flags
from util.errors import UserError
from util.sampling.copied import print_novelty
from util.text.batches import SPLITS
from util.text.cache import index_type
from util.text.source import Source, code_points
from util.training.evaluation import numpy_predictor, streams_predictor

COLUMNS = ("file", "model", "layers", "size", "parameters", "characters", "nats", "bits", "perplexity", "epochs")
PIECE = 1000  # characters of a file to feed to the model at once
SIDE_BY_SIDE = 256  # lines to predict at once


class Task(NamedTuple):
    """A text to predict: batches of inputs and targets, (S, B) indices each, with `length` targets in all."""

    name: str
    batch_size: int
    """B, as the run had it; 0 for a file, which is one stream."""
    length: int
    batches: Iterator[tuple[np.ndarray, np.ndarray]]


def flags() -> Flags:
    flags = Flags("Measures how well checkpoints predict a text.", "python evaluate.py CHECKPOINT -split test")
    flags.add_checkpoint("the best, and with -table 1 all of them")
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
    several = bool(options.table or len(options.checkpoint) > 1)
    check_flags(options, several)
    choose = all_checkpoints if options.table else lambda path: [best_checkpoint(path)]
    found = (pair for path in options.checkpoint for pair in choose(path))
    source = source_of_file(options.file) if options.file else None
    if options.novelty:
        options.checkpoint, checkpoint = next(found)
        print_novelty(checkpoint, options)
    elif source and options.lines:
        print_lines(next(found)[1], source)
    else:
        device = choose_device(options.gpuid, options.opencl, tell)
        for number, (options.checkpoint, checkpoint) in enumerate(found):
            task = predict_file(checkpoint, source) if source else predict_split(checkpoint, options)
            loss, characters = measure(checkpoint, task, device)
            if not several:
                print_loss(checkpoint, task, loss, characters)
                continue
            if not number:
                print(*COLUMNS, sep="\t")
            _, H, L, model = checkpoint.model_shape
            epochs = f"{checkpoint.epoch:.2f}" if checkpoint.epoch_is_known else ""
            row = options.checkpoint, model, L, H, checkpoint.size, task.length, *figures(loss), epochs
            print(*row, sep="\t", flush=True)


def check_flags(options: Namespace, several: bool) -> None:
    """Raises UserError if the flags contradict each other, or name `several` checkpoints where one is needed."""
    check_text_flags(options)
    if options.primetext and not options.novelty:
        raise UserError("-primetext is for -novelty; leave it out, or name a sampled text with -novelty")
    if options.novelty and (several or options.given & {"file", "split", "lines"}):
        raise UserError("-novelty takes one checkpoint, and no -file, -split, -lines or -table; leave out the others")
    if options.lines and (several or not options.file):
        raise UserError("-lines takes one checkpoint and the lines of a -file; name one, and leave out -table")


def predict_split(checkpoint: Checkpoint, options: Namespace) -> Task:
    """Returns a split of the checkpoint's own text in the run's own batches, so the loss equals the run's.

    Raises UserError if there is no text or the split is empty.
    """
    source = text_of(checkpoint, options)
    text = load_text_of(checkpoint, source, options)
    translation = checkpoint.vocabulary.translation_from(text.vocabulary, str(source))
    batches, split = batches_of_split(checkpoint, text, source, options, translation)
    B, S, count = checkpoint.options["batch_size"], checkpoint.options["seq_length"], batches.split_sizes[split]
    name = f"{source}, {SPLITS[split]} split, {count} batches of {B} x {S}"
    return Task(name, B, count * B * S, (batches.batch(split, number) for number in range(count)))


def predict_file(checkpoint: Checkpoint, source: Source) -> Task:
    """Returns a file as one stream, starting from a zero state; every character after the first is predicted.

    Raises UserError if it is not text, or has characters that the model does not know.
    """
    vocabulary = checkpoint.vocabulary
    chunks, smallest = source.characters(vocabulary.encoding, "reading the text"), index_type(vocabulary)
    indices = np.concatenate([vocabulary.indices_of(chunk, str(source)).astype(smallest) for chunk in chunks])
    if len(indices) < 2:
        raise UserError(f"{source} is too short: predicting takes at least two characters")
    windows = (indices[start : start + PIECE + 1, None].astype(int) for start in range(0, len(indices) - 1, PIECE))
    return Task(str(source), 0, len(indices) - 1, ((window[:-1], window[1:]) for window in windows))


def measure(checkpoint: Checkpoint, task: Task, device: str) -> tuple[float, int]:
    """Predicts a text. Returns the mean loss in nats, and of how many characters its bytes are if they are UTF-8."""
    if task.batch_size or device != "cpu":
        predict = streams_predictor(checkpoint, task.batch_size or 1, device)
    else:
        predict = numpy_predictor(checkpoint)
    begins = np.array([not "\x80" <= c < "\xc0" for c in checkpoint.vocabulary.characters])
    total, characters = 0.0, 0
    with tqdm(total=task.length, unit=" characters", unit_scale=True, leave=False, disable=None) as bar:
        for x, y in task.batches:
            total += float(np.sum(predict(x, y), dtype=float))
            characters += int(begins[y].sum())
            bar.update(y.size)
    return total / task.length, characters


def print_loss(checkpoint: Checkpoint, task: Task, loss: float, characters: int) -> None:
    """Prints the loss; that of bytes also for each of so many `characters`."""
    unit, (nats, bits, perplexity) = checkpoint.vocabulary.unit, figures(loss)
    print(f"{task.name}: {task.length} {unit}s\nloss per {unit}: {nats} nats\nbits per {unit}: {bits}")
    if checkpoint.vocabulary.is_bytes and characters:
        bits = f"{loss / math.log(2) * task.length / characters:.6f}"
        print(f"bits per character: {bits} ({characters} characters, if the bytes are UTF-8)")
    print(f"perplexity:         {perplexity}")


def figures(loss: float) -> tuple[str, str, str]:
    """Returns a mean loss in nats and in bits, and the perplexity."""
    return repr(loss), f"{loss / math.log(2):.6f}", f"{math.inf if loss > 700 else math.exp(loss):.6f}"


def print_lines(checkpoint: Checkpoint, source: Source) -> None:
    """Prints a row for each line of a text: the loss on its characters after the first, from a zero state."""
    vocabulary = checkpoint.vocabulary
    text = "".join("".join(map(chr, chunk)) for chunk in source.characters(vocabulary.encoding))
    lines = text.replace("\r\n", "\n").removesuffix("\n").split("\n")
    passages = [vocabulary.indices_of(code_points(line), str(source)) for line in lines]
    print("line", "characters", "nats", "bits", "perplexity", "text", sep="\t")
    for first in range(0, len(passages), SIDE_BY_SIDE):
        some = passages[first : first + SIDE_BY_SIDE]
        window = np.full((max(2, *map(len, some)), len(some)), -1)  # -1 after a passage: what comes of it is left out
        for column, passage in zip(window.T, some):
            column[: len(passage)] = passage
        losses = numpy_predictor(checkpoint, len(some))(window[:-1], window[1:])
        totals = np.where(window[1:] < 0, 0, losses).sum(axis=0, dtype=float).tolist()
        for number, (passage, total) in enumerate(zip(some, totals), first + 1):
            count = max(0, len(passage) - 1)
            print(number, count, *figures(total / count if count else math.nan), vocabulary.decode(passage), sep="\t")


if __name__ == "__main__":
    console.run(main)
