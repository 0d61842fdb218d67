"""A folder stands for a checkpoint in it, and a name that is wrong is answered with those that are there."""

import os
import shutil

import pytest

from tests.helpers.folders import names
from tests.helpers.inputs import SMALL
from tests.helpers.refusals import refused, told
from tests.helpers.scripts import run
from util.checkpoint.store import load_checkpoint


@pytest.fixture
def here(finished, tmp_path):
    """A folder with the run's two checkpoints in cv, the better of which was written first."""
    shutil.copytree(finished / "cv", tmp_path / "cv")
    better, worse = sorted((tmp_path / "cv").iterdir(), key=lambda path: path.stem.rpartition("_")[2])
    os.utime(better, (1e9, 1e9))
    os.utime(worse, (2e9, 2e9))
    return tmp_path


def best(folder):
    return min((folder / "cv").iterdir(), key=lambda path: path.stem.rpartition("_")[2]).name


@pytest.mark.parametrize("words", [
    ["sample.py", "cv", "-length=5"],
    ["evaluate.py", "cv", "-gpuid=-1"],
    ["visualize.py", "cv", "-length=20"],
    ["convert_gpu_cpu_checkpoint.py", "cv"],
    ["train.py", "-init_from=cv", "-max_epochs=1", "-checkpoint_dir=new", *SMALL],
], ids=lambda words: words[0])  # fmt: skip
def test_the_lowest_loss_is_taken_and_said(words, here, small_text):
    name = best(here)
    words += ["-data_dir", small_text] * (words[0] == "train.py")
    done = run(*words, cwd=here)
    assert done.returncode == 0 and f"using cv/{name}, the checkpoint with the lowest validation loss\n" in done.stderr
    assert names(here / "cv") <= {*load_names(here), name.replace(".pt", ".html"), f"{name}_cpu.pt"}
    if words[0] == "sample.py":
        assert done.stdout == run("sample.py", f"cv/{name}", "-length=5", cwd=here).stdout
        assert run(*words, "-verbose=0", cwd=here).stderr == ""
    if words[0] == "train.py":
        assert f"loading a model from checkpoint cv/{name}\n" in done.stdout


def load_names(folder):
    return {path.name for path in (folder / "cv").glob("*.pt")}


def test_inspect_lists_all_of_a_folder_and_plots_a_run_once(here):
    done = run("inspect_checkpoint.py", "cv", cwd=here)
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert " ".join(rows[0]) == "file epoch iteration train_loss val_loss model layers size parameters"
    for row, epoch in zip(rows[1:], ("0.70", "1.00"), strict=True):
        checkpoint = load_checkpoint(here / row[0])
        mean, loss = checkpoint.train_losses[-100:].mean(), checkpoint.val_losses[checkpoint.iteration]
        shape = ["lstm", "2", "8", str(checkpoint.size)]
        assert row[1:] == [epoch, str(checkpoint.iteration), f"{mean:.4f}", f"{loss:.4f}", *shape]
        assert row[0] in {f"cv/{name}" for name in load_names(here)}
    plotted = run("inspect_checkpoint.py", "cv", "-plot=-", cwd=here).stdout
    assert plotted.count("validation: ") == 1 and "epoch1.00" in plotted


def test_wrong_names(here):
    name = best(here)
    refused(run("sample.py", "vc", cwd=here), "there is no checkpoint vc; cv has ", *load_names(here))
    told(run("train.py", *SMALL, "-init_from", name, cwd=here), f"there is no checkpoint {name}; cv has {name}")
    several = run("sample.py", *(f"cv/{name}" for name in load_names(here)), cwd=here)
    refused(several, "one CHECKPOINT is enough", "a folder such as cv", status=2)
    assert load_checkpoint(here / "cv" / name)  # nothing was changed
