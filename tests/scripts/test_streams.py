"""Output whose reader goes away, whose disk is full, that is closed, or that cannot show all characters."""

import subprocess
from pathlib import Path

import pytest

from tests.helpers.refusals import refused
from tests.helpers.scripts import command, environment, run_command


def test_a_reader_that_has_gone(checkpoint):
    endless = command("sample.py", checkpoint, "-gpuid=-1", "-length=1000000", "-verbose=0")
    with subprocess.Popen(endless, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert len(process.stdout.read(10)) == 10
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_a_full_disk_behind_the_output(checkpoint):
    with open("/dev/full", "w") as full:
        done = run_command("sample.py", checkpoint, "-gpuid=-1", capture_output=False, stdout=full, stderr=-1)
    assert done.stderr.splitlines()[-1] == "error: standard output: no space left on device"
    assert done.returncode == 1 and "Traceback" not in done.stderr


@pytest.mark.parametrize("closed", ["1", "1 2"])
def test_closed_streams(checkpoint, closed):
    script = 'exec "$@" ' + " ".join(f"{number}>&-" for number in closed.split())
    words = ["sh", "-c", script, "sh", *command("sample.py", checkpoint, "-length=9")]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0 and "Traceback" not in done.stderr
    assert len(done.stdout) == (0 if "1" in closed else 10)


def test_names_that_standard_output_cannot_show():
    refused(run_command("sample.py", "é", env=environment(PYTHONIOENCODING="ascii:strict")), r"no checkpoint \xe9")
