"""Files become characters: encodings, and what is not one."""

import os

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
        ("utf-8", "plain"),
        ("utf-16", MIXED),
        ("utf-16-be", MIXED),
        ("utf-32", MIXED),
        ("gb18030", MIXED + "道可道非常道。\n名可名非常名。"),
        ("shift_jis", "吾輩は猫である。ﾈｺ\n"),
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


@pytest.mark.parametrize(
    ("encoding", "content", "offset"),
    [
        ("utf-8", b"\xff", 0),
        ("utf-8", "a道".encode() + b"\xe9t\xe9", 4),
        ("utf-8", "道".encode()[:2] + b"a", 0),
        ("utf-8", "ab😀".encode()[:-1], 2),
        ("utf-8", b"ab\xed\xa0\x80", 2),
        ("utf-8-sig", b"\xef\xbb\xbfab\xff", 5),
        ("cp1252", b"abc\x81", 3),
        ("utf-16", "aé".encode("utf-16")[:-1], 4),
        ("gb18030", "a道".encode("gb18030") + b"\xff", 3),
        ("gb18030", "a道".encode("gb18030")[:-1], 1),
        ("shift_jis", "猫".encode("shift_jis") + b"\xff\xff", 2),
    ],
)
def test_invalid_text_names_the_offset_and_what_to_do(encoding, content, offset, tmp_path, monkeypatch):
    for chunk_bytes in (1, 2, 3, 5, 1 << 22):
        monkeypatch.setattr("util.text.source.CHUNK_BYTES", chunk_bytes)
        with pytest.raises(UserError) as error:
            text_of(tmp_path, content, encoding)
        words = f"{tmp_path}/input.txt is not {encoding} text (first bad byte at offset {offset}); convert it or, for"
        assert str(error.value).startswith(words) and "-encoding latin-1 or bytes" in str(error.value)
        assert os.listdir(tmp_path) == ["input.txt"]


def test_a_text_of_utf_16_is_recognized(tmp_path):
    with pytest.raises(UserError, match="try -encoding utf-16, since it starts like that"):
        text_of(tmp_path, "text".encode("utf-16"))


def test_what_is_not_a_text_encoding(tmp_path):
    codecs = ["hex", "rot13", "base64", "zlib", "uu", "undefined", "punycode"]  # but not of text
    names = [
        "",
        "klingon",
        "utf-9",
        "os",
        "aliases",
        "../x",
        "utf-8/../../x",
        "encodings.utf_8",
        "\udcff",
        "x" * 100_000,
    ]
    for encoding in codecs + names:
        with pytest.raises(UserError, match="is not a text encoding; -encoding takes"):
            text_of(tmp_path, b"abc", encoding)


def test_an_empty_text(tmp_path):
    for encoding in ("utf-8", "bytes", "utf-16"):
        with pytest.raises(UserError, match="is empty; put your text there"):
            text_of(tmp_path, b"", encoding)


def test_what_is_not_there_or_not_a_file(tmp_path):
    for source in (Source(tmp_path / "input.txt"), find_text(tmp_path)):
        with pytest.raises(UserError, match=r"there is no .*input\.txt; put your text there"):
            load_text(source, "utf-8")
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="is a file; -data_dir takes the folder"):
        load_text(Source(tmp_path / "file" / "input.txt"), "utf-8")
    with pytest.raises(UserError, match=r"cannot read .*file name too long"):
        load_text(Source(tmp_path / ("x" * 300) / "input.txt"), "utf-8")
