"""Output whose reader goes away, whose disk is full, that is closed; standard input; texts that do not fit."""

import os
import subprocess
from functools import partial
from pathlib import Path

import pytest

from tests.helpers.folders import names
from tests.helpers.refusals import refused, told
from tests.helpers.scripts import command, environment, run, run_command


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


@pytest.mark.parametrize("name", ["-", "/dev/stdin"])
def test_texts_from_standard_input(name, checkpoint, data_dir, tmp_path):
    """Through a pipe, which can be read only once."""
    (tmp_path / "x.txt").write_bytes(b"one two " * 9)
    for words in (
        ["sample.py", checkpoint, "-length=20", "-verbose=0", "-primetext_file"],
        ["evaluate.py", checkpoint, "-gpuid=-1", "-file"],
        ["evaluate.py", checkpoint, f"-data_dir={data_dir}", "-novelty"],
        ["visualize.py", checkpoint, f"-output={tmp_path}/x.html", "-file"],
    ):
        script, *flags = words
        from_file = run(script, *flags, "x.txt", cwd=tmp_path)
        piped = run(script, *flags, name, cwd=tmp_path, prepare=partial(pipe, b"one two " * 9))
        assert (piped.returncode, piped.stderr) == (from_file.returncode, from_file.stderr) == (0, "")
        named = "standard input" if name == "-" and "-file" in words else name
        assert piped.stdout == from_file.stdout.replace("x.txt", named)


def pipe(content: bytes) -> None:
    read, write = os.pipe()
    os.write(write, content)
    os.close(write)
    os.dup2(read, 0)


def test_a_primetext_without_a_sampled_text_is_not_ignored(checkpoint):
    refused(run("evaluate.py", checkpoint, "-gpuid=-1", "-primetext=one"), "-primetext is for -novelty")


@pytest.mark.parametrize("start", [b"\xe9t\xe9", "été".encode("utf-16")])
def test_a_text_in_another_encoding_than_the_model_s_needs_to_be_converted(start, checkpoint, tmp_path):
    (tmp_path / "input.txt").write_bytes(start)
    for words in (["evaluate.py", checkpoint, "-gpuid=-1"], ["visualize.py", checkpoint, "-output=page"]):
        for which in ("-file=input.txt", "-data_dir=."):
            done = run(*words, which, cwd=tmp_path)
            told(done, "input.txt is not utf-8 text", "convert it or, for a new model, try -encoding")
    assert names(tmp_path) == {"input.txt"}
