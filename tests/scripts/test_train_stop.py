"""Signals and kills: a run stops with a checkpoint, or leaves one to resume from."""

import re
import shlex
import signal
import subprocess
import time

from tests.campaigns.kill import campaign as kills
from tests.helpers.checkpoints import checkpoints
from tests.helpers.folders import folder_in, names
from tests.helpers.inputs import EPOCH, ROOT, SMALL
from tests.helpers.logs import log, saved
from tests.helpers.runs import finish, signals_at
from tests.helpers.scripts import command, environment


def test_a_signal_stops_with_a_checkpoint_and_the_command_to_resume(small_text, tmp_path):
    """As a user types it from another folder; the printed command is run as well."""
    here = folder_in(tmp_path, "a folder's name")
    flags = [*SMALL, "-data_dir", small_text, "-max_epochs", 1000, "-checkpoint_dir", here]
    printed, told = tmp_path / "out", tmp_path / "err"
    with printed.open("w") as out, told.open("w") as err:
        run = subprocess.Popen(command("train.py", *flags), stdout=out, stderr=err, env=environment())
    while "\n3/" not in printed.read_text():
        assert run.poll() is None
        time.sleep(0.01)
    run.send_signal(signal.SIGTERM)
    assert run.wait(60) == 128 + signal.SIGTERM
    out = printed.read_text()
    iteration = max(log([out]))
    path = shlex.quote(f"{here}/resume_s_iteration{iteration}.pt")
    sampling = f"sample from it with: python {ROOT / 'sample.py'} {path}\n"
    stopping = "stopping after this iteration; interrupt again to stop at once, without saving\n"
    assert told.read_text() == stopping + sampling
    assert names(here) == {f"resume_s_iteration{iteration}.pt"}
    words = re.search(rf"stopped at iteration {iteration}; resume with: python ({ROOT}/train.py .*)\n$", out)[1]
    last_epoch = iteration // EPOCH + 1
    resumed = finish(tmp_path, *shlex.split(words)[1:], "-max_epochs", last_epoch, "-print_every", 1)
    assert resumed.status == 0, resumed.err
    assert list(log([resumed.out])) == list(range(iteration + 1, last_epoch * EPOCH + 1))


def test_a_second_signal_stops_at_once(flags, tmp_path):
    run = finish(tmp_path, *flags, prepare=signals_at(7, signal.SIGINT, signal.SIGTERM))
    assert (run.status, list(log([run.out]))) == (-signal.SIGTERM, [1, 2, 3, 4, 5, 6])
    assert names(tmp_path / "cv") == set()


def test_a_signal_in_an_iteration_that_is_saved_anyway_adds_no_file(flags, tmp_path):
    run = finish(tmp_path, *flags, "-save_every", 30, prepare=signals_at(40, signal.SIGTERM))
    (name,) = names(tmp_path / "cv")
    assert (run.status, saved(run.out)) == (143, [name])
    assert run.out.endswith(f"stopped at iteration 40; resume with: python train.py -resume cv/{name}\n")


def test_a_model_that_is_no_number_any_more_is_not_saved(stopped, tmp_path):
    """Its parameters are not finite, so no run could resume from it."""
    copy = tmp_path / stopped.name
    copy.write_bytes(stopped.read_bytes())
    run = finish(tmp_path, "-resume", copy, "-learning_rate=9.9e37", "-save_every=1")
    assert (run.status, log([run.out])) == (1, {})
    good = f"the last good checkpoint is {copy}"
    assert re.fullmatch(rf"error: the model is not a number .*; try a lower -learning_rate .*; {good}\n", run.err)
    assert checkpoints(tmp_path).keys() == {copy.name}


def test_a_ratio_of_0_never_stops(stopped, tmp_path):
    wild = ["-resume", stopped, "-checkpoint_dir", tmp_path, "-learning_rate", 10]
    assert finish(tmp_path, *wild, "-savefile", "a").status == 1
    assert finish(tmp_path, *wild, "-savefile", "b", "-max_loss_ratio", 1000).status == 0
    assert finish(tmp_path, *wild, "-savefile", "c", "-max_loss_ratio", 0).status == 0


def test_a_killed_run_resumes_exactly(tmp_path):
    figures = kills(3, 1, tmp_path)
    assert figures["kills"] == 3
