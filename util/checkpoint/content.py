"""Checkpoints: what one holds, how it is named, saved and loaded.

A checkpoint is one dictionary of plain values and tensors in PyTorch's .pt format, which torch.load opens as well,
with weights_only=True. It is read here without torch, with its tensors as numpy arrays, and checked to the last key
before anything is done with it: a checkpoint is data from a stranger.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from model.shapes import GATES, STATES, parameter_shapes

FORMAT = "char-rnn checkpoint"
VERSION = 1


@dataclass
class Checkpoint:
    """A model and the run that made it. Tensors are numpy arrays after loading and torch tensors before saving."""

    options: dict[str, Any]
    """The flags of the run: values of type str, int, float."""
    vocabulary: str
    """The model's characters in the order of their indices."""
    encoding: str
    """How text files become these characters; `bytes`: characters 0 to 255 stand for bytes."""
    parameters: dict[str, Any]
    """The tensors of model.char_rnn.CharRNN by their names there, all float32 or all float64."""
    iteration: int
    epoch: float
    train_losses: Any
    """Loss per character of each iteration: float64 (iteration,)."""
    val_losses: dict[int, float]
    """Loss per character on the validation split, by iteration."""
    training: dict[str, Any] | None
    """What an exact continuation needs; see `TRAINING_KEYS`. None in checkpoints that came from elsewhere."""

    @property
    def model_shape(self) -> tuple[int, int, int, str]:
        """What CharRNN is made of: (V, H, L, cell)."""
        o = self.options
        return len(self.vocabulary), o["rnn_size"], o["num_layers"], o["model"]

    @property
    def dtype(self) -> str:
        """float32 or float64."""
        return str(next(iter(self.parameters.values())).dtype)


TRAINING_KEYS = {
    "learning_rate": float,
    "optimizer": dict,  # the optimizer's tensors for the flat parameter vector, by name
    "state": np.ndarray,  # (L, num_states, B, H), carried into the next batch
    "random": dict,  # util.torch7_random's position: key int64 (624,), pos
    "text_sha256": str,
    "device": str,  # cpu or cuda: only on the same does a run go on bit for bit
}


def checked(content: Any) -> Checkpoint:
    """The checkpoint that a file's content stands for. Raises ValueError with the reason where it is unsound."""
    if not isinstance(content, dict) or not isinstance(content.get("format"), str) or content["format"] != FORMAT:
        raise ValueError("another program wrote it")
    version = content.get("version")
    if type(version) is not int or version != VERSION:
        # Only a number is worth showing; another value may be endless, or steer a terminal.
        shown = version if isinstance(version, int) and 0 < version < 2**32 else "?"
        raise ValueError(f"it has version {shown} of the format, and this program reads {VERSION}")
    for field in fields(Checkpoint):
        if field.name not in content:
            raise ValueError(f"it has no {field.name}")
    checkpoint = Checkpoint(**{field.name: content[field.name] for field in fields(Checkpoint)})

    options = checkpoint.options
    require(is_dict(options, str, (str, int, float)), "options")
    require(all(abs(value) < 2**63 for value in options.values() if type(value) is int), "options")
    require(options.get("model") in GATES, "model")
    require(
        all(is_count(options.get(name)) for name in ("rnn_size", "num_layers", "batch_size", "seq_length")), "sizes"
    )
    require(type(options.get("dropout")) in (int, float) and 0 <= options["dropout"] < 1, "dropout")
    vocabulary, encoding = checkpoint.vocabulary, checkpoint.encoding
    require(isinstance(vocabulary, str) and 0 < len(vocabulary) == len(set(vocabulary)), "vocabulary")
    require(isinstance(encoding, str) and (encoding != "bytes" or max(vocabulary) < "\u0100"), "encoding")
    require(is_count(checkpoint.iteration, 0) and is_number(checkpoint.epoch), "iteration")
    require(is_array(checkpoint.train_losses, (checkpoint.iteration,), np.float64), "train_losses")
    require(is_dict(checkpoint.val_losses, int, (float,)), "val_losses")
    require(all(0 <= iteration < 2**63 for iteration in checkpoint.val_losses), "val_losses")
    check_parameters(checkpoint)
    if checkpoint.training is not None:
        check_training(checkpoint, checkpoint.training)
    return checkpoint


def check_parameters(checkpoint: Checkpoint) -> None:
    """Raises ValueError where the parameters are not those of the model that the options describe."""
    parameters = checkpoint.parameters
    require(is_dict(parameters, str, (np.ndarray,)), "parameters")
    V, H, L, model = checkpoint.model_shape
    if len(parameters) != 4 * L + 2:
        raise ValueError(f"it holds {len(parameters)} parameters where {L} layers have {4 * L + 2}")
    dtypes = {array.dtype for array in parameters.values()}
    if dtypes not in ({np.dtype(np.float32)}, {np.dtype(np.float64)}):
        raise ValueError("its parameters are neither all float32 nor all float64")
    for name, shape in parameter_shapes(V, H, L, model).items():
        if name not in parameters:
            raise ValueError(f"it has no parameter {name}")
        if parameters[name].shape != shape:
            raise ValueError(f"its parameter {name} has the shape {parameters[name].shape} instead of {shape}")
        if not np.isfinite(parameters[name]).all():
            raise ValueError(f"its parameter {name} has values that are no numbers")


def check_training(checkpoint: Checkpoint, training: dict[str, Any]) -> None:
    """Raises ValueError where a run could not go on from the checkpoint."""
    require(isinstance(training, dict) and training.keys() == TRAINING_KEYS.keys(), "training")
    for key, kind in TRAINING_KEYS.items():
        require(isinstance(training[key], kind), key)
    # The bound is what a float32 can hold.
    require(is_number(training["learning_rate"]) and 0 <= training["learning_rate"] < 1e38, "learning_rate")
    require(training["device"] in ("cpu", "cuda"), "device")
    require(all(0 < iteration <= checkpoint.iteration for iteration in checkpoint.val_losses), "val_losses")
    count = sum(array.size for array in checkpoint.parameters.values())
    names = {"square_avg", "avg"} if checkpoint.options.get("optim") == "adam" else {"square_avg"}
    require(training["optimizer"].keys() == names, "optimizer")
    require(all(is_array(training["optimizer"][name], (count,), checkpoint.dtype) for name in names), "optimizer")
    _, H, L, model = checkpoint.model_shape
    batch_size = checkpoint.options["batch_size"]
    require(is_array(training["state"], (L, len(STATES[model]), batch_size, H), checkpoint.dtype), "state")
    key, pos = training["random"].get("key"), training["random"].get("pos")
    require(is_array(key, (624,), np.int64) and ((key >= 0) & (key < 2**32)).all(), "random")
    require(is_count(pos, 0) and pos <= 624, "random")


def require(condition: bool, what: str) -> None:
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
