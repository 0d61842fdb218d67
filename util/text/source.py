"""Where a text comes from: files, unpacked and decoded piece by piece. No step holds the whole text in memory."""

from __future__ import annotations

import codecs
import encodings
import gzip
import hashlib
import itertools
import re
import sys
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from tqdm import tqdm

from util.cli.flags import unescape
from util.errors import UserError

CHUNK_BYTES = 1 << 22
UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
CACHE_FILES = ("vocab.json", "data.bin")
"""What util.text.cache keeps in a text's folder."""


class Source:
    """Where a text comes from: files one after the other, a separator between them. Those called *.gz are unpacked.

    `folder` is where its cache is kept; that of the first file, if not given.
    """

    def __init__(self, *files: Path, separator: str = "", folder: Path | None = None) -> None:
        self.files, self.separator = files, separator
        self.folder = folder or files[0].parent

    def __str__(self) -> str:
        return str(self.files[0]) if len(self.files) == 1 else f"the text of {len(self.files)} files in {self.folder}"

    def read(self, task: str) -> Iterator[tuple[Path, Iterator[bytes]]]:
        """Yields each file with its unpacked content, in pieces. Raises UserError if a packed one is damaged."""
        with progress_bar(task, sum(path.stat().st_size for path in self.files)) as bar:
            for path in self.files:
                with open(path, "rb") as file:
                    yield path, unpacked(file, path, bar) if path.suffix == ".gz" else chunks(file, file, bar)

    def sha256(self) -> str:
        """Returns what tells this text from others: the SHA-256 of the file's unpacked content, in hexadecimal.

        That of several files covers the content of each, and the separator.
        """
        digests = []
        for _, pieces in self.read("checking the text"):
            digest = hashlib.sha256()
            for piece in pieces:
                digest.update(piece)
            digests.append(digest.hexdigest())
        return digests[0] if len(digests) == 1 else hashlib.sha256(repr((self.separator, digests)).encode()).hexdigest()


def find_text(folder: Path, pattern: str = "", separator: str = "") -> Source:
    r"""Returns the text of a folder: input.txt or input.txt.gz; with `pattern` the matching files, sorted by name.

    In the separator \n, \t, \r and \\ stand for what they do in Python. Raises UserError where nothing matches.
    """
    if pattern:
        files = matching(folder, pattern)
        if not files:
            raise UserError(f"no file in {folder} matches -files '{pattern}'{suggestion(folder)}")
        return Source(*files, separator=unescape(separator), folder=folder)
    path, packed = folder / "input.txt", folder / "input.txt.gz"
    return Source(packed if packed.is_file() and not path.is_file() else path)


def text_of_run(options: Mapping[str, Any], root: Path) -> Source | None:
    """Returns the text that a run's options name, where its folder still is; a relative one may lie in `root`, too.

    `root` is the program's folder. Returns None if the text is gone, or the options say nothing sensible of it.
    """
    stored, pattern, separator = (str(options.get(name, "")) for name in ("data_dir", "files", "separator"))
    for folder in (Path(stored), root / stored):
        if stored and "\0" not in stored and folder.is_dir():
            with suppress(UserError):
                source = find_text(folder, pattern, separator)
                if source.files[0].is_file():
                    return source
    return None


def matching(folder: Path, pattern: str) -> list[Path]:
    """Returns the files in a folder that match a pattern, sorted by name, without hidden ones and the cache."""
    try:
        names = sorted(path.relative_to(folder).as_posix() for path in folder.glob(pattern) if path.is_file())
    except (ValueError, NotImplementedError, IndexError) as error:
        raise UserError(f"-files '{pattern}' is no pattern for names inside {folder}; '*.txt' is one") from error
    return [folder / name for name in names if not re.search(r"(^|/)\.", name) and name not in CACHE_FILES]


def suggestion(folder: Path) -> str:
    """Returns what to say of a missing text where a folder has files that could be joined; empty where it has none."""
    for pattern in ("*.txt", "*"):
        count = len(matching(folder, pattern))
        if count:
            files = (
                "file there that matches" if count == 1 else "files there that match, joined in order of their names"
            )
            return f"; -files '{pattern}' takes the {count} {files}"
    return ""


