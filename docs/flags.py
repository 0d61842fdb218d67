"""Writes docs/flags.md from the flags themselves.

python -m docs.flags > docs/flags.md
"""

import argparse
import re
import sys
from collections.abc import Iterator
from types import ModuleType

import evaluate
import inspect_checkpoint
import sample
import train
import visualize

# convert_gpu_cpu_checkpoint.py has only flags that it ignores.
SCRIPTS = (train, sample, evaluate, visualize, inspect_checkpoint)
HEAD = """\
# Every flag

Written `-name value`; `--name value` and `-name=value` work as well. `-help` prints the same list, and those that are
accepted only because the original has them. `python -m docs.flags > docs/flags.md` makes this page from the program."""


def page() -> str:
    """Returns the page in Markdown."""
    return "\n".join([HEAD, *(line for script in SCRIPTS for line in section(script)), ""])


def section(script: ModuleType) -> Iterator[str]:
    flags, resumes = script.flags(), script is train
    used = [flag for flag in flags.actions.values() if meaning(flag) != "ignored"]
    checkpoint = " ".join(a.metavar + "..." * (a.nargs == "+") for a in flags._actions if not a.option_strings)
    yield f"\n## {script.__name__}.py {checkpoint}".rstrip()
    yield f"\n{(script.__doc__ or '').splitlines()[0]}\n"
    yield "| flag | default | |" + " with `-resume` |" * resumes
    yield "|---|---|---|" + "---|" * resumes
    for flag in used:
        default = f"{flag.default:g}" if isinstance(flag.default, float) else str(flag.default)
        default = "" if flag.default == [] else default
        cells = [f"`-{flag.dest}`", default, meaning(flag)]
        if resumes:
            cells.append(flags.roles[flag.dest].value if flag.dest != "resume" else "")
        yield f"| {' | '.join(cells)} |"


def meaning(flag: argparse.Action) -> str:
    """Returns the help of a flag, with what it may be, in Markdown."""
    text = re.sub(r"[\\*|]", r"\\\g<0>", (flag.help or "").partition(" (default: ")[0])
    return text + (f": {flag.metavar[1:-1].replace(',', ', ')}" if str(flag.metavar).startswith("{") else "")


if __name__ == "__main__":
    sys.stdout.write(page())
