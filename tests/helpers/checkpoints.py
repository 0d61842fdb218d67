"""Checkpoints: listed, compared to the last bit, and changed as a stranger might."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from util.checkpoint.content import Checkpoint
from util.checkpoint.store import load_checkpoint


def checkpoints(folder: Path) -> dict[str, Checkpoint]:
    """Each checkpoint of a folder, by name. Raises UserError if one is damaged."""
    return {path.name: load_checkpoint(path) for path in sorted(folder.glob("*.pt"))}


def same(a: Any, b: Any) -> bool:
    """Whether two values and everything in them are equal and of equal types, arrays to the last bit."""
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
    if type(a) is not type(b):
        return False
    if dataclasses.is_dataclass(a):
        return all(same(getattr(a, field.name), getattr(b, field.name)) for field in dataclasses.fields(a))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return a == b


def rewrite(source: Path, target: Path, **changes: Any) -> Path:
    """Copies a checkpoint with some of its values changed. Returns the target."""
    import torch

    torch.save(torch.load(source, weights_only=True) | changes, target)
    return target
