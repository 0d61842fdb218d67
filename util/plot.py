"""Loss curves of runs, as a picture or as plain characters in a terminal."""

from __future__ import annotations

import itertools
import math
import string
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from util.checkpoint.content import Checkpoint
from util.cli.files import output

SUFFIXES = (".png", ".svg", ".pdf")
POINTS = 150  # on a smoothed curve, approximately
# Runs differ in color, brightness and line, so they can be told apart in black and white.
COLORS = ("#08306b", "#e8850c", "#c0306a", "#2a9d8f")
LINES = ("-", "--", "-.")

Points = tuple[np.ndarray, np.ndarray]


class Curves(NamedTuple):
    """The losses of a run in nats per character: (epochs or iterations, losses), all finite."""

    name: str
    unit: str
    """epochs or iterations; the same for all runs that are drawn together."""
    train: Points
    """Means over `window` iterations each."""
    val: Points
    window: int

    def labels(self) -> tuple[str, str]:
        smoothing = f" (mean of {self.window} iterations)" if self.window > 1 else ""
        return f"training{smoothing}: {self.name}", f"validation: {self.name}"


def curves(name: str, checkpoint: Checkpoint, unit: str = "epochs") -> Curves:
    """Returns the loss curves of a checkpoint's run so far. Iterations without a loss are left out."""
    count = checkpoint.iteration
    length = checkpoint.epoch / max(count, 1) if unit == "epochs" else 1.0  # of one iteration
    window = max(1, round(count / POINTS))
    iterations, losses = drawable(np.arange(1, count + 1), checkpoint.train_losses)
    means = block_means((iterations - 1) // window, iterations, losses)
    known = sorted((i, loss) for i, loss in checkpoint.val_losses.items() if 0 < i <= count)
    val = drawable(*np.array(known, float).reshape(-1, 2).T)
    name = name.encode(errors="replace").decode()  # a file name need not be text
    return Curves(name, unit, (means[0] * length, means[1]), (val[0] * length, val[1]), window)


def drawable(x: np.ndarray, y: np.ndarray) -> Points:
    """Returns the points with a y that is finite, and not absurdly large."""
    return x[np.abs(y) < 1e100], y[np.abs(y) < 1e100]


def block_means(block: np.ndarray, *values: np.ndarray) -> list[np.ndarray]:
    """Returns each array's mean over each block; `block` is each element's block number. Empty blocks are left out."""
    sizes = np.bincount(block)
    return [np.bincount(block, weights=array)[sizes > 0] / sizes[sizes > 0] for array in values]


def loss_range(runs: Sequence[Curves]) -> tuple[float, float]:
    """Returns the range of losses to draw, without the steep start, which would flatten the rest."""
    shown = [losses[len(losses) // 20 :] for losses in (run.train[1] for run in runs)] + [run.val[1] for run in runs]
    return np.concatenate(shown).min(), np.concatenate(shown).max()


def save_picture(runs: Sequence[Curves], path: Path, reads: Sequence[Path]) -> None:
    """Draws the curves to a .png, .svg or .pdf file, never over those in `reads`. Raises UserError if it cannot."""
    from matplotlib.figure import Figure

    axes = Figure(figsize=(8, 5)).add_subplot()
    for run, color, line in zip(runs, itertools.cycle(COLORS), itertools.cycle(LINES)):
        train, val = run.labels()
        axes.plot(*run.train, line, color=color, linewidth=1, alpha=0.7, label=train)
        axes.plot(*run.val, line + "o", color=color, linewidth=1.8, markersize=5, label=val)
    low, high = loss_range(runs)
    margin = 0.05 * (high - low) or 0.1
    axes.set(xlabel=runs[0].unit, ylabel="loss (nats per character)", ylim=(low - margin, high + margin))
    axes.set_xlim(left=0)
    nats = math.log(2)  # in a bit
    bits = axes.secondary_yaxis("right", functions=(lambda y: np.divide(y, nats), lambda y: np.multiply(y, nats)))
    bits.set_ylabel("bits per character")
    axes.grid(color="0.9")
    axes.spines["top"].set_visible(False)
    # Below the axes, where it covers nothing.
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=2, frameon=False, handlelength=4)
    with output(path, "-plot", reads) as file:
        axes.figure.savefig(file, format=path.suffix[1:].lower(), dpi=150, bbox_inches="tight")


def draw_text(runs: Sequence[Curves], width: int, height: int) -> str:
    """Returns the curves in lines of `width` characters. Each of several runs has a letter, capital for validation."""
    columns, (low, high) = width - 9, loss_range(runs)
    end = max(x.max() for run in runs for x, _ in (run.train, run.val) if x.size)
    letters = [".o"] if len(runs) == 1 else map("".join, zip(string.ascii_lowercase, string.ascii_uppercase))
    marked = list(zip(runs, itertools.cycle(letters)))
    canvas = np.full((height, columns), " ")
    points = [(run.train, marks[0]) for run, marks in marked] + [(run.val, marks[1]) for run, marks in marked]
    for (x, losses), mark in points:
        column = (x / (end or 1) * (columns - 1)).round().astype(int)
        mean = block_means(column, losses)[0]
        row = ((high - mean) / ((high - low) or 1) * (height - 1)).round().astype(int)
        inside = (row >= 0) & (row < height)
        canvas[row[inside], np.unique(column)[inside]] = mark
    heights = np.linspace(high, low, height)
    lines = [f"{loss:7.3f} |{''.join(cells).rstrip()}" for loss, cells in zip(heights, canvas)]
    lines.append(" " * 8 + "+" + "-" * columns)
    last = f"{end:.2f} epochs" if runs[0].unit == "epochs" else f"{end:,.0f} iterations"
    lines += [" " * 9 + "0" + last.rjust(columns - 1), "loss in nats per character"]
    for run, marks in marked:
        lines.append("  " + ", ".join(map(" ".join, zip(marks, run.labels()))))
    return "\n".join(lines)
