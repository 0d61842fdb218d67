"""`-dtype bfloat16`: a run like any other, whose checkpoints are those of single precision."""

import numpy as np
import pytest

from tests.helpers.folders import folder_in
from tests.helpers.inputs import SMALL, numbers
from tests.helpers.logs import LINE
from tests.helpers.runs import finish
from tests.helpers.scripts import run
from util.checkpoint.store import load_checkpoint


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run in single precision and one in bfloat16 with the same flags, each with its folder."""
    made = {}
    for dtype in ("float32", "bfloat16"):
        folder = tmp_path_factory.mktemp(dtype)
        (folder / "input.txt").write_bytes(numbers(140))
        made[dtype] = folder, finish(folder, *SMALL, "-data_dir=.", "-max_epochs=1", f"-dtype={dtype}")
        assert made[dtype][1].status == 0
    return made


def saved_by(folder):
    (path,) = (folder / "cv").iterdir()
    return path, load_checkpoint(path)


def test_it_learns_nearly_as_in_single_precision(runs):
    full, rough = (np.array([float(loss) for _, _, loss, _ in LINE.findall(run.out)]) for _, run in runs.values())
    assert len(full) == len(rough) > 50
    assert 0 < np.abs(full - rough).max() < 0.01


def test_its_checkpoint_is_in_single_precision_and_is_evaluated_as_it_was_trained(runs, tmp_path):
    folder, _ = runs["bfloat16"]
    path, checkpoint = saved_by(folder)
    assert checkpoint.dtype == "float32" and checkpoint.options["dtype"] == "bfloat16"
    assert {array.dtype for array in checkpoint.training["optimizer"].values()} == {np.dtype("float32")}
    done = run("evaluate.py", path, "-gpuid=-1", cwd=folder)
    assert f"loss per character: {checkpoint.val_losses[checkpoint.iteration]!r} nats" in done.stdout
    assert run("sample.py", path, "-length=20", cwd=folder).returncode == 0


def test_a_new_run_from_it_is_in_bfloat16_too(runs, tmp_path):
    path, _ = saved_by(runs["bfloat16"][0])
    flags = (*SMALL, "-data_dir", runs["bfloat16"][0], "-max_epochs=1", "-init_from", path)
    kept = finish(tmp_path, *flags)
    assert "overwriting dtype=float32 with bfloat16, based on the checkpoint" in kept.out
    other = finish(folder_in(tmp_path, "other"), *flags, "-dtype=float32")
    assert (kept.status, other.status) == (0, 0)
    assert saved_by(tmp_path)[1].options["dtype"] == "bfloat16"
    assert saved_by(tmp_path / "other")[1].options["dtype"] == "float32"


def without_instructions() -> None:
    from model import products

    products.has_bfloat16 = lambda: False


def test_a_processor_without_its_instructions_is_named(runs, tmp_path):
    folder = runs["bfloat16"][0]
    flags = (*SMALL, "-data_dir", folder, "-max_epochs=1")
    done = finish(tmp_path, *flags, "-dtype=bfloat16", prepare=without_instructions)
    assert done.status == 0
    assert "this processor has no instructions for bfloat16; -dtype float32 is faster here" in done.err
    full = finish(tmp_path, *flags, prepare=without_instructions)
    assert full.status == 0 and "bfloat16" not in full.err
