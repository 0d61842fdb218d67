"""What lies where a text should, or beside it: each with the true reason, and nothing that waits without a word."""

import fcntl
import gzip
import os
import signal
import stat
import time

import pytest

from tests.helpers.inputs import SMALL, numbers
from tests.helpers.refusals import refused, refused_to_train
from tests.helpers.runs import Run, finish
from tests.helpers.scripts import become_nobody, run

FLAGS = (*SMALL, "-data_dir", ".", "-max_epochs", 1)


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644])
def test_a_cache_has_the_mode_of_its_text(mode, tmp_path):
    (tmp_path / "input.txt").write_bytes(numbers(140))
    (tmp_path / "input.txt").chmod(mode)
    assert finish(tmp_path, *FLAGS).status == 0
    assert {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("data.bin", "vocab.json")} == {mode}


def test_a_run_says_that_it_waits_for_another_to_index_and_ctrl_c_ends_it(tmp_path):
    (tmp_path / "input.txt").write_bytes(numbers(140))
    with (tmp_path / "input.txt").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        waiting = Run(tmp_path, *FLAGS)
        end = time.monotonic() + 20
        while "waiting for another process" not in waiting.err:
            assert time.monotonic() < end and waiting.running
            time.sleep(0.05)
        waiting.send(signal.SIGINT)
        assert waiting.wait(5).status == 130
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".err", ".out", ".txt"]


@pytest.mark.parametrize("what", ["pipe", "/dev/zero"])
def test_a_cache_that_never_ends_is_made_again(what, tmp_path):
    (tmp_path / "input.txt").write_bytes(numbers(140))
    assert finish(tmp_path, *FLAGS).status == 0
    data = tmp_path / "data.bin"
    before = data.read_bytes()
    data.unlink()
    os.mkfifo(data) if what == "pipe" else data.symlink_to(what)
    assert finish(tmp_path, *FLAGS).status == 0
    assert data.is_file() and data.read_bytes() == before


def test_what_is_no_text_file_is_called_what_it_is(tmp_path):
    text = tmp_path / "input.txt"
    text.mkdir()
    refused_to_train(finish(tmp_path, *FLAGS).done, "input.txt is a folder")
    text.rmdir()
    os.mkfifo(text)
    refused_to_train(finish(tmp_path, *FLAGS).done, "input.txt is not a regular file")
    text.unlink()
    text.symlink_to("nowhere")
    refused_to_train(finish(tmp_path, *FLAGS).done, "input.txt is a link to a file that is not there")


@pytest.mark.parametrize("mode", [0o311, 0o644])
def test_a_folder_that_cannot_be_read_is_not_called_empty(mode, read_only_dir):
    read_only_dir.chmod(mode)
    for pattern in ("*", "*.txt"):
        flags = (*SMALL, "-data_dir", read_only_dir, "-files", pattern)
        refused(run("train.py", *flags, prepare=become_nobody), f"cannot read {read_only_dir}: permission denied")


def test_encodings_and_archives_are_told_apart(tmp_path):
    text = "žluťoučký\n" * 200
    for content, advice in (
        (text.encode("utf-32"), "try -encoding utf-32"),
        (text.encode("utf-16"), "try -encoding utf-16"),
        ("It’s\r".encode("mac-roman") * 99, "try -encoding mac-roman"),  # noqa: RUF001
    ):
        (tmp_path / "input.txt").write_bytes(content)
        refused_to_train(finish(tmp_path, *FLAGS).done, advice)
    (tmp_path / "input.txt").unlink()
    (tmp_path / "input.txt.gz").write_bytes(gzip.compress(gzip.compress(numbers(140))))
    refused_to_train(finish(tmp_path, *FLAGS).done, "it was compressed twice; unpack it once")


def test_what_our_scripts_write_is_not_learned(checkpoint, tmp_path):
    """A page, a checkpoint of either kind; the log says how many files were read."""
    texts = tmp_path / "texts"
    texts.mkdir()
    for name in ("a.txt", "b.txt"):
        (texts / name).write_bytes(numbers(140))
    flags = (*SMALL, "-data_dir", texts, "-files", "*", "-max_epochs", 1)
    first = finish(tmp_path, *flags)
    assert first.status == 0 and "\n2 files\n" in first.out
    assert run("visualize.py", checkpoint, "-output", texts / "own.html", cwd=tmp_path).returncode == 0
    (texts / "old.t7").write_bytes(b"\3")
    (texts / "x.pt").write_bytes(b"one")
    again = finish(tmp_path, "-resume", "cv", "-max_epochs", 2)
    assert again.status == 0, again.err
    (texts / "c.txt").write_text("new")
    refused_to_train(finish(tmp_path, "-resume", "cv", "-max_epochs", 3).done, "the newest of its files is c.txt")


@pytest.mark.parametrize(("end", "words"), [(r"\n\n", r"-document_end '\r\n\r\n'"), (r"\n", r"'\r\n' would end both")])
def test_documents_whose_lines_end_as_on_windows(end, words, tmp_path):
    (tmp_path / "input.txt").write_bytes(numbers(400).replace(b"\n", b"\r\n"))
    done = run("train.py", *FLAGS, "-document_end", end, cwd=tmp_path)
    assert words in done.stderr and done.returncode == (end != r"\n")
