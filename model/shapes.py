"""The shapes of a model's parameters, without torch, so that a checkpoint can be checked and sampled from without it.

Letters: V characters in the vocabulary, H units of a layer, L layers.
"""

import math

from model.cells import CELLS, Shapes


def parameter_shapes(V: int, H: int, L: int, model: str) -> Shapes:
    """Returns the shape of each of CharRNN's parameters, by its name there.

    Weights are (inputs, outputs), except for the decoder's, which is torch's own (outputs, inputs).
    """
    shapes: Shapes = {}
    for layer in range(L):
        of_layer = CELLS[model].shapes(H if layer else V, H)
        shapes |= {f"layers.{layer}.{name}": shape for name, shape in of_layer.items()}
    return shapes | {"decoder.weight": (V, H), "decoder.bias": (V,)}


def count_arrays(L: int, model: str) -> int:
    """Returns how many parameter arrays a CharRNN of L layers has."""
    return L * len(CELLS[model].shapes(1, 1)) + 2


def count_parameters(V: int, H: int, L: int, model: str) -> int:
    """Returns how many parameters a CharRNN has, without making a list as long as its layers."""
    one, two = (sum(map(math.prod, parameter_shapes(V, H, layers, model).values())) for layers in (1, 2))
    return one + (L - 1) * (two - one)
