"""Converts checkpoints of torch-rnn, as util.checkpoint.t7 reads them.

torch-rnn feeds its layers rows of an embedding, and may apply batch normalization to their outputs. Outside training
both are linear, and a linear map follows each, so they are folded into its weights.

Letters: V tokens in the vocabulary, D numbers in a row of the embedding, H outputs of a layer, L layers, G gates.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from model.shapes import GATES
from util.checkpoint.content import Checkpoint, checked
from util.checkpoint.t7 import Table
from util.checkpoint.torch_objects import (
    as_number,
    by_index,
    check_arrays,
    check_shapes,
    follow,
    printable,
    read_train_losses,
    whole_number,
)
from util.text.vocabulary import Vocabulary

CELLS = {"nn.LSTM": "lstm", "nn.VanillaRNN": "rnn"}
ARRAYS = {
    "nn.LookupTable": ("weight",),
    "nn.LSTM": ("weight", "bias"),
    "nn.VanillaRNN": ("weight", "bias"),
    "nn.BatchNormalization": ("weight", "bias", "running_mean", "running_var"),
    "nn.Linear": ("weight", "bias"),
    # Outside training these two change nothing.
    "nn.View": (),
    "nn.Dropout": (),
}
"""The modules of torch-rnn's networks, and the fields that determine their output."""
OPTIONS = ("batch_size", "seq_length", "max_epochs", "print_every", "learning_rate", "grad_clip")
"""torch-rnn's flags that mean the same here. Those of the model are left out: after -init_from they are wrong."""


class Module(NamedTuple):
    """A module's class, the arrays that determine its output and, for most batch normalizations, eps."""

    name: str
    arrays: list[np.ndarray]
    eps: float | None = None


def is_torch_rnn(root: Any) -> bool:
    """Whether the object in a file is one of torch-rnn's, or a table that contains one."""
    values = [root, *root.values()] if isinstance(root, Table) else []
    return any(isinstance(v, Table) and v.torch_class in ("nn.LanguageModel", *CELLS) for v in values)


def from_torch_rnn(root: Table) -> Checkpoint:
    """Returns the checkpoint in a torch-rnn .t7 file. Raises ValueError with a one-sentence reason if there is none.

    The option `batchnorm` is 1 if a batch normalization has been folded into the weights.
    """
    model, opt, losses = (root.get(name) for name in ("model", "opt", "train_loss_history"))
    if not isinstance(model, Table) or model.torch_class != "nn.LanguageModel":
        raise ValueError("it has a layer of torch-rnn, but not the nn.LanguageModel of torch-rnn's checkpoints")
    if not isinstance(opt, Table) or not isinstance(losses, Table):
        raise ValueError("it has a model of torch-rnn, but not the opt and train_loss_history of its checkpoints")
    modules, vocabulary = find_modules(model), read_vocabulary(model)
    cells = [CELLS[module.name] for module in modules if module.name in CELLS]
    H = modules[-1].arrays[0].shape[-1]
    check_modules(modules, len(vocabulary), H, len(GATES[cells[0]]))
    options = {name: as_number(opt[name]) for name in OPTIONS if name in opt}
    options |= {"model": cells[0], "rnn_size": H, "num_layers": len(cells)}
    options |= {"dropout": model.get("dropout", 0.0), "batchnorm": int(len(modules) > len(cells) + 2)}
    # The oldest files have no count, and their runs began at 0.
    iteration = whole_number(root.get("i", float(len(losses))), "i")
    return checked(
        Checkpoint(
            options=options,
            vocabulary=vocabulary,
            parameters=fold(modules, H),
            iteration=iteration,
            epoch=0.0,  # the file does not say
            train_losses=read_train_losses(losses, iteration, start=iteration - len(losses)),
            val_losses=read_val_losses(root),
            training=None,
        )
    )


def find_modules(model: Table) -> list[Module]:
    """Returns the modules with parameters: an embedding, cells (each may have a batch normalization), a decoder."""
    table = follow(model, "net", "modules")
    if not isinstance(table, Table):
        raise ValueError("its model has no net with modules")
    modules: list[Module] = []
    for module in by_index(table, "net"):
        name = module.torch_class if isinstance(module, Table) else None
        if name not in ARRAYS:
            raise ValueError(f"its net has {printable(name or module)}, which torch-rnn's networks do not have")
        if ARRAYS[name]:
            modules.append(read_module(name, module))
    if not re.fullmatch("Lo(LS(Ba)?)+Li|Lo(Va(Ba)?)+Li", "".join(module.name[3:5] for module in modules)):
        raise ValueError("its net is not an embedding, layers of one kind and a decoder, as torch-rnn's are")
    return modules


