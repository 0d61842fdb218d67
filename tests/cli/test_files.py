"""A file is complete, or it is what it was before."""

import errno
import os
import stat
from pathlib import Path

import pytest

from tests.helpers.failing import ERRORS, OPERATIONS, failing
from util.cli.files import check_output, create, discard, lock, remove_abandoned, replacing
from util.errors import UserError

OLD, NEW = b"old" * 1000, b"new" * 9000


def write(path: Path, commit=os.replace) -> None:
    with replacing(path, commit) as file:
        file.write(NEW)


def replace(temporary: str, path: Path) -> None:
    os.replace(temporary, path)  # looked up now, when it may be failing


def survivors(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(("commit", "left"), [(os.replace, {"x": NEW}), (create, {"x": NEW}), (discard, {})])
def test_a_new_file(commit, left, tmp_path):
    write(tmp_path / "x", commit)
    assert survivors(tmp_path) == left


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path):
    (tmp_path / "x").write_bytes(OLD)
    with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "x") as file:
        file.write(NEW)
        file.flush()
        raise KeyboardInterrupt
    assert survivors(tmp_path) == {"x": OLD}
    write(tmp_path / "x")
    assert survivors(tmp_path) == {"x": NEW}


def test_create_replaces_nothing_with_or_without_hard_links(tmp_path):
    with failing("link", errno.EPERM) as failed:
        write(tmp_path / "x", create)
        with pytest.raises(FileExistsError):
            write(tmp_path / "x", create)
    assert len(failed) == 2
    with pytest.raises(FileExistsError):
        write(tmp_path / "x", create)
    assert survivors(tmp_path) == {"x": NEW}


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_permissions_are_those_of_any_new_file_or_of_the_old_one(umask, mode, tmp_path):
    before = os.umask(umask)
    try:
        write(tmp_path / "x")
        assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == mode
        (tmp_path / "x").chmod(0o640)
        write(tmp_path / "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o640


@pytest.mark.parametrize("number", ERRORS, ids=errno.errorcode.get)
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("commit", [replace, create])
def test_no_failure_damages_a_file(commit, operation, number, tmp_path):
    before = {} if commit is create else {"x": OLD}
    for name in before:
        (tmp_path / name).write_bytes(OLD)
    error, descriptors = None, os.listdir("/dev/fd")
    with failing(operation, number) as failed:
        try:
            write(tmp_path / "x", commit)
        except OSError as caught:
            error = caught.errno
    assert os.listdir("/dev/fd") == descriptors
    unused = {"mkdir", "replace", "chmod"} if commit is create else {"mkdir", "link"}
    assert bool(failed) == (operation not in unused)
    # A file can do without these: `link` by renaming, and `unlink` leaves a hidden file behind.
    assert error == (None if operation in {"chmod", "link", "mkdir", "unlink"} | unused else number)
    found = survivors(tmp_path)
    assert found.pop("x", None) == (NEW if error is None else before.get("x"))
    assert set(found.values()) == ({NEW} if operation == "unlink" and commit is create else set())


def test_a_folder_that_cannot_be_flushed_does_no_harm(tmp_path):
    with failing("fsync", errno.EINVAL, after=1) as failed:
        write(tmp_path / "x")
    assert failed == [1]
    assert survivors(tmp_path) == {"x": NEW}


PAGE, PICTURE, CHECKPOINT = b"<!DOCTYPE html>...", b"\x89PNG...", b"PK\3\4" + bytes(26) + b"archive/data.pkl"


@pytest.mark.parametrize(
    ("kind", "replaced", "kept"),
    [
        ("", (b"", b"roses", PAGE), (CHECKPOINT, b"\3\0\0\0", b"\4\0\0\0")),
        ("page", (b"", PAGE), (b"roses", PICTURE, CHECKPOINT)),
        ("picture", (b"", PICTURE), (b"roses", PAGE, CHECKPOINT)),
    ],
)
def test_what_may_be_replaced(kind, replaced, kept, tmp_path):
    """An empty file, as mktemp makes it, by anything."""
    path = tmp_path / "x"
    for content in (*replaced, *kept):
        path.write_bytes(content)
        if content in replaced:
            check_output(path, "-output", kind=kind)
            continue
        with pytest.raises(UserError, match=r"cannot write .*; choose another file for -output"):
            check_output(path, "-output", kind=kind)


def test_what_a_killed_process_left_is_removed(tmp_path):
    """But not what another one is writing at this moment, nor what only matches a pattern."""
    left = [tmp_path / name for name in (".a[1]_x.12ab.tmp", ".a[1]_y.12ab.tmp", ".a1_x.12ab.tmp", "a[1]_x", ".a[1]_x")]
    for path in left:
        path.touch()
    with left[1].open() as file:
        assert lock(file)
        remove_abandoned(tmp_path, "a[1]_")
    assert {*tmp_path.iterdir()} == {*left[1:]}


def test_what_a_command_reads_is_not_replaced_by_any_of_its_names(tmp_path):
    text, link, hard = (tmp_path / name for name in ("text", "link", "hard"))
    text.write_text("roses")
    link.symlink_to("text")
    hard.hardlink_to(text)
    for name in (text, tmp_path / ".." / tmp_path.name / "text", link, hard):
        with pytest.raises(UserError, match="this command reads it; choose another file for -output"):
            check_output(name, "-output", [tmp_path / "gone", text])
    check_output(tmp_path / "new", "-output", [text])
