"""A checkpoint is data from a stranger: it is refused or resumed, and never says where to write."""

import math
import os
import re
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import torch

import train
from model.stepper import Stepper
from tests.helpers.checkpoints import rewrite
from tests.helpers.folders import folder_in, names
from tests.helpers.inputs import numbers
from tests.helpers.logs import saved
from tests.helpers.refusals import refused, refused_to_train
from tests.helpers.runs import finish
from tests.helpers.scripts import run, run_command, run_here
from util.checkpoint.store import load_checkpoint
from util.errors import UserError
from util.training.trainer import Trainer


@pytest.fixture
def halfway(finished):
    """A checkpoint that a run wrote before its end."""
    return next((finished / "cv").glob("*epoch0.70*"))


def test_a_checkpoint_of_a_model_alone_cannot_be_resumed(halfway, tmp_path):
    done = run_here("train.py", "-resume", rewrite(halfway, tmp_path / "x.pt", training=None))
    refused_to_train(done, "x.pt holds a model but not the state of its run", "-init_from")


def test_a_checkpoint_does_not_say_where_to_write(halfway, tmp_path):
    elsewhere, here = folder_in(tmp_path, "elsewhere"), folder_in(tmp_path, "here")
    places = {"checkpoint_dir": "", "log_csv": "log.csv", "tensorboard": "board"}
    more = {name: str(elsewhere / place) for name, place in places.items()} | {"preview": 5}
    options = load_checkpoint(halfway).options | more
    rewrite(halfway, here / "x.pt", options=options)
    run = finish(tmp_path, "-resume", here / "x.pt")
    assert (run.status, run.err) == (0, "")
    assert (names(elsewhere), names(here)) == (set(), {"x.pt", *saved(run.out)})
    rewrite(halfway, here / "x.pt", options=options | {"savefile": "../elsewhere/x"})
    refused_to_train(finish(tmp_path, "-resume", here / "x.pt").done, "-savefile", "cannot be part of a file name")
    assert names(elsewhere) == set()


def test_a_checkpoint_does_not_say_what_to_read(halfway, tmp_path):
    secret = folder_in(tmp_path, "secret")
    (secret / "input.txt").write_bytes(numbers(140)[1:])
    rewrite(halfway, tmp_path / "x.pt", options=load_checkpoint(halfway).options | {"data_dir": str(secret)})
    for script, *flags in (("evaluate.py", "-gpuid=-1"), ("visualize.py",)):
        done = run_here(script, tmp_path / "x.pt", *flags)
        refused(done, "is not the text that the run was trained on", "-data_dir")
    done = run_here("train.py", "-resume", tmp_path / "x.pt")
    refused_to_train(done, "is not the text that the run was trained on")
    assert names(secret) == {"input.txt"} and "x.html" not in names(tmp_path)
    assert run_here("evaluate.py", tmp_path / "x.pt", "-gpuid=-1", "-data_dir", secret).returncode == 0


def test_only_training_writes_into_a_folder_that_the_user_does_not_name(halfway, tmp_path):
    here = folder_in(tmp_path, "here")
    (here / "input.txt").write_bytes(numbers(140))
    rewrite(halfway, tmp_path / "x.pt", options=load_checkpoint(halfway).options | {"data_dir": str(here)})
    for script, *flags in (("evaluate.py", "-gpuid=-1"), ("visualize.py",)):
        assert run_here(script, tmp_path / "x.pt", *flags).returncode == 0
    assert names(here) == {"input.txt"}
    assert run_here("evaluate.py", tmp_path / "x.pt", "-gpuid=-1", "-data_dir", here).returncode == 0
    assert names(here) == {"input.txt", "data.bin", "vocab.json"}


def test_what_a_checkpoint_names_is_not_opened_before_its_digest_is_known(halfway, tmp_path):
    """Not for a page, which is made to be sent around, nor is anything written beside it; only -data_dir opens it."""
    secret = folder_in(tmp_path, "secret")
    for name in ("passwd", "input.txt"):
        (secret / name).write_bytes(numbers(140))
    options = load_checkpoint(halfway).options | {"data_dir": str(secret), "files": "passwd"}
    rewrite(halfway, tmp_path / "x.pt", options=options)
    rewrite(halfway, tmp_path / "model.pt", options=options | {"files": ""}, training=None)
    opened = partial(note_events, str(secret), str(tmp_path / "opened"))
    for name, where in (("x.pt", "was not found in"), ("model.pt", "is unknown")):
        refused(run("evaluate.py", name, "-gpuid=-1", cwd=tmp_path, prepare=opened), where)
        assert run("sample.py", name, "-output=out", "-length=5", cwd=tmp_path, prepare=opened).returncode == 0
    page = run("visualize.py", "model.pt", cwd=tmp_path, prepare=opened)
    assert page.returncode == 0 and where in page.stderr and "writes itself" in (tmp_path / "model.html").read_text()
    refused_to_train(finish(tmp_path, "-resume", "x.pt", prepare=opened).done, "was not found in", "-data_dir")
    assert names(secret) == {"passwd", "input.txt"} and not (tmp_path / "opened").exists()
    flags = ("-gpuid=-1", "-split=val", "-data_dir", secret)
    assert run_here("evaluate.py", tmp_path / "x.pt", *flags).returncode == 0


