"""Checkpoints: listed, compared to the last bit, and changed as a stranger might."""

from pathlib import Path
from typing import Any

from util.checkpoint import content
from util.checkpoint.content import Checkpoint
from util.checkpoint.store import load_checkpoint


def same(a: Any, b: Any) -> bool:
    """Whether two checkpoints, dictionaries of them or parts of them are equal to the last bit."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[name], b[name]) for name in a)
    a, b = (vars(one) if isinstance(one, Checkpoint) else one for one in (a, b))
    return content.same(a, b)


def checkpoints(folder: Path) -> dict[str, Checkpoint]:
    """Each checkpoint of a folder, by name. Raises UserError if one is damaged."""
    return {path.name: load_checkpoint(path) for path in sorted(folder.glob("*.pt"))}


def rewrite(source: Path, target: Path, **changes: Any) -> Path:
    """Copies a checkpoint with some of its values changed. Returns the target."""
    import torch

    torch.save(torch.load(source, weights_only=True) | changes, target)
    return target
