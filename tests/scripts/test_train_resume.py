"""A run that was stopped continues as if nothing had happened."""

import re
import signal
import sys
from contextlib import suppress

import pytest

import train
from tests.helpers.checkpoints import checkpoints, same
from tests.helpers.folders import folder_in, names
from tests.helpers.inputs import EPOCH, SMALL, numbers
from tests.helpers.logs import best, log, progress, saved
from tests.helpers.refusals import refused_to_train
from tests.helpers.runs import finish, signals_at
from util.cli.flags import Role
from util.errors import UserError

FLAGS = train.flags()
RUNS = [("lstm", 0.3, "float32"), ("gru", 0.3, "float64"), ("gru", 0, "bfloat16"), ("rnn", 0, "float32")]


@pytest.mark.parametrize(("model", "dropout", "dtype"), RUNS)
def test_a_resumed_run_equals_the_uninterrupted_one(model, dropout, dtype, flags, tmp_path):
    flags += ["-model", model, "-dropout", dropout, "-dtype", dtype]
    whole, parts = folder_in(tmp_path, "whole"), folder_in(tmp_path, "parts")
    uninterrupted = finish(whole, *flags)
    # In the first epoch, then at its last iteration, which decays the learning rate, then in the last epoch.
    first = finish(parts, *flags, prepare=signals_at(7, signal.SIGINT))
    second = finish(parts, "-resume", "cv/resume_s_iteration7.pt", prepare=signals_at(EPOCH, signal.SIGTERM))
    third = finish(parts, "-resume", "cv", prepare=signals_at(90, signal.SIGINT))
    last = finish(parts, "-resume", "cv")
    assert [run.status for run in (uninterrupted, first, second, third, last)] == [0, 130, 143, 130, 0]
    assert len(log([uninterrupted.out])) == 2 * EPOCH
    assert [line for run in (first, second, third, last) for line in progress(run.out)] == progress(uninterrupted.out)
    assert len(names(whole / "cv")) == 3
    assert same(checkpoints(parts / "cv"), checkpoints(whole / "cv"))


def test_a_folder_stands_for_its_newest_checkpoint_and_a_complete_run_has_nothing_to_do(finished, tmp_path):
    refused_to_train(finish(tmp_path, "-resume", ".").done, "there is no run to resume in .", "leave out -resume")
    before = names(finished / "cv")
    (newest,) = (name for name in before if "epoch1.00" in name)
    run = finish(finished, "-resume", "cv")
    assert (run.status, progress(run.out), run.err) == (0, [], "")
    assert f"resuming from cv/{newest}, iteration {EPOCH}\n" in run.out
    assert f"the run is already complete after {EPOCH} iterations; a higher -max_epochs adds more\n" in run.out
    assert names(finished / "cv") == before


def test_epochs_may_be_fractions(small_text, tmp_path):
    """Half an epoch of 57 iterations is 28 of them, and the least is one; the rate decays where an epoch ends."""
    flags = [*SMALL, "-data_dir", small_text, "-learning_rate_decay_after", 1.5]
    whole = finish(folder_in(tmp_path, "whole"), *flags, "-max_epochs=2")
    first = finish(folder_in(tmp_path, "parts"), *flags, "-max_epochs=0.5")
    assert progress(first.out)[-1].startswith("28/28 (epoch 0.491), ") and "epoch0.49" in saved(first.out)[0]
    second = finish(tmp_path / "parts", "-resume=cv", "-max_epochs=2")
    assert "continuing with max_epochs=2 instead of 0.5\n" in second.out
    steps = [line.replace("/28 ", "/114 ") for run in (first, second) for line in log([run.out]).values()]
    assert steps == [*log([whole.out]).values()]
    decays = [number for number, line in enumerate(progress(whole.out)) if line.startswith("decayed")]
    assert decays == [2 * EPOCH - 1]
    least = finish(folder_in(tmp_path, "least"), *flags, "-max_epochs=0.00047")
    assert list(log([least.out])) == [1] and len(names(tmp_path / "least" / "cv")) == 1


CHANGES = {
    "print_every": 2, "eval_val_every": 20, "save_every": 4, "keep": 2, "max_epochs": 2, "learning_rate": 0.001,
    "learning_rate_decay": 0.5, "learning_rate_decay_after": 3, "max_loss_ratio": 9, "early_stop": 50, "preview": 5,
    "log_csv": "figures.csv", "savefile": "other", "gpuid": 0, "opencl": 1, "accurate_gpu_timing": 1, "threads": 1,
}  # fmt: skip


def test_flags_that_may_change_are_said(stopped, small_text, tmp_path):
    moved = folder_in(tmp_path, "moved")
    (moved / "input.txt").write_bytes((small_text / "input.txt").read_bytes())
    changes = CHANGES | {"data_dir": moved, "checkpoint_dir": tmp_path / "new"}
    others = {"resume", "files", "separator", "tensorboard"}
    assert changes.keys() | others == {name for name, role in FLAGS.roles.items() if role is not Role.RUN}
    more = [word for name, value in changes.items() for word in (f"-{name}", value)]
    run = finish(tmp_path, "-resume", stopped, *more)
    assert run.status == 0, run.err
    said = dict(re.findall(r"continuing with (\w+)=(.*) instead of .*", run.out))
    assert "log_csv=figures.csv instead of nothing\n" in run.out
    assert said == {name: str(value) for name, value in changes.items()}
    assert list(log([run.out])) == [*range(8, 2 * EPOCH + 1, 2)]
    # The other learning rate counts at once, and no decay came before the third epoch.
    assert "decayed" not in run.out
    written = checkpoints(tmp_path / "new")
    assert written.keys() == best(saved(run.out), 2) | {saved(run.out)[-1]}
    assert len(saved(run.out)) == 6 and all(name.startswith("lm_other_epoch") for name in written)
    assert {checkpoint.training["learning_rate"] for checkpoint in written.values()} == {0.001}
    assert stopped.exists()  # in another folder, which is no longer the run's


@pytest.mark.parametrize("name", [name for name, role in FLAGS.roles.items() if role is Role.RUN])
def test_flags_that_make_another_run_are_refused(name, stopped, monkeypatch):
    """Tried with the first of these values that the flag takes, which none of them has in this run."""
    words = ("utf-16", "gru", "float64", "add", "adam", "9", "0.5", "1")
    value = next(value for word in words if FLAGS.accepts(name, value := converted(name, word)))
    monkeypatch.setattr(sys, "argv", ["train.py", "-resume", str(stopped), f"-{name}", str(value)])
    has = "nothing; " if name in ("init_from", "document_end") else ""
    sentence = f"^-{name} {value} cannot be combined with -resume, since the run has {has}.*-init_from {stopped}$"
    with pytest.raises(UserError, match=sentence):
        train.main()


def converted(name: str, word: str) -> object:
    with suppress(ValueError):
        return FLAGS.actions[name].type.read(word)


def test_another_text_is_refused_with_a_way_out(finished, tmp_path):
    (tmp_path / "input.txt").write_bytes(numbers(139))
    refused_to_train(finish(finished, "-resume", "cv", "-data_dir", tmp_path).done, "is not the text", "-init_from")
