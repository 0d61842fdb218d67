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
from util.checkpoint.content import FORMAT, VERSION
from util.checkpoint.t7 import Table
from util.checkpoint.torch_objects import by_index, check_arrays, follow, printable, read_train_losses, whole_number

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
COUNTS = {
    "batch_size": "batch_size",
    "seq_length": "seq_length",
    "max_epochs": "max_epochs",
    "print_every": "print_every",
    "checkpoint_every": "eval_val_every",
}
NUMBERS = {"learning_rate": "learning_rate", "lr_decay_factor": "learning_rate_decay", "grad_clip": "grad_clip"}
"""torch-rnn's flags and our names for them. Those of the model are left out: after -init_from they are wrong."""


def is_torch_rnn(root: Any) -> bool:
    """Whether the object in a file is one of torch-rnn's, or a table that contains one."""
    values = [root, *root.values()] if isinstance(root, Table) else []
    return any(isinstance(v, Table) and v.torch_class in ("nn.LanguageModel", *CELLS) for v in values)


def torch_rnn_content(root: Table) -> dict[str, Any]:
    """Returns the content of a torch-rnn .t7 checkpoint in the form that `util.checkpoint.content.from_content` takes.

    The option `batchnorm` is 1 if a batch normalization has been folded into the weights. Raises ValueError with a
    one-sentence reason if `root`, the object in the file, is not a checkpoint, or is damaged.
    """
    model, opt, losses = (root.get(name) for name in ("model", "opt", "train_loss_history"))
    if not isinstance(model, Table) or model.torch_class != "nn.LanguageModel":
        raise ValueError("it has a layer of torch-rnn, but not the nn.LanguageModel of torch-rnn's checkpoints")
    if not isinstance(opt, Table) or not isinstance(losses, Table):
        raise ValueError("it has a model of torch-rnn, but not the opt and train_loss_history of its checkpoints")
    modules = find_modules(model)
    vocabulary, encoding = read_vocabulary(model)
    cells = [module.torch_class for module in modules if module.torch_class in CELLS]
    cell, H = CELLS[cells[0]], arrays(modules[-1])[0].shape[-1]
    check_shapes(modules, len(vocabulary), H, len(GATES[cell]))
    options = read_options(opt) | {"model": cell, "rnn_size": H, "num_layers": len(cells)}
    options |= {"dropout": model.get("dropout", 0.0), "batchnorm": int(len(modules) > len(cells) + 2)}
    # The oldest files have no count, and their runs began at 0.
    iteration = whole_number(root.get("i", float(len(losses))), "i")
    return {
        "format": FORMAT,
        "version": VERSION,
        "options": options,
        "vocabulary": vocabulary,
        "encoding": encoding,
        "parameters": fold(modules, H),
        "iteration": iteration,
        "epoch": epoch(options, iteration),
        "train_losses": read_train_losses(losses, iteration, start=iteration - len(losses)),
        "val_losses": read_val_losses(root),
        "training": None,
    }


def find_modules(model: Table) -> list[Table]:
    """Returns the modules with parameters: an embedding, cells (each may have a batch normalization), a decoder."""
    table = follow(model, "net", "modules")
    if not isinstance(table, Table):
        raise ValueError("its model has no net with modules")
    modules = []
    for module in by_index(table, "net"):
        name = module.torch_class if isinstance(module, Table) else None
        if name == "nn.TemporalAdapter":
            raise ValueError(
                "torch-rnn wrote it in the first days of March 2016, when it put the last layer into an "
                "nn.TemporalAdapter and never trained it; such a model has to be trained again"
            )
        if name not in ARRAYS:
            raise ValueError(f"its net has {printable(name or module)}, which torch-rnn's networks do not have")
        if ARRAYS[name]:
            modules.append(module)
    if not re.fullmatch("Lo(LS(Ba)?)+Li|Lo(Va(Ba)?)+Li", "".join(module.torch_class[3:5] for module in modules)):
        raise ValueError("its net is not an embedding, layers of one kind and a decoder, as torch-rnn's are")
    return modules


def read_vocabulary(model: Table) -> tuple[str, str]:
    """Returns the tokens as characters in the order of their indices, and their encoding: `bytes` or utf-8.

    A token is a character in UTF-8. With preprocess.py -encoding bytes, those above 127 are written as numbers, such
    as "[195]": bytes under Python 2, code points under Python 3.
    """
    table = model.get("idx_to_token")
    if not isinstance(table, Table):
        raise ValueError("its model has no idx_to_token")
    vocabulary, numbered = "", False
    for token in by_index(table, "vocabulary"):
        try:
            number = re.fullmatch(r"\[(\d{3,7})\]", token)
            character = chr(int(number[1])) if number else token.encode("latin-1").decode()
            character.encode()  # raises for halves of surrogate pairs
        except (TypeError, ValueError):
            character = ""
        if len(character) != 1:
            raise ValueError(f"its vocabulary contains {printable(token)}, but only single characters are supported")
        vocabulary += character
        numbered |= bool(number)
    return vocabulary, "bytes" if numbered and max(vocabulary) < "\u0100" else "utf-8"


