"""What a checkpoint holds, checked down to the last key before use: a checkpoint is data from a stranger.

A file holds one dictionary of plain values and tensors, see util/checkpoint/store.py; here the arrays are numpy's.
Letters: V characters, H outputs of a layer, L layers, B streams.
"""

import math
import re
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from model.cells import CELLS
from model.shapes import count_arrays, parameter_shapes
from util.cli.flags import LARGEST_WHOLE
from util.errors import InvalidFile
from util.text.vocabulary import Vocabulary

FORMAT, VERSION = "char-rnn checkpoint", 1
DEVICES = ("cpu", "cuda", "ocl", "privateuseone")
HUGE = 1e38  # which a float32 can just hold
OPTIMIZER_STATE = {"rmsprop": {"square_avg"}, "adam": {"square_avg", "avg"}}
"""What each optimizer keeps for every parameter; the names are those of util/training/optimizer.py."""


@dataclass
class Checkpoint:
    """A model, and the run that made it.

    `options` are the run's flags: str, int or float. `parameters` are those of CharRNN by name, all float32 or all
    float64. `epoch` counts passes over the training text; it is 0 if the file does not say, as torch-rnn's do not.
    Losses are per character: of every iteration, float64 (iteration,), and of validations, by iteration. `training` is
    what resuming exactly needs besides, see `check_training`; None for checkpoints from other programs.
    """

    options: dict[str, Any]
    vocabulary: Vocabulary
    parameters: dict[str, np.ndarray]
    iteration: int
    epoch: float
    train_losses: np.ndarray
    val_losses: dict[int, float]
    training: dict[str, Any] | None

    @property
    def validations(self) -> dict[int, float]:
        """`val_losses`, unless the run had -val_frac 0: then they are means of its training losses over an epoch."""
        return {} if self.options.get("val_frac") == 0 else self.val_losses

    @property
    def model_shape(self) -> tuple[int, int, int, str]:
        """V, H, L and the kind of cell: CharRNN's arguments."""
        o = self.options
        return len(self.vocabulary), o["rnn_size"], o["num_layers"], o["model"]

    @property
    def size(self) -> int:
        """The number of parameters."""
        return sum(array.size for array in self.parameters.values())

    @property
    def text_sha256(self) -> str | None:
        """The identity of the run's text, if the checkpoint says it."""
        return self.training["text_sha256"] if self.training else None

    @property
    def epoch_is_known(self) -> bool:
        return self.epoch > 0 or self.iteration == 0

    @property
    def trained(self) -> str:
        """How long the model was trained, in words."""
        return f"{self.epoch:.2f} epochs" if self.epoch_is_known else f"{self.iteration:,} iterations"

    @property
    def precision(self) -> str:
        """The run's -dtype: its parameters', unless it multiplies in bfloat16."""
        return "bfloat16" if self.options.get("dtype") == "bfloat16" else self.dtype

    @property
    def dtype(self) -> str:
        """float32 or float64."""
        return str(next(iter(self.parameters.values())).dtype)


def from_content(content: Any) -> Checkpoint:
    """Builds a checkpoint from a file's content. Raises InvalidFile or, at a wrong value, what Python raises."""
    if not isinstance(content, dict) or not same(content.get("format"), FORMAT):
        raise InvalidFile("it was written by another program")
    if not same(content.get("version"), VERSION):
        raise InvalidFile(f"its version of the format is not {VERSION}, the only one that this program reads")
    values = {field.name: content[field.name] for field in fields(Checkpoint)}
    return checked(Checkpoint(**values | {"vocabulary": Vocabulary(content["vocabulary"], content["encoding"])}))


