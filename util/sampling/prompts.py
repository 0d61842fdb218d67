"""Answers many prompts in one process: a line each, which is a primetext or a JSON object, with a line of JSON."""

import io
import json
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from typing import Any

from util.cli.files import refusal_to_read
from util.errors import UserError
from util.sampling.growing import GrowingText
from util.sampling.settings import Settings
from util.sampling.writing import Writer, encode_primetext, primetext
from util.text.vocabulary import Vocabulary

LONGEST = 1 << 20
"""So many bytes a line may have; without a bound, one that never ends would fill the memory."""


def read_prompts(path: str) -> Iterator[bytes]:
    """Yields the lines of a file as they come, cut off after `LONGEST` bytes and one more; `-` is standard input.

    Raises UserError if it cannot be read.
    """
    try:
        with open(0 if path == "-" else path, "rb", closefd=path != "-") as file:
            mark = BOM_UTF8  # which Windows puts in front of a text
            while line := file.readline(LONGEST + 2):
                rest = line
                while len(rest) >= LONGEST and not rest.endswith(b"\n"):
                    rest = file.readline(LONGEST)
                yield line.removeprefix(mark).rstrip(b"\r\n")[: LONGEST + 1]
                mark = b""
    except OSError as error:
        raise refusal_to_read(path, error) from error


def answers(writer: Writer, prompts: Iterable[bytes], settings: Settings, echo: bool) -> Iterator[bytes]:
    """Yields a line of JSON for each prompt; what a prompt does not say is in `settings`."""
    for line in prompts:
        try:
            start, own = parsed(line, settings, writer.vocabulary)
            prime, file = encode_primetext(writer.vocabulary, start, own.unknown_chars), io.BytesIO()
            (text,) = writer.write(prime, own, [file], echo)
            answer = about(text, file.getvalue(), own.seed)
        except UserError as error:
            answer = {"error": str(error)}
        yield json_line(answer)


def parsed(line: bytes, settings: Settings, vocabulary: Vocabulary) -> tuple[str, Settings]:
    """Returns the primetext of a line, and its settings. Raises UserError if it is no valid prompt."""
    if len(line) > LONGEST:
        raise UserError(f"the line has more than {LONGEST} bytes")
    prompt = line.decode(errors="surrogateescape")
    if not prompt.startswith("{"):
        return primetext(vocabulary, prompt), settings
    try:
        said = json.loads(prompt)
    except (ValueError, RecursionError) as error:
        if type(error) is ValueError:  # Python's bound for whole numbers; json has an error of its own
            raise UserError("the line has a number of too many digits") from error
        raise UserError('a line that begins with { must be a JSON object, as {"primetext": "{"} is') from error
    return said.pop("primetext", ""), settings.but(said)


def about(text: GrowingText, content: bytes, seed: int) -> dict[str, Any]:
    """Returns what -json 1 tells of a text whose file has this content."""
    prime = text.primetext
    parts = {"text": content, "primetext": prime, "continuation": content[len(prime) :] if text.echo else content}
    decoded = {name: part.decode(errors="replace") for name, part in parts.items()}
    return decoded | {"seed": seed, "ended": text.ended, "bits": text.bits}


def json_line(answer: dict[str, Any]) -> bytes:
    return json.dumps(answer, ensure_ascii=False).encode(errors="replace") + b"\n"
