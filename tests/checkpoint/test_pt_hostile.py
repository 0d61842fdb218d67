"""The reader of .pt files meets what an attacker could write."""

import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers.checkpoints import peak_of
from tests.helpers.folders import names
from util.checkpoint import pt
from util.checkpoint.pt import read_pt
from util.checkpoint.store import load_checkpoint
from util.errors import UserError

MEGABYTE = 1 << 20


def write_zip(path: Path, program: bytes, storages: dict[str, bytes] | None = None, **options: Any) -> Path:
    """A .pt file with `program` in the place of its pickle."""
    with zipfile.ZipFile(path, "w", **options) as archive:
        archive.writestr("x/data.pkl", program)
        for key, content in (storages or {}).items():
            archive.writestr(f"x/data/{key}", content)
    return path


def refused(path: Path, reason: str = "is not a valid char-rnn checkpoint") -> None:
    """Asserts that a file is refused with a sentence, and no more memory than a few times the file's size."""

    def refuse() -> None:
        with pytest.raises(UserError, match=reason) as error:
            load_checkpoint(path)
        assert len(str(error.value)) < 400 and str(error.value).isprintable()
        assert "another program" not in str(error.value)

    assert peak_of(refuse) < 2 * MEGABYTE + 100 * path.stat().st_size


class Call(tuple):
    """Pickles as a call of its first element with the others."""

    def __reduce__(self) -> tuple:
        return self[0], self[1:]


def tensor(size, stride=b")", count=b"K\x04", offset=b"K\x00", kind=b"Float"):
    """A pickle of one tensor on storage 0; sizes are given as pickle opcodes."""
    storage = b"(X\x07\0\0\0storagectorch\n" + kind + b"Storage\nX\x01\0\0\x000X\x03\0\0\0cpu" + count + b"tQ"
    return b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(" + storage + offset + size + stride + b"\x89}tR."


ONES = {"0": np.ones(4, "<f4").tobytes()}
HUGE = b"\x8a\x08" + (2**62).to_bytes(8, "little")
GREATER = b"\x8a\xff" + (2**2030).to_bytes(255, "little")


@pytest.mark.parametrize("protocol", range(6))
def test_calls_are_refused(protocol, tmp_path):
    mark = tmp_path / "called"
    calls = [Call((os.system, f"touch {mark}")), Call((exec, f"open({str(mark)!r}, 'w')"))]
    calls += [
        {"format": Call((eval, f"open({str(mark)!r}, 'w')"))},
        Call((getattr, Call((__import__, "os")), "system")),
    ]
    for value in (*calls, np.ones(3), Path("x"), 3 + 4j, {1, 2}):
        refused(write_zip(tmp_path / "x.pt", pickle.dumps(value, protocol)))
    assert not mark.exists()


RUNS_CODE = [  # by opcodes that Python's own pickles do not have
    b"(S'touch called'\nios\nsystem\n.", b"(cos\nsystem\nS'touch called'\no.", b"\x82\x01.", b"P1\n.",
    b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n}b.", b"\x80\x02ccollections\nOrderedDict\nK\x01\x85R.",
]  # fmt: skip
LONG = b"\x1b[2J" + b"A" * 10_000  # what neither floods nor steers the terminal
BROKEN = [
    b"\x80\x02c" + LONG + b"\nx\n)R.", tensor(b")", kind=LONG), b"\x80\x02X\x01\0\0\0aQ.",
    b"", b".", b"\x80\x02N", b"\x80\xff.", b"t.", b"0.", b"s.", b"}K\x01s.", b"K\x01R.", b"Q.", b"\x80\x02h\x00.",
    b"X\xff\xff\xff\xffa.", b"X\xff\xff\xff\x7fa.", b"\x8d\xff\xff\xff\xff\xff\xff\xff\x7fa.", b"X\x01\0\0\0\xff.",
    b"\x8b\xff\xff\xff\x7fa.", b"I" + b"9" * 5000 + b"\n.", b"}}K\x01s.", b"}(K\x01u.", b"\xfe.",
]  # fmt: skip


def test_broken_pickles_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for program in (*RUNS_CODE, *BROKEN):
        refused(write_zip(tmp_path / "x.pt", program))
    assert names(tmp_path) == {"x.pt"}
    # A huge index of the memo is not broken, and costs nothing.
    path = write_zip(tmp_path / "x.pt", b"\x80\x02}r\xff\xff\xff\xff(j\xff\xff\xff\xfft.")
    assert peak_of(lambda: read_pt(path)) < MEGABYTE and read_pt(path) == ({},)


ENDLESS = b"\x80\x02K\x01q\x00" + b"h\x00h\x00\x86q\x00" * 60
"""Puts a tuple of two tuples of two and so on into place 0 of the memo: 2**60 values for whoever walks it."""


def test_values_that_are_endless_to_walk_are_not_walked(tmp_path):
    """As a key of a dictionary, the type of a storage, the key of a storage, and what is called."""
    for use in (
        b"}h\x00K\x01s.",
        b"(X\x07\0\0\0storageh\x00NNNtQ.",
        b"(X\x07\0\0\0storagectorch\nFloatStorage\nh\x00NK\x01tQ.",
        b"h\x00h\x00\x85R.",
    ):
        refused(write_zip(tmp_path / "x.pt", ENDLESS + use, ONES))


