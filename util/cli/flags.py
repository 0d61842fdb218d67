"""Flags in the style of Torch's command line: `-name value`. `--name value` and `-name=value` work as well."""

import argparse
import difflib
import math
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, NoReturn, cast

from util.cli.console import tell
from util.errors import UserError


class Role(Enum):
    """What a flag means for a run: what -resume may change and what several processes must agree on follow from it."""

    RUN = "fixed"  # defines the run: -resume refuses another value
    COURSE = "may change, and the figures with it"  # from there on
    PACE = "may change"  # when the run prints, validates, saves and stops; no figure depends on it
    TEXT = "may change, if the text is the same"  # where to find the text; its content is compared
    MACHINE = "may change with the machine"  # what it is computed on; each process may have its own
    CALL = "give it again"  # what one command writes or shows, and where, which is never taken from a checkpoint


LARGEST_WHOLE = 2**63 - 1  # that a flag, and so a checkpoint's option, may have


@dataclass(frozen=True)
class Kind:
    """The kind of value that a flag takes: how to read one from a word, and which ones are valid."""

    read: Callable[[str], Any]
    accepts: Callable[[Any], bool]
    wanted: str
    label: str

    def __call__(self, word: str) -> Any:
        with suppress(ValueError):
            if self.accepts(value := self.read(word)):
                return value
        raise argparse.ArgumentTypeError(f"{word!r} is not {self.wanted}")


def whole(low: int, high: int = LARGEST_WHOLE) -> Kind:
    wanted = f"a whole number of at least {low}" if high == LARGEST_WHOLE else f"a whole number from {low} to {high}"
    return Kind(int, lambda x: type(x) is int and low <= x <= high, wanted, "N")


def real(accepts: Callable[[float], bool], wanted: str, read: Callable[[str], float] = float) -> Kind:
    """Finite numbers that `accepts` approves; `wanted` describes them."""
    return Kind(read, lambda x: type(x) in (int, float) and math.isfinite(x) and accepts(x), wanted, "X")


def number(word: str) -> int | float:
    """Reads a number, as an int if it is whole, so that it is shown as it was written."""
    value = float(word)
    return int(value) if abs(value) < 2**53 and value.is_integer() else value


def choice(*names: str) -> Kind:
    return Kind(str, lambda x: x in names, f"one of {', '.join(names)}", f"{{{','.join(names)}}}")


STRING = Kind(str, lambda x: isinstance(x, str), "text", "TEXT")
FILE = Kind(str, STRING.accepts, "the name of a file or folder", "FILE")  # which a user who gives it must say
PATH = Kind(Path, lambda x: isinstance(x, str | Path) and "\0" not in str(x), "a path", "PATH")
POSITIVE = real(lambda x: 0 < x < 1e38, "a number above 0 and below 1e38")  # so that it fits in a float32
FRACTION = real(lambda x: 0 <= x <= 1, "a number from 0 to 1")
SWITCH = whole(0, 1)
SEED = Kind(lambda word: int(word) % 2**32, lambda x: type(x) is int and 0 <= x < 2**32, "a whole number", "N")
GPU = Kind(int, whole(-1).accepts, "a whole number of at least -1; for several GPUs, start it with torchrun", "N")
MEANT = {  # flags of other programs, and ours that mean the same, if there is one
    "-temp": "-temperature", "-rnn_type": "-model", "-checkpoint_every": "-eval_val_every", "-input_h5": "-data_dir",
    "-start_text": "-primetext", "-n": "-length", "-lr": "-learning_rate", "-checkpoint": "-init_from",
    "-read_start_text": "-primetext_file", "-hide_start_text": "", "-stop_on_newline": r"-stop '\n'",
    "-losslog": "-log_csv", "-max_iters": "-max_epochs, in passes over the text", "-min_freq": "",
}  # fmt: skip


def unescape(value: str) -> str:
    r"""Returns the text with \n, \t, \r and \\, for what is hard to type in a shell, replaced by what they mean."""
    return re.sub(r"\\([ntr\\])", lambda escape: {"n": "\n", "t": "\t", "r": "\r"}.get(escape[1], "\\"), value)


