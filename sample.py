"""Samples text from a checkpoint, character by character.

python sample.py cv/lm_lstm_epoch50.00_1.3500.pt -temperature 0.7 -primetext "ROMEO:"
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    # Before the imports, which take a while: Ctrl-C during them shows no traceback either.
    sys.excepthook = lambda kind, *rest: None if kind is KeyboardInterrupt else sys.__excepthook__(kind, *rest)

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from model.stepper import Stepper
from util import errors
from util.checkpoint import Checkpoint, load_checkpoint
from util.device import choose_device
from util.errors import UserError, warn
from util.flags import Flags, gpu_id, positive, seed, switch, text, whole
from util.torch7_random import Torch7Random


def flags() -> Flags:
    flags = Flags("Samples text from a checkpoint.", 'python sample.py CHECKPOINT -length 500 -primetext "The "')
    flags.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="a file written by train.py")
    add = flags.group("sampling")
    add("seed", seed, 123, "seed of the random numbers")
    add("sample", switch, 1, "1 = draw each character; 0 = take the most likely")
    add("primetext", text, "", "text to feed to the model first; it is printed too")
    add("length", whole(0), 2000, "number of characters to sample")
    add("temperature", positive, 1.0, "below 1 = safer text, above 1 = wilder text")
    add = flags.group("running")
    add("gpuid", gpu_id, 0, "which GPU; -1 = CPU")
    add("opencl", switch, 0, "1 = OpenCL instead of CUDA")
    add("verbose", switch, 1, "0 = print the text and nothing else")
    return flags


def main() -> None:
    options = flags().parse()
    say = warn if options.verbose else lambda sentence: None
    device = choose_device(options.gpuid, options.opencl, say)
    checkpoint = load_checkpoint(options.checkpoint)
    prime = encode(primetext(options.primetext, checkpoint), checkpoint)
    V, H, L, model = checkpoint.model_shape
    say(f"sampling from a {model} of {L} layers of {H}, trained for {checkpoint.epoch:.2f} epochs")
    if not prime:
        say("no -primetext: the first character is drawn uniformly")

    step = stepper(checkpoint, device)
    random = Torch7Random(options.seed)

    def choose(log_probs: np.ndarray) -> int:
        if options.sample:
            return random.multinomial(probabilities(log_probs, options.temperature))
        return int(np.argmax(log_probs))

    alphabet = [
        c.encode("latin-1" if checkpoint.encoding == "bytes" else "utf-8", "replace") for c in checkpoint.vocabulary
    ]
    for index in sample(step, choose, V, prime, options.length):
        sys.stdout.buffer.write(alphabet[index])
        sys.stdout.buffer.flush()
    sys.stdout.buffer.write(b"\n")


def sample(
    step: Callable[[int], np.ndarray],
    choose: Callable[[np.ndarray], int],
    vocab_size: int,
    prime: list[int],
    length: int,
) -> Iterator[int]:
    """The indices of the primetext, and after them `length` more, each chosen from what the model expects."""
    log_probs = np.full(vocab_size, 1 / vocab_size)  # as if logarithms: all the same, so all equally likely
    for index in prime:
        log_probs = step(index)
        yield index
    for _ in range(length):
        index = choose(log_probs)
        yield index
        log_probs = step(index)


def probabilities(log_probs: np.ndarray, temperature: float) -> np.ndarray:
    """exp(log_probs / temperature), normalised, as float32."""
    with np.errstate(all="ignore"):
        probs = np.exp(log_probs / temperature)
        if not 0 < (total := probs.sum()) < np.inf:
            # So cold that all vanish: the same, measured from the most likely character. In float64, since the
            # temperature could be 0 in float32.
            colder = log_probs.astype(np.float64)
            probs = np.exp((colder - colder.max()) / temperature)
            total = probs.sum()
        return (probs / total).astype(np.float32)


def primetext(value: str, checkpoint: Checkpoint) -> str:
    """The primetext in characters as the checkpoint has them; with the encoding `bytes` each stands for a byte."""
    return os.fsencode(value).decode("latin-1") if checkpoint.encoding == "bytes" else value


def encode(characters: str, checkpoint: Checkpoint) -> list[int]:
    """The characters' indices. Raises UserError where the model does not know one."""
    index = {c: i for i, c in enumerate(checkpoint.vocabulary)}
    for c in characters:
        if c not in index:
            raise UserError(f"the primetext has {c!r}, a character that the model has never seen; leave it out")
    return [index[c] for c in characters]


def stepper(checkpoint: Checkpoint, device: str) -> Callable[[int], np.ndarray]:
    """What feeds a character to the model and gives the log-probabilities of the next: numpy's on a CPU."""
    if device == "cpu":
        return Stepper(checkpoint.parameters, checkpoint.options["num_layers"], checkpoint.options["model"])
    import torch

    from model.char_rnn import CharRNN

    model = CharRNN(*checkpoint.model_shape).to(device=device, dtype=getattr(torch, checkpoint.dtype))
    model.load_arrays(checkpoint.parameters)
    return model.stepper()


if __name__ == "__main__":
    errors.run(main)