def test_deep_and_cyclic_values_are_not_a_checkpoint(tmp_path):
    for program in (b"N" + b"\x85" * 20_000 + b".", b"}q\x00X\x06\0\0\0formath\x00s."):
        path = write_zip(tmp_path / "x.pt", b"\x80\x02" + program)
        with pytest.raises(UserError, match="written by another program"):
            load_checkpoint(path)


def test_a_pickle_without_end_is_not_read_to_its_end(tmp_path, monkeypatch):
    """Sixteen million tuples in each other took 18 seconds. A smaller bound is enough to see how it is kept."""
    assert pt.MOST_OPCODES <= 2**20
    monkeypatch.setattr(pt, "MOST_OPCODES", 10**4)
    for body in (b"N" + b"\x85" * 10**5, b"(" * 10**5, b"}" * 10**5):
        refused(write_zip(tmp_path / "x.pt", b"\x80\x02" + body + b"."), "its description is too long")


MISFITS = [
    (HUGE + b"\x85", b"K\x01\x85", {}),
    (GREATER + b"\x85", b"K\x00\x85", {}),
    (HUGE + HUGE + b"\x86", b"K\x00K\x00\x86", {}),
    (b"K\x00" + HUGE + HUGE + b"\x87", b"K\x00K\x00K\x00\x87", {}),
    (b"K\x05\x85", b"K\x01\x85", {}),
    (b"K\x02K\x03\x86", b"K\x02K\x01\x86", {}),
    (b"K\x04\x85", b"J\xff\xff\xff\xff\x85", {"offset": b"K\x03"}),
    (b"J\xff\xff\xff\xff\x85", b"K\x01\x85", {}),
    (b"K\x01\x85", b"K\x01\x85", {"offset": b"K\x04"}),
    (b"K\x04\x85", b")", {}),
    (b"K\x04\x85", b"K\x01\x85", {"count": b"K\x05"}),
    (b"K\x04\x85", b"K\x01\x85", {"kind": b"Double"}),
    (b"J\xff\xff\xff\x7fX\x08\0\0\0aaaaaaaa\x86", b"K\x00K\x00\x86", {}),
    (b"K\x04\x85", b"G\x7f\xf8\0\0\0\0\0\0\x85", {}),
    (b"\x88\x85", b"K\x01\x85", {}),
    (b"N", b"N", {}),
    (b"(" + b"K\x01" * 100 + b"t", b"(" + b"K\x01" * 100 + b"t", {}),
    (b"M\x00\x40\x85", b"K\x00\x85", {}),  # a stride of 0 does not make a tensor larger than the file
]


def test_tensors_that_do_not_fit_their_storage_are_refused(tmp_path):
    path = write_zip(tmp_path / "x.pt", tensor(b"K\x04\x85", b"K\x01\x85"), ONES)
    assert read_pt(path).tolist() == [1, 1, 1, 1]  # as one does that fits
    for size, stride, more in MISFITS:
        refused(write_zip(tmp_path / "x.pt", tensor(size, stride, **more), ONES))


@pytest.mark.parametrize("size", [0, 4])
def test_tensors_without_end_on_one_storage_are_refused(size, tmp_path):
    """Each takes five bytes of the pickle: the function and its arguments from the memo, and the call."""
    first = tensor(b"K" + bytes([size]) + b"\x85", b"K\x01\x85")[2:-1]
    first = first.replace(b"_v2\n(", b"_v2\nq\x00(").replace(b"}tR", b"}tq\x01R")
    program = b"\x80\x02(" + first + b"h\x00h\x01R" * 20_000 + b"t."
    refused(write_zip(tmp_path / "x.pt", program, ONES), "its tensors are larger than the file")


# Zip files that are not as they seem


def test_compressed_members_are_refused(tmp_path):
    for method in (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2):
        content = {"0": bytes(20 * MEGABYTE)}
        path = write_zip(tmp_path / "x.pt", b"\x80\x02N.", content, compression=method, compresslevel=1)
        refused(path, "compressed")


def test_members_that_overlap_are_refused(tmp_path):
    # The directory names the same bytes again and again.
    path = tmp_path / "x.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/data.pkl", tensor(b"K\x04\x85", b"K\x01\x85"))
        archive.writestr("x/data/0", bytes(MEGABYTE))
        for number in range(1, 100):
            entry = zipfile.ZipInfo(f"x/data/{number}")
            last = archive.infolist()[1]
            entry.header_offset, entry.CRC = last.header_offset, last.CRC
            entry.file_size = entry.compress_size = last.file_size
            archive.filelist.append(entry)
            archive._didModify = True
    refused(path, "its members are larger than the file")


@pytest.mark.parametrize("field", ["file_size", "compress_size", "header_offset"])
def test_a_directory_that_lies_about_sizes_is_refused(field, tmp_path):
    path = tmp_path / "x.pt"
    for value in (2**31, 2**32 - 2, 2**63 - 1):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("x/data.pkl", b"\x80\x02N.")
            setattr(archive.infolist()[0], field, value)
        refused(path)


def test_what_is_not_such_a_zip_file_is_refused(tmp_path):
    for content in (b"", b"x", b"PK\5\6" + bytes(18), b"PK\3\4" * 10, b"PK\5\6" + b"\xff" * 18, bytes(9999)):
        (tmp_path / "x.pt").write_bytes(content)
        refused(tmp_path / "x.pt")
    with zipfile.ZipFile(tmp_path / "x.pt", "w") as archive:
        archive.writestr("readme.txt", "x")
    refused(tmp_path / "x.pt")
