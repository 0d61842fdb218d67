"""Flags as Torch's command line has them: `-name value`; `--name value` and `-name=value` do as well."""

from __future__ import annotations

import argparse
import difflib
import math
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn


class Flags(argparse.ArgumentParser):
    """The flags of one script. A mistake in them is one sentence on standard error and exit status 2."""

    def __init__(self, description: str, example: str) -> None:
        super().__init__(
            description=description,
            epilog=f"example: {example}",
            formatter_class=lambda prog: argparse.ArgumentDefaultsHelpFormatter(prog, max_help_position=34, width=120),
            allow_abbrev=False,
            add_help=False,
        )
        self.add_argument("-help", "-h", action="help", default=argparse.SUPPRESS, help="show this and stop")

    def group(self, title: str) -> Callable[..., Any]:
        """Starts a group of flags in -help; returns what adds a flag to it: name, type, default, help, choices."""
        group = self.add_argument_group(title)

        def add(name: str, kind: Callable[[str], Any], default: Any, text: str, choices: Sequence[str] | None = None):
            metavar = None if choices else getattr(kind, "label", "TEXT")
            group.add_argument(f"-{name}", type=kind, default=default, help=text, choices=choices, metavar=metavar)

        return add

    def parse(self, argv: Sequence[str] | None = None) -> argparse.Namespace:
        """The flags' values; `given` in it is the set of names that the user wrote."""
        arguments = self._join_values(sys.argv[1:] if argv is None else argv)
        options = self.parse_args(arguments)
        options.given = {flag.dest for flag in map(self._known, arguments) if flag}
        return options

    def error(self, message: str) -> NoReturn:
        print(f"error: {message[0].lower()}{message[1:]}; {self.prog} -help shows every flag", file=sys.stderr)
        raise SystemExit(2)

    def _get_values(self, action: argparse.Action, arg_strings: list[str]) -> Any:
        """A flag's value; argparse of Python 3.11 and 3.12 would take the value `--` for an end of the flags."""
        if not action.option_strings or action.nargs is not None:
            return super()._get_values(action, arg_strings)
        value = self._get_value(action, arg_strings[0])
        self._check_value(action, value)
        return value

    def _known(self, argument: str) -> argparse.Action | None:
        """The flag that an argument names, if it does."""
        name = argument.split("=", 1)[0]
        return self._option_string_actions.get("-" + name.lstrip("-")) if name.startswith("-") else None

    def _join_values(self, argv: Sequence[str]) -> list[str]:
        """`-name value` as one argument, so that a value may begin with a dash: a negative number, a primetext."""
        joined: list[str] = []
        rest = list(argv)
        while rest:
            argument = rest.pop(0)
            flag = self._known(argument)
            if flag:
                argument = "-" + argument.lstrip("-")
                if flag.nargs is None and "=" not in argument and rest and not self._known(rest[0]):
                    argument = f"{argument}={rest.pop(0)}"
            elif argument.startswith("-"):
                self.error(self._about_unknown(argument))
            joined.append(argument)
        return joined

    def _about_unknown(self, argument: str) -> str:
        name = "-" + argument.split("=", 1)[0].lstrip("-")
        near = difflib.get_close_matches(name, self._option_string_actions, n=1)
        return f"there is no flag {name}" + (f", did you mean {near[0]}?" if near else "")


def text(value: str) -> str:
    """Any text."""
    return value


def whole(low: int, high: int | None = None) -> Callable[[str], int]:
    """A type of flag: whole numbers from low up, to high if given."""
    wanted = f"a whole number from {low} " + ("up" if high is None else f"to {high}")
    bound = 10**40 if high is None else high  # longer ones could not even be printed after a multiplication
    return _number(int, lambda x: low <= x <= bound, wanted, "N")


def real(accept: Callable[[float], bool], wanted: str) -> Callable[[str], float]:
    """A type of flag: finite numbers that `accept` takes; `wanted` says which those are."""
    return _number(float, lambda x: math.isfinite(x) and accept(x), wanted, "X")


def _number(kind: Callable[[str], Any], accept: Callable[[Any], bool], wanted: str, label: str) -> Callable[[str], Any]:
    def parse(value: str) -> Any:
        try:
            number = kind(value)
        except ValueError:
            number = None
        if number is None or not accept(number):
            raise argparse.ArgumentTypeError(f"{value!r} is not {wanted}")
        return number

    parse.label = label  # type: ignore[attr-defined]
    return parse


positive = real(lambda x: x > 0, "a number above 0")
positive_single = real(lambda x: 0 < x < 1e38, "a number above 0 and below 1e38")  # fits into a float32
fraction = real(lambda x: 0 <= x <= 1, "a number from 0 to 1")
switch = whole(0, 1)
seed = whole(0, 2**32 - 1)
gpu_id = whole(-1)
