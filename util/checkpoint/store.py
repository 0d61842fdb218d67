"""Saves checkpoints as PyTorch's .pt files, which torch.load opens as well, and loads them, whoever wrote them."""

import difflib
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from util.checkpoint.content import FORMAT, VERSION, Checkpoint, checked, from_content
from util.checkpoint.pt import read_pt
from util.cli.files import replacing, what_is
from util.errors import InvalidFile, UserError, reason

SUFFIXES = (".pt", ".t7")


def save_checkpoint(checkpoint: Checkpoint, path: Path, commit: Callable[[str, Path], None] = os.replace) -> None:
    """Writes a checkpoint, whole or not at all; `commit` is as in util.cli.files.replacing.

    Raises OSError, and UserError if it could not be read again.
    """
    try:
        content = to_bytes(checked(checkpoint))
    except InvalidFile as error:
        raise UserError(f"{path} is not written, since it would not be a valid checkpoint: {error}") from error
    with replacing(path, commit) as file:
        file.write(content)


def to_bytes(checkpoint: Checkpoint) -> memoryview:
    """Returns the bytes of a checkpoint's .pt file."""
    import torch

    def with_tensors(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: with_tensors(item) for key, item in value.items()}
        return torch.tensor(value) if isinstance(value, np.ndarray) else value

    names = {"vocabulary": checkpoint.vocabulary.characters, "encoding": checkpoint.vocabulary.encoding}
    content = vars(checkpoint) | names | {"format": FORMAT, "version": VERSION}
    archive = io.BytesIO()  # since torch's writer hides file system errors behind its own
    torch.save(with_tensors(content), archive)
    return archive.getbuffer()


def load_checkpoint(path: Path | str) -> Checkpoint:
    """Reads and checks a .pt file, or a .t7 file of char-rnn or torch-rnn. Raises UserError if it is no checkpoint."""
    path = Path(path)
    wrong = "it is neither a .pt nor a .t7 file"
    try:
        if found := what_is(path):
            raise UserError(f"{path} is {found}; give the name of a checkpoint, such as lm_lstm_epoch1.00_1.5000.pt")
        with path.open("rb") as file:
            start = file.read(2)
        if start == b"PK":
            return from_content(read_pt(path))
        if start[:1] in (b"\3", b"\4"):  # a table or an object
            from util.checkpoint.torch7 import from_t7  # sample.py on a .pt starts sooner without

            return from_t7(path)
    except FileNotFoundError:
        raise UserError(f"there is no checkpoint {path}{instead_of(path)}") from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {reason(error)}") from error
    except InvalidFile as error:
        wrong = str(error)
    except (BadZipFile, EOFError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RuntimeError):
        wrong = "it is damaged or incomplete"
    raise UserError(f"{path} is not a valid char-rnn checkpoint: {wrong}")


def instead_of(path: Path) -> str:
    """Returns what the name of a missing checkpoint may have meant, as the end of a sentence."""
    for folder in (path.parent, Path("cv")):
        if names := [file.name for file in folder.glob("*") if file.suffix in SUFFIXES]:
            return f"; {folder} has {', '.join(difflib.get_close_matches(path.name, names, 3, cutoff=0))}"
    return ""
