"""What a checkpoint holds, checked down to the last key before use: a checkpoint is data from a stranger.

A file holds one dictionary of plain values and tensors, see util/checkpoint/store.py; here the arrays are numpy's.
Letters: V characters, H outputs of a layer, L layers, B streams.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np

from model.shapes import GATES, STATES, parameter_shapes
from util.cli.flags import LARGEST
from util.text.vocabulary import Vocabulary

FORMAT = "char-rnn checkpoint"
VERSION = 1
DEVICES = ("cpu", "cuda", "ocl", "privateuseone")
OPTIMIZER_STATE = {"rmsprop": {"square_avg"}, "adam": {"square_avg", "avg"}}
"""What each optimizer keeps for every parameter; the names are those of util/training/optimizer.py."""


class ModelShape(NamedTuple):
    """CharRNN's arguments."""

    vocab_size: int
    rnn_size: int
    num_layers: int
    model: str


@dataclass
class Checkpoint:
    """A model, and the run that made it."""

    options: dict[str, Any]
    """The flags of the run: values of type str, int, float."""
    vocabulary: Vocabulary
    parameters: dict[str, np.ndarray]
    """The parameters of model.char_rnn.CharRNN by name, all float32 or all float64."""
    iteration: int
    epoch: float
    """The number of passes over the training text; 0 if the file does not say, as torch-rnn's do not."""
    train_losses: np.ndarray
    """Loss per character of each iteration: float64 (iteration,)."""
    val_losses: dict[int, float]
    """Loss per character on the validation split, by iteration."""
    training: dict[str, Any] | None
    """What resuming exactly needs besides; None for checkpoints from other programs. See `check_training`."""

    @property
    def model_shape(self) -> ModelShape:
        o = self.options
        return ModelShape(len(self.vocabulary), o["rnn_size"], o["num_layers"], o["model"])

    @property
    def size(self) -> int:
        """The number of parameters."""
        return sum(array.size for array in self.parameters.values())

    @property
    def epoch_is_known(self) -> bool:
        return self.epoch > 0 or self.iteration == 0

    @property
    def trained(self) -> str:
        """How long the model was trained, in words."""
        return f"{self.epoch:.2f} epochs" if self.epoch_is_known else f"{self.iteration:,} iterations"

    def loss_at(self, iteration: int) -> float:
        """Returns the loss in a checkpoint's name: on the validation split or, without one, in the epoch up to it."""
        if self.val_losses:
            return self.val_losses[iteration]
        epoch = round(self.iteration / max(self.epoch, 1))
        return float(self.train_losses[max(iteration - epoch, 0) : iteration].mean())

    @property
    def precision(self) -> str:
        """The run's -dtype: its parameters', unless it multiplies in bfloat16."""
        return "bfloat16" if self.options.get("dtype") == "bfloat16" else self.dtype

    @property
    def dtype(self) -> str:
        """float32 or float64."""
        return str(next(iter(self.parameters.values())).dtype)


def to_content(checkpoint: Checkpoint) -> dict[str, Any]:
    """Returns the dictionary of plain values and arrays that goes into a file."""
    vocabulary = checkpoint.vocabulary
    names = {"vocabulary": vocabulary.characters, "encoding": vocabulary.encoding}
    return vars(checkpoint) | names | {"format": FORMAT, "version": VERSION}


def from_content(content: Any) -> Checkpoint:
    """Builds a checkpoint from a file's content. Raises ValueError with the reason if it is not valid."""
    if not isinstance(content, dict) or not same(content.get("format"), FORMAT):
        raise ValueError("it was written by another program")
    if not same(content.get("version"), VERSION):
        raise ValueError(f"its version of the format is not {VERSION}, the only one that this program reads")
    names = [field.name for field in fields(Checkpoint)]
    for name in (*names, "encoding"):
        if name not in content:
            raise ValueError(f"it has no {name}")
    vocabulary = Vocabulary(content["vocabulary"], content["encoding"])
    return checked(Checkpoint(**{name: content[name] for name in names} | {"vocabulary": vocabulary}))


def checked(checkpoint: Checkpoint) -> Checkpoint:
    """Returns the checkpoint. Raises ValueError with the reason if it is not valid."""
    check_run(checkpoint)
    check_parameters(checkpoint)
    if checkpoint.training is not None:
        check_training(checkpoint.training, checkpoint)
    return checkpoint


