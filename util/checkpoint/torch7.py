"""Converts checkpoints of char-rnn and of torch-rnn, as util.checkpoint.t7 reads them.

torch-rnn feeds its layers rows of an embedding, and may apply batch normalization to their outputs. Outside training
both are linear, and a linear map follows each, so they are folded into its weights.

Letters: V tokens in the vocabulary, H outputs of a layer, G gates.
"""

import re
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from model.cells import CELLS, Cell
from util.checkpoint.content import Checkpoint, checked, is_dict, require
from util.checkpoint.t7 import Table, read_t7
from util.errors import InvalidFile
from util.text.vocabulary import Vocabulary

TORCH_RNN = {"nn.LSTM": "lstm", "nn.VanillaRNN": "rnn"}
"""torch-rnn's modules that are layers, and the cells of these."""
ARRAYS = dict.fromkeys((*TORCH_RNN, "nn.Linear"), ("weight", "bias")) | {
    "nn.LookupTable": ("weight",),
    "nn.BatchNormalization": ("weight", "bias", "running_mean", "running_var"),
}
"""The modules with parameters of torch-rnn's networks, and the fields that determine their output."""
OPTIONS = ("batch_size", "seq_length", "max_epochs", "print_every", "learning_rate", "grad_clip")
"""torch-rnn's flags that mean the same here. Those of the model are left out: after -init_from they are wrong."""


class Module(NamedTuple):
    """One of a network's modules, with the arrays that determine its output, by field."""

    torch_class: str
    arrays: dict[str, np.ndarray]
    eps: float | None
    """Of a batch normalization; the oldest ones have none, and hold 1 / sqrt(variance + eps) instead."""


def from_t7(path: Path) -> Checkpoint:
    """Returns the checkpoint in a .t7 file. Raises errors like `read_t7` if it is not a valid one, and OSError."""
    root, size = read_t7(path), path.stat().st_size
    if isinstance(root, Table):
        if getattr(root.get("model"), "torch_class", None) == "nn.LanguageModel":
            return from_torch_rnn(root, size)
        if {"opt", "vocab", "protos", "i", "train_losses"} <= root.keys():
            return from_char_rnn(root, size)
    raise InvalidFile("it is a file of Torch, but not a checkpoint of char-rnn or torch-rnn")


def from_char_rnn(root: Table, size: int) -> Checkpoint:
    """Returns the checkpoint in a char-rnn .t7 file of `size` bytes.

    The vocabulary is one of bytes. The parameters are float64 if the file's are Double, and float32 if they are Float
    or come from a GPU. Iterations without a loss in the file get NaN.
    """
    iteration = as_number(root["i"])
    options: dict[str, Any] = {"model": "lstm", "dropout": 0.0}  # files from before there was a choice
    for name, value in root["opt"].items():
        if isinstance(value, str):
            options[name] = value.encode("latin-1").decode("utf-8", "replace")
        elif isinstance(value, float):
            options[name] = as_number(value)
    require(options["model"] in ("lstm", "gru", "rnn"), "model")
    require(all(len(character) == 1 for character in root["vocab"]), "vocabulary of bytes")
    numbered = {as_number(index): character for character, index in root["vocab"].items()}
    vocabulary = Vocabulary("".join(listed(numbered)), "bytes")
    parameters = read_parameters(root["protos"], CELLS[options["model"]], size)
    losses, val_losses = read_train_losses(root["train_losses"], iteration), dict(root["val_losses"])
    return checked(Checkpoint(options, vocabulary, parameters, iteration, root["epoch"], losses, val_losses, None))


