"""What a resumed run says is true: of its best checkpoint, its flags, its text and its folder."""

import re
import shutil
import signal

from tests.helpers.folders import folder_in
from tests.helpers.inputs import SMALL
from tests.helpers.logs import log, saved
from tests.helpers.refusals import refused_to_train
from tests.helpers.runs import Run, finish, signals_at
from tests.helpers.scripts import become_nobody, run
from util.checkpoint.store import load_checkpoint


def last_sentence(run: Run) -> str:
    """What a run says of its best checkpoint, which `Run.err` leaves out."""
    (line,) = re.findall("^best validation loss: .*$", run._err.read_text(), re.M)
    return line


def test_the_best_loss_is_that_of_the_whole_run(finished, tmp_path):
    """A wild learning rate makes all that follows worse, after each of two resumptions and in another folder."""
    shutil.copytree(finished / "cv", tmp_path / "cv")
    (best,) = [path for path in (tmp_path / "cv").iterdir() if "epoch1.00" in path.name]
    loss = load_checkpoint(best).val_losses[57]
    wild = ["-resume=cv", "-max_loss_ratio=0"]
    for more in (
        ["-learning_rate=10", "-max_epochs=2"],
        ["-max_epochs=3"],
        ["-max_epochs=4", "-learning_rate=9", "-checkpoint_dir=other"],
    ):
        said = last_sentence(finish(tmp_path, *wild, *more))
        assert f"{loss:.4f}" in said and said.endswith(f" cv/{best.name}"), said
    best.unlink()
    said = last_sentence(finish(tmp_path, *wild, "-max_epochs=5"))
    assert f"{loss:.4f}" in said and ".pt" not in said


def test_another_learning_rate_is_compared_with_the_current_one(flags, tmp_path):
    flags += ["-learning_rate_decay_after=0", "-learning_rate_decay=0.5", "-learning_rate=0.002"]
    assert finish(tmp_path, *flags, prepare=signals_at(60, signal.SIGINT)).status == 130
    rolling = tmp_path / "cv" / "resume_s_iteration60.pt"
    same = finish(tmp_path, "-resume", rolling, "-learning_rate=0.001", "-checkpoint_dir=a")
    higher = finish(tmp_path, "-resume", rolling, "-learning_rate=0.002", "-checkpoint_dir=b")
    assert (same.status, higher.status) == (0, 0) and "continuing with learning_rate" not in same.out
    assert re.search(r"learning_rate=0\.002 instead of 0\.001$", higher.out, re.M)
    last = load_checkpoint(tmp_path / "b" / saved(higher.out)[-1])
    assert last.training["learning_rate"] == 0.001  # of 0.002, halved
    assert log([higher.out])[62] != log([same.out])[62]


def test_a_text_that_has_moved(small_text, tmp_path):
    text = folder_in(tmp_path, "text")
    (text / "input.txt").write_bytes((small_text / "input.txt").read_bytes())
    assert finish(tmp_path, *SMALL, "-data_dir=text", "-max_epochs=1").status == 0
    text.rename(tmp_path / "moved")
    lost = finish(tmp_path, "-resume=cv", "-max_epochs=2")
    refused_to_train(lost.done, " text", "-data_dir")
    assert "moved" not in lost.err and str(tmp_path) not in lost.err
    assert finish(tmp_path, "-resume=cv", "-max_epochs=2", "-data_dir=moved").status == 0


def test_a_folder_that_cannot_be_read(stopped, tmp_path):
    locked = folder_in(tmp_path, "locked")
    (locked / "x.pt").write_bytes(stopped.read_bytes())
    locked.chmod(0)
    done = run("train.py", "-resume", locked, prepare=become_nobody)
    locked.chmod(0o755)
    refused_to_train(done, "locked", "permission denied")