def check_run(checkpoint: Checkpoint) -> None:
    """Raises ValueError if the vocabulary, options or losses cannot be a run's."""
    characters, encoding = checkpoint.vocabulary.characters, checkpoint.vocabulary.encoding
    require(isinstance(characters, str) and 0 < len(characters) == len(set(characters)), "vocabulary")
    require(isinstance(encoding, str) and checkpoint.vocabulary.fits_encoding, "encoding")
    options = checkpoint.options
    require(is_dict(options, str, (str, int, float)), "options")
    require(all(abs(value) <= LARGEST for value in options.values() if type(value) is int), "options")
    require(options.get("model") in GATES, "model")
    sizes = ("rnn_size", "num_layers", "batch_size", "seq_length")
    require(all(is_count(options.get(name)) for name in sizes), "sizes")
    require(type(options.get("dropout")) in (int, float) and 0 <= options["dropout"] < 1, "dropout")
    require(is_count(checkpoint.iteration, 0) and is_number(checkpoint.epoch), "iteration")
    require(is_array(checkpoint.train_losses, (checkpoint.iteration,), np.float64), "train_losses")
    require(is_dict(checkpoint.val_losses, int, (float,)), "val_losses")
    require(all(0 <= iteration < 2**63 for iteration in checkpoint.val_losses), "val_losses")


def check_parameters(checkpoint: Checkpoint) -> None:
    """Raises ValueError if the parameters are not those of the model that the options describe."""
    parameters = checkpoint.parameters
    require(is_dict(parameters, str, (np.ndarray,)), "parameters")
    L = checkpoint.model_shape.num_layers
    if len(parameters) != 4 * L + 2:
        raise ValueError(f"it holds {len(parameters)} parameter arrays, but {L} layers have {4 * L + 2}")
    dtypes = {array.dtype for array in parameters.values()}
    if dtypes not in ({np.dtype(np.float32)}, {np.dtype(np.float64)}):
        raise ValueError("its parameters are neither all float32 nor all float64")
    for name, shape in parameter_shapes(*checkpoint.model_shape).items():
        if name not in parameters:
            raise ValueError(f"it has no parameter {name}")
        if parameters[name].shape != shape:
            raise ValueError(f"its parameter {name} has shape {parameters[name].shape} instead of {shape}")
        if not np.isfinite(parameters[name]).all():
            raise ValueError(f"its parameter {name} has values that are not finite")


def check_training(training: Any, checkpoint: Checkpoint) -> None:
    """Raises ValueError if a run could not be resumed from this.

    `learning_rate` is the current one, and `optimizer` holds arrays for the flat vector of parameters by name. `state`
    (L, states, B, H) is carried into the next batch. `random` is the point in the stream of random numbers: key, int64
    (624,), and pos. A run continues bit for bit only on the same kind of `device`, and with the text of `text_sha256`.
    """
    names = {"learning_rate", "optimizer", "state", "random", "text_sha256", "device"}
    require(isinstance(training, dict) and training.keys() == names, "training")
    # The bound keeps it within a float32.
    require(is_number(training["learning_rate"]) and 0 <= training["learning_rate"] < 1e38, "learning_rate")
    # A run that went on in another precision would not be the same run.
    options, size, dtype = checkpoint.options, checkpoint.size, checkpoint.dtype
    require(dtype == ("float64" if options.get("dtype") == "float64" else "float32"), "dtype")
    require(isinstance(training["text_sha256"], str), "text_sha256")
    require(isinstance(training["device"], str) and training["device"] in DEVICES, "device")
    require(all(0 < iteration <= checkpoint.iteration for iteration in checkpoint.val_losses), "val_losses")
    optimizer, random = training["optimizer"], training["random"]
    wanted = OPTIMIZER_STATE.get(options.get("optim", "rmsprop"))
    require(isinstance(optimizer, dict) and optimizer.keys() == wanted, "optimizer")
    require(all(is_array(array, (size,), dtype) for array in optimizer.values()), "optimizer")
    _, H, L, model = checkpoint.model_shape
    require(is_array(training["state"], (L, len(STATES[model]), options["batch_size"], H), dtype), "state")
    require(isinstance(random, dict) and random.keys() == {"key", "pos"}, "random")
    key, pos = random["key"], random["pos"]
    require(is_array(key, (624,), np.int64) and ((key >= 0) & (key < 2**32)).all(), "random")
    require(is_count(pos, 0) and pos <= 624, "random")


def require(condition: Any, what: str) -> None:
    if not condition:
        raise ValueError(f"its {what} cannot be right")


def is_count(value: Any, low: int = 1) -> bool:
    return type(value) is int and value >= low


def is_number(value: Any) -> bool:
    return type(value) is float and math.isfinite(value)


def is_dict(value: Any, key_type: type, value_types: tuple[type, ...]) -> bool:
    return isinstance(value, dict) and all(type(k) is key_type and type(v) in value_types for k, v in value.items())


def is_array(value: Any, shape: tuple[int, ...], dtype: Any) -> bool:
    return isinstance(value, np.ndarray) and value.shape == shape and value.dtype == dtype


def same(a: Any, b: Any) -> bool:
    """Whether two values, checkpoints among them, are equal to the last bit."""
    if isinstance(a, Checkpoint) and isinstance(b, Checkpoint):
        return same(vars(a), vars(b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and (a.dtype, a.shape) == (b.dtype, b.shape) and a.tobytes() == b.tobytes()
    return type(a) is type(b) and a == b
