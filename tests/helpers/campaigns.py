"""What campaigns have in common."""

import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.helpers.inputs import numbers


def run(campaign: Callable[[int, Path], Counter[str]], count: int) -> None:
    """Prints what a campaign has counted, in a folder of its own with a text in it.

    `count` says how much to do where the command line does not.
    """
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "input.txt").write_bytes(numbers(140))
        figures = campaign(int(sys.argv[1]) if len(sys.argv) > 1 else count, Path(name))
    for what, number in sorted(figures.items()):
        print(f"{number:7} {what}")
