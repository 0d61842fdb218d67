"""Checkpoints between validations, how many are kept, and a folder that cannot be written to."""

import csv
import errno
import re
import signal

from tests.campaigns.faults import campaign as faults
from tests.helpers.checkpoints import checkpoints, rewrite, same
from tests.helpers.folders import folder_in, names
from tests.helpers.inputs import SMALL
from tests.helpers.logs import best, progress, saved
from tests.helpers.refusals import refused_to_train
from tests.helpers.runs import all_of, fails_saves, finish, signals_at
from tests.helpers.scripts import run as run_script
from util.checkpoint.store import load_checkpoint

# Checkpoints between validations, and how many are kept


def test_a_run_without_validation_names_its_checkpoints_by_the_training_loss(flags, tmp_path):
    """It learns from all of the text, claims no best, and resumes as any other."""
    flags = [*flags, "-val_frac=0", "-dtype=float64", "-log_csv=log.csv", "-keep=2", "-eval_val_every=30"]
    whole, parts = folder_in(tmp_path, "whole"), folder_in(tmp_path, "parts")
    run = finish(whole, *flags)
    epoch = 2471 // 40
    assert re.search(rf"in train: {epoch}, val: 0, test: 0\nno validation split: .* named by the mean train", run.out)
    assert "evaluating" not in run.out
    with (whole / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    losses = [float(row["train_loss"]) for row in rows]
    assert {row["val_loss"] for row in rows} == {""}
    means = {at: sum(losses[max(at - epoch, 0) : at]) / min(at, epoch) for at in (30, 60, 90, 120, 2 * epoch)}
    every = [f"lm_s_epoch{at / epoch:.2f}_{mean:.4f}.pt" for at, mean in means.items()]
    assert saved(run.out) == every and names(whole / "cv") == best(every, 2) == set(every[-2:])
    assert run._err.read_text() == f"sample from the last checkpoint with: python sample.py cv/{every[-1]}\n"

    stops = [finish(parts, *flags, prepare=signals_at(7, signal.SIGINT))]
    stops += [finish(parts, "-resume=cv", prepare=signals_at(at, signal.SIGINT)) for at in (60, 65, 121)]
    stops.append(finish(parts, "-resume=cv"))
    assert [stop.status for stop in stops] == [130, 130, 130, 130, 0]
    assert [line for stop in stops for line in progress(stop.out)] == progress(run.out)
    assert same(checkpoints(parts / "cv"), checkpoints(whole / "cv"))

    path = whole / "cv" / every[-1]
    assert f", train split, {epoch} batches" in run_script("evaluate.py", path, "-gpuid=-1").stdout
    assert run_script("visualize.py", path, "-length=50", f"-output={tmp_path}/x.html").returncode == 0
    refused_to_train(finish(whole, "-resume=cv", "-max_epochs=3", "-early_stop=2").done, "-early_stop", "-val_frac 0")
    half = finish(tmp_path, *flags, "-train_frac=0.5", "-max_epochs=1")
    assert "in train: 30, val: 0, test: 31\n" in half.out and half.status == 0


def test_checkpoints_have_the_name_of_the_cell(small_text, tmp_path):
    """A run that was called otherwise keeps its name, as those of earlier versions, which called every cell lstm."""
    flags = [*SMALL, "-data_dir", small_text, "-savefile=", "-model=gru", "-max_epochs=1"]
    assert finish(tmp_path, *flags, prepare=signals_at(7, signal.SIGINT)).status == 130
    rolling = tmp_path / "cv" / "resume_gru_iteration7.pt"
    options = load_checkpoint(rolling).options | {"savefile": "lstm"}
    rewrite(rolling, tmp_path / "earlier.pt", options=options)
    (name,) = saved(finish(tmp_path, "-resume=cv").out)
    assert name.startswith("lm_gru_epoch1.00_")
    (earlier,) = saved(finish(tmp_path, "-resume=earlier.pt").out)
    (from_it,) = saved(finish(tmp_path, *flags, "-model=lstm", f"-init_from=cv/{name}").out)
    assert earlier == name.replace("gru", "lstm") and from_it.startswith("lm_gru_")


def test_a_copy_that_a_run_is_resumed_from_stays(stopped, tmp_path):
    copy = tmp_path / "my backup.pt"
    copy.write_bytes(stopped.read_bytes())
    run = finish(tmp_path, "-resume", copy, "-keep", 1)
    assert (run.status, names(tmp_path)) == (0, {copy.name, *saved(run.out), run._out.name, run._err.name})


# A folder that cannot be written to


def test_a_checkpoint_that_cannot_be_written_costs_a_warning(tmp_path):
    assert faults(["write"], [errno.ENOSPC], tmp_path) == {
        "went on, exit status 0": 1,
        "last one missing, exit status 1": 1,
        "all missing, exit status 1": 1,
    }


def test_a_stopped_run_that_cannot_be_saved_says_what_there_is(flags, tmp_path):
    prepare = all_of(signals_at(50, signal.SIGINT), fails_saves("write", errno.ENOSPC, {1}))
    run = finish(tmp_path, *flags, prepare=prepare)
    (name,) = names(tmp_path / "cv")
    assert (run.status, saved(run.out)) == (130, [name])
    assert "warning: cannot write cv/resume_s_iteration50.pt (no space left on device)" in run.err
    last = f"resume with: python train.py -resume cv/{name}"
    assert run.err.endswith(f"warning: the last checkpoint could not be written; {last}\n")


def test_a_fork_keeps_the_files_that_it_came_from(flags, tmp_path):
    """Another learning rate makes another run, whatever else is changed with it; its own files are superseded."""
    assert finish(tmp_path, *flags, "-eval_val_every", 20, "-max_epochs", 1).status == 0
    before = {path: path.read_bytes() for path in (tmp_path / "cv").iterdir()}
    fork = ("-learning_rate", 0.001, "-max_epochs", 2, "-keep", 1)
    assert finish(tmp_path, "-resume", "cv", *fork).status == 0
    assert len(before) == 3 and all(path.read_bytes() == content for path, content in before.items())
    assert len({*(tmp_path / "cv").iterdir()} - before.keys()) in (1, 2)
