"""Curves of losses, as pictures and in plain characters."""

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.inputs import GOLDEN
from util.checkpoint.content import Checkpoint
from util.checkpoint.store import load_checkpoint
from util.plot import curves, draw_text, loss_range, save_picture, short_names
from util.text.vocabulary import Vocabulary


def run_of(train_losses: list[float], val_losses: dict[int, float], epoch: float) -> Checkpoint:
    losses = np.array(train_losses, float)
    return Checkpoint({}, Vocabulary("ab", "utf-8"), {}, len(train_losses), epoch, losses, val_losses, None)


def test_a_long_run_is_smoothed_and_gaps_leave_no_points():
    train, val = curves("x", run_of([4, 3, 2, 1], {2: 2.5, 4: 1.5}, 8.0))
    np.testing.assert_array_equal(train[1:], [[2, 4, 6, 8], [4, 3, 2, 1]])
    np.testing.assert_array_equal(val[1:], [[4, 8], [2.5, 1.5]])
    losses = np.arange(600.0)
    losses[[0, 1, 2, 3, 8, 599]] = np.nan
    losses[598] = np.inf
    train, val = curves("x", run_of(losses, {5: np.inf, 7: np.nan, 600: 2.0}, 600.0))
    assert train.label == "training (mean of 4 iterations): x" and len(train.x) == 149  # the first four have none
    np.testing.assert_allclose(train.losses[[0, 1, 2, -1]], [5.5, 10, 13.5, 596.5])
    np.testing.assert_allclose(train.x[:3], [6.5, 11, 14.5])  # the middle of the iterations, counted from 1
    np.testing.assert_array_equal(val[1:], [[600], [2]])


def test_the_steep_start_does_not_flatten_the_rest():
    steep = curves("x", run_of([9.0] * 5 + [3.0] + [2.0] * 94, {50: 2.5}, 1.0))
    assert loss_range([steep]) == (2.0, 3.0)
    lines = draw_text([steep], "epochs", 109, 10).splitlines()
    assert lines[0] == "  3.000 |" + " " * 6 + "." and lines[9].startswith("  2.000 |" + " " * 7 + "...")
    assert loss_range([steep, curves("y", run_of([], {}, 0.0)), curves("z", run_of([5.0], {}, 0.0))]) == (2.0, 5.0)


def test_a_curve_in_plain_characters():
    # One loss for each column, a row lower every tenth, and a validation at the end.
    steps = curves("a run", run_of([2.0 - i // 10 / 8 for i in range(1, 90)], {89: 1.5}, 3.0))
    lines = draw_text([steps], "epochs", width=99, height=9).splitlines()
    assert [line[:9] for line in lines[:9]] == [f"{2 - row / 8:7.3f} |" for row in range(9)]
    assert lines[10].endswith("3.00 epochs") and lines[12] == "  . training, o validation: a run"
    drawn = {(column, row) for row in range(9) for column, c in enumerate(lines[row][9:]) if c == "."}
    assert drawn == {(column, column // 10) for column in range(1, 90)}
    assert lines[4].endswith("o") and len(lines[4]) == 99 and max(map(len, lines)) == 99


def test_several_curves_have_letters():
    runs = [curves(name, run_of([3, loss, loss], {3: loss - 0.5}, 1.0)) for name, loss in (("x", 2.0), ("y", 1.0))]
    drawn = draw_text(runs, "iterations", width=40, height=12)
    assert drawn.endswith("  a training, A validation: x\n  b training, B validation: y")
    marks = Counter("".join(line[9:] for line in drawn.splitlines()[:12]).replace(" ", ""))
    # The start, the same for both, shows the second; each validation covers nothing.
    assert marks == {"a": 2, "A": 1, "b": 3, "B": 1}


@pytest.mark.parametrize(("losses", "epoch"), [([2.0], 0.0), ([2.0] * 400, 1e300)])
def test_flat_and_single_losses_can_be_drawn(losses, epoch):
    lines = draw_text([curves("x", run_of(losses, {1: 2.0}, epoch))], "epochs", 40, 10).splitlines()
    assert lines[0].startswith("  2.000 |") and "o" in lines[0][9:]


@pytest.mark.parametrize("loss", [0.0, 9e37])
@pytest.mark.filterwarnings("error")
def test_flat_losses_of_any_size_make_a_picture(loss, matplotlib, tmp_path):
    save_picture([curves("x", run_of([loss] * 3, {}, 1.0))], "epochs", tmp_path / "x.svg", [])
    assert (tmp_path / "x.svg").stat().st_size > 1000


@pytest.mark.parametrize(("paths", "names"), [
    (["cv/lm_lstm_epoch9.46_1.4228.pt"], ["lm_lstm_epoch9.46_1.4228.pt"]),
    (["cv/lm_lstm_epoch9.46_1.4.pt", "cv/lm_gru_epoch9.46_1.5.pt"], ["lstm_epoch9.46_1.4", "gru_epoch9.46_1.5"]),
    (["a/x.pt", "b/x.pt"], ["a/", "b/"]), (["a_x.pt", "x.pt"], ["a_x", "x"]), (["cv/a", "cv/a.pt"], ["a", "a.pt"]),
])  # fmt: skip
def test_names_of_runs_are_without_what_all_share(paths, names):
    assert short_names([*map(Path, paths)]) == names


def test_what_is_in_a_picture(matplotlib, tmp_path):
    """A name is no formula, and a run without a validation has none in the legend."""
    runs = [curves("$a$", run_of([3.0, 2.0], {2: 2.5}, 1.0)), curves("b", run_of([2.0, 1.0], {}, 1.0))]
    runs.append(curves("c", load_checkpoint(GOLDEN / "gru.t7")))
    assert "a training, A validation: $a$\n  b training: b\n  c training (mean" in draw_text(runs, "epochs", 40, 10)
    with matplotlib.rc_context({"svg.fonttype": "none"}):  # so that text is text
        save_picture(runs, "epochs", tmp_path / "x.svg", [])
    texts = re.findall(r"<text [^>]*>([^<]*)</text>", (tmp_path / "x.svg").read_text())
    assert {"epochs", "loss (nats per character)", "bits per character"} <= set(texts)
    training = ["training: $a$", "training: b", "training (mean of 3 iterations): c"]
    assert texts[-5:] == [*training, "validation: $a$", "validation: c"]
