"""Checkpoints: listed, compared to the last bit, computed with, and changed as a stranger might."""

import tracemalloc
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from model.stepper import Stepper
from util.checkpoint.content import Checkpoint
from util.checkpoint.content import same as same
from util.checkpoint.store import load_checkpoint


def checkpoints(folder: Path) -> dict[str, Checkpoint]:
    """Each checkpoint of a folder, by name. Raises UserError if one is damaged."""
    return {path.name: load_checkpoint(path) for path in sorted(folder.glob("*.pt"))}


def stepper(checkpoint: Checkpoint) -> Stepper:
    return Stepper(checkpoint.parameters, checkpoint.options["num_layers"], checkpoint.options["model"])


def log_probs(checkpoint: Checkpoint, indices: Iterable[int]) -> np.ndarray:
    """After each of the indices, (T, V)."""
    step = stepper(checkpoint)
    return np.array([step(np.array([index]))[0] for index in indices])


def rewrite(source: Path, target: Path, **changes: Any) -> Path:
    """Copies a checkpoint with some of its values changed. Returns the target."""
    import torch

    torch.save(torch.load(source, weights_only=True) | changes, target)
    return target


def with_weights(value: float, source: Path, target: Path) -> Path:
    """Copies the model of a checkpoint with all of its weights set to a value. Returns the target."""
    import torch

    parameters = load_checkpoint(source).parameters
    changed = {name: torch.full(array.shape, value) for name, array in parameters.items()}
    return rewrite(source, target, parameters=changed, training=None)


def peak_of(call: Callable[[], object]) -> int:
    """The most memory, in bytes, that was allocated during a call."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
