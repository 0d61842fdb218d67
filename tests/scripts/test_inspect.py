"""The inspector: everything in a checkpoint, for eyes and terminals; curves as pictures and in plain characters."""

import importlib.util
import math
import os
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.helpers.inputs import ROOT
from tests.helpers.runs import names
from tests.helpers.scripts import imported, run, told
from util.checkpoint.content import Checkpoint
from util.checkpoint.store import load_checkpoint
from util.cli.plot import COLORS, curves, draw_text, loss_range, save_picture

GOLDEN = ROOT / "tests" / "golden"
SCRIPT = "inspect_checkpoint.py"


def write(source: Path, target: Path, **changes: Any) -> Path:
    """A copy of a checkpoint, as one from elsewhere, with some of its values changed."""
    content = torch.load(source, weights_only=True) | {"training": None} | changes
    torch.save(content, target)
    return target


# Listing


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
        "vocabulary: 32 characters: " + repr(found.vocabulary),
        "iteration: 164 (epoch 1.000)",
        f"train loss: {losses[-1]:.8f}, mean of the last 100: {losses[-100:].mean():.4f}",
        "validation losses:",
        f"       164  {found.val_losses[164]:.4f}",
    ]


def test_several_one_after_the_other(checkpoint, tmp_path):
    alone = [run(SCRIPT, path, cwd=tmp_path).stdout for path in (checkpoint, GOLDEN / "gru.t7")]
    done = run(SCRIPT, checkpoint, GOLDEN / "gru.t7", cwd=tmp_path)
    assert done.stdout == f"{checkpoint}:\n{alone[0]}\n{GOLDEN / 'gru.t7'}:\n{alone[1]}"
    assert "model: gru, 2 layers of 24" in alone[1]


def test_a_stranger_s_options_steer_no_terminal(checkpoint, tmp_path):
    options = load_checkpoint(checkpoint).options | {"\x1b[2Jx": "\x1b]0;y\x07", "z\nz": "\u202e", "é": "é"}
    done = run(SCRIPT, write(checkpoint, tmp_path / "x.pt", options=options), cwd=tmp_path)
    assert done.returncode == 0
    assert all(c == "\n" or c.isprintable() for c in done.stdout)
    for line in (r"  '\x1b[2Jx'                 '\x1b]0;y\x07'", r"  'z\nz'                     '\u202e'"):
        assert line in done.stdout.splitlines()
    assert "  é                          'é'" in done.stdout.splitlines()


