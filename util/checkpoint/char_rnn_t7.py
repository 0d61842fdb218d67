"""Checkpoints of the original char-rnn, as util.checkpoint.t7 reads them, in the form of util.checkpoint.

Letters: V characters in the vocabulary, H outputs of a layer, L layers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from model.shapes import GATES
from util.checkpoint.content import FORMAT, VERSION
from util.checkpoint.t7 import Table
from util.checkpoint.torch_objects import check_arrays, follow, read_train_losses, shown, text, whole

LAYERS: dict[str, dict[str, tuple[int, ...]]] = {
    # A layer's linear maps, numbered in the order of the original's graph: which of them, side by side, are our i2h
    # and h2h. A GRU has six, for x to z, h to z, x to n, x to r, h to r, r h to n.
    "lstm": {"i2h": (0,), "h2h": (1,)},
    "gru": {"i2h": (0, 3, 2), "h2h": (1, 4, 5)},
    "rnn": {"i2h": (0,), "h2h": (1,)},
}

Linear = tuple[np.ndarray, np.ndarray]


def t7_content(root: Any) -> dict[str, Any]:
    """What a .t7 checkpoint of char-rnn holds, as `util.checkpoint.content.from_content` takes it.

    The vocabulary is one of bytes; the parameters are float64 where the file's are Double, and float32 where they are
    Float or come from a GPU. Iterations of which the file has no loss have the training loss NaN. Raises ValueError
    with one sentence where `root`, the object in the file, is something else.
    """
    check_origin(root)
    options = read_options(root["opt"])
    vocabulary = read_vocabulary(root["vocab"])
    iteration = whole(root["i"], "i")
    return {
        "format": FORMAT,
        "version": VERSION,
        "options": options,
        "vocabulary": vocabulary,
        "encoding": "bytes",
        "parameters": read_parameters(root["protos"], len(vocabulary), options),
        "iteration": iteration,
        "epoch": root["epoch"],
        "train_losses": read_train_losses(root["train_losses"], iteration),
        "val_losses": dict(root["val_losses"]),
        "training": None,
    }


def check_origin(root: Any) -> None:
    """Raises ValueError, with what was found, where char-rnn did not write the object."""
    if not isinstance(root, Table):
        raise ValueError(f"it holds a {type(root).__name__} and no checkpoint")
    if root.torch_class is not None:
        raise ValueError(f"it holds an object of class {shown(root.torch_class)} and not char-rnn's table")
    kinds = {"opt": Table, "vocab": Table, "protos": Table, "i": float, "epoch": float}
    for name, kind in (kinds | {"train_losses": Table, "val_losses": Table}).items():
        if not isinstance(root.get(name), kind):
            found = ", ".join(sorted(map(shown, root))[:10])
            raise ValueError(f"it has no {name} such as char-rnn's checkpoints have, but {found or 'nothing'}")


def read_options(opt: Table) -> dict[str, Any]:
    """The run's flags; the model is an LSTM in files from before there was a choice."""
    options: dict[str, Any] = {"model": "lstm", "dropout": 0.0}
    for name, value in opt.items():
        if isinstance(name, str) and isinstance(value, str | float):
            options[text(name)] = text(value) if isinstance(value, str) else as_number(value)
        elif isinstance(name, str) and isinstance(value, bool):
            options[text(name)] = int(value)
    if options["model"] not in LAYERS:
        raise ValueError(f"its model is {shown(options['model'])}, and only lstm, gru and rnn are known")
    for name in ("rnn_size", "num_layers"):
        if type(options.get(name)) is not int:
            raise ValueError(f"its opt has no {name}")
    return options


def as_number(value: float) -> int | float:
    """Returns a Lua number as Python's kind: Lua does not tell whole numbers from others."""
    return int(value) if value.is_integer() else value


def read_vocabulary(vocab: Table) -> str:
    """The characters by their indices, which the file counts from 1."""
    for character in vocab:
        if not isinstance(character, str) or len(character) != 1:
            raise ValueError(f"its vocabulary has {shown(character)}, and only single bytes are known")
    characters = {whole(index, "vocabulary"): character for character, index in vocab.items()}
    if sorted(characters) != list(range(1, len(vocab) + 1)):
        raise ValueError(f"its vocabulary does not count its {len(vocab)} characters from 1 to {len(vocab)}")
    return "".join(characters[index] for index in sorted(characters))


def read_parameters(protos: Table, V: int, options: dict[str, Any]) -> dict[str, np.ndarray]:
    """CharRNN's parameters by name, weights as (inputs, outputs) and a GRU's gates in the order z, r, n."""
    model, H, L = options["model"], options["rnn_size"], options["num_layers"]
    linears = find_linears(protos)
    per_layer = sum(len(numbers) for numbers in LAYERS[model].values())
    if len(linears) != L * per_layer + 1:
        raise ValueError(f"it has {len(linears)} nn.Linear, and a {model} of {L} layers has {L * per_layer + 1}")
    check_arrays([array for linear in linears for array in linear])
    parameters = {}
    outputs = len(GATES[model]) * H * 2 // per_layer
    for layer in range(L):
        for part, numbers in LAYERS[model].items():
            maps = [linears[layer * per_layer + number] for number in numbers]
            for linear in maps:
                check_shape(linear, V if layer == 0 and part == "i2h" else H, outputs)
            weights, biases = zip(*maps)
            parameters[f"layers.{layer}.{part}_weight"] = np.ascontiguousarray(np.concatenate(weights).T)
            parameters[f"layers.{layer}.{part}_bias"] = np.concatenate(biases)
    check_shape(linears[-1], H, V)
    weight, bias = linears[-1]
    return parameters | {"decoder.weight": weight.copy("C"), "decoder.bias": bias.copy()}


def find_linears(protos: Table) -> list[Linear]:
    """Weight (outputs, inputs) and bias of the linear maps, in the order in which the network computes them."""
    nodes = follow(protos, "rnn", "forwardnodes")
    if not isinstance(nodes, Table):
        raise ValueError("its protos have no rnn made with nngraph")
    linears = []
    for number in range(1, len(nodes) + 1):
        module = follow(nodes, number, "data", "module")
        if isinstance(module, Table) and module.torch_class == "nn.Linear":
            weight, bias = module.get("weight"), module.get("bias")
            if not isinstance(weight, np.ndarray) or not isinstance(bias, np.ndarray):
                raise ValueError("one of its nn.Linear modules has no weight or no bias")
            linears.append((weight, bias))
    return linears


def check_shape(linear: Linear, inputs: int, outputs: int) -> None:
    weight, bias = linear
    if weight.shape != (outputs, inputs) or bias.shape != (outputs,):
        raise ValueError(
            f"it has a nn.Linear with a weight {weight.shape} and a bias {bias.shape} "
            f"where its opt and vocab make that {(outputs, inputs)} and {(outputs,)}"
        )
