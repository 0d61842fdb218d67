"""Texts as they are after loading."""

from pathlib import Path

from util.text.cache import Text, load_text
from util.text.source import Source


def text_of(folder: Path, content: bytes, encoding: str = "utf-8") -> str:
    """Returns the text that the loader makes of a file with this content."""
    (folder / "input.txt").write_bytes(content)
    return characters(load_text(Source(folder / "input.txt"), encoding))


def characters(text: Text) -> str:
    return "".join(text.vocabulary.characters[i] for i in text.indices)


MIXED = (
    "a\r\nb\rc\n é e\u0301 \u05d0\u05b7 \u0645\u200f न道 😀 👩\u200d🚀\U0001f3fd \u0000\ud7ff\ue000\uffff\U0010ffff" * 2
)
