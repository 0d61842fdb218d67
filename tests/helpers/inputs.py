"""What small runs are made of: where things are, a text, and flags."""

import itertools
import re
from functools import cache
from pathlib import Path

import numpy as np

from tests.golden.numbers_corpus import corpus

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"

TINY = ("-gpuid=-1", "-rnn_size=4", "-num_layers=1", "-batch_size=5", "-seq_length=5")
"""Flags of the smallest model there is."""
SMALL = ("-gpuid=-1", "-rnn_size=8", "-batch_size=4", "-seq_length=10", "-savefile=s")
"""Flags for a text of `numbers(140)`, for which an epoch has EPOCH iterations."""
EPOCH = 57


@cache
def numbers(count: int) -> bytes:
    """Names the first numbers in ASCII: 140 of them are 2471 bytes, 200 are 4341 of 32 different characters."""
    return corpus(count).encode()


@cache
def names(count: int) -> str:
    """Made-up first names, a line each: 320 of them are 2465 characters."""
    syllables = re.findall("[A-Z][a-z]+", "AnBelCaDorElFiGusHaIlJoKaLinMarNaOrPeRiSaToVin")
    words = ("".join(parts).capitalize() for size in (2, 3) for parts in itertools.product(syllables, repeat=size))
    chosen = np.random.RandomState(0).permutation(list(words))[:count]
    return "".join(f"{name}\n" for name in chosen)