def note_events(folder: str, note: str) -> None:
    """Makes the folder `note` when this process lists or opens something in another one."""

    def hook(event: str, arguments: tuple) -> None:
        looks = event in ("open", "os.listdir", "os.scandir") and str(arguments[0]).startswith(folder)
        if looks and not str(arguments[0]).endswith("vocab.json"):
            os.mkdir(note)

    sys.addaudithook(hook)


@pytest.mark.parametrize("flag", ["-resume", "-init_from"])
def test_weights_that_predict_no_probabilities_are_not_trained(flag, halfway, tmp_path):
    """No flag would mend the loss, nor is this very file the last good one. (A fork would show numpy's warnings.)"""
    parameters = {name: torch.full(array.shape, 3e38) for name, array in load_checkpoint(halfway).parameters.items()}
    rewrite(halfway, tmp_path / "x.pt", parameters=parameters)
    done = run_command("train.py", flag, "x.pt", f"-data_dir={halfway.parent}", cwd=tmp_path)
    refused_to_train(done, "weights are so large that it predicts no probabilities; take another checkpoint\n")


def test_a_run_does_not_go_on_in_another_precision(halfway, tmp_path):
    options = load_checkpoint(halfway).options
    rewrite(halfway, tmp_path / "x.pt", options=options | {"dtype": "float64"})
    done = run_here("train.py", "-resume", tmp_path / "x.pt", "-max_epochs=2")
    refused_to_train(done, "x.pt is not a valid char-rnn checkpoint: its dtype cannot be right")


WRONG = {"None": None, "minus one": -1, "text": "x", "large": 1e308, "too long to print": 10**5000}
WRONG |= {"tensor": torch.ones(3, 2, dtype=torch.int64)}


def wrong_tensors(value: torch.Tensor) -> dict[str, torch.Tensor]:
    return {
        "of another type": value.to(torch.float32 if value.dtype == torch.float64 else torch.float64),
        "cut": value.reshape(-1)[:-1],
        "of large numbers": torch.full_like(value, 1e38 if value.is_floating_point() else 2**62),
        "of no numbers": torch.full_like(value, math.nan) if value.is_floating_point() else -value,
    }


def variants(content: dict[str, Any], *above: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """A nested dictionary with each of its values missing, or wrong in every way; and what that is."""
    for key, value in content.items():
        if str(key).startswith("layers."):
            continue  # parameters are all treated alike
        place = ".".join([*above, str(key)])
        rest = {name: item for name, item in content.items() if name != key}
        yield f"{place} missing", rest
        for what, wrong in (WRONG | (wrong_tensors(value) if isinstance(value, torch.Tensor) else {})).items():
            yield f"{place} {what}", {**content, key: wrong}
        if isinstance(value, dict):
            for what, variant in variants(value, *above, key):
                yield what, {**content, key: variant}


def test_no_wrong_value_anywhere_ends_in_a_traceback(halfway, tmp_path, monkeypatch, capsys):
    """Refused with one sentence, or a checkpoint that can be sampled from and resumed, for one iteration here."""
    monkeypatch.setattr("util.training.start.ROOT", tmp_path)  # so that no example text is fetched
    monkeypatch.chdir(tmp_path)
    step = Trainer.step

    def interrupted(*arguments):
        signal.raise_signal(signal.SIGINT)
        return step(*arguments)

    monkeypatch.setattr(Trainer, "step", interrupted)
    content = torch.load(halfway, weights_only=True)
    outcomes = Counter()
    for what, variant in variants(content):
        with TemporaryDirectory(dir=tmp_path) as name:
            path = Path(name) / "x.pt"
            torch.save(variant, path)
            try:
                outcomes[attempt(path, monkeypatch, capsys)] += 1
            except Exception as error:
                raise AssertionError(what) from error
    # The model and the run's position cannot be wrong; most flags can be another run's.
    assert outcomes["refused"] > 250 and outcomes["not resumed"] > 30 and outcomes["resumed"] > 15, outcomes


def attempt(path: Path, monkeypatch, capsys) -> str:
    """What comes of a checkpoint."""
    try:
        checkpoint = load_checkpoint(path)
    except UserError as error:
        reason = str(error).removeprefix(f"{path} is not a valid char-rnn checkpoint: ")
        assert re.fullmatch(r"its? .{1,90}", reason), reason
        return "refused"
    V, _, L, model = checkpoint.model_shape
    assert Stepper(checkpoint.parameters, L, model)(np.zeros(1, int)).shape == (1, V)
    monkeypatch.setattr(sys, "argv", ["train.py", "-resume", str(path)])
    try:
        assert train.main() in (0, 130)
    except (UserError, OSError) as error:
        assert re.fullmatch(r".{1,900}", str(error))
        return "not resumed"
    except SystemExit as stop:
        assert (stop.code, capsys.readouterr().err.count("\n")) == (2, 1)
        return "not resumed"
    return "resumed"
