"""Compressed files, and several files that are joined to one text."""

import gzip
import hashlib
import os
from pathlib import Path

import pytest

from tests.helpers.inputs import GOLDEN
from tests.helpers.scripts import as_nobody, run_here
from tests.helpers.texts import MIXED, characters
from util.errors import UserError
from util.text.cache import load_text
from util.text.source import Source, find_text


def indexed(*arguments):
    pytest.fail("the cache was made again")


@pytest.mark.parametrize("chunk_bytes", [1, 3, 1 << 22])
def test_a_packed_text_is_the_text(chunk_bytes, tmp_path, monkeypatch):
    monkeypatch.setattr("util.text.source.CHUNK_BYTES", chunk_bytes)
    content = MIXED.encode()
    (tmp_path / "input.txt.gz").write_bytes(gzip.compress(content[:50], mtime=0) + gzip.compress(content[50:], mtime=0))
    packed = load_text(find_text(tmp_path), "utf-8")
    assert characters(packed) == MIXED
    assert sorted(os.listdir(tmp_path)) == ["data.bin", "input.txt.gz", "vocab.json"]
    (tmp_path / "input.txt").write_bytes(content)
    monkeypatch.setattr("util.text.cache.index", indexed)
    (tmp_path / "input.txt.gz").write_bytes(gzip.compress(b"another", mtime=0))  # input.txt comes first
    unpacked = load_text(find_text(tmp_path), "utf-8", expected_sha256=packed.sha256)
    assert characters(unpacked) == MIXED


def test_a_damaged_packed_text_is_one_sentence(tmp_path):
    packed = gzip.compress(bytes(range(256)) * 8, mtime=0)
    cut = [packed[:length] for length in (5, 11, len(packed) - 1)]
    for content in (*cut, packed[:-1] + b"?", packed[:20] + b"????" + packed[24:], b"text", packed + b"?"):
        (tmp_path / "input.txt.gz").write_bytes(content)
        what = "is cut off" if content in cut else "is damaged"
        with pytest.raises(UserError, match=rf"input\.txt\.gz {what}.*; download it again"):
            load_text(find_text(tmp_path), "latin-1")
        assert os.listdir(tmp_path) == ["input.txt.gz"]
    (tmp_path / "input.txt.gz").write_bytes(gzip.compress(packed))
    with pytest.raises(UserError, match="it was compressed twice; unpack it once"):
        load_text(find_text(tmp_path), "utf-8")


def write_parts(folder: Path) -> None:
    """Writes four files to be joined, and others that are not."""
    (folder / "sub").mkdir()
    parts = {"b.txt": "β", "a.txt": "א", "c.txt": "道\n", "sub/d.txt": "d", "other.html": "y"}
    parts |= {".hidden.txt": "x", "sub/.hidden.txt": "x"}
    for name, text in parts.items():
        (folder / name).write_text(text, encoding="utf-8", newline="")
    with gzip.open(folder / "bb.txt.gz", "wb") as file:
        file.write("😀".encode())


@pytest.mark.parametrize(
    ("pattern", "separator", "expected"),
    [
        ("*.txt", "", "אβ道\n"),
        ("*.txt*", r"\n\t", "א\n\tβ\n\t😀\n\t道\n"),
        ("**/*.txt", "--", "א--β--道\n--d"),
        ("[ab].txt", r"\\n é\r\q", "א\\n é\r\\qβ"),
        ("sub/*", "unused", "d"),
        ("*", "|", "א|β|😀|道\n|y"),
    ],
)
def test_files_are_joined_in_order(pattern, separator, expected, tmp_path, monkeypatch):
    write_parts(tmp_path)
    before = set(tmp_path.rglob("*"))
    first = load_text(find_text(tmp_path, pattern, separator), "utf-8")
    assert characters(first) == expected
    assert set(tmp_path.rglob("*")) == before | {tmp_path / "vocab.json", tmp_path / "data.bin"}
    monkeypatch.setattr("util.text.cache.index", indexed)
    assert characters(load_text(find_text(tmp_path, pattern, separator), "utf-8", first.sha256)) == expected


def test_separators_of_bytes_and_of_files_with_byte_order_marks(tmp_path):
    (tmp_path / "a.txt").write_bytes("道".encode("utf-16"))
    (tmp_path / "b.txt").write_bytes("\ufeff可".encode("utf-16-be"))
    assert characters(load_text(find_text(tmp_path, "*.txt", "é"), "utf-16")) == "道é可"
    for separator in ("—", os.fsdecode(b"\xff")):
        text = load_text(find_text(tmp_path, "*.txt", separator), "bytes")
        assert os.fsencode(separator) in characters(text).encode("latin-1")


def test_what_is_joined_is_another_text_with_other_content_borders_or_separator(tmp_path):
    identities = set()
    for *texts, separator in [("a", "b", ""), ("a", "b", "a"), ("a", "b", "", ""), ("", "ab", ""), ("ab", "")]:
        paths = [tmp_path / f"{number}.txt" for number in range(len(texts))]
        for path, text in zip(paths, texts):
            path.write_text(text)
        identities.add(Source(*paths, separator=separator).identity("utf-8"))
    assert len(identities) == 5


