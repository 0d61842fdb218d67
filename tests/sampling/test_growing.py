"""Where a text ends."""

import io

import numpy as np
import pytest

from util.sampling.growing import GrowingText


@pytest.mark.parametrize(
    ("prime", "sampled", "written"),
    [
        ("c", "\n\nd", "c"),
        ("c\n", "\nd", "c\n"),
        ("c\n", "d\n\ne", "c\nd"),
        ("c\n\n", "\n\nd", "c\n\n"),
        ("c\n\n", "\nd\n\ne", "c\n\n\nd"),
        ("c\n\n\n", "\nd", "c\n\n\n"),
    ],
)
def test_a_text_ends_before_what_may_have_begun_in_its_primetext(prime, sampled, written):
    file = io.BytesIO()
    text = GrowingText(file, lambda index, log_probs: bytes([index]), list(prime.encode()), [], list(b"\n\n"))
    for index in sampled.encode():
        text.add(index, np.zeros(256))
    assert (file.getvalue(), text.ended) == (written.encode(), True)
