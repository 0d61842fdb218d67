"""inspect_checkpoint.py shows everything in a checkpoint, safely for terminals."""

import csv
import importlib.util
import math
import os
import re
import shutil

import torch

from tests.helpers.checkpoints import rewrite
from tests.helpers.folders import names
from tests.helpers.inputs import GOLDEN
from tests.helpers.refusals import refused
from tests.helpers.scripts import imported, run_here
from util.checkpoint.store import load_checkpoint
from util.plot import curves, draw_text, short_names

SCRIPT = "inspect_checkpoint.py"


def test_what_it_prints(checkpoint):
    printed = run_here(SCRIPT, checkpoint, "-gpuid", 3, "-opencl", 1).stdout.decode()
    found = load_checkpoint(checkpoint)
    lines = printed.splitlines()
    assert lines[0] == "options:"
    options = dict(re.fullmatch(r"  (\S+) +(\S.*)", line).groups() for line in lines[1 : 1 + len(found.options)])
    assert options == {name: repr(value) for name, value in found.options.items()}
    losses = found.train_losses
    assert lines[1 + len(options) :] == [
        f"model: lstm, 1 layer of 4, {32 * 16 + 4 * 16 + 2 * 16 + 4 * 32 + 32} parameters in float32",
        "vocabulary: 32 characters: " + repr(found.vocabulary.characters),
        "iteration: 164 (epoch 1.000)",
        f"train loss: {losses[-1]:.8f}, mean of the last 100: {losses[-100:].mean():.4f}",
        "validation losses:",
        f"       164  {found.val_losses[164]:.4f}",
    ]
    gru = GOLDEN / "gru.t7"
    other = run_here(SCRIPT, gru).stdout.decode()
    assert run_here(SCRIPT, checkpoint, gru).stdout.decode() == f"{checkpoint}:\n{printed}\n{gru}:\n{other}"
    assert "model: gru, 2 layers of 24" in other


def test_a_stranger_s_options_steer_no_terminal(checkpoint, tmp_path):
    options = load_checkpoint(checkpoint).options | {"\x1b[2Jx": "\x1b]0;y\x07", "z\nz": "\u202e", "é": "é"}
    done = run_here(SCRIPT, rewrite(checkpoint, tmp_path / "x.pt", training=None, options=options))
    printed = done.stdout.decode()
    assert done.returncode == 0 and all(c == "\n" or c.isprintable() for c in printed)
    assert r"  '\x1b[2Jx'                 '\x1b]0;y\x07'" in printed and "  é                          'é'" in printed


def test_losses_with_gaps_and_none(checkpoint, tmp_path):
    def printed(**changes) -> str:
        done = run_here(SCRIPT, rewrite(checkpoint, tmp_path / "x.pt", training=None, **changes))
        assert (done.returncode, done.stderr) == (0, b"")
        return done.stdout.decode()

    losses = torch.full((164,), math.nan, dtype=torch.float64)
    found = printed(train_losses=losses, val_losses={164: math.nan, 100: 2.5})
    assert "train loss" not in found and found.endswith("validation losses:\n       100  2.5000\n       164  nan\n")
    losses[[-1, -5, 3]] = torch.tensor([1.0, 3.0, 99.0], dtype=torch.float64)
    assert "train loss: 1.00000000, mean of the last 100: 2.0000\n" in printed(train_losses=losses)
    found = printed(iteration=0, epoch=0.0, train_losses=losses[:0], val_losses={})
    assert found.endswith("iteration: 0 (epoch 0.000)\nvalidation losses:\n")
    refused(run_here(SCRIPT, tmp_path / "x.pt", "-plot=-"), f"no losses to plot in {tmp_path / 'x.pt'}")


def test_it_takes_neither_torch_nor_matplotlib(checkpoint):
    modules = imported(SCRIPT, checkpoint, checkpoint) | imported(SCRIPT, checkpoint, "-plot=-")
    assert "numpy" in modules and not modules & {"torch", "matplotlib"}


def test_in_the_terminal(checkpoint, monkeypatch):
    monkeypatch.setattr(os, "environ", os.environ | {"COLUMNS": "70", "LINES": "25"})
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    paths = [checkpoint, GOLDEN / "gru.t7"]
    runs = [curves(name, load_checkpoint(path)) for name, path in zip(short_names(paths), paths)]
    assert run_here(SCRIPT, *paths, "-plot=-").stdout.decode() == draw_text(runs, "epochs", 70, 20) + "\n"
    refused(run_here(SCRIPT, *paths, "-plot=x.png"), "writing x.png needs matplotlib: pip install -e '.[plot]'")


def test_all_losses_of_a_run(checkpoint, tmp_path):
    """From its last checkpoint, or from a folder with one run; what is not known is empty."""
    done, found = run_here(SCRIPT, checkpoint.parent, "-losses=-"), load_checkpoint(checkpoint)
    rows = list(csv.DictReader(done.stdout.decode().splitlines()))
    assert [int(row["iteration"]) for row in rows] == [*range(1, 165)]
    assert [float(row["epoch"]) for row in rows] == [i / 164 for i in range(1, 165)]
    assert [float(row["train_loss"]) for row in rows] == found.train_losses.tolist()
    assert [row["val_loss"] for row in rows] == [""] * 163 + [repr(found.val_losses[164])]
    other = GOLDEN / "torch_rnn" / "rnn_2x32.t7"
    assert run_here(SCRIPT, other, f"-losses={tmp_path / 'x.csv'}").returncode == 0
    assert (tmp_path / "x.csv").read_text().splitlines()[1].startswith("1,,")
    refused(run_here(SCRIPT, checkpoint, other, "-losses=-"), "those of one run", str(other))
    refused(run_here(SCRIPT, checkpoint, f"-losses={checkpoint}"), "cannot write", "-losses")
    refused(run_here(SCRIPT, checkpoint, "-losses=-", "-plot=-"), "-losses and -plot")


def test_mistakes(checkpoint, tmp_path):
    missing = tmp_path / "no" / "x.png"
    refused(run_here(SCRIPT, checkpoint, "-plot=x.jpg"), "x.jpg is neither", ".png, .svg or .pdf")
    refused(run_here(SCRIPT, checkpoint, missing, "-plot=-"), f"there is no checkpoint {missing}")
    refused(run_here(SCRIPT, "-plot=-"), "CHECKPOINT", status=2)
    if importlib.util.find_spec("matplotlib"):
        refused(run_here(SCRIPT, checkpoint, "-plot", missing), f"cannot write {missing}: no such file", "-plot")


def test_pictures(matplotlib, checkpoint, tmp_path, monkeypatch):
    """One replaces another, even if the name of a checkpoint is no text."""
    monkeypatch.chdir(tmp_path)
    strange = tmp_path / os.fsdecode(b"\xff$x^2$_\xd7.t7")
    shutil.copy(GOLDEN / "gru.t7", strange)
    starts = {"x.png": b"\x89PNG\r\n", "x.PDF": b"%PDF-1.4", "x.svg": b"<?xml version"}
    for name, start in starts.items():
        (tmp_path / name).write_bytes(start + b"='1.0'?>\n<!DOCTYPE svg>")
        done = run_here(SCRIPT, checkpoint, strange, "-plot", name)
        assert (done.returncode, done.stdout, done.stderr) == (0, f"saved {name}\n".encode(), b"")
        picture = (tmp_path / name).read_bytes()
        assert picture.startswith(start[:5]) and len(picture) > 1000
    assert names(tmp_path) == {*starts, strange.name}
