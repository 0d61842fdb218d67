"""How texts are to be sampled: the flags of sample.py that the library and its prompts take as well."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from util.cli.console import shown
from util.cli.flags import POSITIVE, SEED, SWITCH, choice, real, whole
from util.errors import UserError
from util.torch7_random import DEFAULT_SEED

KINDS = {
    "length": whole(0),
    "temperature": real(POSITIVE.accepts, f"{POSITIVE.wanted}; -sample 0 always takes the most likely character"),
    "seed": SEED,
    "sample": SWITCH,
    "top_k": whole(0),
    "top_p": real(lambda x: 0 < x <= 1, "a number above 0 and at most 1"),
    "stop_document": SWITCH,
    "unknown_chars": choice("error", "skip", "nearest"),
}
"""What each setting may be, except for `stop`."""


@dataclass(frozen=True)
class Settings:
    """What sample.py's flags of these names say; `stop` holds all that may end a text, as it is, without escapes.

    Raises UserError at a value that the flag would refuse.
    """

    length: int = 2000
    temperature: float = 1.0
    seed: int = DEFAULT_SEED
    sample: int = 1
    top_k: int = 0
    top_p: float = 1.0
    stop: Sequence[str] = ()
    stop_document: int = 0
    unknown_chars: str = "error"

    def __post_init__(self) -> None:
        for name, kind in KINDS.items():
            value = getattr(self, name)
            try:  # as a word on the command line is checked
                value = kind(str(int(value) if isinstance(value, bool) else value))
            except ArgumentTypeError as error:
                raise UserError(f"{name}: {shown(str(error))}") from error
            except ValueError as error:  # a whole number of more digits than Python writes
                raise UserError(f"{name}: so long a number is not {kind.wanted}") from error
            object.__setattr__(self, name, value)
        stop = [self.stop] if isinstance(self.stop, str) else self.stop
        if not (isinstance(stop, list | tuple) and all(isinstance(one, str) for one in stop)):
            raise UserError(f"stop: {stop!r:.80} is neither text nor a list of texts")
        object.__setattr__(self, "stop", tuple(one for one in stop if one))

    def but(self, said: Mapping[str, Any]) -> Settings:
        """Returns these settings, but for what is said. Raises UserError at a name or a value that cannot be."""
        known = [field.name for field in fields(self)]
        if strange := said.keys() - {*known}:
            raise UserError(f"there is no {min(strange)!r:.80}; a prompt may have primetext, {', '.join(known)}")
        return replace(self, **said)
