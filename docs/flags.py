"""Writes docs/flags.md from the flags themselves, for every script.

python -m docs.flags > docs/flags.md
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

import convert_gpu_cpu_checkpoint
import evaluate
import inspect_checkpoint
import sample
import train
import visualize

SCRIPTS = (train, sample, evaluate, visualize, inspect_checkpoint, convert_gpu_cpu_checkpoint)
HEAD = """\
# Every flag

Written `-name value`; `--name value` and `-name=value` work as well. `-help` prints the same list. This page is made
from the program by `python -m docs.flags > docs/flags.md`.
"""


def page() -> str:
    """Returns the page in Markdown."""
    return HEAD + "".join(f"\n{line}\n" if line.startswith("##") else f"{line}\n" for line in lines())


def lines() -> Iterator[str]:
    for script in SCRIPTS:
        flags = script.flags()
        name = script.__name__
        usage = " ".join(a.metavar + "..." * (a.nargs == "+") for a in flags._actions if not a.option_strings)
        yield f"## {name}.py {usage}".rstrip()
        yield ""
        yield (script.__doc__ or "").splitlines()[0]
        resumes = script is train
        yield ""
        yield "| flag | default | |" + (" with `-resume` |" if resumes else "")
        yield "|---|---|---|" + ("---|" if resumes else "")
        for flag in flags.actions.values():
            cells = [f"`-{flag.dest}`", default(flag), meaning(flag)]
            if resumes:
                cells.append(flags.roles[flag.dest].value if flag.dest != "resume" else "")
            yield f"| {' | '.join(cells)} |"


def default(flag: argparse.Action) -> str:
    return (
        ""
        if flag.default in (None, "")
        else f"{flag.default:g}"
        if isinstance(flag.default, float)
        else f"{flag.default}"
    )


def meaning(flag: argparse.Action) -> str:
    """Returns the help of a flag, with what it may be, in Markdown."""
    text = (flag.help or "").partition(" (default: ")[0].replace("\\", "\\\\").replace("*", "\\*").replace("|", "\\|")
    return text + (f": {flag.metavar[1:-1].replace(',', ', ')}" if str(flag.metavar).startswith("{") else "")


if __name__ == "__main__":
    sys.stdout.write(page())
