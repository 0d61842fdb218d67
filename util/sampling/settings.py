"""How texts are to be sampled: the flags of sample.py that the library and its prompts take as well."""

from argparse import ArgumentTypeError
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from util.cli.console import shown
from util.cli.flags import POSITIVE, SEED, STRING, SWITCH, Kind, choice, real, whole
from util.errors import UserError
from util.torch7_random import DEFAULT_SEED

TEMPERATURE = real(POSITIVE.accepts, f"{POSITIVE.wanted}; -sample 0 always takes the most likely character")
UNKNOWN_CHARS = choice("error", "skip", "nearest")
SHARE = real(lambda x: 0 < x <= 1, "a number above 0 and at most 1")


def setting(default: Any, kind: Kind, help: str) -> Any:
    """A field of Settings, and the flag of its name."""
    return field(default=default, metadata={"kind": kind, "help": help})


@dataclass(frozen=True)
class Settings:
    """What sample.py's flags of these names say; `stop` holds all that may end a text, as it is, without escapes.

    Raises UserError at a value that the flag would refuse.
    """

    seed: int = setting(DEFAULT_SEED, SEED, "seed for the random numbers")
    sample: int = setting(1, SWITCH, "1 = draw each character at random; 0 = always take the most likely")
    length: int = setting(2000, whole(0), "number of characters to sample")
    temperature: float = setting(1.0, TEMPERATURE, "below 1 = safer text, above 1 = wilder text")
    top_k: int = setting(0, whole(0), "draw only from the N most likely characters; 0 = all")
    top_p: float = setting(1.0, SHARE, "draw only from the most likely characters that together have this probability")
    stop: Sequence[str] = setting((), STRING, r"end a text once it has produced this; \n is a newline; may be repeated")
    stop_document: int = setting(0, SWITCH, "1 = end a text with its document, for a model with -document_end")
    unknown_chars: str = setting("error", UNKNOWN_CHARS, "what to do with unknown characters in the primetext")

    def __post_init__(self) -> None:
        stop = [self.stop] if isinstance(self.stop, str) else self.stop
        if not (isinstance(stop, list | tuple) and all(isinstance(one, str) for one in stop)):
            raise UserError(f"stop: {stop!r:.80} is neither text nor a list of texts")
        object.__setattr__(self, "stop", tuple(one for one in stop if one))
        for one in fields(self):
            if one.name != "stop":
                value = checked(one.name, one.metadata["kind"], getattr(self, one.name))
                object.__setattr__(self, one.name, value)

    def but(self, said: Mapping[str, Any]) -> "Settings":
        """Returns these settings, but for what is said. Raises UserError at a name or a value that cannot be."""
        known = [one.name for one in fields(self)]
        if strange := said.keys() - {*known}:
            raise UserError(f"there is no {min(strange)!r:.80}; a prompt may have primetext, {', '.join(known)}")
        return replace(self, **said)


def checked(name: str, kind: Kind, value: Any) -> Any:
    """Returns the value of a setting, which is checked as a word on the command line is. Raises UserError."""
    try:
        return kind(str(int(value) if isinstance(value, bool) else value))
    except ArgumentTypeError as error:
        raise UserError(f"{name}: {shown(str(error))}") from error
    except ValueError as error:  # a whole number of more digits than Python writes
        raise UserError(f"{name}: so long a number is not {kind.wanted}") from error