def read_parameters(protos: Table, cell: type[Cell], size: int) -> dict[str, np.ndarray]:
    """Returns CharRNN's parameters by name, weights as (inputs, outputs) and the gates in our order."""
    modules = [node["data"].get("module") for node in listed(protos["rnn"]["forwardnodes"])]
    linears = [module for module in modules if isinstance(module, Table) and module.torch_class == "nn.Linear"]
    # Linear maps that share memory could make a small file a large model.
    require(sum(linear[field].nbytes for linear in linears for field in ("weight", "bias")) <= size, "parameters")
    *linears, decoder = linears
    parameters = {"decoder.weight": decoder["weight"], "decoder.bias": decoder["bias"]}
    maps = cell.linear_maps
    for start in range(0, len(linears), len(maps)):
        layer = start // len(maps)
        of_layer = dict(zip(maps, linears[start : start + len(maps)], strict=True))
        for part in ("i2h", "h2h"):
            of_part = [of_layer[part, gate] for gate in (None, *cell.gates) if (part, gate) in of_layer]
            parameters[f"layers.{layer}.{part}_weight"] = np.concatenate([linear["weight"] for linear in of_part]).T
            parameters[f"layers.{layer}.{part}_bias"] = np.concatenate([linear["bias"] for linear in of_part])
    return {name: np.array(array, order="C") for name, array in parameters.items()}


def from_torch_rnn(root: Table, size: int) -> Checkpoint:
    """Returns the checkpoint in a torch-rnn .t7 file of `size` bytes.

    The option `batchnorm` is 1 if a batch normalization has been folded into the weights.
    """
    model, opt, history = root["model"], root["opt"], root["train_loss_history"]
    modules, vocabulary = find_modules(model), read_tokens(model)
    cells = [TORCH_RNN[module.torch_class] for module in modules if module.torch_class in TORCH_RNN]
    require(sum(array.nbytes for module in modules for array in module.arrays.values()) <= size, "parameters")
    parameters = fold(modules, len(vocabulary), len(CELLS[cells[0]].gates))
    H = parameters["decoder.weight"].shape[1]
    options = {name: as_number(opt[name]) for name in OPTIONS if name in opt}
    options |= {"model": cells[0], "rnn_size": H, "num_layers": len(cells), "dropout": model.get("dropout", 0.0)}
    options["batchnorm"] = int(any(module.torch_class == "nn.BatchNormalization" for module in modules))
    # The oldest files have no counts, and their runs began at 0.
    iteration, validated = as_number(root.get("i", float(len(history)))), root.get("val_loss_history_it", {})
    losses = read_train_losses(history, iteration, start=iteration - len(history))
    val_losses = {as_number(at): root["val_loss_history"][number] for number, at in validated.items()}
    epoch = 0.0  # the file does not say
    return checked(Checkpoint(options, vocabulary, parameters, iteration, epoch, losses, val_losses, None))


def find_modules(model: Table) -> list[Module]:
    """Returns the modules with parameters: an embedding, cells (each may have a batch normalization), a decoder."""
    modules: list[Module] = []
    for module in listed(model["net"]["modules"]):
        name = module.torch_class
        if name in ("nn.View", "nn.Dropout"):  # which change nothing outside training
            continue
        require(name in ARRAYS, f"net with {name!a:.50}")
        old = "running_std" in module
        arrays = {field: module[field.replace("var", "std") if old else field] for field in ARRAYS[name]}
        modules.append(Module(name, arrays, None if old else module.get("eps")))
    if not re.fullmatch("Lo(LS(Ba)?)+Li|Lo(Va(Ba)?)+Li", "".join(module.torch_class[3:5] for module in modules)):
        raise InvalidFile("its net is not an embedding, layers of one kind and a decoder, as torch-rnn's are")
    return modules


def read_tokens(model: Table) -> Vocabulary:
    """Returns the vocabulary, of bytes or of utf-8.

    A token is a character in UTF-8. With preprocess.py -encoding bytes, those above 127 are written as numbers, such
    as "[195]": bytes under Python 2, code points under Python 3.
    """
    tokens = [token.encode("latin-1").decode("utf-8", "replace") for token in listed(model["idx_to_token"])]
    numbers = [re.fullmatch(r"\[(\d{3,7})\]", token) for token in tokens]
    characters = [chr(int(number[1])) if number else token for token, number in zip(tokens, numbers)]
    require(all(len(character) == 1 for character in characters), "vocabulary of single characters")
    return Vocabulary("".join(characters), "bytes" if any(numbers) and max(characters) < "\u0100" else "utf-8")


