"""Checkpoints: what one holds, how it is named, saved and loaded.

A checkpoint is one dictionary of plain values and tensors in PyTorch's .pt format, which torch.load opens as well,
with weights_only=True. It is read here without torch, with its tensors as numpy arrays, and checked to the last key
before anything is done with it: a checkpoint is data from a stranger.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from util.errors import UserError, reason
from util.files import replacing
from util.pt import read_pt

FORMAT = "char-rnn checkpoint"
VERSION = 1
NUM_GATES = {"lstm": 4, "gru": 3, "rnn": 1}
NUM_STATES = {"lstm": 2, "gru": 1, "rnn": 1}


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


def checkpoint_name(savefile: str, epoch: float, val_loss: float) -> str:
    """lm_<savefile>_epoch<epoch>_<validation loss>.pt"""
    return f"lm_{savefile}_epoch{epoch:.2f}_{val_loss:.4f}.pt"


def save_checkpoint(checkpoint: Checkpoint, path: Path, commit: Callable[[str, Path], None] = os.replace) -> None:
    """Writes a checkpoint, whole or not at all; `commit` as for util.files.replacing. Raises OSError."""
    import torch

    content = {field.name: as_tensors(getattr(checkpoint, field.name)) for field in fields(checkpoint)}
    # By way of memory: torch's writer hides an error of the file system behind one of its own.
    archive = io.BytesIO()
    torch.save({"format": FORMAT, "version": VERSION, **content}, archive)
    with replacing(path, commit) as file:
        file.write(archive.getbuffer())


def as_tensors(value: Any) -> Any:
    """The same value with tensors for numpy arrays."""
    import torch

    if isinstance(value, dict):
        return {key: as_tensors(item) for key, item in value.items()}
    return torch.tensor(value) if isinstance(value, np.ndarray) else value


def load_checkpoint(path: Path | str) -> Checkpoint:
    """Reads and checks a checkpoint. Raises UserError with one sentence where there is no sound one at `path`."""
    path = Path(path)
    if path.is_dir():
        raise UserError(f"{path} is a folder; name a checkpoint in it, a file like lm_lstm_epoch1.00_1.5000.pt")
    if path.exists() and not path.is_file():
        raise UserError(f"{path} is no file; name a checkpoint")
    try:
        content = read_content(path)
    except FileNotFoundError:
        raise UserError(f"there is no checkpoint {path}") from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {reason(error)}") from error
    except ValueError as error:
        raise UserError(f"{path} is no checkpoint of char-rnn, or a damaged one: {error}") from error
    try:
        return checked(content)
    except ValueError as error:
        raise UserError(f"{path} is no sound checkpoint of char-rnn: {error}") from error


def read_content(path: Path) -> Any:
    """What a .pt file holds, or a .t7 file of the original, as `checked` takes it. Raises ValueError and OSError."""
    with path.open("rb") as file:
        start = file.read(4)
    if start[:2] == b"PK":
        return read_pt(path)
    if start[:1] not in (b"\3", b"\4", b"3", b"4"):  # a table or an object, in binary or in ASCII
        raise ValueError("it is neither a .pt nor a .t7 file")
    from util.t7 import read_t7
    from util.t7_checkpoint import t7_content  # which imports this module

    return t7_content(read_t7(path))


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
    require(options.get("model") in NUM_GATES, "model")
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
    for name, shape in parameter_shapes(V, H, L, model):
        if name not in parameters:
            raise ValueError(f"it has no parameter {name}")
        if parameters[name].shape != shape:
            raise ValueError(f"its parameter {name} has the shape {parameters[name].shape} instead of {shape}")
        if not np.isfinite(parameters[name]).all():
            raise ValueError(f"its parameter {name} has values that are no numbers")


def parameter_shapes(V: int, H: int, L: int, model: str) -> list[tuple[str, tuple[int, ...]]]:
    """Names and shapes of CharRNN's parameters."""
    width = NUM_GATES[model] * H
    shapes: list[tuple[str, tuple[int, ...]]] = []
    for layer in range(L):
        shapes += [
            (f"layers.{layer}.i2h_weight", (V if layer == 0 else H, width)),
            (f"layers.{layer}.i2h_bias", (width,)),
            (f"layers.{layer}.h2h_weight", (H, width)),
            (f"layers.{layer}.h2h_bias", (width,)),
        ]
    return [*shapes, ("decoder.weight", (V, H)), ("decoder.bias", (V,))]


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
    require(is_array(training["state"], (L, NUM_STATES[model], batch_size, H), checkpoint.dtype), "state")
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
