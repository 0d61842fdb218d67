"""Ctrl-C, and readers and disks behind the output that fail."""

import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.helpers.folders import files
from tests.helpers.inputs import TINY
from tests.helpers.refusals import told
from tests.helpers.scripts import command, environment, run_command


@pytest.fixture
def flags(data_dir, tmp_path):
    """Of train.py, for a small text and model."""
    return [*TINY, "-data_dir", data_dir, "-checkpoint_dir", tmp_path / "cv"]


def test_ctrl_c(flags, data_dir, tmp_path):
    flags += ["-max_epochs=1000000", "-eval_val_every=20"]
    with subprocess.Popen(
        command("train.py", *flags), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    ) as process:
        for line in process.stdout:
            if line.startswith("60/"):
                break
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in error and "Error" not in error
    names = files(tmp_path / "cv")
    assert names and all(re.fullmatch(r"(lm|resume)_lstm_.*\.pt", name) for name in names)
    assert files(data_dir) == {"input.txt", "vocab.json", "data.bin"}


@pytest.mark.parametrize("module", ["numpy", "torch"])
def test_ctrl_c_while_it_starts(flags, tmp_path, module):
    # In the place of the module, whose import takes a while, one in whose middle Ctrl-C is pressed.
    (tmp_path / f"{module}.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    done = run_command("train.py", *flags, env=environment(PYTHONPATH=str(tmp_path)))
    assert done.returncode in (130, -signal.SIGINT)
    assert done.stderr == ""


def test_a_reader_that_has_gone(checkpoint):
    endless = command("sample.py", checkpoint, "-gpuid=-1", "-length=1000000", "-verbose=0")
    with subprocess.Popen(endless, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert len(process.stdout.read(10)) == 10
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_a_full_disk_behind_the_output(checkpoint, flags, tmp_path):
    with open("/dev/full", "w") as full:
        options = {"capture_output": False, "stdout": full, "stderr": subprocess.PIPE}
        told(
            run_command("sample.py", checkpoint, "-gpuid=-1", "-verbose=0", **options),
            "no space left on device",
            "output",
        )
        trained = run_command("train.py", *flags, "-max_epochs=1", **options)
    warning, _, rest = trained.stderr.partition("\n")
    assert warning == "warning: cannot write the log (no space left on device); training continues without it"
    assert re.fullmatch("best validation loss: .*\n", rest) and trained.returncode == 0
    assert len(files(tmp_path / "cv")) == 1


@pytest.mark.parametrize("closed", ["1", "2", "1 2"])
def test_closed_streams(checkpoint, closed):
    redirections = " ".join(f"{number}>&-" for number in closed.split())
    script = f'exec "$@" {redirections}'
    words = ["sh", "-c", script, "sh", *command("sample.py", checkpoint, "-length=9")]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0 and "Traceback" not in done.stderr
    assert len(done.stdout) == (0 if "1" in closed else 10)


def test_names_that_standard_output_cannot_show(flags):
    done = run_command("train.py", *flags, "-init_from", "é", env=environment(PYTHONIOENCODING="ascii:strict"))
    told(done, r"there is no checkpoint \xe9")
