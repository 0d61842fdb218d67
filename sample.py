"""Samples text from a checkpoint, character by character.

python sample.py cv/lm_lstm_epoch50.00_1.3500.pt -temperature 0.7 -primetext "ROMEO:"
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    # Before the imports, which take a while: Ctrl-C during them shows no traceback either.
    sys.excepthook = lambda kind, *rest: None if kind is KeyboardInterrupt else sys.__excepthook__(kind, *rest)
    # A matrix times a vector waits for memory: a second thread has nothing to gain, and on a busy machine much to lose.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import io
import re
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from model.stepper import Stepper
from util import errors
from util.checkpoint.content import Checkpoint
from util.checkpoint.store import load_checkpoint
from util.cli.device import choose_device
from util.cli.files import replacing
from util.cli.flags import Flags, gpu_id, positive, real, seed, switch, text, whole
from util.cli.signals import StopSignals
from util.errors import UserError, reason, warn
from util.sampling.drawing import chooser, encode, most_likely, sample

UNKNOWN_CHARS = ("error", "skip", "nearest")
COLORS = ((0.01, 160), (0.05, 166), (0.2, 136), (0.5, 65))
"""Below such a probability a character gets this colour, of the terminal's 256; from the last one up it has none."""


def flags() -> Flags:
    flags = Flags("Samples text from a checkpoint.", 'python sample.py CHECKPOINT -length 500 -primetext "The "')
    flags.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="a file written by train.py")
    add = flags.group("sampling")
    add("seed", seed, 123, "seed of the random numbers")
    add("sample", switch, 1, "1 = draw each character; 0 = take the most likely")
    add("length", whole(0), 2000, "number of characters to sample")
    add("temperature", positive, 1.0, "below 1 = safer text, above 1 = wilder text")
    add("top_k", whole(0), 0, "draw only from the N most likely characters; 0 = from all")
    add("top_p", nucleus, 1.0, "draw only from the likeliest with this probability together; 1 = from all")
    add("stop", escaped, "", r"end a text after it has sampled this; \n is a line end")
    add("num_samples", whole(1), 1, "number of texts, side by side; text k has the seed -seed + k - 1")
    add = flags.group("primetext")
    add("primetext", text, "", "text to feed to the model first; it is printed too")
    add("primetext_file", text, "", "file with the text to feed to the model first")
    add("unknown_chars", unknown_chars, "error", "error, skip or nearest: characters the model has never seen")
    add = flags.group("output")
    add("output", text, "", "file to write the text to, instead of standard output")
    add("color", switch, 0, "1 = color characters that the model found unlikely, for a terminal")
    add("verbose", switch, 1, "0 = print the text and nothing else")
    add = flags.group("running")
    add("gpuid", gpu_id, 0, "which GPU; -1 = CPU")
    add("opencl", switch, 0, "1 = OpenCL instead of CUDA")
    return flags


def main() -> int:
    options = flags().parse()
    say = warn if options.verbose else lambda sentence: None
    device = choose_device(options.gpuid, options.opencl, say)
    checkpoint = load_checkpoint(options.checkpoint)
    prime = encode(primetext(options.primetext, options.primetext_file, checkpoint), checkpoint, options.unknown_chars)
    stop = encode(options.stop, checkpoint, what="-stop")
    V, H, L, model = checkpoint.model_shape
    say(f"sampling from a {model} of {L} layers of {H}, trained for {checkpoint.epoch:.2f} epochs")
    if not prime:
        say("no -primetext: the first character is drawn uniformly")
    N = options.num_samples
    if N > 1 and not options.sample:
        say("with -sample 0 all texts are the same")

    # A single text is written as it grows; several are kept until all are complete.
    single = N == 1
    step = stepper(checkpoint, device, None if single else N)
    draw = chooser(options.seed, None if single else N, options.temperature, options.top_k, options.top_p)
    sampled = sample(step, draw if options.sample else most_likely, (V,) if single else (N, V), prime, options.length)
    show = shower(checkpoint, bool(options.color))
    with output(options.output) as file, StopSignals(silent=True) as signals:
        buffers = [] if single else [io.BytesIO() for _ in range(N)]
        places: list[BinaryIO] = [file] if single else [*buffers]
        texts = [Text(place, show, prime, stop) for place in places]
        for indices, log_probs in sampled:
            if single:
                texts[0].add(indices, log_probs)
            else:
                for one, index, expected in zip(texts, indices, log_probs):
                    one.add(index, expected)
            if signals.received or (stop and all(one.ended for one in texts)):
                break
        for number, buffer in enumerate(buffers, 1):
            file.write(b"----- %d -----\n%b\n" % (number, buffer.getvalue()))
        if single:
            file.write(b"\n")
    return signals.exit_status


