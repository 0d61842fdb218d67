"""Texts as they grow: what is written when, in which colors, and where they end."""

import io
import random
import re

import numpy as np
import pytest

from util.sampling.growing import GrowingText
from util.text.vocabulary import Vocabulary

BYTES = Vocabulary("".join(map(chr, range(256))), "bytes")


def grown(sampled, prime="", vocabulary=BYTES, **settings):
    """Returns what is written of a text, and whether it has ended."""
    file, indices = io.BytesIO(), vocabulary.encode(sampled)
    settings = {"stops": [], "stop_before": []} | settings
    text = GrowingText(file, vocabulary, vocabulary.encode(prime), **settings)
    for index in indices:
        if not text.ended:
            text.add(index, np.full(len(vocabulary), np.log(0.1)))
    text.complete()
    return file.getvalue().decode(), text.ended


@pytest.mark.parametrize(
    ("prime", "sampled", "written"),
    [("c", "\n\nd", "c"), ("c\n", "\nd", "c\n"), ("c\n", "d\n\ne", "c\nd")],
)
def test_a_text_ends_before_what_may_have_begun_in_its_primetext(prime, sampled, written):
    assert grown(sampled, prime, stop_before=list(b"\n\n")) == (written, True)


@pytest.mark.parametrize("separator", ["aa", "ab\nab"])
def test_separators_that_begin_again_within_themselves(separator):
    """What was held back is written once it turns out to be none, and where the text ends otherwise."""
    for seed in range(200):
        whole = "".join(random.Random(seed).choices("ab\n", k=15))
        before, end, _ = whole.partition(separator)
        assert grown(whole, stop_before=list(separator.encode())) == (before, bool(end))


class Unbuffered(io.BytesIO):
    """A file that has only what was flushed."""

    seen = b""

    def flush(self) -> None:
        self.seen = self.getvalue()


def test_what_is_sampled_can_be_read_at_once():
    """But for what may be the beginning of an end."""
    file = Unbuffered()
    text = GrowingText(file, BYTES, list(b"one"), [], list(b"\n\n"))
    assert file.seen == b"one"
    for count, sampled in enumerate(b" two three", 1):
        text.add(sampled, np.zeros(256))
        assert file.seen == b"one two three"[: 3 + max(0, count - 2)]


def test_colors_leave_the_bytes_of_a_character_together():
    """Nor is white space colored."""
    for vocabulary, written in ((BYTES, "é <x>\n道"), (Vocabulary("é道 x\n", "utf-8"), "<é> <x>\n<道>")):
        colored, _ = grown("é x\n道", vocabulary=vocabulary, color=True)
        assert re.sub(r"\x1b\[38;5;136m(.)\x1b\[0m", r"<\1>", colored) == written
