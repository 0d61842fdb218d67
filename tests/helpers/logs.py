"""What train.py prints, read."""

import re
from collections.abc import Iterable

LOOP = re.compile(r"\d+/\d+ \(epoch|decayed learning rate|evaluating loss|saving checkpoint")
LINE = re.compile(r"(\d+)/(\d+) \(epoch .*\), train_loss = +(\S+), grad/param norm = +(\S+),")


def progress(out: str) -> list[str]:
    """What the loop of a run printed, without the times. A line that was cut off does not count."""
    lines = out[: out.rfind("\n") + 1].splitlines()
    return [line.partition(", time/batch")[0] for line in lines if LOOP.match(line)]


def log(outs: Iterable[str]) -> dict[int, str]:
    """The line of each iteration. Raises AssertionError where two runs printed different ones."""
    lines: dict[int, str] = {}
    for line in (line for out in outs for line in progress(out)):
        if match := LINE.match(line + ","):
            iteration = int(match[1])
            assert lines.setdefault(iteration, line) == line, f"{lines[iteration]} and then {line}"
    return lines


def saved(out: str) -> list[str]:
    """The names of the validated checkpoints that a run said to save, in order."""
    return re.findall(r"^saving checkpoint to .*?([^/\n]+)$", out, re.M)


def best(saved: list[str], count: int) -> set[str]:
    """Of these checkpoints those with the lowest losses."""
    return set(sorted(saved, key=lambda name: float(re.search(r"_(\d+\.\d+)(_\d+)?\.pt$", name)[1]))[:count])
