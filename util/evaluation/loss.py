"""Measures how well a model predicts a text as a whole: a split of its own, or a file.

Letters: S time steps, B streams.
"""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from model.stepper import Stepper
from util.checkpoint.content import Checkpoint
from util.checkpoint.text_of_checkpoint import batches_of_split, load_text_of
from util.cli.console import print_row, shown
from util.errors import UserError
from util.sampling.drawing import check_numbers
from util.text.batches import SPLITS
from util.text.cache import index_type
from util.text.source import Source, code_points

COLUMNS = (
    *("file", "model", "layers", "size", "dropout", "seed", "parameters", "epochs", "iteration"),
    *("text", "split", "characters", "nats", "bits", "perplexity"),
)
PIECE = 1000  # characters of a file to feed to the model at once

Predict = Callable[[np.ndarray, np.ndarray], "np.ndarray | float"]
"""Takes the next inputs and targets, (S, B) indices each; returns the losses in nats, (S, B), or their sum."""


class Task(NamedTuple):
    """A text to predict: batches of inputs and targets, (S, B) indices each, with `length` targets in all."""

    text: str
    """Its name."""
    split: str
    """Which of its splits; empty for a file."""
    batch_size: int
    """B, as the run had it; 1 for a file, which is one stream."""
    length: int
    batches: Iterator[tuple[np.ndarray, np.ndarray]]


def predict_split(checkpoint: Checkpoint, path: Path, data_dir: str, split: str) -> Task:
    """Returns a split of the text of the checkpoint at `path` in the run's own batches, so the loss equals the run's.

    Its text is in `data_dir`, if that is not empty. Raises UserError if there is no text or the split is empty.
    """
    source, text = load_text_of(checkpoint, path, data_dir)
    translation = checkpoint.vocabulary.indices_of(code_points(text.vocabulary.characters), str(source))
    batches, chosen = batches_of_split(checkpoint, path, text, source, split, translation)
    B, S, count = checkpoint.options["batch_size"], checkpoint.options["seq_length"], batches.split_sizes[chosen]
    each = (batches.batch(chosen, number) for number in range(count))
    return Task(str(source), SPLITS[chosen], B, count * B * S, each)


def predict_file(checkpoint: Checkpoint, source: Source) -> Task:
    """Returns a file as one stream, starting from a zero state; every character after the first is predicted.

    Raises UserError if it is not text, or has characters that the model does not know.
    """
    vocabulary = checkpoint.vocabulary
    pieces, smallest = source.texts(vocabulary.encoding, "reading the text"), index_type(vocabulary)
    codes = (code_points(piece) for _, piece in pieces)
    indices = np.concatenate([vocabulary.indices_of(some, str(source)).astype(smallest) for some in codes])
    if len(indices) < 2:
        raise UserError(f"{source} is too short: predicting takes at least two {vocabulary.unit}s")
    windows = (indices[start : start + PIECE + 1, None].astype(int) for start in range(0, len(indices) - 1, PIECE))
    return Task(str(source), "", 1, len(indices) - 1, ((window[:-1], window[1:]) for window in windows))


def measure(checkpoint: Checkpoint, task: Task, device: str) -> tuple[float, int]:
    """Predicts a text. Returns the mean loss in nats, and how many characters the targets are.

    A character of a model of bytes is counted at its first byte, as UTF-8 has it. Raises UserError if the weights are
    so large that there is no loss.
    """
    one_stream = not task.split
    predict = in_numpy(checkpoint) if one_stream and device == "cpu" else in_torch(checkpoint, task.batch_size, device)
    begins = np.array([not "\x80" <= c < "\xc0" for c in checkpoint.vocabulary.characters])
    total, characters, unit = 0.0, 0, f" {checkpoint.vocabulary.unit}s"
    with tqdm(total=task.length, unit=unit, unit_scale=True, leave=False, disable=None) as bar:
        for x, y in task.batches:
            total += float(np.sum(predict(x, y), dtype=float))
            characters += int(begins[y].sum())
            bar.update(y.size)
    check_numbers(np.array(total))
    return total / task.length, characters


def in_numpy(checkpoint: Checkpoint) -> Predict:
    """Returns what predicts one stream on a CPU: faster than torch, and without the seconds that importing it takes."""
    _, _, L, model = checkpoint.model_shape
    step = Stepper(checkpoint.parameters, L, model)
    return lambda x, y: -np.array([step(indices)[0, targets] for indices, targets in zip(x, y)])


def in_torch(checkpoint: Checkpoint, batch_size: int, device: str) -> Predict:
    """Returns what predicts streams side by side, on any device, just as a run does for its validation loss."""
    import torch  # takes seconds

    from model.char_rnn import CharRNN

    torch.set_float32_matmul_precision("medium" if checkpoint.precision == "bfloat16" else "highest")
    model = CharRNN.from_arrays(checkpoint.model_shape, checkpoint.parameters).to(device)
    state = model.zero_state(batch_size)

    def predict(x: np.ndarray, y: np.ndarray) -> float:
        nonlocal state
        loss, state = model.batch_loss(torch.from_numpy(x).to(device), torch.from_numpy(y).to(device), state)
        return loss.item()

    return predict


def print_loss(checkpoint: Checkpoint, task: Task, loss: float, characters: int) -> None:
    """Prints the loss; that of bytes also for each of the `characters`."""
    unit = checkpoint.vocabulary.unit
    nats, bits, perplexity = figures(loss)
    how = ""
    if task.split:
        B, S = task.batch_size, checkpoint.options["seq_length"]
        how = f", {task.split} split, {task.length // (B * S)} batches of {B} x {S}"
    print(f"{task.text}{how}: {task.length} {unit}s\nloss per {unit}: {nats} nats")
    stored = checkpoint.validations.get(checkpoint.iteration)
    if task.split == "val" and stored is not None and not checkpoint.training:  # of a .pt it is the same
        print(f"its run stored: {stored} nats")
    print(f"bits per {unit}: {bits}")
    if checkpoint.vocabulary.is_bytes and characters:
        bits = f"{loss / math.log(2) * task.length / characters:.6f}"
        print(f"bits per character: {bits} ({characters} characters, if the bytes are UTF-8)")
    print(f"perplexity:         {perplexity}")


def print_result(checkpoint: Checkpoint, path: Path, task: Task, loss: float) -> None:
    """Prints a row of a table with these COLUMNS."""
    _, H, L, model = checkpoint.model_shape
    epochs = f"{checkpoint.epoch:.2f}" if checkpoint.epoch_is_known else ""
    run = f"{checkpoint.options['dropout']:g}", checkpoint.options.get("seed", "")
    about = path, model, L, H, *run, checkpoint.size, epochs, checkpoint.iteration, task.text, task.split, task.length
    print_row(*(shown(str(value)) for value in about), *figures(loss), flush=True)


def figures(loss: float) -> tuple[str, str, str]:
    """Returns a mean loss in nats and in bits, and the perplexity."""
    return repr(loss), f"{loss / math.log(2):.6f}", f"{math.inf if loss > 700 else math.exp(loss):.6f}"
