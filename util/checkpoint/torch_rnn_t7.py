"""Converts checkpoints of torch-rnn, as util.checkpoint.t7 reads them.

torch-rnn feeds its layers rows of an embedding, and may apply batch normalization to their outputs. Outside training
both are linear, and a linear map follows each, so they are folded into its weights.

Letters: V tokens in the vocabulary, D numbers in a row of the embedding, H outputs of a layer, L layers, G gates.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import numpy as np

from model.shapes import GATES
from util.checkpoint.content import Checkpoint, checked, require
from util.checkpoint.t7 import Table, as_number, listed, read_train_losses
from util.text.vocabulary import Vocabulary

CELLS = {"nn.LSTM": "lstm", "nn.VanillaRNN": "rnn"}
ARRAYS = dict.fromkeys(("nn.LSTM", "nn.VanillaRNN", "nn.Linear"), ("weight", "bias")) | {
    "nn.LookupTable": ("weight",),
    "nn.BatchNormalization": ("weight", "bias", "running_mean", "running_var"),
}
"""The modules with parameters of torch-rnn's networks, and the fields that determine their output."""
OPTIONS = ("batch_size", "seq_length", "max_epochs", "print_every", "learning_rate", "grad_clip")
"""torch-rnn's flags that mean the same here. Those of the model are left out: after -init_from they are wrong."""


Module = tuple[str, list[np.ndarray], Any]
"""A module's class, the arrays that determine its output and, for most batch normalizations, eps."""


def is_torch_rnn(root: Any) -> bool:
    """Whether the object in a file is a checkpoint of torch-rnn's."""
    model = root.get("model") if isinstance(root, Table) else None
    return isinstance(model, Table) and model.torch_class == "nn.LanguageModel"


def from_torch_rnn(root: Table, size: int) -> Checkpoint:
    """Returns the checkpoint in a torch-rnn .t7 file of `size` bytes. Raises ValueError or LookupError if it is wrong.

    The option `batchnorm` is 1 if a batch normalization has been folded into the weights.
    """
    model, opt, losses = root["model"], root["opt"], root["train_loss_history"]
    modules, vocabulary = find_modules(model), read_vocabulary(model)
    cells, H = [CELLS[name] for name, *_ in modules if name in CELLS], modules[-1][1][0].shape[-1]
    require(sum(array.nbytes for _, arrays, _ in modules for array in arrays) <= size, "parameters")
    check_shapes(modules, len(vocabulary), H, len(GATES[cells[0]]))
    options = {name: as_number(opt[name]) for name in OPTIONS if name in opt}
    options |= {"model": cells[0], "rnn_size": H, "num_layers": len(cells), "dropout": model.get("dropout", 0.0)}
    options["batchnorm"] = int(len(modules) > len(cells) + 2)
    # The oldest files have no counts, and their runs began at 0.
    iteration, validated = as_number(root.get("i", float(len(losses)))), root.get("val_loss_history_it", {})
    return checked(
        Checkpoint(
            options=options,
            vocabulary=vocabulary,
            parameters=fold(modules, H),
            iteration=iteration,
            epoch=0.0,  # the file does not say
            train_losses=read_train_losses(losses, iteration, start=iteration - len(losses)),
            val_losses={as_number(at): root["val_loss_history"][number] for number, at in validated.items()},
            training=None,
        )
    )


def find_modules(model: Table) -> list[Module]:
    """Returns the modules with parameters: an embedding, cells (each may have a batch normalization), a decoder."""
    modules: list[Module] = []
    for module in listed(model["net"]["modules"]):
        name = module.torch_class
        if name in ("nn.View", "nn.Dropout"):  # which change nothing outside training
            continue
        require(name in ARRAYS, f"net with {name!a:.50}")
        old = "running_std" in module  # which is the mean of 1 / sqrt(variance + eps)
        arrays = [module[field.replace("var", "std") if old else field] for field in ARRAYS[name]]
        modules.append((name, arrays, None if old else module.get("eps")))
    if not re.fullmatch("Lo(LS(Ba)?)+Li|Lo(Va(Ba)?)+Li", "".join(name[3:5] for name, *_ in modules)):
        raise ValueError("its net is not an embedding, layers of one kind and a decoder, as torch-rnn's are")
    return modules


def read_vocabulary(model: Table) -> Vocabulary:
    """Returns the vocabulary, of bytes or of utf-8.

    A token is a character in UTF-8. With preprocess.py -encoding bytes, those above 127 are written as numbers, such
    as "[195]": bytes under Python 2, code points under Python 3.
    """
    tokens = [token.encode("latin-1").decode("utf-8", "replace") for token in listed(model["idx_to_token"])]
    numbers = [re.fullmatch(r"\[(\d{3,7})\]", token) for token in tokens]
    characters = [chr(int(number[1])) if number else token for token, number in zip(tokens, numbers)]
    require(all(len(character) == 1 for character in characters), "vocabulary of single characters")
    return Vocabulary("".join(characters), "bytes" if any(numbers) and max(characters) < "\u0100" else "utf-8")


def check_shapes(modules: list[Module], V: int, H: int, G: int) -> None:
    """Raises ValueError if the modules do not fit each other and the vocabulary.

    If they fit, the first layer's weight with the embedding folded in, (V, G·H), is G times the size of the decoder's
    (V, H), which the file holds: a small file cannot ask for much memory.
    """
    D = inputs = modules[0][1][0].shape[-1]
    shapes = {"nn.LookupTable": [(V, D)], "nn.BatchNormalization": [(H,)] * 4, "nn.Linear": [(V, H), (V,)]}
    for name, arrays, eps in modules:
        expected = shapes.get(name, [(inputs + H, G * H), (G * H,)])
        require([array.shape for array in arrays] == expected and (eps is None or type(eps) is float), name)
        inputs = H if name in CELLS else inputs


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
