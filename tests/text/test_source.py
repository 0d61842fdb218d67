"""Files become characters: encodings, and what is not one."""

import gzip
import os
from pathlib import Path

import pytest

from tests.helpers.texts import MIXED, text_of
from util.errors import UserError
from util.text.cache import load_text
from util.text.source import Source, find_text


@pytest.mark.parametrize("chunk_bytes", [1, 3, 1 << 22])
@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("utf-8", MIXED),
        ("utf-16", MIXED),
        ("utf-32", MIXED),
        ("gb18030", MIXED + "道可道非常道。\n名可名非常名。"),
        ("shift_jis", "吾輩は猫である。ﾈｺ\n"),
        ("iso2022_jp", "吾輩は猫である。\nabc"),
        ("cp1252", "“€”"),
        ("utf-7", "half a pair: \ud800\n"),
    ],
)
def test_encodings(encoding, text, chunk_bytes, tmp_path, monkeypatch):
    monkeypatch.setattr("util.text.source.CHUNK_BYTES", chunk_bytes)
    assert text_of(tmp_path, text.encode(encoding), encoding) == text
    assert load_text(Source(tmp_path / "input.txt"), encoding).vocabulary.characters == "".join(sorted(set(text)))


def test_bytes_stand_for_themselves_and_a_byte_order_mark_is_a_character_in_utf_8(tmp_path):
    content = bytes(range(256)) + "é\r\n道".encode()
    assert text_of(tmp_path, content, "bytes") == content.decode("latin-1")
    assert text_of(tmp_path, b"\xef\xbb\xbfab") == "\ufeffab"
    assert text_of(tmp_path, b"\xef\xbb\xbfab", "utf-8-sig") == "ab"


@pytest.mark.parametrize(
    ("encoding", "content", "offset"),
    [
        ("utf-8", b"\xff", 0),
        ("utf-8", "a道".encode() + b"\xe9t\xe9", 4),
        ("utf-8", "ab😀".encode()[:-1], 2),
        ("utf-8-sig", b"\xef\xbb\xbfab\xff", 5),
        ("cp1252", b"abc\x81", 3),
        ("utf-16", "aé".encode("utf-16")[:-1], 4),
        ("gb18030", "a道".encode("gb18030") + b"\xff", 3),
    ],
)
def test_invalid_text_names_the_offset(encoding, content, offset, tmp_path, monkeypatch):
    for chunk_bytes in (1, 2, 3, 5, 1 << 22):
        monkeypatch.setattr("util.text.source.CHUNK_BYTES", chunk_bytes)
        with pytest.raises(UserError) as error:
            text_of(tmp_path, content, encoding)
        words = f"{tmp_path}/input.txt is not {encoding} text (first bad byte at offset {offset}); "
        assert str(error.value).startswith(words)
        assert os.listdir(tmp_path) == ["input.txt"]


LATIN = "It was the best of times, caf\xe9 and so on.\n" * 9
WINDOWS = "It\u2019s \u201cthe best\u201d of times \u2013 or so, in the caf\xe9 there.\n" * 9


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (LATIN.encode("latin-1"), "try -encoding latin-1 or bytes, which accept any file, or Windows' cp1252"),
        (LATIN.encode("utf-16"), "it seems to be UTF-16; convert it or, for a new model, try -encoding utf-16"),
        (LATIN.encode("utf-32"), "it seems to be UTF-32; convert it or, for a new model, try -encoding utf-32"),
        (LATIN.replace("\n", "\r").encode("mac-roman"), "as on old Macs; convert it or, for a new model, try"),
        (gzip.compress(b"text " * 100, mtime=0), "compressed by gzip; give it a name that ends in .gz"),
        (b"\x1f\x8b\x08\0\r\xff", "compressed by gzip; give it a name that ends in .gz"),  # with a \r by chance
        (b"PK\x03\x04\x14\0\0\0\x08\0\xb4\x52\xff", "a zip archive, as .docx and .epub files are; unpack it"),
        (b"%PDF-1.5\n%\xd0\xd4\xc5\xd8\n", "a PDF; save its text"),
        (b"\x89PNG\r\n\x1a\n", "it seems to be a picture"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "it seems to be a picture"),
        (b"", "is empty; put your text there"),
    ],
)
def test_what_to_do_about_what_is_not_utf_8(content, words, tmp_path):
    with pytest.raises(UserError, match=r"is not utf-8 text|is empty") as error:
        text_of(tmp_path, content)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("content", "encoding", "words"),
    [
        ("plain".encode("utf-16-be"), "utf-8", "-encoding utf-16-le or utf-16-be"),
        (WINDOWS.encode("cp1252"), "latin-1", "-encoding cp1252"),
        (b"one\rtwo\r", "utf-8", "its lines end with a carriage return alone"),
        (bytes(range(256)), "bytes", ""),
        (LATIN.encode("latin-1"), "latin-1", ""),
        ("\0\n".encode("utf-16"), "utf-16", ""),
    ],
)
def test_a_word_about_a_text_that_was_hardly_meant_to_be_read_like_this(content, encoding, words, tmp_path, capsys):
    text_of(tmp_path, content, encoding)
    err = capsys.readouterr().err
    assert words in err and err.count("warning: ") == bool(words)
    load_text(Source(tmp_path / "input.txt"), encoding)  # from the cache: once is enough
    assert capsys.readouterr().err == ""


def test_what_is_not_a_text_encoding(tmp_path):
    codecs = ["hex", "rot13", "base64", "zlib", "uu", "undefined"]  # but not of text
    for encoding in [*codecs, "", "klingon", "aliases", "../x", "\udcff", "x" * 100_000]:
        with pytest.raises(UserError, match="is not a text encoding; -encoding takes"):
            text_of(tmp_path, b"abc", encoding)


def test_what_is_not_there_or_not_a_file(tmp_path):
    for source in (Source(tmp_path / "input.txt"), find_text(tmp_path)):
        with pytest.raises(UserError, match=r"there is no .*input\.txt; put your text there"):
            load_text(source, "utf-8")
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="is a file; -data_dir takes the folder"):
        load_text(Source(tmp_path / "file" / "input.txt"), "utf-8")
    with pytest.raises(UserError, match=r"cannot read .*file name too long"):
        load_text(Source(tmp_path / ("x" * 300) / "input.txt"), "utf-8")
    (tmp_path / "folder" / "input.txt").mkdir(parents=True)
    (tmp_path / "link").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    for name, what in (
        ("folder/input.txt", "a folder"),
        ("pipe", "not a regular file"),
        ("link", "a link to a file that is not there"),
    ):
        with pytest.raises(UserError, match=rf"{name} is {what}; put your text there"):
            load_text(Source(tmp_path / name), "utf-8")


def test_a_name_reaches_the_terminal_escaped():
    """Also where it is printed as part of a result: a stranger's checkpoint says in which folder its text is."""
    files = Path("a\x1b[31m/1.txt"), Path("a\x1b[31m/2.txt")
    assert str(Source(files[0])) == r"a\x1b[31m/1.txt"
    assert str(Source(*files)) == r"the text of 2 files in a\x1b[31m"
