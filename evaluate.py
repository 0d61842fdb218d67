"""Measures how well a checkpoint predicts a text.

    python evaluate.py cv/lm_lstm_epoch50.00_1.3500.pt -file other.txt

Prints the loss per character in nats, the same in bits, and the perplexity: on a part of the text that the checkpoint
was trained on, or on any other text.
"""

from __future__ import annotations

import math
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO, TypeGuard

import numpy as np
from tqdm import tqdm

from util import errors
from util.checkpoint.content import Checkpoint
from util.checkpoint.store import load_checkpoint
from util.cli.device import choose_device
from util.cli.flags import Flags, gpu_id, switch, text
from util.errors import UserError, reason, warn
from util.text.batches import Batches
from util.text.cache import UNICODE_SIZE, find_vocabulary, load_text
from util.text.source import Source, characters, find_text

HERE = Path(__file__).parent
SPLITS = ("train", "val", "test")
PIECE = 1000  # characters of a file that go through the model at once, if training took as many


def flags() -> Flags:
    flags = Flags("Measures how well a checkpoint predicts a text.", "python evaluate.py CHECKPOINT -split test")
    flags.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="a file written by train.py")
    add = flags.group("text")
    add("split", str, "val", "part of the text that the checkpoint was trained on", choices=SPLITS)
    add("data_dir", text, "", "folder that holds its input.txt, if not the one it was trained from")
    add("file", text, "", "a text file to predict instead, as one stream")
    add = flags.group("output")
    add("per_char", text, "", "file for each character and its surprise in bits, tab separated; - = standard output")
    add = flags.group("machine")
    add("gpuid", gpu_id, 0, "which GPU; -1 = CPU")
    add("opencl", switch, 0, "1 = OpenCL instead of CUDA")
    return flags


def main() -> None:
    options = flags().parse()
    if options.file and options.given & {"split", "data_dir"}:
        raise UserError("-file takes the place of -split and -data_dir; leave out one or the other")
    device = choose_device(options.gpuid, options.opencl, warn)
    checkpoint = load_checkpoint(options.checkpoint)
    task = predict_file(checkpoint, Path(options.file)) if options.file else predict_split(checkpoint, options)

    with open_table(options.per_char, not_over=(options.checkpoint, *task.source.files)) as file:
        table = Table(file, checkpoint, task.batch_size) if file else None

        import torch  # takes seconds, so only now that flags, checkpoint and text are known to be right

        from model.char_rnn import CharRNN
        from util.training.evaluation import batch_loss

        model = CharRNN(*checkpoint.model_shape).to(device=device, dtype=getattr(torch, checkpoint.dtype))
        model.load_arrays(checkpoint.parameters)
        state = model.zero_state(task.batch_size)
        total = 0.0
        quiet = not sys.stderr.isatty() or options.per_char == "-"
        with tqdm(total=task.length, unit=" characters", unit_scale=True, leave=False, disable=quiet) as bar:
            for x, y in task.batches:
                targets = torch.from_numpy(y).to(device)
                loss, log_probs, state = batch_loss(model, torch.from_numpy(x).to(device), targets, state)
                total += loss.item()
                if table:
                    losses = -log_probs.gather(2, targets.unsqueeze(2)).squeeze(2)
                    table.add(y, losses.cpu().numpy() / math.log(2))
                bar.update(y.size)
        if table:
            table.flush()

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
    """Which part of the file, for people; empty for all of it."""
    batch_size: int
    length: int
    batches: Iterator[tuple[np.ndarray, np.ndarray]]


def predict_split(checkpoint: Checkpoint, options: Namespace) -> Task:
    """A split of the text that the checkpoint was trained on, in the batches of its run: so the loss is the run's.

    Raises UserError where there is no text, or nothing in that split.
    """
    source = input_text(checkpoint, options)
    text = load_text(source, checkpoint.encoding)
    if checkpoint.training and checkpoint.training["text_sha256"] != text.sha256:
        warn(f"warning: {source} is not the text that the checkpoint was trained on; its splits are others")
    codes = np.array([ord(c) for c in text.vocabulary])
    B, S = checkpoint.options["batch_size"], checkpoint.options["seq_length"]
    train_frac, val_frac = (checkpoint.options.get(name) for name in ("train_frac", "val_frac"))
    if not (is_fraction(train_frac) and is_fraction(val_frac)):
        raise UserError(f"{options.checkpoint} does not tell which part of its text is which; name a text with -file")
    loader = Batches(text.indices, B, S, train_frac, val_frac, indices_of(codes, checkpoint, source))
    split = SPLITS.index(options.split)
    count = loader.split_sizes[split]
    if not count:
        train, val, test = loader.split_sizes
        raise UserError(
            f"there is nothing in the split {options.split}: {source} makes {train} batches of {B} x {S} for training, "
            f"{val} for validation and {test} for testing; take another -split, or name a text with -file"
        )
    part = f", {options.split} split, {count} batches of {B} x {S}"
    return Task(source, part, B, count * B * S, (loader.batch(split, number) for number in range(count)))


