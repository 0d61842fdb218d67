"""What a checkpoint holds is checked down to its last number, when it is read and before it is written."""

import dataclasses
import math
from contextlib import nullcontext

import numpy as np
import pytest

from tests.helpers.folders import names
from tests.helpers.scripts import run_here
from util.checkpoint.content import OPTIMIZER_STATE, checked
from util.checkpoint.store import load_checkpoint, save_checkpoint
from util.errors import InvalidFile, UserError


@pytest.fixture
def whole(checkpoint):
    return load_checkpoint(checkpoint)


TOO_LARGE = (1e38, 1e308, -1e308, -math.inf)


@pytest.mark.parametrize("loss", [*TOO_LARGE, math.inf, math.nan, 9e37, 0.0])
def test_losses(loss, whole):
    """Those of a run that went wrong can be anything but numbers whose mean is none."""
    for name, losses in (("train_losses", np.array([*np.ones(163), loss])), ("val_losses", {100: 1.0, 164: loss})):
        changed = dataclasses.replace(whole, **{name: losses})
        refusal = pytest.raises(InvalidFile, match=f"its {name} cannot be right")
        with refusal if loss in TOO_LARGE else nullcontext():
            checked(changed)


SQUARES = (0.0, True), (math.inf, True), (-1.0, False), (math.nan, False)
MEANS = (0.0, True), (-1.0, True), (math.inf, False), (math.nan, False)


@pytest.mark.parametrize(("optim", "of"), [("rmsprop", "square_avg"), ("adam", "square_avg"), ("adam", "avg")])
def test_what_a_run_cannot_go_on_with(optim, of, whole):
    """Or it would end at once, and call this very file the last good one."""
    options, state = whole.options | {"optim": optim}, whole.training["state"]
    for value, fits in SQUARES if of == "square_avg" else MEANS:
        optimizer = {name: np.zeros(whole.size, "f4") for name in OPTIMIZER_STATE[optim]}
        optimizer[of][-1] = value
        changed = dataclasses.replace(whole, options=options, training=whole.training | {"optimizer": optimizer})
        with nullcontext() if fits else pytest.raises(InvalidFile, match="its optimizer cannot be right"):
            checked(changed)
    for value in (math.nan, math.inf):
        training = whole.training | {"state": np.full_like(state, value)}
        with pytest.raises(InvalidFile, match="its state cannot be right"):
            checked(dataclasses.replace(whole, training=training))


def test_numbers_and_names_are_what_a_flag_could_be(whole):
    numbers = (2**63 - 1, True), (2**63, False), (-(2**64), False)
    names = ("a\udc80\udcff", True), ("a\ud800", False), ("a\udc7f", False), ("a\udd00", False)
    for value, fits in (*numbers, *names):
        changed = dataclasses.replace(whole, options=whole.options | {"foreign": value})
        with nullcontext() if fits else pytest.raises(InvalidFile, match="its options cannot be right"):
            checked(changed)


def test_a_run_without_validation_has_no_validation_losses(whole, tmp_path):
    """What stands in their place are means of its training losses, which no script calls by another name."""
    assert whole.validations == whole.val_losses != {}
    trained = dataclasses.replace(whole, options=whole.options | {"val_frac": 0})
    assert trained.validations == {}
    save_checkpoint(trained, tmp_path / "lm_s_epoch1.00_1.5000.pt")
    (path,) = tmp_path.iterdir()
    assert run_here("inspect_checkpoint.py", path).stdout.endswith(b"validation losses:\n")
    assert b"lowest validation loss" not in run_here("sample.py", tmp_path, "-length=1").stderr


def test_what_could_not_be_read_again_is_not_written(whole, tmp_path):
    parameters = {name: array.copy() for name, array in whole.parameters.items()}
    parameters["decoder.bias"][0] = math.nan
    for changes, reason in (({"parameters": parameters}, "not finite"), ({"epoch": math.inf}, "epoch")):
        with pytest.raises(UserError, match=rf"x\.pt is not written, .*{reason}"):
            save_checkpoint(dataclasses.replace(whole, **changes), tmp_path / "x.pt")
    assert names(tmp_path) == set()
