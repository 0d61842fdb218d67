"""The loader: batches, encodings, and a cache that never gives another text than the file's."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import runs
from tests.helpers.inputs import ROOT, SMALL, numbers
from util.errors import UserError
from util.text import cache
from util.text.batches import Batches, split_sizes
from util.text.cache import load_text
from util.text.source import Source, find_text

SIZES = [(1, 1, 2), (1, 7, 100), (7, 1, 100), (3, 5, 15), (3, 5, 44), (2, 9, 1000), (50, 50, 9999), (4, 6, 1271)]


def text_of(folder: Path, content: bytes, encoding: str = "utf-8") -> str:
    """The text that the loader gives for a file of this content."""
    (folder / "input.txt").write_bytes(content)
    return characters(load_text(folder / "input.txt", encoding))


def characters(text: cache.Text) -> str:
    return "".join(text.vocabulary[i] for i in text.indices)


def cache(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Content and inode of the cache files: a file that was written anew has another inode."""
    paths = [folder / "vocab.json", folder / "data.bin"]
    return {path.name: (path.read_bytes(), path.stat().st_ino) for path in paths}


# Batches


@pytest.mark.parametrize(("B", "S", "length"), SIZES)
@pytest.mark.parametrize("train_frac", [0.5, 0.95, 1.0])
def test_batches_are_columns_of_the_text_as_B_streams(B, S, length, train_frac):
    text = np.random.default_rng(0).integers(0, 250, length).astype(np.uint8)
    batches = Batches(text, B, S, train_frac, 0.2)
    total = length // (B * S)
    assert sum(batches.split_sizes) == total
    streams = text[: total * B * S].reshape(B, -1)
    pairs = [batches.batch(split, k) for split in range(3) for k in range(batches.split_sizes[split])]
    assert all(x.shape == y.shape == (S, B) and x.dtype == y.dtype == np.int64 for x, y in pairs)
    assert np.array_equal(np.concatenate([x for x, _ in pairs]).T, streams)
    # A stream's last target is the next stream's first character, and the very last one is the text's first.
    targets = np.concatenate([y for _, y in pairs]).T
    assert np.array_equal(targets.ravel(), np.roll(streams.ravel(), -1))
    assert targets[-1, -1] == text[0]


def test_an_epoch_uses_every_training_character_once():
    text = np.arange(5 * 4 * 30, dtype=np.uint16)
    batches = Batches(text, 5, 4, 0.8, 0.1)
    seen = np.concatenate([batches.batch(0, k)[0].ravel() for k in range(24)])
    in_training = text.reshape(5, -1)[:, : 24 * 4]
    assert np.array_equal(np.sort(seen), np.sort(in_training.ravel()))


