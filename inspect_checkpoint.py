"""Shows what a checkpoint contains, lists a folder's, or writes or plots the losses of runs.

    python inspect_checkpoint.py cv/lm_lstm_epoch50.00_1.3500.pt
    python inspect_checkpoint.py cv -plot curves.png

Prints the flags of its run, the model's size and vocabulary, and the losses, or for a folder a row for each checkpoint
in it; or plots the losses of one or more runs over their epochs, or over their iterations if a checkpoint does not know
its epoch.
"""

if __name__ == "__main__":
    import os
    import sys

    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # which python -P and -I leave out
    import util.cli.early  # noqa: F401  (before the other imports)

import importlib.util
import math
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from util.checkpoint.choice import all_checkpoints, is_earlier
from util.checkpoint.content import Checkpoint
from util.checkpoint.store import load_checkpoint
from util.cli import console
from util.cli.console import print_row, shown
from util.cli.files import output
from util.cli.flags import FILE, Flags
from util.errors import UserError
from util.plot import curves, draw_text, save_picture, short_names

RECENT = 100
"""So many of the last training losses are averaged."""


def flags() -> Flags:
    flags = Flags("Shows what checkpoints contain.", "python inspect_checkpoint.py CHECKPOINT -plot curves.png")
    flags.add_checkpoint("all of them")
    add = flags.group("output")
    add("losses", FILE, "", "write all losses of a run to this file as CSV; - = standard output")
    add("plot", FILE, "", "plot the losses to this .png, .svg or .pdf file; - = the terminal")
    flags.add_machine(used=False)
    return flags


def main() -> None:
    options = flags().parse()
    paths: list[Path] = options.checkpoint
    if options.losses and options.plot:
        raise UserError("-losses and -plot cannot be combined; leave one out")
    if options.losses:
        write_losses(last_of_runs(paths), options.losses)
    elif options.plot:
        draw(last_of_runs(paths), options.plot)
    else:
        for number, path in enumerate(paths):
            if number:
                print()
            if len(paths) > 1:
                print(shown(f"{path}:"))
            if path.is_dir():
                list_checkpoints(path)
            else:
                describe(load_checkpoint(path))


def list_checkpoints(folder: Path) -> None:
    """Prints a row for each checkpoint of a folder."""
    columns = ("file", "epoch", "iteration", "train_loss", "val_loss", "model", "layers", "size", "parameters")
    for number, (path, checkpoint) in enumerate(all_checkpoints(folder)):
        if not number:
            print_row(*columns)
        _, H, L, model = checkpoint.model_shape
        val_loss = checkpoint.validations.get(checkpoint.iteration, math.nan)
        losses = [f"{loss:.4f}" if math.isfinite(loss) else "" for loss in (recent_loss(checkpoint), val_loss)]
        epoch = f"{checkpoint.epoch:.2f}" if checkpoint.epoch_is_known else ""
        print_row(shown(str(path)), epoch, checkpoint.iteration, *losses, model, L, H, checkpoint.size, flush=True)


def describe(checkpoint: Checkpoint) -> None:
    """Prints what a checkpoint contains. Strings are printed escaped (repr), since they may come from a stranger."""
    print("options:")
    for name, value in sorted(checkpoint.options.items()):
        print(f"  {name if name.isprintable() else repr(name):<26} {value!r}")
    V, H, L, model = checkpoint.model_shape
    print(f"model: {model}, {L} layer{'s' * (L > 1)} of {H}, {checkpoint.size} parameters in {checkpoint.dtype}")
    known = checkpoint.vocabulary
    print(f"vocabulary: {V} {known.unit}s: {known.characters[:200]!r}{' ...' if V > 200 else ''}")
    epoch = f"{checkpoint.epoch:.3f}" if checkpoint.epoch_is_known else "unknown"
    print(f"iteration: {checkpoint.iteration} (epoch {epoch})")
    recent = checkpoint.train_losses[-RECENT:]
    if not np.isnan(recent).all():
        print(f"train loss: {recent[-1]:.8f}, mean of the last {len(recent)}: {recent_loss(checkpoint):.4f}")
    print("validation losses:")
    for iteration, loss in sorted(checkpoint.validations.items()):
        print(f"  {iteration:>8}  {loss:.4f}")


def recent_loss(checkpoint: Checkpoint) -> float:
    """Returns the mean of the last training losses that are known; not a number if none is."""
    recent = checkpoint.train_losses[-RECENT:]
    with np.errstate(over="ignore"):  # a stranger's losses may be of any size
        return float(np.nanmean(recent)) if not np.isnan(recent).all() else math.nan


def last_of_runs(paths: Iterable[Path]) -> dict[Path, Checkpoint]:
    """Returns the last checkpoint of each run, which has all of its losses, without parameters."""
    found = (one for path in paths for one in all_checkpoints(path))
    every = {path: replace(checkpoint, parameters={}, training=None) for path, checkpoint in found}
    return {p: c for p, c in every.items() if not any(is_earlier(c, other, strictly=True) for other in every.values())}


def write_losses(runs: Mapping[Path, Checkpoint], losses: str) -> None:
    """Writes all losses of a run to the file `losses` as CSV, with empty fields for what is not known."""
    if len(runs) > 1:
        raise UserError(f"-losses writes those of one run; name one of {', '.join(map(str, runs))}")
    ((path, checkpoint),) = runs.items()
    count, epoch = checkpoint.iteration, checkpoint.epoch if checkpoint.epoch_is_known else math.nan
    rows = ["iteration,epoch,train_loss,val_loss"]
    for iteration, train_loss in enumerate(checkpoint.train_losses.tolist(), 1):
        figures = iteration * epoch / count, train_loss, checkpoint.validations.get(iteration, math.nan)
        rows.append(",".join([str(iteration), *("" if math.isnan(figure) else repr(figure) for figure in figures)]))
    with output(losses, "-losses", [path], "table of losses") as file:
        file.write("\n".join([*rows, ""]).encode())


def draw(runs: Mapping[Path, Checkpoint], plot: str) -> None:
    """Plots the losses of the checkpoints' runs to the file `plot`, or in the terminal. Raises UserError."""
    if plot != "-" and Path(plot).suffix.lower() not in (".png", ".svg", ".pdf"):
        raise UserError(f"-plot takes a name that ends in .png, .svg or .pdf, or - for the terminal; {plot} is neither")
    if plot != "-" and not importlib.util.find_spec("matplotlib"):
        raise UserError(f"writing {plot} needs matplotlib: pip install -e '.[plot]'; or use -plot - for the terminal")
    unit = "epochs" if all(checkpoint.epoch_is_known for checkpoint in runs.values()) else "iterations"
    drawn = [curves(*named, unit) for named in zip(short_names([*runs]), runs.values())]
    if not any(curve.x.size for run in drawn for curve in run):
        raise UserError("there are no losses to plot in " + ", ".join(map(str, runs)))
    if plot == "-":
        size = shutil.get_terminal_size()
        print(draw_text(drawn, unit, max(40, size.columns), max(10, min(24, size.lines - 5))))
    else:
        save_picture(drawn, unit, Path(plot), [*runs])
        print(f"saved {plot}")


if __name__ == "__main__":
    console.run(main)
