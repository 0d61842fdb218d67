"""Loss curves of runs, as a picture or as plain characters in a terminal."""

import math
import re
import string
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

import numpy as np

from util.checkpoint.content import Checkpoint
from util.cli.console import shown
from util.cli.files import output

POINTS = 150  # on a smoothed curve, approximately


class Curve(NamedTuple):
    """The training or the validation losses of a run, in nats per character, over epochs or iterations."""

    label: str
    x: np.ndarray
    losses: np.ndarray


def short_names(paths: Sequence[Path]) -> list[str]:
    """Returns names that tell files apart: their paths without the folders and words that all begin and end with."""
    if len(paths) == 1:
        return [paths[0].name]
    words = [re.split(r"(?<=[/\\_])|(?=\.\w+$)", str(path)) for path in paths]
    for end in (0, -1):
        while min(map(len, words)) > 1 and len({name[end] for name in words}) == 1:
            for name in words:
                del name[end]
    return ["".join(name) for name in words]


def curves(name: str, checkpoint: Checkpoint, unit: str = "epochs") -> tuple[Curve, Curve]:
    """Returns the training losses of a checkpoint's run, as means of some iterations, and its validation losses."""
    name = shown(name)  # a file's name need not be text
    count = checkpoint.iteration
    length = checkpoint.epoch / max(count, 1) if unit == "epochs" else 1.0  # of one iteration
    window = max(1, round(count / POINTS))
    smoothing = f" (mean of {window} iterations)" if window > 1 else ""
    known = np.flatnonzero(np.isfinite(checkpoint.train_losses))
    _, block, sizes = np.unique(known // window, return_inverse=True, return_counts=True)
    x, losses = (np.bincount(block, values) / sizes for values in (known + 1, checkpoint.train_losses[known]))
    validated = sorted(pair for pair in checkpoint.validations.items() if math.isfinite(pair[1]))
    val_x, val_losses = np.array(validated, float).reshape(-1, 2).T
    train = Curve(f"training{smoothing}: {name}", x * length, losses)
    return train, Curve(f"validation: {name}", val_x * length, val_losses)


def loss_range(runs: Sequence[tuple[Curve, Curve]]) -> tuple[float, float]:
    """Returns the range of losses to draw, without the steep start, which would flatten the rest."""
    drawn = np.concatenate([part for train, val in runs for part in (train.losses[len(train.x) // 20 :], val.losses)])
    return drawn.min(), drawn.max()


def save_picture(runs: Sequence[tuple[Curve, Curve]], unit: str, path: Path, reads: Sequence[Path]) -> None:
    """Draws the curves to a .png, .svg or .pdf file, never over those in `reads`. Raises UserError if it cannot."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5))
    axes = figure.add_subplot()
    for (train, val), line in zip(runs, cycle(("-", "--", "-.", ":"))):
        (drawn,) = axes.plot(train.x, train.losses, line, linewidth=1, alpha=0.7, label=train.label)
        if val.x.size:
            color = drawn.get_color()
            axes.plot(val.x, val.losses, line + "o", color=color, linewidth=1.8, markersize=5, label=val.label)
    low, high = loss_range(runs)
    margin = 0.05 * (high - low) or 0.1 * max(1.0, abs(high))
    axes.set(xlabel=unit, ylabel="loss (nats per character)", ylim=(low - margin, high + margin), xlim=(0, None))
    bit = math.log(2)  # in nats
    bits = axes.secondary_yaxis("right", functions=(lambda y: np.divide(y, bit), lambda y: np.multiply(y, bit)))
    bits.set_ylabel("bits per character")
    axes.grid(color="0.9")
    lines = sorted(axes.lines, key=lambda line: str(line.get_label()).startswith("validation"))  # a column of each
    legend = axes.legend(handles=lines, loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=2, handlelength=4)
    legend.set_frame_on(False)
    for text in legend.get_texts():
        text.set_fontsize("small")
        text.set_parse_math(False)  # a file's name may contain $
    with output(path, "-plot", reads, "picture") as file:
        figure.savefig(file, format=path.suffix[1:].lower(), dpi=150, bbox_inches="tight")


def draw_text(runs: Sequence[tuple[Curve, Curve]], unit: str, width: int, height: int) -> str:
    """Returns the curves in lines of `width` characters. Each of several runs has a letter, capital for validation."""
    columns, (low, high) = width - 9, loss_range(runs)
    end = max(curve.x.max() for run in runs for curve in run if curve.x.size)
    marked = list(zip(runs, [".o"] if len(runs) == 1 else cycle(zip(string.ascii_lowercase, string.ascii_uppercase))))
    canvas = np.full((height, columns), " ")
    for kind in (0, 1):  # validation over training
        for run, mark in marked:
            column = run[kind].x / (end or 1) * (columns - 1)
            row = (high - run[kind].losses) / ((high - low) or 1) * (height - 1)
            inside = (row > -0.5) & (row < height - 0.5)
            canvas[row[inside].round().astype(int), column[inside].round().astype(int)] = mark[kind]
    lines = [f"{loss:7.3f} |{''.join(row).rstrip()}" for loss, row in zip(np.linspace(high, low, height), canvas)]
    last = f"{end:.2f} epochs" if unit == "epochs" else f"{end:,.0f} iterations"
    lines += [" " * 8 + "+" + "-" * columns, " " * 9 + "0" + last.rjust(columns - 1), "loss in nats per character"]
    for (train, val), mark in marked:
        both = f"{train.label.split(':')[0]}, {mark[1]} {val.label}" if val.x.size else train.label
        lines.append(f"  {mark[0]} {both}")
    return "\n".join(lines)
