"""What is known of an iteration, and what is due after it: a line of the log, a validation, a checkpoint."""

from __future__ import annotations

from argparse import Namespace
from typing import NamedTuple

from util.errors import UserError


class Record(NamedTuple):
    """What is known of the iterations that were fetched together, the last of which has this loss."""

    loss: float
    norm_ratio: float
    """The norm of the clamped gradient over that of the parameters after the update."""
    seconds: float
    """How long one of these iterations took."""
    stop: bool
    """Whether a process has asked all processes to stop."""


class WrongLoss(UserError):
    """The loss has exploded, or the model is not a number any more. `record` is that of the loss, if it is known."""

    def __init__(self, sentence: str, record: Record | None = None) -> None:
        super().__init__(sentence)
        self.record = record


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
