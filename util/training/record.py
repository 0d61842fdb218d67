"""What is known of an iteration. It has a file of its own since it needs no torch, which takes long to import."""

from typing import NamedTuple

from util.errors import UserError


class Record(NamedTuple):
    """What is known of an iteration."""

    loss: float
    norm_ratio: float  # the norm of the clamped gradient over that of the parameters after the update
    seconds: float  # how long it took


class WrongLoss(UserError):
    """The loss is not a number, or exploded, in the iteration that `record` is of."""

    def __init__(self, sentence: str, record: Record) -> None:
        super().__init__(sentence)
        self.record = record