def check_there(path: Path) -> None:
    """Raises UserError where there is no such text, with what could be done about it."""
    if path.parent.is_file():
        raise UserError(f"{path.parent} is a file; -data_dir wants a folder that holds {path.name}")
    if not path.is_file():
        way_out = suggestion(path.parent) or "; put the text to learn there, or name its folder with -data_dir"
        raise UserError(f"there is no {path}{way_out}")


def characters(source: Source, encoding: str, task: str) -> Iterator[bytes | np.ndarray]:
    """Yields the text's characters in large pieces: as bytes where all are below 256, else as uint32 code points.

    Each file is decoded on its own, from its byte order mark on. Raises UserError where one is not text in this
    encoding.
    """
    for number, (path, pieces) in enumerate(source.read(task)):
        if number and source.separator:
            yield as_numbers(source.separator)
        for text in decoded(path, pieces, encoding):
            yield as_numbers(text)


def decoded(path: Path, pieces: Iterator[bytes], encoding: str) -> Iterator[str]:
    """Yields the content of a file as text. Raises UserError with the file and the place in its unpacked content."""
    decoder = new_decoder(encoding)
    offset = 0
    for piece in itertools.chain(pieces, [b""]):
        start = offset - len(decoder.getstate()[0])
        try:
            yield decoder.decode(piece, final=not piece)
        except UnicodeError as error:
            where = start
            if isinstance(error, UnicodeDecodeError):
                # Counted from the end of what was decoded, since utf-8-sig takes the BOM from its front first.
                where = offset + len(piece) - len(error.object) + error.start
            utf16 = where == 0 and isinstance(error, UnicodeDecodeError) and error.object[:2] in UTF16_MARKS
            way_out = (
                "it begins as UTF-16 does: say -encoding utf-16"
                if utf16
                else "name its encoding with -encoding, or take -encoding latin-1 or bytes, which accept any file"
            )
            raise UserError(f"{path} is not {encoding} text (see the byte at offset {where}); {way_out}") from error
        offset += len(piece)


def as_numbers(text: str) -> bytes | np.ndarray:
    """Returns characters as their numbers: bytes where all are below 256, else uint32."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def new_decoder(encoding: str) -> codecs.IncrementalDecoder:
    """Returns what decodes a text piece by piece; `bytes` makes each byte the character of its number.

    Raises UserError where there is no such encoding of text.
    """
    return find_codec("latin-1" if canonical(encoding) == "bytes" else encoding).incrementaldecoder()  # type: ignore[misc]


def canonical(encoding: str) -> str:
    """Returns the one name of an encoding: utf8, UTF-8 and utf-8 are the same. Raises UserError as `new_decoder`."""
    return "bytes" if encoding.lower() == "bytes" else find_codec(encoding).name


def find_codec(encoding: str) -> codecs.CodecInfo:
    try:
        # Python's own: an installed package may have added a codec that answers to any name.
        codec = encodings.search_function(encoding.lower())
        if not codec or not codec.incrementaldecoder or not isinstance(codec.incrementaldecoder().decode(b""), str):
            raise LookupError
    except (LookupError, ValueError, TypeError) as error:
        raise UserError(
            f"{encoding!r} is no text encoding; -encoding takes utf-8, latin-1, gb18030 and such, or bytes"
        ) from error
    return codec


def progress_bar(task: str, size: int) -> tqdm:
    """Returns a bar on a terminal for reading so many bytes, when it takes long."""
    quiet = not (task and sys.stderr.isatty())
    return tqdm(desc=task, total=size, unit="B", unit_scale=True, delay=1, leave=False, disable=quiet)


def unpacked(file: BinaryIO, path: Path, bar: tqdm) -> Iterator[bytes]:
    """Yields the content of a gzip file, piece by piece. Raises UserError where it is damaged."""
    try:
        with gzip.open(file) as content:
            yield from chunks(content, file, bar)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        what = "ends too early" if isinstance(error, EOFError) else "is damaged, or no gzip file at all"
        raise UserError(f"{path} {what}; fetch it anew, or put what can be unpacked of it there as text") from error


def chunks(content: BinaryIO | gzip.GzipFile, file: BinaryIO, bar: tqdm) -> Iterator[bytes]:
    """Yields the rest of some content, piece by piece; the bar moves as the file that it comes from is read."""
    before = file.tell()
    while chunk := content.read(CHUNK_BYTES):
        yield chunk
        bar.update(file.tell() - before)
        before = file.tell()
