"""Samples text from a checkpoint, character by character.

python sample.py cv -temperature 0.7 -primetext "ROMEO:"
"""

if __name__ == "__main__":
    import os
    import sys

    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # which python -P and -I leave out
    import util.cli.early  # noqa: F401  (before the other imports)

import io
from argparse import Namespace
from dataclasses import fields
from pathlib import Path
from typing import BinaryIO

from util.checkpoint.choice import best_checkpoint
from util.cli import console
from util.cli.console import tell
from util.cli.device import choose_device
from util.cli.files import output, read_input
from util.cli.flags import FILE, STRING, SWITCH, Flags, unescape, whole
from util.cli.signals import StopSignals
from util.errors import UserError
from util.sampling.growing import numbered
from util.sampling.prompts import about, answers, json_line, read_prompts
from util.sampling.settings import Settings
from util.sampling.writing import Writer, encode_primetext, primetext
from util.text.vocabulary import Vocabulary


def flags() -> Flags:
    flags = Flags("Samples text from a checkpoint.", 'python sample.py CHECKPOINT -length 500 -primetext "The "')
    flags.add_checkpoint()
    add = flags.group("sampling")
    for setting in fields(Settings):
        default = [] if setting.name == "stop" else setting.default  # [] if it may be given several times
        add(setting.name, default=default, **setting.metadata)
    add("num_samples", whole(1, 100_000), 1, "number of texts to sample side by side, with seeds -seed, -seed + 1, ...")
    add = flags.group("primetext")
    add("primetext", STRING, "", r"text to start with, which is printed as well; \n is a newline, as in -stop")
    add("primetext_file", FILE, "", "file to read the primetext from; - = standard input")
    add("prompts", FILE, "", "file of primetexts, a line each, to answer with lines of JSON; - = standard input")
    add = flags.group("output")
    add("output", FILE, "", "file to write the text to; - = standard output, the default")
    add("echo", SWITCH, 1, "0 = leave the primetext out of what is written")
    add("json", SWITCH, 0, "1 = write each text as a line of JSON, with its seed and what else a program may ask")
    add("color", SWITCH, 0, "1 = color the characters that the model found unlikely, for a terminal")
    add("verbose", SWITCH, 1, "0 = print nothing but the text")
    flags.add_machine(-1, "GPU to use; -1 = CPU, which is faster unless the model is very large")
    return flags


def main() -> int:
    options = flags().parse()
    if (options.json or options.prompts) and options.color:
        raise UserError("-color is for a terminal; leave it out with -json and -prompts")
    if options.prompts and options.given & {"primetext", "primetext_file", "num_samples"}:
        raise UserError("-prompts answers each line of its own with one text; leave out -primetext and -num_samples")
    say = tell if options.verbose else lambda sentence: None
    device = choose_device(options.gpuid, options.opencl, say)
    path, checkpoint = best_checkpoint(options.checkpoint, say)
    vocabulary, unit = checkpoint.vocabulary, checkpoint.vocabulary.unit
    chosen = {setting.name: getattr(options, setting.name) for setting in fields(Settings)}
    chosen["stop"] = [unescape(stop) for stop in options.stop]
    settings = Settings(**chosen)
    start = read_primetext(options.primetext, options.primetext_file, vocabulary)
    prime = encode_primetext(vocabulary, start, options.unknown_chars)
    signals = StopSignals(silent=True)
    writer = Writer(checkpoint, device, lambda: signals.received)
    writer.ends(settings)  # which may refuse them, before anything is said
    _, H, L, model = checkpoint.model_shape
    say(f"sampling from {model} with {L} layer{'s' * (L > 1)} of {H}, trained for {checkpoint.trained}")
    if not prime and not options.prompts:
        why = f"the model knows no {unit} of the primetext" if start else "no -primetext given"
        uniform = f"the first {unit} is drawn uniformly"
        say(f"{why}: {'the text begins with a new document' if writer.document_end else uniform}")

    reads = [path, *(Path(name) for name in (options.primetext_file, options.prompts) if name)]
    if options.output:
        from util.checkpoint.text_of_checkpoint import text_of_run  # which would slow the start of all others

        text = text_of_run(checkpoint.options, checkpoint.text_sha256)
        reads += text.files if text else ()
    with output(options.output or "-", "-output", reads) as file:
        if options.prompts:
            return answer_prompts(writer, options.prompts, settings, bool(options.echo), file)
        with signals:
            write_texts(writer, prime, settings, options, file)
    return signals.exit_status


def write_texts(writer: Writer, prime: list[int], settings: Settings, options: Namespace, file: BinaryIO) -> None:
    """Writes -num_samples texts to a file."""
    # A single text is written as it grows; several are held until all are complete.
    held = [io.BytesIO() for _ in range(options.num_samples)] if options.num_samples > 1 or options.json else []
    texts = writer.write(prime, settings, held or [file], bool(options.echo), bool(options.color))
    contents = [text.getvalue() for text in held]
    if options.json:
        for k, (text, content) in enumerate(zip(texts, contents)):
            file.write(json_line(about(text, content, (settings.seed + k) % 2**32)))
    elif held:
        file.write(numbered(contents))
    elif not (options.output and writer.vocabulary.is_bytes):  # which may be no text, so nothing is added
        file.write(b"\n")


def answer_prompts(writer: Writer, path: str, settings: Settings, echo: bool, file: BinaryIO) -> int:
    """Answers the prompts in a file as they come, until Ctrl-C ends it; returns the exit status."""
    try:
        for answer in answers(writer, read_prompts(path), settings, echo):
            file.write(answer)
            file.flush()
    except KeyboardInterrupt:  # what is in the file stays
        return 130
    return 0


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


if __name__ == "__main__":
    console.run(main)
