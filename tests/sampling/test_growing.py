"""Texts as they grow: what is written when, in which colors, and where they end."""

import io
import random
import re

import numpy as np
import pytest

from util.sampling.growing import GrowingText, grow
from util.text.vocabulary import Vocabulary

BYTES = Vocabulary("".join(map(chr, range(256))), "bytes")


@pytest.mark.parametrize(
    ("prime", "sampled", "written"),
    [("c", "\n\nd", "c"), ("c\n", "\nd", "c\n"), ("c\n", "d\n\ne", "c\nd")],
)
def test_a_text_ends_before_what_may_have_begun_in_its_primetext(prime, sampled, written):
    file = io.BytesIO()
    text = GrowingText(file, BYTES, list(prime.encode()), [], list(b"\n\n"))
    grow([text], iter([(np.array([index]), np.zeros((1, 256))) for index in sampled.encode()]))
    assert (file.getvalue(), text.ended) == (written.encode(), True)


@pytest.mark.parametrize("separator", ["aa", "ab\nab"])
def test_separators_that_begin_again_within_themselves(separator):
    """What was held back is written once it turns out to be none, and where the text ends otherwise."""
    for seed in range(200):
        whole, file = "".join(random.Random(seed).choices("ab\n", k=15)), io.BytesIO()
        text = GrowingText(file, Vocabulary("ab\n", "utf-8"), [], [], ["ab\n".index(c) for c in separator])
        for c in whole:
            if not text.ended:
                text.add("ab\n".index(c), np.zeros(3))
        text.complete()
        assert file.getvalue().decode() == whole.partition(separator)[0]


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
    for vocabulary in (BYTES, Vocabulary("é道 x\n", "utf-8")):
        file = io.BytesIO()
        text = GrowingText(file, vocabulary, [], [], [], color=True)
        for index in vocabulary.encode("é x\n道"):
            text.add(index, np.full(len(vocabulary), np.log(0.1)))
        colored = re.sub(r"\x1b\[38;5;136m(.)\x1b\[0m", r"<\1>", file.getvalue().decode())
        assert colored == ("é <x>\n道" if vocabulary is BYTES else "<é> <x>\n<道>")
