"""Where a text ends."""

import io
import random

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
    grow([text], iter([(np.array([index]), np.zeros((1, 256))) for index in sampled.encode()]), lambda: False)
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
