"""The indexed text is cached, and never yields another text than the file's."""

import fcntl
import os
import stat
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.scripts import as_nobody
from tests.helpers.texts import characters, text_of
from util.errors import UserError
from util.text import cache
from util.text.cache import load_text
from util.text.source import Source


def cache_files(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Content and inode of the cache files: a file that was written again has another inode."""
    paths = [folder / "vocab.json", folder / "data.bin"]
    return {path.name: (path.read_bytes(), path.stat().st_ino) for path in paths}


@pytest.mark.parametrize(
    ("size", "dtype"), [(1, "u1"), (2, "u1"), (256, "u1"), (257, "u2"), (65536, "u2"), (65537, "u4")]
)
def test_indices_take_as_few_bytes_as_the_vocabulary_allows(size, dtype, tmp_path):
    # Without the surrogates, which are not characters.
    text = "".join(chr(c) for c in range(size + 2048) if not 0xD800 <= c < 0xE000)[:size]
    assert text_of(tmp_path, text.encode()) == text
    assert load_text(Source(tmp_path / "input.txt"), "utf-8").indices.dtype == np.dtype(dtype)
    assert (tmp_path / "data.bin").stat().st_size == size * np.dtype(dtype).itemsize


def test_a_warm_cache_is_used(data_dir, corpus, monkeypatch):
    first = load_text(Source(data_dir / "input.txt"), "utf-8")
    files = cache_files(data_dir)
    monkeypatch.setattr("util.text.cache.index", lambda *arguments: pytest.fail("the cache was made again"))
    again = load_text(Source(data_dir / "input.txt"), "utf-8")
    assert characters(first) == characters(again) == corpus.decode()
    assert isinstance(first.indices, np.memmap) and isinstance(again.indices, np.memmap)
    assert cache_files(data_dir) == files
    assert sorted(os.listdir(data_dir)) == ["data.bin", "input.txt", "vocab.json"]


def test_a_text_in_use_survives_the_next_one_whose_indices_are_its_own(tmp_path):
    """Also if that has its file's size and time."""
    text = tmp_path / "input.txt"
    text.write_bytes(b"abab")
    first, before = load_text(Source(text), "utf-8"), text.stat()
    indices = (tmp_path / "data.bin").read_bytes()
    text.write_bytes(b"baba")
    os.utime(text, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert characters(load_text(Source(text), "utf-8")) == "baba"
    (tmp_path / "data.bin").write_bytes(indices)
    assert text_of(tmp_path, b"baba") == "baba"
    assert characters(first) == "abab"


def test_each_encoding_has_its_own_text(tmp_path):
    content = "é道".encode()
    for encoding in ("utf-8", "latin-1", "bytes", "utf-8"):
        expected = content.decode("latin-1" if encoding == "bytes" else encoding)
        assert text_of(tmp_path, content, encoding) == expected


def test_a_damaged_cache_never_gives_another_text(tmp_path):
    text, source = "naïve 道\n", Source(tmp_path / "input.txt")
    text_of(tmp_path, text.encode())
    for name, (content, _) in cache_files(tmp_path).items():
        path = tmp_path / name
        for position in range(len(content)):
            for flip in (0x01, 0x20):
                path.write_bytes(content[:position] + bytes([content[position] ^ flip]) + content[position + 1 :])
                cached = cache.read_cache(source, "utf-8")
                assert cached is None or (name == "vocab.json" and characters(cached) == text)
        path.write_bytes(content[:-1])
        assert characters(load_text(source, "utf-8")) == text and path.read_bytes() == content
    (tmp_path / "data.bin").unlink()
    assert characters(load_text(source, "utf-8")) == text


@pytest.mark.parametrize("files", [{"vocab.json": b'{"format": "bpe"}'}, {"data.bin": b"somebody's"}])
def test_files_of_the_same_names_are_left_alone(files, data_dir, corpus, capsys):
    for name, content in files.items():
        (data_dir / name).write_bytes(content)
    assert characters(load_text(Source(data_dir / "input.txt"), "utf-8")) == corpus.decode()
    assert {path.name: path.read_bytes() for path in data_dir.iterdir()} == files | {"input.txt": corpus}
    assert "there may be somebody's; move or delete it); every run will have to index it" in capsys.readouterr().err


def test_a_text_that_changes_while_it_is_indexed_leaves_no_cache(tmp_path, monkeypatch):
    text, find_vocabulary = tmp_path / "input.txt", cache.read_vocabulary

    def find_and_change(*arguments):
        found = find_vocabulary(*arguments)
        text.write_bytes(b"hollo world")
        return found

    text.write_bytes(b"hello world")
    monkeypatch.setattr(cache, "read_vocabulary", find_and_change)
    with pytest.raises(UserError, match=r"changed while it was being read; start again"):
        load_text(Source(text), "utf-8")
    monkeypatch.undo()
    assert os.listdir(tmp_path) == ["input.txt"]
    assert text_of(tmp_path, b"hello world") == "hello world"


def test_an_unfinished_cache_is_known_as_ours(data_dir, corpus, monkeypatch, capsys):
    """Whatever ends the program between the two files, it is not data.bin that stays alone."""
    flush, flushed = os.fsync, []

    def fails_for_the_second_file(descriptor):
        flushed.append(descriptor)
        if len(flushed) == 3:  # after the first file and the folder
            raise OSError(5, "failed")
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", fails_for_the_second_file)
    assert characters(load_text(Source(data_dir / "input.txt"), "utf-8")) == corpus.decode()
    assert len(flushed) == 3 and "(failed); every run will have to index it" in capsys.readouterr().err
    monkeypatch.undo()
    assert characters(load_text(Source(data_dir / "input.txt"), "utf-8")) == corpus.decode()
    assert sorted(os.listdir(data_dir)) == ["data.bin", "input.txt", "vocab.json"] and not capsys.readouterr().err


@pytest.mark.parametrize("ended", [False, True])
def test_who_comes_second_says_so_waits_and_finds_the_text_indexed(ended, data_dir, corpus, monkeypatch, capsys):
    """Unless Ctrl-C ends it meanwhile."""
    slept, said = [], []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        said.append(capsys.readouterr().err)
        if len(slept) == 30 and ended:
            raise KeyboardInterrupt
        if len(slept) == 30:
            file.close()

    monkeypatch.setattr(cache.time, "sleep", sleep)
    with open(data_dir / "input.txt", "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(KeyboardInterrupt) if ended else nullcontext():
            assert characters(load_text(Source(data_dir / "input.txt"), "utf-8")) == corpus.decode()
    (when,) = [number for number, sentence in enumerate(said) if sentence]
    assert said[when].startswith("waiting for another process, which is indexing ")
    assert sum(slept[:when]) == pytest.approx(2) and (os.listdir(data_dir) == ["input.txt"]) == ended


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644])
def test_a_cache_has_the_mode_of_its_text(mode, data_dir):
    (data_dir / "input.txt").chmod(mode)
    load_text(Source(data_dir / "input.txt"), "utf-8")
    assert {stat.S_IMODE(path.stat().st_mode) for path in data_dir.iterdir()} == {mode}


@pytest.mark.parametrize("what", ["pipe", "/dev/zero"])
def test_a_cache_that_never_ends_is_made_again(what, data_dir, corpus):
    load_text(Source(data_dir / "input.txt"), "utf-8")
    data = data_dir / "data.bin"
    before = data.read_bytes()
    data.unlink()
    os.mkfifo(data) if what == "pipe" else data.symlink_to(what)
    assert characters(load_text(Source(data_dir / "input.txt"), "utf-8")) == corpus.decode()
    assert data.is_file() and data.read_bytes() == before


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ((), "warning: cannot cache the indexed text in "),
        (("vocab.json", "data.bin"), "the vocab.json or data.bin there may be somebody's"),  # another user's
    ],
)
def test_a_folder_that_cannot_be_written_to_or_a_cache_that_cannot_be_read_costs_a_warning(
    files, words, read_only_dir, corpus, capsys
):
    for name in files:
        (read_only_dir / name).touch(mode=0)
    with as_nobody():
        assert characters(load_text(Source(read_only_dir / "input.txt"), "utf-8")) == corpus.decode()
    warning = capsys.readouterr().err
    assert words in warning and warning.count("\n") == 1
    assert {*os.listdir(read_only_dir)} == {"input.txt", *files}
