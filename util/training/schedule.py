"""What is due after an iteration: a line of the log, a validation, a checkpoint to resume from."""

from __future__ import annotations

from argparse import Namespace
from typing import NamedTuple


class Due(NamedTuple):
    line: bool
    validation: bool
    rolling: bool
    """A checkpoint without a validation; see util.checkpoint.folder."""


def due(iteration: int, iterations: int, options: Namespace) -> Due:
    """Returns what is due after an iteration, counted from 1, out of `iterations`."""
    return Due(
        line=iteration % options.print_every == 0,
        validation=iteration % options.eval_val_every == 0 or iteration == iterations,
        rolling=options.save_every > 0 and iteration % options.save_every == 0,
    )


def without_improvement(val_losses: dict[int, float]) -> int:
    """Returns the number of validations since the one with the lowest loss."""
    losses = list(val_losses.values())
    return len(losses) - 1 - losses.index(min(losses)) if losses else 0
