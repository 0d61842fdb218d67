"""What a run reads is never written over, and links, modes, devices and pipes stay what they are."""

import os
import shutil
import stat
import tempfile
from functools import partial
from pathlib import Path

import pytest

from tests.campaigns.outputs import campaign
from tests.helpers.folders import names
from tests.helpers.refusals import refused
from tests.helpers.scripts import become_nobody, run, run_here
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
