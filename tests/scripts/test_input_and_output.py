"""What a script reads and writes: files, devices, pipes and standard streams, which stay what they are."""

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import pytest

from tests.campaigns.outputs import campaign
from tests.helpers.folders import names
from tests.helpers.inputs import ROOT
from tests.helpers.refusals import refused, told
from tests.helpers.scripts import become_nobody, command, environment, run, run_command, run_here
from util.checkpoint.store import load_checkpoint


def test_nothing_that_is_read_is_written_over(tmp_path):
    figures = campaign(29, tmp_path)
    assert figures["must not be lost: refused, all as before"] > 5


def test_a_text_is_replaced_and_keeps_its_mode(checkpoint, tmp_path):
    printed = run_here("sample.py", checkpoint, "-length=20", "-output=-").stdout
    poem = tmp_path / "poem.txt"
    poem.write_text("roses")
    poem.chmod(0o600)
    (tmp_path / "link").symlink_to("poem.txt")
    assert run_here("sample.py", checkpoint, "-length=20", "-output", tmp_path / "link").returncode == 0
    assert poem.read_bytes() == printed and len(printed) == 21 and stat.S_IMODE(poem.stat().st_mode) == 0o600
    assert os.readlink(tmp_path / "link") == "poem.txt" and names(tmp_path) == {"link", "poem.txt"}


def test_the_training_text_is_not_replaced(checkpoint):
    folder = Path(load_checkpoint(checkpoint).options["data_dir"])
    done = run_here("sample.py", checkpoint, "-verbose=0", "-output", folder / "input.txt")
    refused(done, "input.txt", "-output")


def test_where_the_user_may_not_write(checkpoint, read_only_dir):
    (read_only_dir / "x.pt").write_bytes(checkpoint.read_bytes())
    (read_only_dir / "x.pt").chmod(0o444)
    for script, *flags in (
        ("sample.py", "-verbose=0", "-output=x.txt"),
        ("sample.py", "-verbose=0", "-output=input.txt"),
        ("visualize.py", "-file=input.txt"),
    ):
        done = run(script, "x.pt", *flags, cwd=read_only_dir, prepare=become_nobody)
        refused(done, "cannot write", "permission denied", "-output")


def test_what_a_file_is_decides_not_where_it_lies(checkpoint):
    """/dev/shm is an ordinary folder: a text replaces one there, and no checkpoint; an open file is appended to."""
    if not os.path.isdir("/dev/shm"):
        pytest.skip("this system has no /dev/shm")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        here = Path(name)
        shutil.copy(checkpoint, here / "model.pt")
        flags = ("sample.py", checkpoint, "-length=5", "-verbose=0")
        refused(run_here(*flags, "-output", here / "model.pt"), "it is a checkpoint")
        for _ in range(2):
            assert run_here(*flags, "-output", here / "text").returncode == 0
        assert len((here / "text").read_bytes()) == 6
        (here / "log").write_text("before\n")
        flags += ("-output", "/dev/stdout")
        assert run(*flags, prepare=partial(redirect, here / "log", os.O_WRONLY | os.O_APPEND, 1)).returncode == 0
        assert len((here / "log").read_text()) == len("before\n") + 6


def redirect(path: Path, mode: int, descriptor: int) -> None:
    os.dup2(os.open(path, mode), descriptor)


@pytest.mark.parametrize("name", ["-", "/dev/stdin"])
def test_what_is_read_from_standard_input_is_not_replaced(name, checkpoint, tmp_path):
    (tmp_path / "x.txt").write_text("one")
    words = ("sample.py", checkpoint, "-primetext_file", name, "-verbose=0", "-output=x.txt")
    done = run(*words, cwd=tmp_path, prepare=partial(redirect, tmp_path / "x.txt", os.O_RDONLY, 0))
    refused(done, "this command reads it")
    assert (tmp_path / "x.txt").read_text() == "one"


# Streams whose reader goes away, whose disk is full, that are closed; standard input


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
    """As a daemon's; what is opened next must not take their numbers, and get what is printed."""
    opens = [sys.executable, "-c", "import os, util.cli.early; os._exit(os.open(os.devnull, 0) < 3)"]
    for words in (command("sample.py", checkpoint, "-length=9"), opens):
        assert subprocess.run(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *words], cwd=ROOT).returncode == 0


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
