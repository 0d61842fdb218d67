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
from util.checkpoint.content import Checkpoint, checked, require
from util.checkpoint.t7 import Table
from util.checkpoint.torch_objects import as_number, by_index, check_arrays, check_shapes, follow, read_train_losses
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
    eps: Any


def is_torch_rnn(root: Any) -> bool:
    """Whether the object in a file is a checkpoint of torch-rnn's."""
    model = follow(root, "model")
    return isinstance(model, Table) and model.torch_class == "nn.LanguageModel"


def from_torch_rnn(root: Table) -> Checkpoint:
    """Returns the checkpoint in a torch-rnn .t7 file. Raises ValueError with a one-sentence reason if there is none.

    The option `batchnorm` is 1 if a batch normalization has been folded into the weights.
    """
    model, opt, losses = (follow(root, name) for name in ("model", "opt", "train_loss_history"))
    require(isinstance(opt, Table) and isinstance(losses, Table), "opt or train_loss_history")
    modules, vocabulary = find_modules(model), read_vocabulary(model)
    cells, H = [CELLS[name] for name, *_ in modules if name in CELLS], modules[-1].arrays[0].shape[-1]
    check_modules(modules, len(vocabulary), H, len(GATES[cells[0]]))
    options = {name: as_number(opt[name]) for name in OPTIONS if name in opt}
    options |= {"model": cells[0], "rnn_size": H, "num_layers": len(cells), "dropout": model.get("dropout", 0.0)}
    options["batchnorm"] = int(len(modules) > len(cells) + 2)
    # The oldest files have no count, and their runs began at 0.
    iteration = as_number(root.get("i", float(len(losses))))
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
    modules: list[Module] = []
    for module in by_index(follow(model, "net", "modules"), "net"):
        name: Any = module.torch_class if isinstance(module, Table) else None
        require(name in ARRAYS, f"net with {name!a:.50}")
        if ARRAYS[name]:
            modules.append(read_module(name, module))
    if not re.fullmatch("Lo(LS(Ba)?)+Li|Lo(Va(Ba)?)+Li", "".join(module.name[3:5] for module in modules)):
        raise ValueError("its net is not an embedding, layers of one kind and a decoder, as torch-rnn's are")
    return modules


def read_module(name: str, module: Table) -> Module:
    fields, eps = list(ARRAYS[name]), module.get("eps")
    if fields[-1] == "running_var" and "running_std" in module:  # in old files: the mean of 1 / sqrt(variance + eps)
        fields[-1], eps = "running_std", None
    elif fields[-1] == "running_var":
        require(isinstance(eps, float), f"{name} without eps")
    arrays = [value for field in fields if isinstance(value := module.get(field), np.ndarray)]
    require(len(arrays) == len(fields), name)
    return Module(name, arrays, eps)


def read_vocabulary(model: Table) -> Vocabulary:
    """Returns the vocabulary, of bytes or of utf-8.

    A token is a character in UTF-8. With preprocess.py -encoding bytes, those above 127 are written as numbers, such
    as "[195]": bytes under Python 2, code points under Python 3.
    """
    characters, numbered = "", False
    for token in by_index(model.get("idx_to_token"), "idx_to_token"):
        try:
            number = re.fullmatch(r"\[(\d{3,7})\]", token)
            character = chr(int(number[1])) if number else token.encode("latin-1").decode()
            character.encode()  # raises for halves of surrogate pairs
        except (TypeError, ValueError):
            character = ""
        if len(character) != 1:
            raise ValueError("its vocabulary contains something other than single characters")
        characters += character
        numbered |= bool(number)
    return Vocabulary(characters, "bytes" if numbered and max(characters) < "\u0100" else "utf-8")


def read_val_losses(root: Table) -> dict[int, float]:
    """Returns the validation losses by iteration; none if the file does not say which iterations they belong to."""
    iterations, losses = (follow(root, name) for name in ("val_loss_history_it", "val_loss_history"))
    if not isinstance(iterations, Table) or not isinstance(losses, Table):
        return {}
    return {as_number(at): follow(losses, number) for number, at in iterations.items() if type(at) is float}


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
    scale, shift, layer = np.ones(H), np.zeros(H), 0
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
            # torch-rnn has one bias for both.
            own = {"i2h_weight": i2h, "i2h_bias": i2h_bias, "h2h_weight": h2h, "h2h_bias": np.zeros(len(b))}
            parameters |= {f"layers.{layer}.{name}": store(array) for name, array in own.items()}
            scale, shift, layer = np.ones(H), np.zeros(H), layer + 1
        return parameters | {"decoder.weight": store(weight * scale), "decoder.bias": store(bias + weight @ shift)}