class Flags(argparse.ArgumentParser):
    """The flags of one script. A bad flag prints one sentence on standard error and exits with status 2."""

    def __init__(self, description: str, example: str) -> None:
        super().__init__(
            description=description,
            epilog=f"example: {example}",
            formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=34, width=120),
            allow_abbrev=False,
            add_help=False,
        )
        self.roles: dict[str, Role] = {}
        self.actions: dict[str, argparse.Action] = {}
        self.add_argument("-help", "-h", action="help", default=argparse.SUPPRESS, help="show this help and exit")

    def group(self, title: str) -> Callable[..., None]:
        """Starts a group of flags in -help and returns the function that adds a flag to it.

        A flag whose default is [] may be given several times.
        """
        group = self.add_argument_group(title)

        def add(name: str, kind: Kind, default: Any, help: str, role: Role = Role.CALL) -> None:
            if default not in ("", []):
                help += " (default: %(default)s)"
            action = group.add_argument(f"-{name}", type=kind, default=default, help=help, metavar=kind.label)
            self.roles[name], self.actions[name] = role, action

        return add

    def add_checkpoint(self, several: str = "") -> None:
        """Adds the argument CHECKPOINT or, with a word on which of a folder's `several` are meant, CHECKPOINT..."""
        of_folder = several or "the one with the lowest validation loss"
        help = f"checkpoint of train.py (.pt), of the original or of torch-rnn (.t7); of a folder, {of_folder}"
        self.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", nargs="+" if several else None, help=help)

    def add_text(self, verb: str, splits: Sequence[str], file_help: str) -> Callable[..., None]:
        """Adds the flags that say which text to `verb`, in a group; returns a function that adds more to it."""
        add = self.group("text")
        add("split", choice(*splits), "val", f"which split of the checkpoint's own text to {verb}")
        add("data_dir", FILE, "", "folder with the checkpoint's text, if it has moved")
        add("file", FILE, "", file_help)
        return add

    def add_machine(self, gpuid: int = 0, help: str = "GPU to use; -1 = CPU", used: bool = True) -> Callable[..., None]:
        """Adds -gpuid and -opencl, `used` or not, in a group of their own; returns a function that adds more to it."""
        add = self.group("machine" if used else "accepted as in the original, but no GPU is needed")
        add("gpuid", GPU, gpuid, help if used else "ignored", role=Role.MACHINE)
        add("opencl", SWITCH, 0, "1 = use OpenCL instead of CUDA" if used else "ignored", role=Role.MACHINE)
        return add

    def accepts(self, name: str, value: Any) -> bool:
        """Whether the flag of that name could have this value."""
        return cast(Kind, self.actions[name].type).accepts(value)

    def parse(self, argv: Sequence[str] | None = None) -> argparse.Namespace:
        """Returns the flags' values; its `given` is the set of names that the user wrote."""
        words = list(sys.argv[1:] if argv is None else argv)
        known, arguments = self._option_string_actions, []
        options = argparse.Namespace(given=set())
        while words:
            word = words.pop(0)
            name, equals, value = split_flag(word)
            if not name or name in ("-help", "-h"):
                arguments.append(name or word)
                continue
            if name not in known:
                self.error(f"there is no flag {name}{self.hint(name)}")
            flag, kind = known[name], cast(Kind, known[name].type)
            if not equals:
                if not words or split_flag(words[0])[0] in known:
                    could_be = words and kind.accepts(words[0])
                    hint = f"; if {words[0]} was meant as one, write {name}='{words[0]}'" if could_be else ""
                    self.error(f"{name} has no value{hint}")
                value = words.pop(0)
            try:
                chosen = kind(value)
            except argparse.ArgumentTypeError as error:
                self.error(f"argument {name}: {error}")
            if kind is FILE and not chosen:
                self.error(f"{name} names no file; give {FILE.wanted}, or leave it out")
            if flag.default == []:
                chosen = [*getattr(options, flag.dest, []), chosen]
            setattr(options, flag.dest, chosen)
            options.given.add(flag.dest)
        return self.parse_args(arguments, options)  # which adds the arguments and what was not given

    def hint(self, name: str) -> str:
        """Returns what a flag that does not exist may have meant, as the end of a sentence."""
        known = self._option_string_actions
        close = difflib.get_close_matches(name, known, n=1)
        meant = MEANT.get(name, close[0] if close else "")
        if re.split("[ ,]", meant)[0] in known:
            return f" (did you mean {meant}?)"
        return " (the checkpoint is the first argument)" if name == "-checkpoint" else ""

    def error(self, message: str) -> NoReturn:
        _, unrecognized, names = message.partition("unrecognized arguments: ")
        if unrecognized:  # the shell may have made thousands of a pattern
            why = "does not belong to any flag (quote a pattern like '*.txt' or text with spaces)"
            if names.endswith((".pt", ".t7")):
                if any(action.dest == "checkpoint" for action in self._actions):
                    why = "cannot be taken as well: one CHECKPOINT is enough (a folder such as cv stands for its best)"
                else:
                    why = "needs a flag: -resume continues its run, and -init_from starts a new one with it"
            names = names if len(names) < 100 else f"{names[:60]}..."
            message = f"{names or 'an empty word'} {why}"
        tell(f"error: {message[0].lower()}{message[1:]}; {self.prog} -help shows every flag")
        raise SystemExit(2)


def check_text_flags(file: str, given: set[str]) -> None:
    """Raises UserError if the flags of `Flags.add_text` name two texts."""
    if file and given & {"split", "data_dir"}:
        raise UserError("-file cannot be combined with -split or -data_dir; leave one or the other out")


def split_flag(word: str) -> tuple[str, str, str]:
    """Splits `--name=value` into `-name`, `=` and `value`; the name is empty if the word does not start with a dash."""
    name, equals, value = word.partition("=")
    return "-" + name.lstrip("-") if word.startswith("-") else "", equals, value
