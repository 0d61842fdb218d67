"""inspect_checkpoint.py shows everything in a checkpoint, safely for terminals."""

import importlib.util
import math
import os
import re

import pytest
import torch

from tests.helpers.checkpoints import rewrite
from tests.helpers.folders import names
from tests.helpers.inputs import GOLDEN
from tests.helpers.refusals import refused
from tests.helpers.scripts import imported, run, run_here
from util.checkpoint.store import load_checkpoint
from util.plot import curves, draw_text

SCRIPT = "inspect_checkpoint.py"


def test_what_it_prints(checkpoint, tmp_path):
    done = run(SCRIPT, checkpoint, "-gpuid", 3, "-opencl", 1, cwd=tmp_path)
    found = load_checkpoint(checkpoint)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "options:"
    options = dict(re.fullmatch(r"  (\S+) +(\S.*)", line).groups() for line in lines[1 : 1 + len(found.options)])
    assert options == {name: repr(value) for name, value in found.options.items()}
    losses = found.train_losses
    assert lines[1 + len(options) :] == [
        f"model: lstm, 1 layers of 4, {32 * 16 + 4 * 16 + 2 * 16 + 4 * 32 + 32} parameters in float32",
        "vocabulary: 32 characters: " + repr(found.vocabulary.characters),
        "iteration: 164 (epoch 1.000)",
        f"train loss: {losses[-1]:.8f}, mean of the last 100: {losses[-100:].mean():.4f}",
        "validation losses:",
        f"       164  {found.val_losses[164]:.4f}",
    ]


def test_several_one_after_the_other(checkpoint):
    paths = [checkpoint, GOLDEN / "gru.t7"]
    alone = [run_here(SCRIPT, path).stdout.decode() for path in paths]
    assert run_here(SCRIPT, *paths).stdout.decode() == f"{paths[0]}:\n{alone[0]}\n{paths[1]}:\n{alone[1]}"
    assert "model: gru, 2 layers of 24" in alone[1]


def test_a_stranger_s_options_steer_no_terminal(checkpoint, tmp_path):
    options = load_checkpoint(checkpoint).options | {"\x1b[2Jx": "\x1b]0;y\x07", "z\nz": "\u202e", "é": "é"}
    done = run(SCRIPT, rewrite(checkpoint, tmp_path / "x.pt", training=None, options=options), cwd=tmp_path)
    assert done.returncode == 0
    assert all(c == "\n" or c.isprintable() for c in done.stdout)
    for line in (r"  '\x1b[2Jx'                 '\x1b]0;y\x07'", r"  'z\nz'                     '\u202e'"):
        assert line in done.stdout.splitlines()
    assert "  é                          'é'" in done.stdout.splitlines()


def test_losses_with_gaps(checkpoint, tmp_path):
    losses = torch.full((164,), math.nan, dtype=torch.float64)
    path = rewrite(
        checkpoint, tmp_path / "x.pt", training=None, train_losses=losses, val_losses={164: math.nan, 100: 2.5}
    )
    done = run(SCRIPT, path, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "train loss" not in done.stdout
    assert done.stdout.endswith("validation losses:\n       100  2.5000\n       164  nan\n")
    losses[[-1, -5, 3]] = torch.tensor([1.0, 3.0, 99.0], dtype=torch.float64)
    done = run(SCRIPT, rewrite(checkpoint, path, training=None, train_losses=losses), cwd=tmp_path)
    assert "train loss: 1.00000000, mean of the last 100: 2.0000\n" in done.stdout and done.stderr == ""


def test_a_run_that_has_not_begun(checkpoint, tmp_path):
    nothing = {"iteration": 0, "epoch": 0.0, "train_losses": torch.zeros(0, dtype=torch.float64), "val_losses": {}}
    done = run(SCRIPT, rewrite(checkpoint, tmp_path / "x.pt", training=None, **nothing), cwd=tmp_path)
    assert done.stdout.endswith("iteration: 0 (epoch 0.000)\nvalidation losses:\n") and done.stderr == ""
    refused(run(SCRIPT, "x.pt", "-plot=-", cwd=tmp_path), "no losses to plot in x.pt")


def test_it_takes_neither_torch_nor_matplotlib(checkpoint):
    modules = imported(SCRIPT, checkpoint, checkpoint) | imported(SCRIPT, checkpoint, "-plot=-")
    assert "numpy" in modules and not modules & {"torch", "matplotlib"}


@pytest.mark.parametrize("plot", ["-", "x.png"])
def test_in_the_terminal(plot, checkpoint, tmp_path):
    paths = [checkpoint, GOLDEN / "gru.t7"]
    done = run(SCRIPT, *paths, "-plot", plot, cwd=tmp_path, prepare=lose_matplotlib)
    runs = [curves(path.stem, load_checkpoint(path)) for path in paths]
    assert done.stdout == draw_text(runs, "epochs", 70, 20) + "\n"
    if plot == "-":
        assert (done.returncode, done.stderr) == (0, "")
    else:
        done.stdout = ""
        refused(done, "writing x.png needs the package matplotlib; run: pip install -e '.[plot]'")
    assert names(tmp_path) == set()


def lose_matplotlib() -> None:
    """Prepares the script: a terminal of a known size, and no matplotlib."""
    os.environ |= {"COLUMNS": "70", "LINES": "25"}
    found = importlib.util.find_spec
    importlib.util.find_spec = lambda name, *rest: None if name == "matplotlib" else found(name, *rest)


def test_mistakes(checkpoint, tmp_path):
    missing = tmp_path / "no" / "x.png"
    refused(run_here(SCRIPT, checkpoint, "-plot=x.jpg"), "x.jpg is neither", ".png, .svg or .pdf")
    refused(run_here(SCRIPT, checkpoint, missing, "-plot=-"), f"there is no checkpoint {missing}")
    refused(run_here(SCRIPT, "-plot=-"), "CHECKPOINT", status=2)
    if importlib.util.find_spec("matplotlib"):
        refused(run_here(SCRIPT, checkpoint, "-plot", missing), f"cannot write {missing}: no such file", "-plot")


def test_pictures(matplotlib, checkpoint, tmp_path):
    older = {"x.png": b"\x89PNG\r\n", "x.PDF": b"%PDF-1.4", "x.svg": b"<?xml version='1.0'?>\n<!DOCTYPE svg>"}
    for name, start in older.items():
        (tmp_path / name).write_bytes(start)
        done = run(SCRIPT, checkpoint, GOLDEN / "gru.t7", "-plot", name, cwd=tmp_path)
        assert (done.returncode, done.stdout, done.stderr) == (0, f"saved {name}\n", "")
        picture = (tmp_path / name).read_bytes()
        assert picture.startswith(start[:5]) and len(picture) > 1000
    (tmp_path / "poem").write_text("roses")
    (tmp_path / "y.png").symlink_to("poem")
    done = run(SCRIPT, checkpoint, "-plot=y.png", cwd=tmp_path)
    refused(done, "cannot write y.png: what is there is not a picture; choose another file for -plot")
    assert names(tmp_path) == {*older, "poem", "y.png"} and (tmp_path / "poem").read_text() == "roses"
