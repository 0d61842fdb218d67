"""Output whose reader goes away, whose disk is full, that is closed; standard input; texts that do not fit."""

import os
import subprocess
from functools import partial
from pathlib import Path

import pytest

from tests.helpers.folders import names
from tests.helpers.refusals import refused, told
from tests.helpers.scripts import command, environment, run, run_command, run_here


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


def test_closed_streams(checkpoint):
    words = ["sh", "-c", 'exec "$@" >&- 2>&-', "sh", *command("sample.py", checkpoint, "-length=9")]
    assert subprocess.run(words).returncode == 0


def test_names_that_standard_output_cannot_show():
    refused(run_command("sample.py", "é", env=environment(PYTHONIOENCODING="ascii:strict")), r"no checkpoint \xe9")


@pytest.mark.parametrize(
    ("script", "flags", "name", "named"),
    [
        ("sample.py", "-length=20 -verbose=0 -primetext_file", "-", "-"),
        ("evaluate.py", "-gpuid=-1 -file", "/dev/stdin", "/dev/stdin"),
        ("evaluate.py", "-data_dir=data -novelty", "/dev/stdin", "/dev/stdin"),
        ("visualize.py", "-output=x.html -file", "-", "standard input"),
    ],
)
def test_texts_from_standard_input(script, flags, name, named, checkpoint, data_dir, tmp_path):
    """Through a pipe, which can be read only once."""
    (tmp_path / "x.txt").write_bytes(b"one two " * 9)
    words = script, checkpoint, *flags.split()
    from_file = run(*words, "x.txt", cwd=tmp_path)
    piped = run(*words, name, cwd=tmp_path, prepare=partial(pipe, b"one two " * 9))
    assert (piped.returncode, piped.stderr) == (from_file.returncode, from_file.stderr) == (0, "")
    assert piped.stdout == from_file.stdout.replace("x.txt", named)


def pipe(content: bytes) -> None:
    read, write = os.pipe()
    os.write(write, content)
    os.close(write)
    os.dup2(read, 0)


def test_a_primetext_without_a_sampled_text_is_not_ignored(checkpoint):
    refused(run_here("evaluate.py", checkpoint, "-gpuid=-1", "-primetext=one"), "-primetext is for -novelty")


def test_a_text_in_another_encoding_than_the_model_s_needs_to_be_converted(checkpoint, tmp_path):
    (tmp_path / "input.txt").write_bytes(b"\xe9t\xe9")
    for words in (["evaluate.py", checkpoint, "-gpuid=-1"], ["visualize.py", checkpoint, "-output", tmp_path / "page"]):
        for which in (f"-file={tmp_path}/input.txt", f"-data_dir={tmp_path}"):
            told(run_here(*words, which), "input.txt is not utf-8 text", "convert it or, for a new model, try")
    assert names(tmp_path) == {"input.txt"}
