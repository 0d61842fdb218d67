"""Whether a model fits into this machine: better known before it starts to swap."""

from __future__ import annotations

import math
import os
import sys
from argparse import Namespace

from model.shapes import parameter_shapes
from util.errors import UserError


def check_memory(vocab_size: int, options: Namespace) -> None:
    """Raises UserError for sizes that are far beyond this machine."""
    shapes = parameter_shapes(vocab_size, options.rnn_size, 1, options.model).values()
    layer = sum(math.prod(shape) for shape in shapes)
    values = options.num_layers * (layer + 8 * options.batch_size * options.seq_length * options.rnn_size)
    needed, there = 4 * values, physical_memory()
    if needed > there:
        raise UserError(
            f"this model needs more than {needed >> 30} GB of memory, and this machine has {there >> 30}; "
            "a smaller model, -batch_size or -seq_length needs less"
        )


def physical_memory() -> int:
    """Returns the bytes of memory in this machine, or sys.maxsize if the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError):
        return sys.maxsize
