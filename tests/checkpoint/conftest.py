"""A run's checkpoints at any iteration."""

import dataclasses
from typing import Any

import pytest

from util.checkpoint.content import Checkpoint
from util.checkpoint.store import load_checkpoint


@pytest.fixture
def at(checkpoint):
    """at(iteration, {iteration: validation loss}, **options): a run's checkpoint then, or one's with other options.

    10 iterations are an epoch.
    """
    whole = load_checkpoint(checkpoint)

    def make(iteration: int, val_losses: dict[int, float] | None = None, **options: Any) -> Checkpoint:
        return dataclasses.replace(
            whole,
            options=whole.options | {"savefile": "s"} | options,
            iteration=iteration,
            epoch=iteration / 10,
            train_losses=whole.train_losses[:iteration],
            val_losses={i: loss for i, loss in (val_losses or {}).items() if i <= iteration},
        )

    return make