def read_options(opt: Table) -> dict[str, Any]:
    options: dict[str, Any] = {ours: whole_number(opt[name], name) for name, ours in COUNTS.items() if name in opt}
    return options | {ours: opt[name] for name, ours in NUMBERS.items() if name in opt}


def epoch(options: dict[str, Any], iteration: int) -> float:
    """Returns the epoch of the checkpoint, which the file does not say: the last if it is surely the last one, else 0.

    Checkpoints come every so many iterations, and at the last one.
    """
    every, last = options.get("eval_val_every", 0), options.get("max_epochs", 0)
    return float(last) if every > 0 and iteration % every else 0.0


def read_val_losses(root: Table) -> dict[int, float]:
    """Returns the validation losses by iteration; none if the file does not say which iterations they belong to."""
    tables = [root.get(name) for name in ("val_loss_history_it", "val_loss_history")]
    iterations, losses = (by_index(t, "val_loss_history") if isinstance(t, Table) else [] for t in tables)
    return {whole_number(iteration, "val_loss_history_it"): loss for iteration, loss in zip(iterations, losses)}


def arrays(module: Table) -> list[np.ndarray]:
    """Returns the fields that determine a module's output; a batch normalization's last may be an old running_std."""
    names = ARRAYS[module.torch_class or ""]
    if names[-1] == "running_var" and "running_std" in module:
        names = (*names[:-1], "running_std")
    values = [value for name in names if isinstance(value := module.get(name), np.ndarray)]
    if len(values) < len(names):
        raise ValueError(f"one of its {module.torch_class} does not have {', '.join(names)}")
    return values


def check_shapes(modules: list[Table], V: int, H: int, G: int) -> None:
    """Raises ValueError if the modules do not fit each other and the vocabulary, or share memory.

    If they fit, the first layer's weight with the embedding folded in, (V, G·H), is G times the size of the decoder's
    (V, H), which the file holds: a small file cannot ask for much memory.
    """
    check_arrays([array for module in modules for array in arrays(module)])
    inputs = arrays(modules[0])[0].shape[-1]
    for module in modules:
        name = module.torch_class or ""
        expected: list[tuple[int, ...]] = [(H,)] * 4
        if name == "nn.LookupTable":
            expected = [(V, inputs)]
        elif name == "nn.Linear":
            expected = [(V, H), (V,)]
        elif name in CELLS:
            expected, inputs = [(inputs + H, G * H), (G * H,)], H
        shapes = [array.shape for array in arrays(module)]
        if shapes != expected:
            found, wanted = (" and ".join(map(str, some)) for some in (shapes, expected))
            raise ValueError(f"it has an {name} of {found}, but its vocabulary and layers call for {wanted}")


def fold(modules: list[Table], H: int) -> dict[str, np.ndarray]:
    """Returns CharRNN's parameters by name, computed in float64 and stored in the file's precision.

    A layer computes x·W + b. In the first one x is a row of the embedding, so a character adds a row of
    embedding·W; above it x is scale·h + shift, which makes it h·(scale·W) + (b + shift·W).
    """
    (embedding,), *layers, (weight, bias) = map(arrays, modules)
    store = partial(np.array, dtype=weight.dtype, order="C")
    parameters: dict[str, np.ndarray] = {}
    scale, shift = np.ones(H), np.zeros(H)
    layer = 0
    with np.errstate(all="ignore"):  # `from_content` refuses values that are not finite
        for module, values in zip(modules[1:-1], layers):
            if module.torch_class not in CELLS:
                scale, shift = scale_and_shift(module)
                continue
            W, h2h = np.split(values[0], [len(values[0]) - H])
            W, b = W.astype(np.float64), values[1]
            i2h, i2h_bias = (scale[:, None] * W, b + shift @ W) if layer else (embedding.astype(np.float64) @ W, b)
            parameters[f"layers.{layer}.i2h_weight"] = store(i2h)
            parameters[f"layers.{layer}.i2h_bias"] = store(i2h_bias)
            parameters[f"layers.{layer}.h2h_weight"] = store(h2h)
            parameters[f"layers.{layer}.h2h_bias"] = store(np.zeros(len(b)))  # torch-rnn has one bias for both
            scale, shift = np.ones(H), np.zeros(H)
            layer += 1
        return parameters | {"decoder.weight": store(weight * scale), "decoder.bias": store(bias + weight @ shift)}


def scale_and_shift(module: Table) -> tuple[np.ndarray, np.ndarray]:
    """Returns the scale and shift of a batch normalization outside training, float64 (H,) each."""
    weight, bias, mean, spread = (array.astype(np.float64) for array in arrays(module))
    if "running_std" in module:  # in old files: the mean of 1 / sqrt(variance + eps)
        scale = weight * spread
    elif isinstance(eps := module.get("eps"), float):
        scale = weight / np.sqrt(spread + eps)
    else:
        raise ValueError("its nn.BatchNormalization has no eps")
    return scale, bias - mean * scale
