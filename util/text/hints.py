"""Guesses what a file is that is not the text that it was taken for."""

import re
from collections.abc import Iterator
from contextlib import suppress

SIGNATURES = {  # how files begin that are no text in most encodings, and what they are
    rb"\xff\xfe|\xfe\xff": "UTF-16; convert it or, for a new model, try -encoding utf-16",
    rb"\x1f\x8b": "compressed by gzip; give it a name that ends in .gz",
    rb"PK\x03\x04": "a zip archive, as .docx and .epub files are; unpack it and take the text in it",
    rb"%PDF": "a PDF; save its text and take that",
    rb"\x89PNG|\xff\xd8\xff": "a picture",
    rb"(..)*?([^\0]\0){8}": "UTF-16; convert it or, for a new model, try -encoding utf-16-le",
    rb"(..)*?(\0[^\0]){8}": "UTF-16; convert it or, for a new model, try -encoding utf-16-be",
}


def what_it_may_be(beginning: bytes, content: bytes, encoding: str) -> str:
    """Returns what a file seems to be that is not text in an encoding, and what to do with it."""
    for start, what in SIGNATURES.items():
        if re.match(start, beginning, re.DOTALL) and "16" not in encoding:
            return f"it seems to be {what}"
    likely = "latin-1 or bytes, which accept any file"
    mostly_ascii = 3 * len(content.translate(None, bytes(range(0x80)))) < len(content)
    with suppress(UnicodeError):
        # UTF-8 has no such byte after ASCII.
        if content.decode("cp1252") and mostly_ascii and re.search(rb"[\0-\x7f][\x80-\x9f]", content):
            likely = "cp1252, which has quotes and dashes at 0x80 to 0x9f"
    return f"convert it or, for a new model, try -encoding {likely}"


def doubts(vocabulary: str, encoding: str) -> Iterator[str]:
    """Yields what makes one doubt that a text with these characters was meant to be read like this."""
    if "\r" in vocabulary and "\n" not in vocabulary:
        yield r"its lines end with a carriage return alone; tr '\r' '\n' makes that a newline"
    if "\0" in vocabulary and not re.search("bytes|16|32", encoding):
        yield "it has NUL characters; if it is UTF-16, say so with -encoding utf-16-le or utf-16-be"
    if encoding == "iso8859-1" and re.search("[\x80-\x9f]", vocabulary):
        yield "it has bytes from 0x80 to 0x9f; if they are quotes and dashes, use -encoding cp1252"