def test_losses_with_gaps(checkpoint, tmp_path):
    losses = torch.full((164,), math.nan, dtype=torch.float64)
    path = write(checkpoint, tmp_path / "x.pt", train_losses=losses, val_losses={164: math.nan, 100: 2.5})
    done = run(SCRIPT, path, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "train loss" not in done.stdout
    assert done.stdout.endswith("validation losses:\n       100  2.5000\n       164  nan\n")
    losses[[-1, -5, 3]] = torch.tensor([1.0, 3.0, 99.0], dtype=torch.float64)
    done = run(SCRIPT, write(checkpoint, path, train_losses=losses), cwd=tmp_path)
    assert "train loss: 1.00000000, mean of the last 100: 2.0000\n" in done.stdout and done.stderr == ""


def test_a_run_that_has_not_begun(checkpoint, tmp_path):
    nothing = {"iteration": 0, "epoch": 0.0, "train_losses": torch.zeros(0, dtype=torch.float64), "val_losses": {}}
    done = run(SCRIPT, write(checkpoint, tmp_path / "x.pt", **nothing), cwd=tmp_path)
    assert done.stdout.endswith("iteration: 0 (epoch 0.000)\nvalidation losses:\n") and done.stderr == ""
    told(run(SCRIPT, "x.pt", "-plot=-", cwd=tmp_path), "no losses to draw in x.pt")


def test_it_takes_neither_torch_nor_matplotlib(checkpoint):
    modules = imported(SCRIPT, checkpoint, checkpoint) | imported(SCRIPT, checkpoint, "-plot=-")
    assert "numpy" in modules and not modules & {"torch", "matplotlib"}


# Curves


def run_of(train_losses: list[float], val_losses: dict[int, float], epoch: float) -> Checkpoint:
    return Checkpoint({}, "ab", "utf-8", {}, len(train_losses), epoch, np.array(train_losses, float), val_losses, None)


def test_curves_over_epochs():
    found = curves("x", run_of([4, 3, 2, 1], {2: 2.5, 4: 1.5}, 8.0))
    assert (found.name, found.window) == ("x", 1)
    np.testing.assert_array_equal(found.train, [[2, 4, 6, 8], [4, 3, 2, 1]])
    np.testing.assert_array_equal(found.val, [[4, 8], [2.5, 1.5]])


def test_a_long_run_is_smoothed():
    losses = np.arange(6000.0)
    found = curves("x", run_of(losses, {}, 6000.0))
    assert found.window == 40
    np.testing.assert_allclose(found.train[1], losses.reshape(150, 40).mean(axis=1))
    np.testing.assert_allclose(found.train[0], found.train[1] + 1)  # the middle of the iterations, counted from 1
    assert found.val[0].size == 0


def test_gaps_and_nonsense_leave_no_points():
    losses = np.arange(600.0)
    losses[[0, 1, 2, 3, 8, 599]] = np.nan
    found = curves("x", run_of(losses, {-1: 1.0, 0: 1.0, 10**400: 1.0, 5: np.inf, 7: np.nan, 600: 2.0}, 600.0))
    assert found.window == 4 and len(found.train[0]) == 149  # the first four have none
    np.testing.assert_allclose(found.train[1][:2], [5.5, 10])
    np.testing.assert_allclose(found.train[0][:2], [6.5, 11])
    np.testing.assert_array_equal(found.val, [[600], [2]])


def test_the_steep_start_does_not_flatten_the_rest():
    steep = curves("x", run_of([9.0] * 5 + [3.0] + [2.0] * 94, {50: 2.5}, 1.0))
    assert loss_range([steep]) == (2.0, 3.0)
    lines = draw_text([steep], 109, 10).splitlines()
    assert lines[0] == "  3.000 |" + " " * 6 + "." and lines[9].startswith("  2.000 |" + " " * 7 + "...")
    assert loss_range([curves("x", run_of([9.0] * 5 + [2.0] * 95, {50: 1.5, 90: 2.75}, 1.0))]) == (1.5, 2.75)
    assert loss_range([steep, curves("y", run_of([], {}, 0.0)), curves("z", run_of([5.0], {}, 0.0))]) == (2.0, 5.0)


def test_a_curve_in_plain_characters():
    # One loss for each column, a row lower every tenth, and a validation at the end.
    steps = curves("a run", run_of([2.0 - i // 10 / 8 for i in range(1, 90)], {89: 1.5}, 3.0))
    lines = draw_text([steps], width=99, height=9).splitlines()
    assert [line[:9] for line in lines[:9]] == [f"{2 - row / 8:7.3f} |" for row in range(9)]
    assert lines[9] == " " * 8 + "+" + "-" * 90
    assert lines[10] == " " * 9 + "0" + "3.00 epochs".rjust(89)
    assert lines[11:] == ["loss in nats per character", "  . training, o validation: a run"]
    drawn = {(column, row) for row in range(9) for column, c in enumerate(lines[row][9:]) if c == "."}
    assert drawn == {(column, column // 10) for column in range(1, 90)}
    assert lines[4].endswith("o") and len(lines[4]) == 99 and Counter("".join(lines[:9]))["o"] == 1
    assert max(map(len, lines)) == 99


def test_several_curves_have_letters():
    one, two = (curves(name, run_of([3, loss, loss], {3: loss - 0.5}, 1.0)) for name, loss in (("x", 2.0), ("y", 1.0)))
    drawn = draw_text([one, two], width=40, height=12)
    assert drawn.endswith("  a training, A validation: x\n  b training, B validation: y")
    marks = Counter("".join(line[9:] for line in drawn.splitlines()[:12]).replace(" ", ""))
    # The start, the same for both, shows the second; each validation covers nothing.
    assert marks == {"a": 2, "A": 1, "b": 3, "B": 1}


@pytest.mark.parametrize(("losses", "epoch"), [([2.0], 0.0), ([2.0], 1.0), ([2.0] * 400, 1e300)])
def test_flat_and_single_losses_can_be_drawn(losses, epoch):
    lines = draw_text([curves("x", run_of(losses, {1: 2.0}, epoch))], 40, 10).splitlines()
    assert lines[0].startswith("  2.000 |") and "o" in lines[0][9:]


@pytest.mark.parametrize("plot", ["-", "x.png"])
def test_in_the_terminal(plot, checkpoint, tmp_path):
    paths = [checkpoint, GOLDEN / "gru.t7"]
    done = run(SCRIPT, *paths, "-plot", plot, cwd=tmp_path, prepare=lose_matplotlib)
    runs = [curves(path.stem, load_checkpoint(path)) for path in paths]
    assert done.stdout == draw_text(runs, 70, 20) + "\n"
    if plot == "-":
        assert (done.returncode, done.stderr) == (0, "")
    else:
        done.stdout = ""
        told(done, "x.png takes the package matplotlib; pip install -e '.[plot]'")
    assert names(tmp_path) == set()


def lose_matplotlib() -> None:
    """To prepare the script with: a terminal of a known size, and no matplotlib."""
    os.environ |= {"COLUMNS": "70", "LINES": "25"}
    found = importlib.util.find_spec
    importlib.util.find_spec = lambda name, *rest: None if name == "matplotlib" else found(name, *rest)


def test_mistakes(checkpoint, tmp_path):
    for name in ("x.jpg", "x", ".png", "/dev/null"):
        told(
            run(SCRIPT, checkpoint, "-plot", name, cwd=tmp_path), f"-plot {name} names no picture", ".png, .svg or .pdf"
        )
    told(run(SCRIPT, checkpoint, "x.pt", "-plot=-", cwd=tmp_path), "there is no checkpoint x.pt")
    told(run(SCRIPT, "-plot=-", cwd=tmp_path), "CHECKPOINT", status=2)
    assert names(tmp_path) == set()


# Pictures


@pytest.fixture
def matplotlib():
    return pytest.importorskip("matplotlib")


@pytest.mark.parametrize(("name", "start"), [("x.png", b"\x89PNG"), ("x.PDF", b"%PDF"), ("x.svg", b"<?xml")])
def test_pictures(name, start, matplotlib, checkpoint, tmp_path):
    (tmp_path / name).write_bytes(b"older")
    done = run(SCRIPT, checkpoint, GOLDEN / "gru.t7", "-plot", name, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"saved {name}\n", "")
    assert (tmp_path / name).read_bytes().startswith(start)
    assert names(tmp_path) == {name}


def test_what_is_in_a_picture(matplotlib, checkpoint, tmp_path):
    shutil.copy(checkpoint, tmp_path / "_a $x^2$ run.pt")
    paths = [tmp_path / "_a $x^2$ run.pt", GOLDEN / "gru.t7"]
    with matplotlib.rc_context({"svg.fonttype": "none"}):  # so that text is text
        save_picture([curves(path.stem, load_checkpoint(path)) for path in paths], tmp_path / "x.svg")
    picture = (tmp_path / "x.svg").read_text()
    texts = re.findall(r"<text [^>]*>([^<]*)</text>", picture)
    assert {"epochs", "loss (nats per character)", "bits per character"} <= set(texts)
    assert texts[-4:] == [
        "training: _a $x^2$ run",
        "training (mean of 3 iterations): gru",
        "validation: _a $x^2$ run",
        "validation: gru",
    ]


def test_a_place_that_takes_no_picture(matplotlib, checkpoint, tmp_path):
    (tmp_path / "x.png").mkdir()
    told(run(SCRIPT, checkpoint, "-plot=x.png", cwd=tmp_path), "cannot write x.png", "directory", "-plot")
    told(run(SCRIPT, checkpoint, "-plot=no/x.png", cwd=tmp_path), "cannot write no/x.png", "-plot")
    assert names(tmp_path) == {"x.png"}


def test_runs_differ_in_black_and_white(matplotlib, checkpoint, tmp_path):
    save_picture([curves(name, load_checkpoint(checkpoint)) for name in "abcd"], tmp_path / "x.svg")
    dashes = re.findall(r"stroke-dasharray: ([^;\"]*)", (tmp_path / "x.svg").read_text())
    assert len(set(dashes)) == 6  # three lines that are not solid, thin and thick
    brightness = [np.dot([0.299, 0.587, 0.114], [int(c[i : i + 2], 16) for i in (1, 3, 5)]) for c in COLORS]
    assert np.diff(sorted(brightness)).min() > 20  # of 255
