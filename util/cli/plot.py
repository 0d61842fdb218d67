"""Loss curves of runs, as a picture or as plain characters in a terminal."""

from __future__ import annotations

import io
import itertools
import math
import string
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from util.checkpoint.content import Checkpoint
from util.cli.files import output

SUFFIXES = (".png", ".svg", ".pdf")
POINTS = 150  # on a smoothed curve, approximately
# Runs differ in color, brightness, line and marker, so they can be told apart in black and white.
COLORS = ("#08306b", "#e8850c", "#c0306a", "#2a9d8f")
LINES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
NATS_PER_BIT = math.log(2)
LARGEST_LOSS = 1e100

Points = tuple[np.ndarray, np.ndarray]


@dataclass
class Curves:
    """The losses of a run in nats per character: (epochs or iterations, losses), all finite."""

    name: str
    unit: str
    """epochs or iterations; the same for all runs that are drawn together."""
    train: Points
    """Means over `window` iterations each."""
    window: int
    val: Points


def curves(name: str, checkpoint: Checkpoint, unit: str = "epochs") -> Curves:
    """Returns the loss curves of a checkpoint's run so far. Iterations without a loss are left out."""
    count = checkpoint.iteration
    length = checkpoint.epoch / max(count, 1) if unit == "epochs" else 1.0  # of one iteration
    window = max(1, round(count / POINTS))
    iterations, losses = finite(np.arange(1, count + 1), checkpoint.train_losses)
    means = block_means((iterations - 1) // window, iterations, losses)
    known = sorted((i, loss) for i, loss in checkpoint.val_losses.items() if 0 < i <= count)
    val = finite(*np.array(known, float).reshape(-1, 2).T)
    name = name.encode(errors="replace").decode()  # a file name need not be text
    return Curves(name, unit, (means[0] * length, means[1]), window, (val[0] * length, val[1]))


def finite(x: np.ndarray, y: np.ndarray) -> Points:
    """Returns the points with a y that is finite, and not so large that it cannot be drawn."""
    sound = np.abs(y) < LARGEST_LOSS
    return x[sound], y[sound]


def block_means(block: np.ndarray, *values: np.ndarray) -> list[np.ndarray]:
    """Returns each array's mean over each block; `block` is each element's block number. Empty blocks are left out."""
    sizes = np.bincount(block)
    return [np.bincount(block, weights=array)[sizes > 0] / sizes[sizes > 0] for array in values]


def loss_range(runs: Sequence[Curves]) -> tuple[float, float]:
    """Returns the range of losses to show, without the steep start, which would flatten the rest."""
    train = [run.train[1] for run in runs if run.train[1].size]
    every = np.concatenate([*train, *(run.val[1] for run in runs)])
    late = [losses[len(losses) // 20 :] for losses in train]
    high = np.concatenate([*late, *(run.val[1] for run in runs)]).max()
    return every.min(), high


def save_picture(runs: Sequence[Curves], path: Path, reads: Sequence[Path]) -> None:
    """Draws the curves to a .png, .svg or .pdf file, never over those in `reads`. Raises UserError if it cannot."""
    from matplotlib.figure import Figure

    columns = 2 if all(len(run.name) < 30 for run in runs) else 1  # of the legend
    figure = Figure(figsize=(8, 4.6 + 0.4 * len(runs) / columns), layout="constrained")
    axes = figure.add_subplot()
    styles = list(zip(runs, itertools.cycle(COLORS), itertools.cycle(LINES)))
    for run, color, line in styles:
        axes.plot(*run.train, line, color=color, linewidth=1, alpha=0.7, label=f"training{smoothing(run)}: {run.name}")
    for (run, color, line), marker in zip(styles, itertools.cycle(MARKERS)):
        axes.plot(*run.val, line + marker, color=color, linewidth=1.8, markersize=5, label=f"validation: {run.name}")
    low, high = loss_range(runs)
    margin = 0.05 * (high - low) or 0.1
    axes.set_ylim(low - margin, high + margin)
    axes.set_xlim(left=0)
    axes.set_xlabel(runs[0].unit)
    axes.set_ylabel("loss (nats per character)")
    bits = axes.secondary_yaxis(
        "right", functions=(lambda y: np.divide(y, NATS_PER_BIT), lambda y: np.multiply(y, NATS_PER_BIT))
    )
    bits.set_ylabel("bits per character")
    axes.grid(color="0.9")
    axes.spines["top"].set_visible(False)
    # Below the axes, where it covers nothing: training in the first column, validation in the second.
    legend = figure.legend(loc="outside lower center", ncols=columns, frameon=False, handlelength=4, fontsize="small")
    for label in legend.get_texts():
        label.set_parse_math(False)  # a $ in a file name is not math
    picture = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about characters that the font lacks
        figure.savefig(picture, format=path.suffix[1:].lower(), dpi=150, bbox_inches="tight")
    with output(path, "-plot", reads) as file:
        file.write(picture.getbuffer())


def draw_text(runs: Sequence[Curves], width: int, height: int) -> str:
    """Returns the curves in lines of `width` characters. Each of several runs has a letter, capital for validation."""
    columns = width - 9
    low, high = loss_range(runs)
    end = max(places.max() for run in runs for places, _ in (run.train, run.val) if places.size)
    canvas = np.full((height, columns), " ")
    letters = itertools.cycle(zip(string.ascii_lowercase, string.ascii_uppercase))
    marks = [(".", "o")] if len(runs) == 1 else [next(letters) for _ in runs]
    points = [(mark, run.train) for (mark, _), run in zip(marks, runs)]
    points += [(mark, run.val) for (_, mark), run in zip(marks, runs)]  # drawn over those of training
    for mark, (places, losses) in points:
        column = (places / (end or 1) * (columns - 1)).round().astype(int)
        for x, loss in zip(np.unique(column), block_means(column, losses)[0]):
            y = round((high - loss) / ((high - low) or 1) * (height - 1))
            if y >= 0:
                canvas[y, x] = mark
    heights = np.linspace(high, low, height)
    lines = [f"{loss:7.3f} |{''.join(cells).rstrip()}" for loss, cells in zip(heights, canvas)]
    lines.append(" " * 8 + "+" + "-" * columns)
    last = f"{end:.2f} epochs" if runs[0].unit == "epochs" else f"{end:,.0f} iterations"
    lines.append(" " * 9 + "0" + last.rjust(columns - 1))
    lines.append("loss in nats per character")
    for (train, val), run in zip(marks, runs):
        lines.append(f"  {train} training{smoothing(run)}, {val} validation: {run.name}")
    return "\n".join(lines)


def smoothing(run: Curves) -> str:
    return f" (mean of {run.window} iterations)" if run.window > 1 else ""
