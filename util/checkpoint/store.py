"""Saves and loads checkpoints, whichever program wrote them."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from util.checkpoint.char_rnn_t7 import t7_content
from util.checkpoint.content import FORMAT, VERSION, Checkpoint, checked
from util.checkpoint.pt import read_pt
from util.checkpoint.t7 import read_t7
from util.cli.files import replacing
from util.errors import UserError, reason


def checkpoint_name(savefile: str, epoch: float, val_loss: float) -> str:
    """lm_<savefile>_epoch<epoch>_<validation loss>.pt"""
    return f"lm_{savefile}_epoch{epoch:.2f}_{val_loss:.4f}.pt"


def save_checkpoint(checkpoint: Checkpoint, path: Path, commit: Callable[[str, Path], None] = os.replace) -> None:
    """Writes a checkpoint, whole or not at all; `commit` as for util.cli.files.replacing. Raises OSError."""
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
    return t7_content(read_t7(path))