@pytest.mark.parametrize(
    ("batches", "train_frac", "val_frac", "expected"),
    [
        (1115394 // 2500, 0.95, 0.05, (423, 23, 0)),
        (202, 0.8, 0.1, (161, 20, 21)),
        (202, 0.95, 0.05, (191, 11, 0)),
        (10, 0.5, 0.25, (5, 2, 3)),
        (10, 1.0, 0.0, (10, 0, 0)),
        (10, 0.7, 0.7, (7, 3, 0)),
        (10, 0.0, 0.0, (0, 0, 10)),
        (1, 0.95, 0.05, (0, 1, 0)),
        (0, 0.95, 0.05, (0, 0, 0)),
    ],
)
def test_split_sizes(batches, train_frac, val_frac, expected):
    assert split_sizes(batches, train_frac, val_frac) == expected


def test_splits_of_a_text_as_long_as_tinyshakespeare():
    assert Batches(np.zeros(1115394, np.uint8), 50, 50, 0.95, 0.05).split_sizes == (423, 23, 0)


@pytest.mark.parametrize(("B", "S"), [(10**30, 50), (50, 10**30), (2**40, 2**40)])
def test_sizes_beyond_the_text_make_no_batches(B, S):
    assert Batches(np.zeros(1000, np.uint8), B, S, 0.95, 0.05).split_sizes == (0, 0, 0)


def test_translation_into_another_vocabulary():
    text = np.array([0, 1, 2, 1, 0, 2, 2, 1], np.uint8)
    x, y = Batches(text, 1, 8, 1, 0, translation=np.array([5, 300, 7])).batch(0, 0)
    assert x.ravel().tolist() == [5, 300, 7, 300, 5, 7, 7, 300]
    assert y.ravel().tolist() == [300, 7, 300, 5, 7, 7, 300, 5]


# Encodings

CHINESE = "道可道非常道。\n名可名非常名。" * 3
JAPANESE = "吾輩は猫である。ﾈｺ\n" * 3
MIXED = "a\r\nb\rc\n é e\u0301 \u05d0\u05b7 道 😀 👩\u200d🚀 \u0000 \U0010ffff" * 2


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
    assert load_text(tmp_path / "input.txt", encoding).vocabulary == "".join(sorted(set(text)))


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
    assert f"not {encoding} text (see the byte at offset {offset})" in sentence
    assert "-encoding latin-1 or bytes" in sentence and str(tmp_path / "input.txt") in sentence
    assert os.listdir(tmp_path) == ["input.txt"]


@pytest.mark.parametrize(
    "encoding",
    [
        *("hex", "rot13", "base64", "zlib", "uu", "undefined"),  # codecs, but not of text
        *("", "klingon", "utf-9", "os", "aliases", "../x", "utf-8/../../x", "encodings.utf_8", "\udcff", "x" * 100_000),
    ],
)
def test_what_is_no_text_encoding(encoding, tmp_path):
    with pytest.raises(UserError, match="is no text encoding; -encoding takes"):
        text_of(tmp_path, b"abc", encoding)


@pytest.mark.parametrize(
    ("size", "dtype"), [(1, "u1"), (2, "u1"), (256, "u1"), (257, "u2"), (65536, "u2"), (65537, "u4")]
)
def test_indices_take_as_few_bytes_as_the_vocabulary_allows(size, dtype, tmp_path):
    # Without the surrogates, which are no characters.
    text = "".join(chr(c) for c in range(size + 2048) if not 0xD800 <= c < 0xE000)[:size]
    assert text_of(tmp_path, text.encode()) == text
    assert load_text(tmp_path / "input.txt", "utf-8").indices.dtype == np.dtype(dtype)
    assert (tmp_path / "data.bin").stat().st_size == size * np.dtype(dtype).itemsize


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


# Packed and joined files


@pytest.mark.parametrize("chunk_bytes", [1, 3, 1 << 22])
def test_a_packed_text_is_the_text(chunk_bytes, tmp_path, monkeypatch):
    monkeypatch.setattr("util.text.source.CHUNK_BYTES", chunk_bytes)
    content = MIXED.encode()
    (tmp_path / "input.txt.gz").write_bytes(gzip.compress(content[:50]) + gzip.compress(content[50:]))
    packed = load_text(find_text(tmp_path), "utf-8")
    assert characters(packed) == MIXED
    assert sorted(os.listdir(tmp_path)) == ["data.bin", "input.txt.gz", "vocab.json"]
    (tmp_path / "input.txt").write_bytes(content)
    monkeypatch.setattr("util.text.cache.make_cache", lambda *arguments: pytest.fail("the cache was made again"))
    (tmp_path / "input.txt.gz").write_bytes(gzip.compress(b"another"))  # input.txt comes first
    unpacked = load_text(find_text(tmp_path), "utf-8", expected_sha256=packed.sha256)
    assert characters(unpacked) == MIXED


PACKED = gzip.compress(bytes(range(256)) * 8)


@pytest.mark.parametrize(
    ("content", "what"),
    [(PACKED[:length], "ends too early") for length in (5, 10, 11, len(PACKED) - 8, len(PACKED) - 1)]
    + [(PACKED[:-1] + b"?", "is damaged"), (PACKED[:20] + b"????" + PACKED[24:], "is damaged"), (b"text", "is damaged")]
    + [(PACKED + b"?", "is damaged")],
)
def test_a_damaged_packed_text_is_one_sentence(content, what, tmp_path):
    (tmp_path / "input.txt.gz").write_bytes(content)
    with pytest.raises(UserError, match=rf"input\.txt\.gz {what}.*; fetch it anew"):
        load_text(find_text(tmp_path), "latin-1")
    assert os.listdir(tmp_path) == ["input.txt.gz"]


def write_parts(folder: Path) -> None:
    """Four files to be joined, and others that are none of them."""
    (folder / "sub").mkdir()
    parts = {"b.txt": "β", "a.txt": "א", "c.txt": "道\n", "sub/d.txt": "d", ".hidden.txt": "x", "other.md": "y"}
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
    monkeypatch.setattr("util.text.cache.make_cache", lambda *arguments: pytest.fail("the cache was made again"))
    assert characters(load_text(find_text(tmp_path, pattern, separator), "utf-8", first.sha256)) == expected


def test_each_joined_file_begins_with_a_byte_order_mark_of_its_own(tmp_path):
    (tmp_path / "1.txt").write_bytes("道".encode("utf-16"))
    (tmp_path / "2.txt").write_bytes("\ufeff可".encode("utf-16-be"))
    assert characters(load_text(find_text(tmp_path, "*.txt", "é"), "utf-16")) == "道é可"


def test_what_is_joined_is_another_text_with_other_content_borders_or_separator(tmp_path):
    found = set()
    for texts, separator in [
        ("ab", ""),
        ("ab", "a"),
        (("a", "b", ""), ""),
        (("", "ab"), ""),
        (("ab",), ""),
        ("ac", ""),
    ]:
        paths = [tmp_path / f"{number}.txt" for number in range(len(texts))]
        for path, text in zip(paths, texts):
            path.write_text(text)
        found.add(Source(*paths, separator=separator).sha256())
    assert len(found) == 6


def test_a_mistake_in_a_joined_file_is_told_with_its_name(tmp_path):
    (tmp_path / "1.txt").write_bytes("道".encode())
    (tmp_path / "2.txt").write_bytes("道".encode() + b"\xff")
    with pytest.raises(UserError, match=r"2\.txt is not utf-8 text \(see the byte at offset 3\)"):
        load_text(find_text(tmp_path, "*.txt"), "utf-8")
    (tmp_path / "1.txt").write_bytes("道".encode()[:2])  # the next file does not complete it
    with pytest.raises(UserError, match=r"1\.txt is not utf-8 text \(see the byte at offset 0\)"):
        load_text(find_text(tmp_path, "*.txt"), "utf-8")
    for name in ("1.txt", "2.txt"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(UserError, match=r"the text of 2 files in .* is empty"):
        load_text(find_text(tmp_path, "*.txt"), "utf-8")


@pytest.mark.parametrize("pattern", ["nothing*", "../*.txt", "/*", "vocab.json", ".*"])
def test_a_pattern_that_matches_nothing(pattern, tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    (tmp_path / "outside.txt").write_text("x")
    (folder / "vocab.json").write_text("x")
    (folder / ".hidden").write_text("x")
    with pytest.raises(UserError, match="-files"):
        find_text(folder, pattern)


def test_without_a_text_the_files_that_could_be_joined_are_proposed(tmp_path):
    write_parts(tmp_path)
    for call in (lambda: load_text(find_text(tmp_path), "utf-8"), lambda: find_text(tmp_path, "*.tex")):
        with pytest.raises(UserError, match=r"; -files '\*\.txt' takes the 3 files there that match, joined in order"):
            call()
    for path in tmp_path.glob("*.txt"):
        path.unlink()
    with pytest.raises(UserError, match=r"there is no .*input\.txt; -files '\*' takes the 2 files"):
        load_text(find_text(tmp_path), "utf-8")


def test_train_learns_joined_files_and_resumes(tmp_path):
    data = tmp_path / "data"
    (data / "sub").mkdir(parents=True)
    for name in ("a.txt", "b.txt"):
        (data / name).write_bytes(numbers(70))
    with gzip.open(data / "sub" / "c.txt.gz", "wb") as file:
        file.write(numbers(70))
    files = ["-data_dir", data, "-files", "**/*.txt*", "-separator", r"\t\n"]
    done = runs.finish(tmp_path, *SMALL, *files, "-max_epochs=1")
    assert (done.status, done.err) == (0, "")
    assert sorted(os.listdir(data)) == ["a.txt", "b.txt", "data.bin", "sub", "vocab.json"]
    assert "\t" in json.loads((data / "vocab.json").read_text())["vocabulary"]
    resumed = runs.finish(tmp_path, "-resume", "cv", "-max_epochs=2")
    assert resumed.status == 0, resumed.err
    assert min(runs.log([resumed.out])) == max(runs.log([done.out])) + 1
    refused = runs.finish(tmp_path, "-resume", "cv", "-max_epochs=3", "-separator=")
    assert refused.status == 1 and "is not the text that the run learned from" in refused.err


# The cache


def test_a_warm_cache_is_used(data_dir, corpus, monkeypatch):
    first = characters(load_text(data_dir / "input.txt", "utf-8"))
    files = cache(data_dir)
    monkeypatch.setattr("util.text.cache.make_cache", lambda *arguments: pytest.fail("the cache was made again"))
    assert characters(load_text(data_dir / "input.txt", "utf-8")) == first == corpus.decode()
    assert cache(data_dir) == files
    assert sorted(os.listdir(data_dir)) == ["data.bin", "input.txt", "vocab.json"]


def test_indices_are_memory_mapped(data_dir):
    assert all(isinstance(load_text(data_dir / "input.txt", "utf-8").indices, np.memmap) for _ in range(2))


@pytest.mark.parametrize("chunk_bytes", [1, 3, 1 << 22])
def test_a_text_changed_in_place_is_read_again(chunk_bytes, data_dir, monkeypatch):
    monkeypatch.setattr("util.text.source.CHUNK_BYTES", chunk_bytes)
    path = data_dir / "input.txt"
    path.write_bytes(b"abcabc")
    assert characters(load_text(path, "utf-8")) == "abcabc"
    before = path.stat()
    path.write_bytes(b"abccba")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert characters(load_text(path, "utf-8")) == "abccba"


def test_each_encoding_has_its_own_text(tmp_path):
    content = "é道".encode()
    for encoding in ("utf-8", "latin-1", "bytes", "utf-8"):
        expected = content.decode("latin-1" if encoding == "bytes" else encoding)
        assert text_of(tmp_path, content, encoding) == expected


def test_a_damaged_cache_never_gives_another_text(tmp_path):
    text = "naïve 道\n"
    text_of(tmp_path, text.encode())
    files = cache(tmp_path)
    sha256 = load_text(tmp_path / "input.txt", "utf-8").sha256
    for name, (content, _) in files.items():
        path = tmp_path / name
        for place in range(len(content)):
            for flip in (0x01, 0x02, 0x10, 0x20, 0x80, 0xFF):
                path.write_bytes(content[:place] + bytes([content[place] ^ flip]) + content[place + 1 :])
                found = cache.read_cache(tmp_path, "utf-8", sha256)
                assert found is None or (name == "vocab.json" and characters(found) == text)
        path.write_bytes(content)


@pytest.mark.parametrize("name", ["vocab.json", "data.bin"])
@pytest.mark.parametrize("damage", ["flipped", "cut", "longer", "empty", "missing", "folder"])
def test_a_damaged_cache_is_made_again(name, damage, data_dir, corpus):
    load_text(data_dir / "input.txt", "utf-8")
    path = data_dir / name
    content = path.read_bytes()
    path.unlink()
    if damage == "folder":
        path.mkdir()
    elif damage != "missing":
        flipped = content[:40] + bytes([content[40] ^ 1]) + content[41:]
        changed = {"flipped": flipped, "cut": content[:-1], "longer": content + b"\0", "empty": b""}
        path.write_bytes(changed[damage])
    assert characters(load_text(data_dir / "input.txt", "utf-8")) == corpus.decode()
    if damage != "folder":
        assert path.read_bytes() == content


@pytest.mark.parametrize(
    "header",
    [b"[]", b"{}", b"null", b"1", b'"x"', b"[" * 100_000, b'{"a":' * 100_000, b"\xff\xfe", b"NaN", b"1" * 10_000],
)
def test_a_header_of_nonsense_is_no_cache(header, data_dir, corpus):
    (data_dir / "vocab.json").write_bytes(header)
    assert characters(load_text(data_dir / "input.txt", "utf-8")) == corpus.decode()


@pytest.mark.parametrize(
    "change",
    [{"dtype": d} for d in ("O", "|V0", "|S0", "<u2", "u1,u1", "(", "{'a':1}", 5, None, "|u1\0")]
    + [{"length": n} for n in (0, -1, 10**30, 1.0, "4341", None, True, [1])]
    + [{"vocabulary": v} for v in ("", None, 5, ["a"])]
    + [{"crc32": None}, {"extra": 1}],
)
def test_a_header_that_does_not_fit_is_no_cache(change, data_dir, corpus):
    load_text(data_dir / "input.txt", "utf-8")
    path = data_dir / "vocab.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | change))
    assert characters(load_text(data_dir / "input.txt", "utf-8")) == corpus.decode()


def test_the_indices_of_another_text_are_not_taken(tmp_path):
    text_of(tmp_path, b"abab")
    other = (tmp_path / "data.bin").read_bytes()
    text_of(tmp_path, b"baba")
    (tmp_path / "data.bin").write_bytes(other)
    assert characters(load_text(tmp_path / "input.txt", "utf-8")) == "baba"


def test_a_text_in_use_survives_the_next_one(tmp_path):
    (tmp_path / "input.txt").write_bytes(b"first text")
    first = load_text(tmp_path / "input.txt", "utf-8")
    assert text_of(tmp_path, b"second and longer") == "second and longer"
    assert characters(first) == "first text"


LOAD = """
import mmap, os, sys  # mmap early, since nobody may not be able to read Python's library
from pathlib import Path
from util.text.cache import load_text
if "as_nobody" in sys.argv and os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
text = load_text(Path(sys.argv[1]), "utf-8")
sys.stdout.buffer.write("".join(text.vocabulary[i] for i in text.indices).encode())
"""


def start_loading(folder: Path, *arguments: str) -> subprocess.Popen:
    command = [sys.executable, "-c", LOAD, folder / "input.txt", *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_processes_that_start_at_once_all_get_the_text(data_dir, corpus):
    running = [start_loading(data_dir) for _ in range(6)]
    assert [process.communicate() for process in running] == [(corpus, b"")] * 6
    assert sorted(os.listdir(data_dir)) == ["data.bin", "input.txt", "vocab.json"]
    assert cache.read_cache(data_dir, "utf-8", Source(data_dir / "input.txt").sha256())


def test_who_comes_second_waits_and_finds_the_text_indexed(data_dir, corpus):
    with cache.taking_turns(data_dir):
        process = start_loading(data_dir)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1.5)
        assert os.listdir(data_dir) == ["input.txt"]
    assert process.communicate() == (corpus, b"")


def test_a_folder_that_cannot_be_written_to_costs_a_warning(read_only_dir, corpus):
    output, warning = start_loading(read_only_dir, "as_nobody").communicate()
    assert output == corpus
    assert warning.startswith(b"warning: cannot keep the indexed text in ") and warning.count(b"\n") == 1
    assert os.listdir(read_only_dir) == ["input.txt"]


def test_what_is_not_there_or_not_a_file(tmp_path):
    for source in (tmp_path / "input.txt", find_text(tmp_path)):
        with pytest.raises(UserError, match=r"there is no .*input\.txt; put the text to learn there"):
            load_text(source, "utf-8")
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="is a file; -data_dir wants a folder"):
        load_text(tmp_path / "file" / "input.txt", "utf-8")
    with pytest.raises(UserError, match=r"cannot read .*file name too long"):
        load_text(tmp_path / ("x" * 300) / "input.txt", "utf-8")
