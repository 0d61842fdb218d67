"""Texts that grow character by character, in files, and files of several texts."""

import math
import re
from collections import deque
from collections.abc import Sequence
from typing import BinaryIO

import numpy as np

from util.text.vocabulary import Vocabulary

# Colors, of the terminal's 256, for characters below these probabilities.
COLORS = ((0.01, 160), (0.05, 166), (0.2, 136), (0.5, 65))


class GrowingText:
    """Writes a text to `file`: the indices `prime`, then sampled ones until they end with one of `stops`.

    The text also ends just before the indices `stop_before`, so as many characters as those are held back meanwhile.
    Without `echo`, `prime` is not written. With `color`, what the model found unlikely is colored.
    """

    def __init__(
        self, file: BinaryIO, vocabulary: Vocabulary, prime: Sequence[int], stops: Sequence[list[int]],
        stop_before: list[int], echo: bool = True, color: bool = False,
    ) -> None:  # fmt: skip
        self._file, self._vocabulary, self._color = file, vocabulary, color
        self.primetext, self.echo = b"".join(vocabulary.written[index] for index in prime), echo
        self._stops, self._stop_before = stops, stop_before
        self._recent = deque(prime, maxlen=max(map(len, [*stops, stop_before])))
        self._held = deque[bytes]()
        self._count, self._surprise = 0, 0.0
        self.ended = False
        """Whether one of `stops` or `stop_before` came."""
        if echo:
            self._write(self.primetext)

    def add(self, index: int, log_probs: np.ndarray) -> None:
        """Adds a character that was chosen from log_probs (V,)."""
        log_prob = float(log_probs[index])
        self._count += 1
        self._surprise -= log_prob
        self._held.append(self._shown(index, math.exp(log_prob)))
        self._recent.append(index)
        if len(self._held) > len(self._stop_before):
            self._write(self._held.popleft())
        recent, before = [*self._recent], self._stop_before
        if before and recent[-len(before) :] == before:  # it may begin in the primetext, which none of `stops` may
            self._held.clear()
            self.ended = True
        self.ended |= any(self._count >= len(stop) and recent[-len(stop) :] == stop for stop in self._stops)

    def complete(self) -> None:
        """Writes what was held back, since no more will come."""
        self._write(*self._held)

    @property
    def bits(self) -> float | None:
        """The mean surprise in bits of the sampled characters; None if there are none."""
        return self._surprise / self._count / math.log(2) if self._count else None

    def _shown(self, index: int, probability: float) -> bytes:
        character = self._vocabulary.written[index]
        # Escape sequences must not come between the bytes of a character.
        if self._color and self._vocabulary.stands_alone(index):
            code = next((code for bound, code in COLORS if probability < bound), None)
            return b"\x1b[38;5;%dm%b\x1b[0m" % (code, character) if code else character
        return character

    def _write(self, *characters: bytes) -> None:
        self._file.write(b"".join(characters))
        self._file.flush()


def numbered(texts: list[bytes]) -> bytes:
    """Returns several texts as one file, each after a line with its number."""
    return b"".join(b"----- %d -----\n%b\n" % (number, text) for number, text in enumerate(texts, 1))


def texts_in(content: str) -> list[str]:
    """Returns the texts in a file that sample.py wrote: one text and a newline, or several from `numbered`."""
    parts = re.split(r"^----- (\d+) -----\n", content, flags=re.MULTILINE)
    if parts[0] or parts[1::2] != [str(number) for number in range(1, len(parts) // 2 + 1)]:
        parts = ["", "1", content]
    return [part.removesuffix("\n") for part in parts[2::2]]
