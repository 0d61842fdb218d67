"""`-dtype bfloat16`: a run like any other, whose checkpoints are those of single precision."""

from pathlib import Path

import numpy as np

from tests.helpers.folders import folder_in
from tests.helpers.inputs import EPOCH, SMALL
from tests.helpers.runs import Run, finish
from tests.helpers.scripts import run
from util.checkpoint.content import Checkpoint
from util.checkpoint.store import load_checkpoint


def train(folder: Path, text: Path, *flags: object) -> tuple[Run, Path, Checkpoint]:
    """A run of an epoch, and its checkpoint."""
    done = finish(folder, *SMALL, "-data_dir", text, "-max_epochs=1", *flags)
    assert done.status == 0, done.err
    (path,) = (folder / "cv").iterdir()
    return done, path, load_checkpoint(path)


def test_it_learns_nearly_as_in_single_precision_and_so_does_a_new_run_from_it(small_text, tmp_path):
    _, _, full = train(folder_in(tmp_path, "full"), small_text)
    _, path, rough = train(folder_in(tmp_path, "rough"), small_text, "-dtype=bfloat16")
    assert len(full.train_losses) == len(rough.train_losses) == EPOCH
    assert np.abs(full.train_losses - rough.train_losses).max() < 0.01  # and equal without its instructions
    assert rough.dtype == "float32" and rough.options["dtype"] == "bfloat16"
    assert {array.dtype for array in rough.training["optimizer"].values()} == {np.dtype("float32")}
    done = run("evaluate.py", path, "-gpuid=-1")
    assert f"loss per character: {rough.val_losses[EPOCH]!r} nats" in done.stdout  # evaluated as it was trained
    assert run("sample.py", path, "-length=20").returncode == 0

    done, _, kept = train(folder_in(tmp_path, "kept"), small_text, "-init_from", path)
    assert "overwriting dtype=float32 with bfloat16, based on the checkpoint" in done.out
    _, _, other = train(folder_in(tmp_path, "other"), small_text, "-init_from", path, "-dtype=float32")
    assert (kept.options["dtype"], other.options["dtype"]) == ("bfloat16", "float32")
