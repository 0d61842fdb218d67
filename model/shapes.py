"""What each cell is made of: its gates, its states, and the shapes of its parameters.

Without torch, so that a checkpoint can be read, checked and sampled from without it.

Letters: V characters in the vocabulary, H outputs of a layer, L layers, G gates.
"""

from __future__ import annotations

import math

GATES = {"lstm": ("i", "f", "o", "g"), "gru": ("z", "r", "n"), "rnn": ("h",)}
"""A cell's gates, in the order of their blocks in its weights (inputs, G·H)."""
STATES = {"lstm": ("c", "h"), "gru": ("h",), "rnn": ("h",)}
"""What a cell carries from one step to the next, in the order of the state (L, states, B, H); the output h is last."""


def parameter_shapes(V: int, H: int, L: int, model: str) -> dict[str, tuple[int, ...]]:
    """Returns the shape of each of CharRNN's parameters, by its name there.

    Weights are (inputs, outputs), except for the decoder's, which is torch's own (outputs, inputs).
    """
    width = len(GATES[model]) * H
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in range(L):
        shapes[f"layers.{layer}.i2h_weight"] = (V if layer == 0 else H, width)
        shapes[f"layers.{layer}.i2h_bias"] = (width,)
        shapes[f"layers.{layer}.h2h_weight"] = (H, width)
        shapes[f"layers.{layer}.h2h_bias"] = (width,)
    return shapes | {"decoder.weight": (V, H), "decoder.bias": (V,)}


def count_parameters(V: int, H: int, L: int, model: str) -> int:
    """Returns how many parameters a CharRNN has, without making a list as long as its layers."""
    one, two = (sum(math.prod(shape) for shape in parameter_shapes(V, H, layers, model).values()) for layers in (1, 2))
    return one + (L - 1) * (two - one)