def fold(modules: list[Module], V: int, G: int) -> dict[str, np.ndarray]:
    """Returns CharRNN's parameters by name, computed in float64 and stored in the file's precision.

    A layer computes x·W + b. In the first one x is a row of the embedding, so a character adds a row of
    embedding·W; above it x is scale·h + shift, which makes it h·(scale·W) + (b + shift·W).

    Raises ValueError if the modules do not fit each other and the vocabulary. If they fit, the first layer's weight,
    (V, G·H), is G times the size of the decoder's, (V, H): a small file cannot ask for much memory.
    """
    embedding, *layers, decoder = modules
    table, weight, bias = embedding.arrays["weight"], decoder.arrays["weight"], decoder.arrays["bias"]
    inputs, H = table.shape[-1], weight.shape[-1]
    check_shapes(embedding, (V, inputs))
    check_shapes(decoder, (V, H), (V,))
    store = partial(np.array, dtype=weight.dtype, order="C")
    parameters: dict[str, np.ndarray] = {}
    scale, shift, layer = np.ones(H), np.zeros(H), 0
    with np.errstate(all="ignore"):  # `checked` refuses values that are not finite
        for module in layers:
            if module.torch_class == "nn.BatchNormalization":
                check_shapes(module, (H,), (H,), (H,), (H,))
                gain, offset, mean, spread = (array.astype(np.float64) for array in module.arrays.values())
                scale = gain * spread if module.eps is None else gain / np.sqrt(spread + module.eps)
                shift = offset - mean * scale
                continue
            check_shapes(module, (inputs + H, G * H), (G * H,))
            both, b = module.arrays["weight"], module.arrays["bias"]
            W, h2h = both[:inputs].astype(np.float64), both[inputs:]
            i2h, i2h_bias = (scale[:, None] * W, b + shift @ W) if layer else (table.astype(np.float64) @ W, b)
            # torch-rnn has one bias for both.
            own = {"i2h_weight": i2h, "i2h_bias": i2h_bias, "h2h_weight": h2h, "h2h_bias": np.zeros(len(b))}
            parameters |= {f"layers.{layer}.{name}": store(array) for name, array in own.items()}
            scale, shift, layer, inputs = np.ones(H), np.zeros(H), layer + 1, H
        return parameters | {"decoder.weight": store(weight * scale), "decoder.bias": store(bias + weight @ shift)}


def check_shapes(module: Module, *shapes: tuple[int, ...]) -> None:
    fits = [array.shape for array in module.arrays.values()] == [*shapes]
    require(fits and (module.eps is None or type(module.eps) is float), module.torch_class)


def as_number(value: Any) -> Any:
    """Returns a Lua number as an int if it is whole, since Lua does not distinguish the two."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def listed(table: Any) -> list[Any]:
    """Returns the values of a table that numbers them from 1, in order. Raises LookupError if it does not."""
    return [table[number] for number in range(1, len(table) + 1)]


def read_train_losses(table: Any, iteration: Any, start: int = 0) -> np.ndarray:
    """Returns each iteration's loss, float64 (iteration,), from a table whose first entry is that of `start` + 1.

    Iterations without a loss in the file get NaN.
    """
    require(is_dict(table, int, float) and type(iteration) is int, "training losses")
    # A file may hold the loss of every hundredth iteration only, but a few numbers must not make us allocate gigabytes.
    if not 0 <= start <= iteration <= 100 * len(table) + 100_000:
        raise InvalidFile(f"its {len(table)} training losses do not match its iteration")
    losses = np.full(iteration, np.nan)
    losses[np.array([*table], int) + start - 1] = [*table.values()]
    return losses
