"""The characters that a model knows: converts text to indices, and indices back to text and bytes.

A model learns the characters of some encoding, or bytes. For bytes, `encoding` is "bytes", the characters 0 to 255
stand for the bytes with these numbers, and text is converted to and from them as UTF-8.
"""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from util.errors import UserError

UNICODE_SIZE = 0x110000
PUNCTUATION = str.maketrans(dict.fromkeys("‘’‚‛′", "'") | dict.fromkeys("“”„‟″«»", '"') | dict.fromkeys("‐‑‒–—―−", "-"))  # noqa: RUF001


@dataclass
class Vocabulary:
    """Characters in the order of their indices."""

    characters: str
    encoding: str

    def __len__(self) -> int:
        return len(self.characters)

    @property
    def is_bytes(self) -> bool:
        return self.encoding == "bytes"

    @property
    def unit(self) -> str:
        """What the model reads and writes, in words."""
        return "byte" if self.is_bytes else "character"

    @property
    def fits_encoding(self) -> bool:
        """Whether the characters can be those of the encoding: as bytes they are numbered from 0 to 255."""
        return not self.is_bytes or max(self.characters) < "\u0100"

    @cached_property
    def index(self) -> dict[str, int]:
        """The index of each character."""
        return {c: i for i, c in enumerate(self.characters)}

    @cached_property
    def by_code(self) -> np.ndarray:
        """The index of each code point, int64 (UNICODE_SIZE,); -1 for those that are not in the vocabulary."""
        indices = np.full(UNICODE_SIZE, -1)
        indices[[ord(c) for c in self.characters]] = np.arange(len(self))
        return indices

    @cached_property
    def written(self) -> list[bytes]:
        """The bytes to write for each index: the byte itself for a byte model, otherwise UTF-8."""
        return [c.encode("latin-1" if self.is_bytes else "utf-8", "replace") for c in self.characters]

    def stands_alone(self, index: int) -> bool:
        """Whether a character is visible by itself: neither white space nor one byte of a longer character."""
        c = self.characters[index]
        return c > " " and (c < "\x7f" or not self.is_bytes)

    def decode(self, indices: Iterable[int]) -> str:
        """Returns the text of indices; bytes are decoded as UTF-8, with replacement characters for invalid ones."""
        text = "".join(self.characters[index] for index in indices)
        return text.encode("latin-1").decode("utf-8", "replace") if self.is_bytes else text

    def encode(
        self, text: str, unknown: str = "error", what: str = "the text", advice: str = "leave it out"
    ) -> list[int]:
        """Returns the indices of a text.

        `unknown` says what to do with a character that the model has never seen: `error` raises UserError, `skip`
        leaves it out, and `nearest` takes one that differs only in case, accents or the shape of quotes and dashes, or
        leaves it out if there is none. `what` names the text in the error, and `advice` says what to do.
        """
        encoded: list[int] = []
        for c in text:
            indices = self.nearest(c) if unknown == "nearest" else self.indices_if_known(c)
            if not indices and unknown == "error":
                strange = f"{c!r}, which the model has never seen"
                if not self.is_bytes and "\udc80" <= c <= "\udcff":  # so Python reads a byte that is no character
                    strange = f"the byte 0x{ord(c) - 0xDC00:02x}, which is not UTF-8 there"
                raise UserError(f"{what} contains {strange}; {advice}")
            encoded += indices
        return encoded

    def indices_if_known(self, c: str) -> list[int]:
        """Returns the index of a character, for bytes those of its UTF-8; none if the model has never seen it."""
        try:
            return [self.index[symbol] for symbol in (as_bytes(c) if self.is_bytes else c)]
        except (KeyError, UnicodeEncodeError):  # half of a surrogate pair cannot be encoded
            return []

    def nearest(self, c: str) -> list[int]:
        """Returns the indices of a character or of one that is like it; none if the model has never seen any."""
        return next(filter(None, map(self.indices_if_known, (c, *alike(c)))), [])

    def without_nearest(self, text: str) -> str:
        """Returns the characters of a text that `encode` leaves out with `nearest`, each once."""
        return "".join(c for c in dict.fromkeys(text) if not self.nearest(c))

    def named(self, characters: str, most: int = 5) -> str:
        """Returns a list of characters for a message, as Python writes them, cut off after `most` of them."""
        some = [repr(c.encode("latin-1") if self.is_bytes else c) for c in characters[:most]]
        return ", ".join(some) + (", ..." if len(characters) > most else "")

    def unknown(self, text: str) -> str:
        """Returns the characters of a text, which are 0 to 255 for bytes, that the vocabulary lacks, sorted."""
        return "".join(sorted(set(text) - set(self.characters)))

    def indices_of(self, codes: np.ndarray, what: str, advice: str = "remove them") -> np.ndarray:
        """Returns the indices of characters, given by code point. Raises UserError if `what` contains unknown ones."""
        indices = self.by_code[codes]
        unknown = "".join(map(chr, np.unique(codes[indices < 0])))
        if unknown:
            named = self.named(unknown)
            raise UserError(f"{what} contains characters that the model has never seen: {named}; {advice}")
        return indices


def as_bytes(text: str) -> str:
    """Returns what a model of bytes reads of a text: the bytes of its UTF-8, each as the character of its number."""
    return text.encode("utf-8", "surrogateescape").decode("latin-1")


def alike(c: str) -> list[str]:
    """Returns substitutes, closest first: cp1252 read as latin-1, other case, no accents, plain quotes and dashes."""
    parts = unicodedata.normalize("NFKD", c.translate(PUNCTUATION))
    plain = "".join(part for part in parts if not unicodedata.combining(part))
    misread = c.encode("cp1252", "ignore").decode("latin-1")
    return [*misread, c.lower(), c.upper(), plain, plain.lower(), plain.upper(), plain.casefold()]