def checked(checkpoint: Checkpoint) -> Checkpoint:
    """Returns the checkpoint. Raises like `from_content` if it is not valid."""
    characters, encoding, options = checkpoint.vocabulary.characters, checkpoint.vocabulary.encoding, checkpoint.options
    require(isinstance(characters, str) and 0 < len(characters) == len(set(characters)), "vocabulary")
    require(isinstance(encoding, str) and checkpoint.vocabulary.fits_encoding, "encoding")
    require(is_dict(options, str, str, int, float), "options")
    require(all(abs(value) <= LARGEST_WHOLE for value in options.values() if type(value) is int), "options")
    # A name's byte that is no text is kept as a surrogate from U+DC80 to U+DCFF; no other one can be in a name.
    require(not re.search("[\ud800-\udc7f\udd00-\udfff]", "".join(map(str, options.values()))), "options")
    model = options.get("model")
    require(type(model) is str, "model")
    if model not in CELLS:
        raise InvalidFile(f"its model is {model!a:.50}, a cell that this copy of the program does not have")
    for name in ("rnn_size", "num_layers", "batch_size", "seq_length"):
        require(type(options.get(name)) is int and options[name] > 0, name)
    require(type(options.get("dropout")) in (int, float) and 0 <= options["dropout"] < 1, "dropout")
    require(type(checkpoint.epoch) is float and 0 <= checkpoint.epoch < math.inf, "epoch")
    require(type(checkpoint.iteration) is int, "iteration")
    require(is_array(checkpoint.train_losses, (checkpoint.iteration,), np.float64), "train_losses")
    require(is_dict(checkpoint.val_losses, int, float), "val_losses")
    require(all(0 < iteration <= checkpoint.iteration for iteration in checkpoint.val_losses), "val_losses")
    losses = {"train_losses": checkpoint.train_losses, "val_losses": np.array([*checkpoint.val_losses.values()])}
    for name, values in losses.items():  # those of a run that went wrong may be infinite or not a number
        require(not ((np.abs(values) >= HUGE) & (values != math.inf)).any(), name)
    parameters = checkpoint.parameters
    # First their number: the shapes of a stranger's layers could fill the memory.
    count = count_arrays(options["num_layers"], model)
    require(is_dict(parameters, str, np.ndarray) and len(parameters) == count, "parameters")
    require(checkpoint.dtype in ("float32", "float64"), "parameters' type")
    shapes = parameter_shapes(*checkpoint.model_shape)
    for name, shape in shapes.items():
        require(is_array(parameters.get(name), shape, checkpoint.dtype), f"parameter {name}")
        if not np.isfinite(parameters[name]).all():
            raise InvalidFile(f"its parameter {name} has values that are not finite")
    checkpoint.parameters = {name: parameters[name] for name in shapes}  # in CharRNN's order
    if checkpoint.training is not None:
        check_training(checkpoint.training, checkpoint)
    return checkpoint


def check_training(training: Any, checkpoint: Checkpoint) -> None:
    """Raises like `from_content` if a run could not be resumed from this.

    `learning_rate` is the current one, and `optimizer` holds arrays for the flat vector of parameters by name. `state`
    (L, states, B, H) is carried into the next batch. `random` is the point in the stream of random numbers: key, int64
    (624,), and pos. A run continues bit for bit only on the same kind of `device`, and with the text of `text_sha256`.
    """
    random = training["random"]
    rate, optimizer, key, pos = training["learning_rate"], training["optimizer"], random["key"], random["pos"]
    options, size, dtype = checkpoint.options, checkpoint.size, checkpoint.dtype
    _, H, L, model = checkpoint.model_shape
    require(type(rate) is float and 0 <= rate < HUGE, "learning_rate")
    # A run that went on in another precision would not be the same run.
    require(dtype == ("float64" if options.get("dtype") == "float64" else "float32"), "dtype")
    require(isinstance(training["text_sha256"], str), "text_sha256")
    require(type(training["device"]) is str and training["device"] in DEVICES, "device")
    require(optimizer.keys() == OPTIMIZER_STATE.get(options.get("optim", "rmsprop")), "optimizer")
    require(all(is_array(array, (size,), dtype) for array in optimizer.values()), "optimizer")
    # Anything else would end the run at once. A mean of squares can be infinite, where nothing clamps a gradient.
    require((optimizer["square_avg"] >= 0).all() and np.isfinite(optimizer.get("avg", 0)).all(), "optimizer")
    require(is_array(training["state"], (L, len(CELLS[model].states), options["batch_size"], H), dtype), "state")
    require(np.isfinite(training["state"]).all(), "state")
    require(is_array(key, (624,), np.int64) and ((key >= 0) & (key < 2**32)).all(), "random")
    require(type(pos) is int and 0 <= pos <= 624, "random")


def require(condition: Any, what: str) -> None:
    if not condition:
        raise InvalidFile(f"its {what} cannot be right")


def is_dict(value: Any, key_type: type, *value_types: type) -> bool:
    return isinstance(value, dict) and all(type(k) is key_type and type(v) in value_types for k, v in value.items())


def is_array(value: Any, shape: tuple[int, ...], dtype: Any) -> bool:
    return isinstance(value, np.ndarray) and value.shape == shape and value.dtype == dtype


def same(a: Any, b: Any) -> bool:
    """Whether two checkpoints, or values in them, are equal to the last bit."""
    if isinstance(a, Checkpoint) and isinstance(b, Checkpoint):
        return same(vars(a), vars(b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and (a.dtype, a.shape) == (b.dtype, b.shape) and a.tobytes() == b.tobytes()
    return type(a) is type(b) and a == b
