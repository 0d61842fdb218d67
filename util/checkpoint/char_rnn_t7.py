"""Converts checkpoints of the original char-rnn, as util.checkpoint.t7 reads them.

Letters: V characters in the vocabulary, H outputs of a layer, L layers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from model.shapes import GATES
from util.checkpoint.content import Checkpoint, checked, require
from util.checkpoint.t7 import Table
from util.checkpoint.torch_objects import as_number, by_index, check_arrays, check_shapes, follow, read_train_losses
from util.text.vocabulary import Vocabulary

LAYERS: dict[str, dict[str, tuple[int, ...]]] = {
    # A layer's linear maps, numbered in the order of the original's graph: those that side by side make our i2h and
    # h2h. A GRU has six: x to z, h to z, x to n, x to r, h to r, r h to n.
    "lstm": {"i2h": (0,), "h2h": (1,)},
    "gru": {"i2h": (0, 3, 2), "h2h": (1, 4, 5)},
    "rnn": {"i2h": (0,), "h2h": (1,)},
}
FIELDS = dict.fromkeys(("opt", "vocab", "protos", "train_losses", "val_losses"), Table) | {"i": float, "epoch": float}


def from_char_rnn(root: Any) -> Checkpoint:
    """Returns the checkpoint in a char-rnn .t7 file. Raises ValueError with a one-sentence reason if there is none.

    The vocabulary is one of bytes. The parameters are float64 if the file's are Double, and float32 if they are Float
    or come from a GPU. Iterations without a loss in the file get NaN.
    """
    for name, kind in FIELDS.items():
        if not isinstance(follow(root, name), kind):
            raise ValueError(f"it lacks the field {name} of a char-rnn checkpoint")
    options, characters, iteration = read_options(root["opt"]), read_vocabulary(root["vocab"]), as_number(root["i"])
    return checked(
        Checkpoint(
            options=options,
            vocabulary=Vocabulary(characters, "bytes"),
            parameters=read_parameters(root["protos"], len(characters), options),
            iteration=iteration,
            epoch=root["epoch"],
            train_losses=read_train_losses(root["train_losses"], iteration),
            val_losses=dict(root["val_losses"]),
            training=None,
        )
    )


def read_options(opt: Table) -> dict[str, Any]:
    """Returns the run's flags; files from before there was a choice hold an LSTM."""
    options: dict[str, Any] = {"model": "lstm", "dropout": 0.0}
    for name, value in opt.items():
        if isinstance(name, str) and isinstance(value, str):
            options[name] = value.encode("latin-1").decode("utf-8", "replace")
        elif isinstance(name, str) and isinstance(value, float | bool):
            options[name] = as_number(value)
    require(options["model"] in LAYERS, "model")
    return options


def read_vocabulary(vocab: Table) -> str:
    """Returns the characters in the order of their indices, which the file counts from 1."""
    if any(type(c) is not str or len(c) != 1 or type(index) is not float for c, index in vocab.items()):
        raise ValueError("its vocabulary does not number single bytes")
    return "".join(by_index({as_number(index): character for character, index in vocab.items()}, "vocabulary"))


def read_parameters(protos: Table, V: int, options: dict[str, Any]) -> dict[str, np.ndarray]:
    """Returns CharRNN's parameters by name, weights as (inputs, outputs) and a GRU's gates in the order z, r, n."""
    require(all(type(options.get(name)) is int for name in ("rnn_size", "num_layers")), "rnn_size or num_layers")
    model, H, L = (options[name] for name in ("model", "rnn_size", "num_layers"))
    linears = find_linears(protos)
    per_layer = sum(len(numbers) for numbers in LAYERS[model].values())
    if len(linears) != L * per_layer + 1:
        raise ValueError(f"it has {len(linears)} nn.Linear modules, not those of a {model} with {L} layers")
    check_arrays([array for linear in linears for array in linear])
    parameters = {}
    outputs = len(GATES[model]) * H * 2 // per_layer
    for layer in range(L):
        for part, numbers in LAYERS[model].items():
            maps = [linears[layer * per_layer + number] for number in numbers]
            for linear in maps:
                check_shapes("nn.Linear", linear, [(outputs, V if layer == 0 and part == "i2h" else H), (outputs,)])
            weights, biases = zip(*maps)
            parameters[f"layers.{layer}.{part}_weight"] = np.ascontiguousarray(np.concatenate(weights).T)
            parameters[f"layers.{layer}.{part}_bias"] = np.concatenate(biases)
    check_shapes("nn.Linear", linears[-1], [(V, H), (V,)])
    weight, bias = linears[-1]
    return parameters | {"decoder.weight": weight.copy("C"), "decoder.bias": bias.copy()}


def find_linears(protos: Table) -> list[list[np.ndarray]]:
    """Returns weight (outputs, inputs) and bias of each linear map, in the order of the network's computation."""
    linears = []
    for node in by_index(follow(protos, "rnn", "forwardnodes"), "nngraph network"):
        module = follow(node, "data", "module")
        if isinstance(module, Table) and module.torch_class == "nn.Linear":
            arrays: list[Any] = [module.get("weight"), module.get("bias")]
            require(all(isinstance(array, np.ndarray) for array in arrays), "nn.Linear")
            linears.append(arrays)
    return linears
