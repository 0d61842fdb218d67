"""Converts checkpoints of the original char-rnn, as util.checkpoint.t7 reads them."""

from __future__ import annotations

from typing import Any

import numpy as np

from util.checkpoint.content import Checkpoint, checked, require
from util.checkpoint.t7 import Table, as_number, listed, read_train_losses
from util.text.vocabulary import Vocabulary

LAYERS: dict[str, dict[str, tuple[int, ...]]] = {
    # A layer's linear maps, numbered in the order of the original's graph: those that side by side make our i2h and
    # h2h. A GRU has six: x to z, h to z, x to n, x to r, h to r, r h to n.
    "lstm": {"i2h": (0,), "h2h": (1,)},
    "gru": {"i2h": (0, 3, 2), "h2h": (1, 4, 5)},
    "rnn": {"i2h": (0,), "h2h": (1,)},
}


def from_char_rnn(root: Any, size: int) -> Checkpoint:
    """Returns the checkpoint in a char-rnn .t7 file of `size` bytes. Raises ValueError or LookupError if there is none.

    The vocabulary is one of bytes. The parameters are float64 if the file's are Double, and float32 if they are Float
    or come from a GPU. Iterations without a loss in the file get NaN.
    """
    if not isinstance(root, Table) or not {"opt", "vocab", "protos", "i", "train_losses"} <= root.keys():
        raise ValueError("it is a file of Torch, but not a checkpoint of char-rnn or torch-rnn")
    options, iteration = read_options(root["opt"]), as_number(root["i"])
    require(options["model"] in LAYERS, "model")
    require(all(len(character) == 1 for character in root["vocab"]), "vocabulary of bytes")
    numbered = {as_number(index): character for character, index in root["vocab"].items()}
    return checked(
        Checkpoint(
            options=options,
            vocabulary=Vocabulary("".join(listed(numbered)), "bytes"),
            parameters=read_parameters(root["protos"], LAYERS[options["model"]], size),
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
        if isinstance(value, str):
            options[name] = value.encode("latin-1").decode("utf-8", "replace")
        elif isinstance(value, float | bool):
            options[name] = as_number(value)
    return options


def read_parameters(protos: Table, layer: dict[str, tuple[int, ...]], size: int) -> dict[str, np.ndarray]:
    """Returns CharRNN's parameters by name, weights as (inputs, outputs) and a GRU's gates in the order z, r, n."""
    modules = [node["data"].get("module") for node in listed(protos["rnn"]["forwardnodes"])]
    linears = [module for module in modules if isinstance(module, Table) and module.torch_class == "nn.Linear"]
    # Linear maps that share memory could make a small file a large model.
    require(sum(linear[field].nbytes for linear in linears for field in ("weight", "bias")) <= size, "parameters")
    *linears, decoder = linears
    parameters = {"decoder.weight": decoder["weight"], "decoder.bias": decoder["bias"]}
    per_layer = sum(map(len, layer.values()))
    for start in range(0, len(linears), per_layer):
        for part, numbers in layer.items():
            weights, biases = zip(*((linears[start + n]["weight"], linears[start + n]["bias"]) for n in numbers))
            name = f"layers.{start // per_layer}.{part}"
            parameters |= {f"{name}_weight": np.concatenate(weights).T, f"{name}_bias": np.concatenate(biases)}
    return {name: np.array(array, order="C") for name, array in parameters.items()}
