"""Shows what a checkpoint contains, or plots the losses of its run.

    python inspect_checkpoint.py cv/lm_lstm_epoch50.00_1.3500.pt
    python inspect_checkpoint.py cv -plot curves.png

Prints the flags of its run, the model's size and vocabulary, and the losses; or plots the losses of one or more runs
over their epochs, or over their iterations if a checkpoint does not know its epoch. A folder stands for all in it.
"""

from __future__ import annotations

if __name__ == "__main__":
    import os
    import sys

    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # which python -P and -I leave out
    import util.cli.early  # noqa: F401  (before the other imports)

import importlib.util
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from util.checkpoint.choice import all_checkpoints, is_earlier
from util.checkpoint.content import Checkpoint
from util.cli import console
from util.cli.flags import STRING, Flags
from util.errors import UserError
from util.plot import curves, draw_text, save_picture


def flags() -> Flags:
    flags = Flags("Shows what checkpoints contain.", "python inspect_checkpoint.py CHECKPOINT -plot curves.png")
    flags.add_checkpoint("all of them")
    add = flags.group("output")
    add("plot", STRING, "", "plot the losses to this .png, .svg or .pdf file; - = the terminal")
    flags.add_machine(used=False)
    return flags


def main() -> None:
    options = flags().parse()
    paths: list[Path] = options.checkpoint
    found = (one for path in paths for one in all_checkpoints(path))
    if options.plot:
        draw(found, options.plot)
        return
    for number, (path, checkpoint) in enumerate(found):
        if len(paths) > 1 or path != paths[0]:
            print("\n" * (number > 0) + f"{path}:")
        describe(checkpoint)


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
    recent = checkpoint.train_losses[-100:]
    if not np.isnan(recent).all():
        with np.errstate(over="ignore"):  # a stranger's losses may be of any size
            mean = np.nanmean(recent)
        print(f"train loss: {recent[-1]:.8f}, mean of the last {len(recent)}: {mean:.4f}")
    print("validation losses:")
    for iteration, loss in sorted(checkpoint.validations.items()):
        print(f"  {iteration:>8}  {loss:.4f}")


def draw(found: Iterable[tuple[Path, Checkpoint]], plot: str) -> None:
    """Plots the losses of the checkpoints' runs to the file `plot`, or in the terminal. Raises UserError."""
    if plot != "-" and Path(plot).suffix.lower() not in (".png", ".svg", ".pdf"):
        raise UserError(f"-plot takes a name that ends in .png, .svg or .pdf, or - for the terminal; {plot} is neither")
    if plot != "-" and not importlib.util.find_spec("matplotlib"):
        raise UserError(f"writing {plot} needs matplotlib: pip install -e '.[plot]'; or use -plot - for the terminal")
    every = {path: replace(checkpoint, parameters={}, training=None) for path, checkpoint in found}  # not needed here
    # The last checkpoint of a run has all of its losses.
    last = {p: c for p, c in every.items() if not any(is_earlier(c, other, strictly=True) for other in every.values())}
    unit = "epochs" if all(checkpoint.epoch_is_known for checkpoint in last.values()) else "iterations"
    runs = [curves(str(path), checkpoint, unit) for path, checkpoint in last.items()]
    if not any(curve.x.size for run in runs for curve in run):
        raise UserError("there are no losses to plot in " + ", ".join(map(str, last)))
    if plot == "-":
        size = shutil.get_terminal_size()
        print(draw_text(runs, unit, max(40, size.columns), max(10, min(24, size.lines - 5))))
    else:
        save_picture(runs, unit, Path(plot), [*last])
        print(f"saved {plot}")


if __name__ == "__main__":
    console.run(main)