class Text:
    """A text that grows in `file`: the primetext, and what is sampled until that ends with the indices `stop`."""

    def __init__(self, file: BinaryIO, show: Callable[..., bytes], prime: list[int], stop: list[int]) -> None:
        self._file, self._show = file, show
        self._stop, self._last = deque(stop), deque[int](maxlen=len(stop))
        self.ended = False
        file.write(b"".join(map(show, prime)))
        file.flush()

    def add(self, index: int, log_probs: np.ndarray) -> None:
        """Writes a character that was chosen from log_probs (V,), unless the text has ended."""
        if self.ended:
            return
        self._file.write(self._show(index, log_probs))
        self._file.flush()
        self._last.append(index)
        self.ended = bool(self._stop) and self._last == self._stop


def shower(checkpoint: Checkpoint, color: bool) -> Callable[..., bytes]:
    """What gives a character's bytes for the output from its index, and from what the model expected if it is known."""
    encoding = "latin-1" if checkpoint.encoding == "bytes" else "utf-8"
    alphabet = [c.encode(encoding, "replace") for c in checkpoint.vocabulary]
    if not color:
        return lambda index, log_probs=None: alphabet[index]
    # Escape sequences must not come between the bytes of a character.
    colorable = [c > " " and (c < "\x7f" or checkpoint.encoding != "bytes") for c in checkpoint.vocabulary]

    def show(index: int, log_probs: np.ndarray | None = None) -> bytes:
        if log_probs is not None and colorable[index]:
            for bound, code in COLORS:
                if log_probs[index] < np.log(bound):
                    return b"\x1b[38;5;%dm%b\x1b[0m" % (code, alphabet[index])
        return alphabet[index]

    return show


@contextmanager
def output(path: str) -> Iterator[BinaryIO]:
    """Standard output, or a new file that takes the place of `path` at the end. Raises UserError."""
    if not path:
        yield sys.stdout.buffer
        return
    if os.path.exists(path) and not os.path.isfile(path):
        raise UserError(f"-output {path} is no file; name one, new or to be overwritten")
    try:
        with replacing(Path(path)) as file:
            yield file
    except OSError as error:
        raise UserError(f"cannot write {path}: {reason(error)}") from error


def primetext(value: str, path: str, checkpoint: Checkpoint) -> str:
    """The primetext of -primetext or -primetext_file. That of a model of bytes is read as UTF-8. Raises UserError."""
    utf8 = checkpoint.encoding == "bytes"
    if not path:
        return os.fsencode(value).decode("utf-8", "surrogateescape") if utf8 else value
    if value:
        raise UserError("-primetext and -primetext_file cannot both be fed first; leave one out")
    try:
        content = Path(path).read_bytes()
        if utf8:
            return content.decode("utf-8", "surrogateescape")
        from util.text.source import new_decoder  # whose own imports take a while

        return new_decoder(checkpoint.encoding).decode(content, True)
    except OSError as error:
        raise UserError(f"cannot read {path}: {reason(error)}") from error
    except UnicodeError as error:
        raise UserError(f"{path} is not {checkpoint.encoding} text, as the model's was") from error


def stepper(checkpoint: Checkpoint, device: str, texts: int | None) -> Callable[[Any], np.ndarray]:
    """What feeds a character to the model and gives the log-probabilities of the next: numpy's on a CPU."""
    if device == "cpu":
        return Stepper(checkpoint.parameters, checkpoint.options["num_layers"], checkpoint.options["model"], texts)
    from model.char_rnn import CharRNN

    return CharRNN.from_arrays(checkpoint.model_shape, checkpoint.parameters).to(device).stepper(texts)


def escaped(value: str) -> str:
    r"""A type of flag: text with \n, \t, \r and \\ for what a command line has no easy way to say."""
    return re.sub(r"\\([ntr\\])", lambda match: {"n": "\n", "t": "\t", "r": "\r"}.get(match[1], "\\"), value)


def unknown_chars(value: str) -> str:
    """A type of flag: one of UNKNOWN_CHARS."""
    if value not in UNKNOWN_CHARS:
        raise argparse.ArgumentTypeError(f"{value!r} is not {', '.join(UNKNOWN_CHARS[:-1])} or {UNKNOWN_CHARS[-1]}")
    return value


nucleus = real(lambda x: 0 < x <= 1, "a number above 0, up to 1")


if __name__ == "__main__":
    errors.run(main)
