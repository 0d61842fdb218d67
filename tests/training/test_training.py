"""What a run does besides its log: the optimizers, early stopping, a CSV file, what ends an explosion."""

import csv
import os
import re
import signal

import pytest
import torch
from torch.nn.functional import nll_loss

from tests.helpers.inputs import SMALL, numbers
from tests.helpers.logs import log
from tests.helpers.runs import all_of, before_steps, finish, signals_at, validates_as
from util.text.loading import smaller_batches
from util.training import trainer as training
from util.training.optimizer import Adam, RMSprop

FLAGS = (*SMALL, "-data_dir", ".")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "input.txt").write_bytes(numbers(140))
    return tmp_path


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (RMSprop, lambda flat: torch.optim.RMSprop([flat], 0.01, alpha=0.95, eps=1e-8)),
        (Adam, lambda flat: torch.optim.Adam([flat], 0.01)),
    ],
)
def test_optimizers_equal_those_of_torch(ours, theirs):
    flat, gradient = torch.zeros(2, 1000, dtype=torch.float64).unbind()
    other = torch.zeros_like(flat, requires_grad=True)
    optimizer, expected = ours(flat, gradient, 0.95), theirs(other)
    generator = torch.Generator().manual_seed(0)
    for iteration in range(1, 6):
        torch.randn(len(flat), dtype=torch.float64, generator=generator, out=gradient)
        other.grad = gradient.clone()
        optimizer.step(iteration, 0.01)
        expected.step()
        torch.testing.assert_close(flat, other.detach(), rtol=1e-12, atol=1e-14)


def test_a_run_that_stopped_early_is_over(folder):
    """Also if it was interrupted in its last iteration; a higher number of validations continues it."""
    losses = validates_as({10: 1.0}, otherwise=2.0)
    flags = [*FLAGS, "-max_epochs", 2, "-eval_val_every", 10, "-early_stop", 3]
    for cv, prepare in (("a", losses), ("b", all_of(signals_at(40, signal.SIGINT), losses))):
        run = finish(folder, *flags, "-checkpoint_dir", cv, prepare=prepare)
        assert ("stopping early" in run.out, "resume with" in run.out) == (cv == "a", cv == "b")
        again = finish(folder, "-resume", cv, prepare=losses)
        assert again.status == 0 and not log([again.out])
        assert again.out.endswith("no improvement in the last 3 validations; stopping early\n")
    assert min(log([finish(folder, "-resume", cv, "-early_stop=4", prepare=losses).out])) == 41


def test_csv_holds_the_figures_of_the_log(folder):
    flags = [*FLAGS, "-eval_val_every", 20, "-log_csv", "made/log.csv", "-print_every", 5]
    run = finish(folder, *flags, "-max_epochs", 1)
    rows = list(csv.DictReader((folder / "made" / "log.csv").open()))
    printed = re.findall(r"^(\d+)/\d+ \(epoch .*train_loss = (\S+),", run.out, flags=re.MULTILINE)
    by_iteration = {row["iteration"]: row for row in rows}
    assert [i for i, _ in printed] == [i for i in by_iteration if int(i) % 5 == 0]
    assert all(f"{float(by_iteration[i]['train_loss']):.8f}" == loss for i, loss in printed)
    assert [i for i, row in by_iteration.items() if row["val_loss"]] == ["20", "40", "57"]
    piped = finish(folder, "-resume", "cv", "-max_epochs", 2, "-log_csv", "-")
    rows = list(csv.DictReader(piped.out.splitlines()))
    assert [int(row["iteration"]) for row in rows] == [*range(60, 114, 5), 114] and "110/114 (epoch" in piped.err
    assert (folder / "made" / "log.csv").read_text().count("\n") == 1 + len(by_iteration)  # which was not named again


@pytest.mark.parametrize("signals", [(), (signal.SIGINT,)])
def test_an_explosion_is_not_saved(signals, folder):
    """Neither by a signal nor because it would have come down again by the next log line."""
    explosion = all_of(before_steps(scales_the_loss), signals_at(7, *signals))
    flags = [*FLAGS, "-max_epochs", 1, "-print_every", 20, "-save_every", 5, "-log_csv", "log.csv"]
    run = finish(folder, *flags, prepare=explosion)
    assert run.status == 1
    rows = [row.split(",") for row in (folder / "log.csv").read_text().splitlines()[1:]]
    assert [row[0] for row in rows] == ["5", "7"] and float(rows[1][2]) > 100  # what ended it can be seen
    assert re.search(
        "^error: the loss is exploding, from .* the last good checkpoint is cv/resume_s_iteration5.pt$", run.err, re.M
    ), run.err
    assert os.listdir(folder / "cv") == ["resume_s_iteration5.pt"]


def scales_the_loss(iteration):
    """The 7th iteration has a thousand times its loss."""
    factor = 1000 if iteration == 7 else 1
    training.nll_loss = lambda *args, **options: nll_loss(*args, **options) * factor


@pytest.mark.parametrize(
    ("characters", "sizes"), [(50, (1, 1, 50)), (99, (1, 1, 99)), (12345, (16, 15, 51)), (25000, (10, 50, 50))]
)
def test_smaller_batches_make_fifty(characters, sizes):
    """Shorter ones only if too few streams would be left."""
    assert tuple(map(int, re.findall(r"\d+", smaller_batches(characters, 50, 50)))) == sizes
    assert smaller_batches(49, 50, 50) == ""
