"""Measures how well a checkpoint predicts a text.

    python evaluate.py cv -file other.txt

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
from util.text.cache import read_vocabulary
from util.text.source import Source, code_points
from util.text.vocabulary import Vocabulary
from util.training.evaluation import numpy_predictor, streams_predictor

COLUMNS = ("file", "model", "layers", "size", "parameters", "characters", "nats", "bits", "perplexity", "epochs")
SIDE_BY_SIDE = 256
"""How many lines to predict at once."""
WINDOW = 1 << 22
"""How many characters all of these may take, as many each as the longest of the file."""
PIECE = 1000
"""How many characters of a file to feed to the model at once."""
PIECE_LOG_PROBS = 1 << 24
"""The most log-probabilities to compute at once; a large vocabulary makes the pieces shorter."""


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
    check_flags(options)
    paths, read = options.checkpoint, all_checkpoints if options.table else lambda path: [best_checkpoint(path)]
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
        if not rows:
            print_loss(checkpoint, task, loss, characters)
            continue
        if not number:
            print(*COLUMNS, sep="\t")
        _, H, L, model = checkpoint.model_shape
        epochs = f"{checkpoint.epoch:.2f}" if checkpoint.epoch_is_known else ""
        row = options.checkpoint, model, L, H, checkpoint.size, task.length, *figures(loss), epochs
        print(*row, sep="\t", flush=True)


def check_flags(options: Namespace) -> None:
    """Raises UserError if the flags contradict each other."""
    check_text_flags(options)
    if options.primetext and not options.novelty:
        raise UserError("-primetext is for -novelty; leave it out, or name a sampled text with -novelty")
    several = options.table or len(options.checkpoint) > 1
    if options.novelty and (several or options.given & {"file", "split", "lines"}):
        raise UserError("-novelty takes one checkpoint, and no -file, -split, -lines or -table; leave out the others")
    if options.lines and (several or not options.file):
        raise UserError("-lines takes one checkpoint and the lines of a -file; name one, and leave out -table")


def figures(loss: float) -> tuple[str, str, str]:
    """Returns a mean loss in nats and in bits, and the perplexity."""
    return repr(loss), f"{loss / math.log(2):.6f}", f"{math.inf if loss > 700 else math.exp(loss):.6f}"


def print_loss(checkpoint: Checkpoint, task: Task, loss: float, characters: int) -> None:
    """Prints the loss, also per character if bytes are those of so many `characters`."""
    unit, (nats, bits, perplexity) = checkpoint.vocabulary.unit, figures(loss)
    print(f"{task.source}{task.part}: {task.length} {unit}s")
    print(f"loss per {unit}: {nats} nats\nbits per {unit}: {bits}")
    if characters:
        print(f"bits per character: {loss / math.log(2) * task.length / characters:.6f} ({characters} characters)")
    print(f"perplexity:         {perplexity}")


def print_lines(checkpoint: Checkpoint, source: Source) -> None:
    """Prints a row for each line of a text: the loss on its characters after the first, from a zero state."""
    vocabulary = checkpoint.vocabulary
    codes = np.concatenate([chunk.astype("<u4") for chunk in source.characters(vocabulary.encoding)])
    text = codes.tobytes().decode("utf-32-le", "surrogatepass").replace("\r\n", "\n")
    lines = text.removesuffix("\n").split("\n")
    indices = vocabulary.indices_of(code_points("".join(lines)), str(source))
    passages = np.split(indices, np.cumsum([len(line) for line in lines])[:-1])
    print("line", "characters", "nats", "bits", "perplexity", "text", sep="\t")
    together = max(1, min(SIDE_BY_SIDE, WINDOW // max(1, *map(len, lines))))
    for first in range(0, len(passages), together):
        some = passages[first : first + together]
        window = np.full((max(2, *map(len, some)), len(some)), -1)  # -1 after a passage: what comes of it is left out
        for column, passage in zip(window.T, some):
            column[: len(passage)] = passage
        losses = numpy_predictor(checkpoint, len(some))(window[:-1], window[1:])
        totals = np.where(window[1:] < 0, 0, losses).sum(axis=0, dtype=float).tolist()
        for number, (passage, total) in enumerate(zip(some, totals), first + 1):
            count = max(0, len(passage) - 1)
            print(number, count, *figures(total / count if count else math.nan), vocabulary.decode(passage), sep="\t")


def measure(checkpoint: Checkpoint, task: Task, device: str) -> tuple[float, int]:
    """Predicts a text; returns the mean loss in nats and, if its bytes are UTF-8, of how many characters they are."""
    alone = not task.part and device == "cpu"
    predict = numpy_predictor(checkpoint) if alone else streams_predictor(checkpoint, task.batch_size, device)
    starts = np.array([not "\x80" <= c < "\xc0" for c in checkpoint.vocabulary.characters])
    total, characters, quiet = 0.0, 0, not sys.stderr.isatty()
    with tqdm(total=task.length, unit=" characters", unit_scale=True, leave=False, disable=quiet) as bar:
        for x, y in task.batches:
            total += float(np.sum(predict(x, y), dtype=float))
            characters += int(starts[y].sum())
            bar.update(y.size)
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
    part = f", {SPLITS[split]} split, {count} batches of {B} x {S}"
    return Task(source, part, B, count * B * S, (batches.batch(split, number) for number in range(count)))


def predict_file(checkpoint: Checkpoint, source: Source) -> Task:
    """Returns a file as one stream, starting from a zero state; every character after the first is predicted.

    Raises UserError if it is not text, or has characters that the model does not know.
    """
    vocabulary = checkpoint.vocabulary
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