def is_fraction(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and 0 <= value <= 1


def input_text(checkpoint: Checkpoint, options: Namespace) -> Source:
    """Where the checkpoint's text is. Raises UserError where nobody says, or it is gone."""
    files, separator = (str(checkpoint.options.get(name, "")) for name in ("files", "separator"))
    if options.data_dir:
        return find_text(Path(options.data_dir), files, separator)
    stored = str(checkpoint.options.get("data_dir", ""))
    for folder in (Path(stored), HERE / stored):
        if stored and "\0" not in stored and folder.is_dir():
            with suppress(UserError):
                source = find_text(folder, files, separator)
                if source.files[0].is_file():
                    return source
    raise UserError(
        f"the text of {options.checkpoint} is not where it was ({stored!r}); name its folder with -data_dir, "
        "or another text with -file"
    )


def predict_file(checkpoint: Checkpoint, path: Path) -> Task:
    """A file as one stream, from a zero state, predicting every character after the first.

    Raises UserError where it is no text, or has characters that the model does not know.
    """
    try:
        if not path.is_file():
            raise UserError(f"there is no file {path}; -file names a text")
        vocabulary, length = find_vocabulary(path, checkpoint.encoding)
    except OSError as error:
        raise UserError(f"cannot read {path}: {reason(error)}") from error
    if length < 2:
        raise UserError(f"{path} is too short; it takes two characters to predict one from the other")
    indices_of(np.array([ord(c) for c in vocabulary]), checkpoint, path)

    def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        last = np.zeros(0, int)
        piece = min(PIECE, checkpoint.options["batch_size"] * checkpoint.options["seq_length"])
        for chunk in characters(path, checkpoint.encoding, task=""):
            codes = np.frombuffer(chunk, np.uint8) if isinstance(chunk, bytes) else chunk
            window = np.concatenate([last, indices_of(codes, checkpoint, path)])[:, None]
            for start in range(0, len(window) - 1, piece):
                stop = min(start + piece, len(window) - 1)
                yield window[start:stop], window[start + 1 : stop + 1]
            last = window[-1:, 0]

    return Task(Source(path), "", 1, length - 1, batches())


def indices_of(codes: np.ndarray, checkpoint: Checkpoint, path: Source | Path) -> np.ndarray:
    """The indices of the characters with these numbers. Raises UserError where the model does not know one."""
    index = np.full(UNICODE_SIZE, -1)
    index[[ord(c) for c in checkpoint.vocabulary]] = np.arange(len(checkpoint.vocabulary))
    indices = index[codes]
    unknown = [chr(code) for code in np.unique(codes[indices < 0])]
    if unknown:
        some = ", ".join(map(repr, unknown[:5])) + (", ..." if len(unknown) > 5 else "")
        raise UserError(f"{path} has characters that the model has never seen: {some}; remove them")
    return indices


class Table:
    """Writes a line for each character, in the order of the text: the character as Python writes it, and its surprise.

    Of several streams each is a passage of its own, so that the lines are held back until all are known.
    """

    def __init__(self, file: TextIO, checkpoint: Checkpoint, batch_size: int) -> None:
        self._file, self._streamed = file, batch_size == 1
        raw = checkpoint.encoding == "bytes"
        self._alphabet = [repr(c.encode("latin-1") if raw else c) for c in checkpoint.vocabulary]
        self._held: list[tuple[np.ndarray, np.ndarray]] = []

    def add(self, targets: np.ndarray, bits: np.ndarray) -> None:
        """Takes the next batch: indices and surprises in bits, (S, B) each."""
        self._held.append((targets, bits))
        if self._streamed:
            self.flush()

    def flush(self) -> None:
        """Writes what is held back."""
        if self._held:
            indices, bits = (np.concatenate(parts).T.ravel().tolist() for parts in zip(*self._held))
            self._file.writelines(f"{self._alphabet[i]}\t{surprise:.4f}\n" for i, surprise in zip(indices, bits))
            self._held.clear()


def open_table(name: str, not_over: tuple[Path, ...]) -> AbstractContextManager[TextIO | None]:
    """The file for the table, if one is asked for. Raises UserError where it cannot be, or must not be, written."""
    if name in ("", "-"):
        return nullcontext(sys.stdout if name else None)
    try:
        if Path(name).exists() and any(Path(name).samefile(path) for path in not_over):
            raise UserError(f"-per_char would write over {name}, which is being read; name another file")
        return open(name, "w", encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {name}: {reason(error)}; name another file with -per_char") from error


if __name__ == "__main__":
    errors.run(main)