@pytest.mark.parametrize("chunk_bytes", [1, 1 << 22])
@pytest.mark.parametrize(
    ("texts", "separator", "expected"),
    [
        (["a;b", "c;", "", "d"], "", "a;b¶;c;¶;d¶;"),
        (["a¶;b¶;", "", "c¶;"], "", "a¶;b¶;c¶;"),
        (["a", "b", "c"], "¶;", "a¶;b¶;c"),  # a separator may be the end, as it had to be before
        (["a¶", "b"], ";", "a¶;b¶;"),
        (["a¶;", "b"], "-", "a¶;-b¶;"),
        (["a"], "", "a¶;"),
    ],
)
def test_each_joined_file_is_a_document(texts, separator, expected, chunk_bytes, tmp_path, monkeypatch):
    monkeypatch.setattr("util.text.source.CHUNK_BYTES", chunk_bytes)
    for encoding in ("utf-8", "bytes", "utf-16"):
        for number, text in enumerate(texts):
            (tmp_path / f"{number}.txt").write_bytes(text.encode("utf-8" if encoding == "bytes" else encoding))
        wanted = expected.encode().decode("latin-1") if encoding == "bytes" else expected
        source = find_text(tmp_path, "*.txt", separator, "¶;")
        text = load_text(source, encoding)
        assert characters(text) == wanted and text.sha256 == source.identity(encoding)


def test_joined_files_that_end_their_documents_are_the_text_they_were(tmp_path):
    """So a run that was started when ends were not added yet is resumed with the same text."""

    def identity(*texts, end):
        for number, text in enumerate(texts):
            (tmp_path / f"{number}.txt").write_text(text)
        return find_text(tmp_path, "*.txt", "", end).identity("utf-8")

    digests = [hashlib.sha256(text).hexdigest() for text in (b"a;", b"b;c;", b"")]
    before = hashlib.sha256(repr(("", digests)).encode()).hexdigest()
    assert before == identity("a;", "b;c;", "", end="") == identity("a;", "b;c;", "", end=";")
    assert len({identity("a", "b", "c", end=end) for end in ("", ";", ".")}) == 3


def test_an_error_in_a_joined_file_names_it(tmp_path):
    for second, first, words in [
        (b"\xe9\x81\x93\xff", b"", r"2\.txt is not utf-8 text \(first bad byte at offset 3\)"),
        (b"\x93", b"\xe9\x81", r"1\.txt is not utf-8 text \(first bad byte at offset 0\)"),  # not completed by the next
        (b"", b"", r"the text of 2 files in .* is empty"),
    ]:
        (tmp_path / "1.txt").write_bytes(first)
        (tmp_path / "2.txt").write_bytes(second)
        with pytest.raises(UserError, match=words):
            load_text(find_text(tmp_path, "*.txt"), "utf-8")


def test_a_pattern_that_matches_nothing(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    for path in (tmp_path / "outside.txt", folder / "vocab.json", folder / ".hidden"):
        path.write_text("x")
    for pattern in ("nothing*", "../*.txt", "/*", "vocab.json", ".*"):
        with pytest.raises(UserError, match="-files"):
            find_text(folder, pattern)


def test_what_our_scripts_write_is_no_part_of_a_text(tmp_path):
    """A page, a checkpoint of either kind, the cache. Anything else makes it another text."""
    write_parts(tmp_path)
    before = load_text(find_text(tmp_path, "*"), "utf-8")
    assert run_here("visualize.py", GOLDEN / "lstm.t7", "-length=5", "-output", tmp_path / "page.html").returncode == 0
    for name in ("old.t7", "x.pt"):
        (tmp_path / name).write_bytes(b"one")
    assert load_text(find_text(tmp_path, "*"), "utf-8", before.sha256).sha256 == before.sha256
    (tmp_path / "new.txt").write_text("new")
    with pytest.raises(UserError, match=r"trained on.* \(the newest of its files is new\.txt\)"):
        load_text(find_text(tmp_path, "*"), "utf-8", before.sha256)


@pytest.mark.parametrize("mode", [0o311, 0o644])
@pytest.mark.parametrize("pattern", ["*", "*.txt"])
def test_a_folder_that_cannot_be_read_is_not_called_empty(mode, pattern, read_only_dir):
    read_only_dir.chmod(mode)
    with as_nobody(), pytest.raises(UserError, match=f"cannot read {read_only_dir}: permission denied"):
        find_text(read_only_dir, pattern)


def test_without_a_text_the_files_that_could_be_joined_are_proposed(tmp_path):
    write_parts(tmp_path)
    for call in (lambda: load_text(find_text(tmp_path), "utf-8"), lambda: find_text(tmp_path, "*.tex")):
        with pytest.raises(UserError, match=r"or train on the files there, in name order, with -files '\*\.txt'"):
            call()
