"""Makes room in a trained model for characters that it has never seen, without disturbing what it has learned."""

import math
from dataclasses import replace

import numpy as np

from model.cells import INITIAL_RANGE
from util.checkpoint.content import Checkpoint
from util.text.vocabulary import Vocabulary
from util.torch7_random import Torch7Random

SHARE = 0.001  # the most probability that all new characters together are given


def add_characters(checkpoint: Checkpoint, new: str, seed: int) -> Checkpoint:
    """Returns the checkpoint with unknown characters added after those it knows.

    With V known characters and n new ones, a new one has the logit m + ln(SHARE·V / n), where m is the mean of the
    known logits. Since the mean of exponentials is at least the exponential of the mean, all new ones together weigh at
    most SHARE times as much as the known ones, after any text. So no log-probability of a known one falls by more than
    ln(1 + SHARE), and no new one is too unlikely to be learned. Logits are linear, so the mean of the decoder's rows
    and biases gives their mean.
    """
    old, known = checkpoint.parameters, checkpoint.vocabulary
    V, n = len(known), len(new)
    if not n:
        return checkpoint
    width = old["layers.0.i2h_weight"].shape[1]
    row = old["decoder.weight"].mean(axis=0, dtype=np.float64)
    bias = old["decoder.bias"].mean(dtype=np.float64) + math.log(SHARE * V / n)
    added = {
        "layers.0.i2h_weight": Torch7Random(seed).uniform(n * width, -INITIAL_RANGE, INITIAL_RANGE).reshape(n, width),
        "decoder.weight": np.tile(row, (n, 1)),
        "decoder.bias": np.full(n, bias),
    }
    grown = {name: np.concatenate([old[name], rows.astype(old[name].dtype)]) for name, rows in added.items()}
    vocabulary = Vocabulary(known.characters + new, known.encoding)
    return replace(checkpoint, vocabulary=vocabulary, parameters=old | grown, training=None)
