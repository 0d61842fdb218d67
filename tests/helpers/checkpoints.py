"""Checkpoints: listed, compared to the last bit, and changed as a stranger might."""

from pathlib import Path
from typing import Any

from util.checkpoint.content import Checkpoint, same
from util.checkpoint.store import load_checkpoint

__all__ = ["checkpoints", "rewrite", "same"]


def checkpoints(folder: Path) -> dict[str, Checkpoint]:
    """Each checkpoint of a folder, by name. Raises UserError if one is damaged."""
    return {path.name: load_checkpoint(path) for path in sorted(folder.glob("*.pt"))}


def rewrite(source: Path, target: Path, **changes: Any) -> Path:
    """Copies a checkpoint with some of its values changed. Returns the target."""
    import torch

    torch.save(torch.load(source, weights_only=True) | changes, target)
    return target