def read_module(name: str, module: Table) -> Module:
    fields, eps = list(ARRAYS[name]), module.get("eps")
    if fields[-1] == "running_var" and "running_std" in module:  # in old files: the mean of 1 / sqrt(variance + eps)
        fields[-1], eps = "running_std", None
    elif fields[-1] == "running_var" and not isinstance(eps, float):
        raise ValueError("its nn.BatchNormalization has no eps")
    arrays = [value for field in fields if isinstance(value := module.get(field), np.ndarray)]
    if len(arrays) < len(fields):
        raise ValueError(f"one of its {name} does not have {', '.join(fields)}")
    return Module(name, arrays, eps)


def read_vocabulary(model: Table) -> Vocabulary:
    """Returns the vocabulary, of bytes or of utf-8.

    A token is a character in UTF-8. With preprocess.py -encoding bytes, those above 127 are written as numbers, such
    as "[195]": bytes under Python 2, code points under Python 3.
    """
    table = model.get("idx_to_token")
    if not isinstance(table, Table):
        raise ValueError("its model has no idx_to_token")
    characters, numbered = "", False
    for token in by_index(table, "vocabulary"):
        try:
            number = re.fullmatch(r"\[(\d{3,7})\]", token)
            character = chr(int(number[1])) if number else token.encode("latin-1").decode()
            character.encode()  # raises for halves of surrogate pairs
        except (TypeError, ValueError):
            character = ""
        if len(character) != 1:
            raise ValueError(f"its vocabulary contains {printable(token)}, but only single characters are supported")
        characters += character
        numbered |= bool(number)
    return Vocabulary(characters, "bytes" if numbered and max(characters) < "\u0100" else "utf-8")


def read_val_losses(root: Table) -> dict[int, float]:
    """Returns the validation losses by iteration; none if the file does not say which iterations they belong to."""
    tables = [root.get(name) for name in ("val_loss_history_it", "val_loss_history")]
    iterations, losses = (by_index(t, "val_loss_history") if isinstance(t, Table) else [] for t in tables)
    return {whole_number(iteration, "val_loss_history_it"): loss for iteration, loss in zip(iterations, losses)}


def check_modules(modules: list[Module], V: int, H: int, G: int) -> None:
    """Raises ValueError if the modules do not fit each other and the vocabulary, or share memory.

    If they fit, the first layer's weight with the embedding folded in, (V, G·H), is G times the size of the decoder's
    (V, H), which the file holds: a small file cannot ask for much memory.
    """
    check_arrays([array for module in modules for array in module.arrays])
    inputs = modules[0].arrays[0].shape[-1]
    for name, arrays, _ in modules:
        expected: list[tuple[int, ...]] = [(H,)] * 4
        if name == "nn.LookupTable":
            expected = [(V, inputs)]
        elif name == "nn.Linear":
            expected = [(V, H), (V,)]
        elif name in CELLS:
            expected, inputs = [(inputs + H, G * H), (G * H,)], H
        check_shapes(name, arrays, expected)


def fold(modules: list[Module], H: int) -> dict[str, np.ndarray]:
    """Returns CharRNN's parameters by name, computed in float64 and stored in the file's precision.

    A layer computes x·W + b. In the first one x is a row of the embedding, so a character adds a row of
    embedding·W; above it x is scale·h + shift, which makes it h·(scale·W) + (b + shift·W).
    """
    (_, (embedding,), _), *layers, (_, (weight, bias), _) = modules
    store = partial(np.array, dtype=weight.dtype, order="C")
    parameters: dict[str, np.ndarray] = {}
    scale, shift = np.ones(H), np.zeros(H)
    layer = 0
    with np.errstate(all="ignore"):  # `checked` refuses values that are not finite
        for name, arrays, eps in layers:
            if name not in CELLS:
                gain, offset, mean, spread = (array.astype(np.float64) for array in arrays)
                scale = gain * spread if eps is None else gain / np.sqrt(spread + eps)
                shift = offset - mean * scale
                continue
            W, h2h = np.split(arrays[0], [len(arrays[0]) - H])
            W, b = W.astype(np.float64), arrays[1]
            i2h, i2h_bias = (scale[:, None] * W, b + shift @ W) if layer else (embedding.astype(np.float64) @ W, b)
            parameters[f"layers.{layer}.i2h_weight"] = store(i2h)
            parameters[f"layers.{layer}.i2h_bias"] = store(i2h_bias)
            parameters[f"layers.{layer}.h2h_weight"] = store(h2h)
            parameters[f"layers.{layer}.h2h_bias"] = store(np.zeros(len(b)))  # torch-rnn has one bias for both
            scale, shift = np.ones(H), np.zeros(H)
            layer += 1
        return parameters | {"decoder.weight": store(weight * scale), "decoder.bias": store(bias + weight @ shift)}
