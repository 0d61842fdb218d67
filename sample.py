"""Samples text from a checkpoint, character by character.

python sample.py cv -temperature 0.7 -primetext "ROMEO:"
"""

from __future__ import annotations

if __name__ == "__main__":
    import os
    import sys

    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # which python -P and -I leave out
    import util.cli.early  # noqa: F401  (before the other imports)

import io
import json
from itertools import count
from pathlib import Path

from util.checkpoint.choice import best_checkpoint
from util.checkpoint.content import Checkpoint
from util.cli import console
from util.cli.console import tell
from util.cli.device import choose_device
from util.cli.files import output, read_input
from util.cli.flags import POSITIVE, SEED, STRING, SWITCH, Flags, choice, real, unescape, whole
from util.cli.signals import StopSignals
from util.errors import UserError
from util.sampling.drawing import Predict, drawing, most_likely
from util.sampling.growing import GrowingText, grow, numbered
from util.sampling.writing import document_end, encode_primetext, primetext, written
from util.text.vocabulary import Vocabulary
from util.torch7_random import DEFAULT_SEED


def flags() -> Flags:
    flags = Flags("Samples text from a checkpoint.", 'python sample.py CHECKPOINT -length 500 -primetext "The "')
    flags.add_checkpoint()
    add = flags.group("sampling")
    temperature = real(POSITIVE.accepts, f"{POSITIVE.wanted}; -sample 0 always takes the most likely character")
    add("seed", SEED, DEFAULT_SEED, "seed for the random numbers")
    add("sample", SWITCH, 1, "1 = draw each character at random; 0 = always take the most likely")
    add("length", whole(0), 2000, "number of characters to sample")
    add("temperature", temperature, 1.0, "below 1 = safer text, above 1 = wilder text")
    add("top_k", whole(0), 0, "draw only from the N most likely characters; 0 = all")
    nucleus = real(lambda x: 0 < x <= 1, "a number above 0 and at most 1")
    add("top_p", nucleus, 1.0, "draw only from the most likely characters that together have this probability")
    add("stop", STRING, "", r"end a text once it has produced this; \n is a newline")
    add("stop_document", SWITCH, 0, "1 = end a text with its document, if the model was trained with -document_end")
    add("num_samples", whole(1), 1, "number of texts to sample side by side; text k uses seed -seed + k - 1")
    add = flags.group("primetext")
    add("primetext", STRING, "", r"text to start with, which is printed as well; \n is a newline, as in -stop")
    add("primetext_file", STRING, "", "file to read the primetext from; - = standard input")
    unseen = "what to do with a character of the primetext that the model has never seen"
    add("unknown_chars", choice("error", "skip", "nearest"), "error", unseen)
    add = flags.group("output")
    add("output", STRING, "", "file to write the text to; - = standard output, the default")
    add("json", SWITCH, 0, "1 = write each text as a line of JSON: text, seed, whether it ended by itself, bits")
    add("color", SWITCH, 0, "1 = color the characters that the model found unlikely, for a terminal")
    add("verbose", SWITCH, 1, "0 = print nothing but the text")
    flags.add_machine(-1, "GPU to use; -1 = CPU, which is faster unless the model is very large")
    return flags


def main() -> int:
    options = flags().parse()
    if options.json and options.color:
        raise UserError("-color is for a terminal; leave it out with -json")
    say = tell if options.verbose else lambda sentence: None
    device = choose_device(options.gpuid, options.opencl, say)
    path, checkpoint = best_checkpoint(options.checkpoint, say)
    vocabulary, N = checkpoint.vocabulary, options.num_samples
    unit = vocabulary.unit
    start = read_primetext(options.primetext, options.primetext_file, vocabulary)
    prime = encode_primetext(vocabulary, start, options.unknown_chars)
    stop = vocabulary.encode(unescape(options.stop), what="-stop")
    stop_before = document_end(checkpoint, needed=True) if options.stop_document else []
    _, H, L, model = checkpoint.model_shape
    say(f"sampling from {model} with {L} layer{'s' * (L > 1)} of {H}, trained for {checkpoint.trained}")
    if not prime:
        why = f"the model knows no {unit} of the primetext" if start else "no -primetext given"
        uniform = f"the first {unit} is drawn uniformly"
        say(f"{why}: {'the text begins with a new document' if document_end(checkpoint) else uniform}")

    draw = drawing(options.seed, N, options.temperature, options.top_k, options.top_p)
    choose = draw if options.sample else most_likely
    sampled = written(checkpoint, options.length, prime, N, choose, stepper(checkpoint, device, N))
    reads = [path, *([Path(options.primetext_file)] if options.primetext_file else [])]
    if options.output:
        from util.checkpoint.text_of_checkpoint import find_text_of  # which would slow the start of all others

        text = find_text_of(checkpoint, "")
        reads += text.files if text else ()
    with output(options.output or "-", "-output", reads) as file, StopSignals(silent=True) as signals:
        # A single text is written as it grows; several are held until all are complete.
        held = [io.BytesIO() for _ in range(N)] if N > 1 or options.json else []
        color = bool(options.color)
        texts = [GrowingText(one, vocabulary, prime, stop, stop_before, color) for one in held or (file,)]
        grow(texts, sampled, lambda: bool(signals.received))
        contents = [text.getvalue() for text in held]
        if options.json:
            file.write(b"".join(map(json_line, texts, contents, count(options.seed))))
        elif held:
            file.write(numbered(contents))
        elif not (options.output and vocabulary.is_bytes):  # which may be no text, so nothing is added
            file.write(b"\n")
    return signals.exit_status


def json_line(text: GrowingText, content: bytes, seed: int) -> bytes:
    about = {"text": content.decode(errors="replace"), "seed": seed % 2**32, "ended": text.ended, "bits": text.bits}
    return json.dumps(about, ensure_ascii=False).encode() + b"\n"


def read_primetext(text: str, path: str, vocabulary: Vocabulary) -> str:
    """Returns what -primetext says, or what is in the file that -primetext_file names. Raises UserError."""
    if not path:
        return primetext(vocabulary, text)
    if text:
        raise UserError("-primetext and -primetext_file cannot be combined; leave one out")
    content = read_input(path)
    try:
        if vocabulary.is_bytes:
            return content.decode("utf-8", "surrogateescape")
        from util.text.source import new_decoder  # which would slow the start of all others

        return new_decoder(vocabulary.encoding).decode(content, True)
    except UnicodeError as error:
        raise UserError(f"{path} is not {vocabulary.encoding} text, which is what the model was trained on") from error


def stepper(checkpoint: Checkpoint, device: str, texts: int) -> Predict | None:
    """Returns what computes the model on a GPU; on a CPU nothing, since that needs only numpy."""
    if device == "cpu":
        return None
    from model.char_rnn import CharRNN

    return CharRNN.from_arrays(checkpoint.model_shape, checkpoint.parameters).to(device).stepper(texts)


if __name__ == "__main__":
    console.run(main)
