"""Files become characters: encodings, and what is not one."""

import os

import pytest

from tests.helpers.texts import MIXED, text_of
from util.errors import UserError
from util.text import cache
from util.text.cache import load_text
from util.text.source import Source, find_text

CHINESE = "道可道非常道。\n名可名非常名。" * 3


JAPANESE = "吾輩は猫である。ﾈｺ\n" * 3


@pytest.mark.parametrize("chunk_bytes", [1, 2, 3, 7, 1 << 22])
@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("utf-8", MIXED),
        ("utf-8", "plain"),
        ("utf-16", MIXED),
        ("utf-16-be", MIXED),
        ("utf-32", MIXED),
        ("gb18030", MIXED + CHINESE),
        ("shift_jis", JAPANESE),
        ("iso2022_jp", "吾輩は猫である。\nabc"),
        ("latin-1", "é\r\nü\xff\x00"),
        ("cp1252", "“€”"),
    ],
)
def test_encodings(encoding, text, chunk_bytes, tmp_path, monkeypatch):
    monkeypatch.setattr("util.text.source.CHUNK_BYTES", chunk_bytes)
    assert text_of(tmp_path, text.encode(encoding), encoding) == text
    assert load_text(Source(tmp_path / "input.txt"), encoding).vocabulary.characters == "".join(sorted(set(text)))


def test_bytes_stand_for_themselves(tmp_path):
    content = bytes(range(256)) + "é\r\n道".encode()
    assert text_of(tmp_path, content, "bytes") == content.decode("latin-1")


def test_a_byte_order_mark_is_a_character_in_utf_8(tmp_path):
    assert text_of(tmp_path, b"\xef\xbb\xbfab") == "\ufeffab"
    assert text_of(tmp_path, b"\xef\xbb\xbfab", "utf-8-sig") == "ab"


@pytest.mark.parametrize("chunk_bytes", [1, 2, 3, 5, 1 << 22])
@pytest.mark.parametrize(
    ("encoding", "content", "offset"),
    [
        ("utf-8", b"\xff", 0),
        ("utf-8", "a道".encode() + b"\xe9t\xe9", 4),
        ("utf-8", "道".encode()[:2] + b"a", 0),
        ("utf-8", "ab道".encode()[:-1], 2),
        ("utf-8", "ab😀".encode()[:-1], 2),
        ("utf-8", b"ab\xed\xa0\x80", 2),
        ("utf-8-sig", b"\xef\xbb\xbfab\xff", 5),
        ("ascii", "abé".encode(), 2),
        ("cp1252", b"abc\x81", 3),
        ("utf-16-le", b"a\0\0\xd8b\0", 2),
        ("utf-16", "aé".encode("utf-16")[:-1], 4),
        ("gb18030", "a道".encode("gb18030") + b"\xff", 3),
        ("gb18030", "a道".encode("gb18030")[:-1], 1),
        ("shift_jis", "猫".encode("shift_jis") + b"\xff\xff", 2),
    ],
)
def test_invalid_text_names_the_offset_and_the_way_out(encoding, content, offset, chunk_bytes, tmp_path, monkeypatch):
    monkeypatch.setattr("util.text.source.CHUNK_BYTES", chunk_bytes)
    with pytest.raises(UserError) as error:
        text_of(tmp_path, content, encoding)
    sentence = str(error.value)
    assert f"not {encoding} text (first bad byte at offset {offset})" in sentence
    assert "-encoding latin-1 or bytes" in sentence and str(tmp_path / "input.txt") in sentence
    assert os.listdir(tmp_path) == ["input.txt"]


@pytest.mark.parametrize(
    "encoding",
    [
        *("hex", "rot13", "base64", "zlib", "uu", "undefined", "punycode"),  # codecs, but not of text
        *("", "klingon", "utf-9", "os", "aliases", "../x", "utf-8/../../x", "encodings.utf_8", "\udcff", "x" * 100_000),
    ],
)
def test_what_is_not_a_text_encoding(encoding, tmp_path):
    with pytest.raises(UserError, match="is not a text encoding; -encoding takes"):
        text_of(tmp_path, b"abc", encoding)


@pytest.mark.parametrize("encoding", ["utf-8", "bytes", "utf-16"])
def test_an_empty_text(encoding, tmp_path):
    with pytest.raises(UserError, match="is empty"):
        text_of(tmp_path, b"", encoding)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-8-sig", "gb18030"])
@pytest.mark.parametrize(
    "text",
    [
        "שלום\u200f עולם",
        "مرحبا",
        "e\u0301\u0323\u200d",
        "नमस्ते",
        "👨\u200d👩\u200d👧\U0001f3fd",
        "道\r\n可\r\n",
        "\ud7ff\ue000\uffff",
    ],
)
def test_scripts_of_the_world_stay_as_they_are(text, encoding, tmp_path):
    assert text_of(tmp_path, text.encode(encoding), encoding) == text


def test_a_huge_vocabulary_costs_a_warning(tmp_path, capsys):
    letters = "".join(chr(c) for c in range(0x10000, 0x10000 + 100_000))
    assert text_of(tmp_path, letters.encode()) == letters
    warning = capsys.readouterr().err
    assert warning.startswith("warning: the text has 100,000 different characters") and warning.count("\n") == 1
    assert "-encoding bytes" in warning and "-batch_size" in warning
    text_of(tmp_path, letters[: cache.MANY_CHARACTERS].encode())
    assert capsys.readouterr().err == ""


def test_what_is_not_there_or_not_a_file(tmp_path):
    for source in (Source(tmp_path / "input.txt"), find_text(tmp_path)):
        with pytest.raises(UserError, match=r"there is no .*input\.txt; put your text there"):
            load_text(source, "utf-8")
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="is a file; -data_dir takes the folder"):
        load_text(Source(tmp_path / "file" / "input.txt"), "utf-8")
    with pytest.raises(UserError, match=r"cannot read .*file name too long"):
        load_text(Source(tmp_path / ("x" * 300) / "input.txt"), "utf-8")
