"""Reads a text from its files, decompressing and decoding it in pieces; the whole text is never in memory."""

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
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from tqdm import tqdm

from util import ROOT
from util.cli.flags import as_bytes, unescape
from util.errors import UserError

CHUNK_BYTES = 1 << 22
UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
CACHE_FILES = ("vocab.json", "data.bin")
"""What util.text.cache keeps in a text's folder."""


class WrongEncoding(UserError):
    """A file that is not text in the encoding that it is read in; `fault` says so without a way out."""

    def __init__(self, fault: str, way_out: str) -> None:
        super().__init__(f"{fault}; {way_out}")
        self.fault = fault


class Source:
    """One or more files that are read in order, with a separator between them; *.gz files are decompressed.

    `folder` is where the cache goes; by default the first file's folder.
    """

    def __init__(self, *files: Path, separator: str = "", folder: Path | None = None) -> None:
        self.files, self.separator = files, separator
        self.folder = folder or files[0].parent

    def __str__(self) -> str:
        return str(self.files[0]) if len(self.files) == 1 else f"the text of {len(self.files)} files in {self.folder}"

    def read(self, task: str) -> Iterator[tuple[Path, Iterator[bytes]]]:
        """Yields each file with its decompressed content in pieces. Raises UserError if a .gz file is damaged."""
        with progress_bar(task, sum(path.stat().st_size for path in self.files)) as bar:
            for path in self.files:
                with open(path, "rb") as file:
                    yield path, unpacked(file, path, bar) if path.suffix == ".gz" else pieces_of(file, file, bar)

    def sha256(self) -> str:
        """Returns the text's identity in hexadecimal: the SHA-256 of the file's decompressed content.

        For several files it is the SHA-256 of all of their digests and the separator.
        """
        digests = []
        for _, pieces in self.read("checking the text"):
            digest = hashlib.sha256()
            for piece in pieces:
                digest.update(piece)
            digests.append(digest.hexdigest())
        return digests[0] if len(digests) == 1 else hashlib.sha256(repr((self.separator, digests)).encode()).hexdigest()


def find_text(folder: Path, pattern: str = "", separator: str = "") -> Source:
    r"""Returns the text of a folder: input.txt or input.txt.gz, or the files that match `pattern`, in name order.

    The separator may use the escapes \n, \t, \r and \\. Raises UserError if nothing matches.
    """
    if pattern:
        files = matching(folder, pattern)
        if not files:
            raise UserError(f"no file in {folder} matches -files '{pattern}'{suggestion(folder)}")
        return Source(*files, separator=unescape(separator), folder=folder)
    path, packed = folder / "input.txt", folder / "input.txt.gz"
    return Source(packed if packed.is_file() and not path.is_file() else path)


def text_of_run(options: Mapping[str, Any]) -> Source | None:
    """Returns the text that a run's options name, if it is still there; a relative folder may also be in the program's.

    Returns None if the text is gone, or the options make no sense.
    """
    stored, pattern, separator = (str(options.get(name, "")) for name in ("data_dir", "files", "separator"))
    for folder in (Path(stored), ROOT / stored):
        if stored and "\0" not in stored and folder.is_dir():
            with suppress(UserError):
                source = find_text(folder, pattern, separator)
                if source.files[0].is_file():
                    return source
    return None


def matching(folder: Path, pattern: str) -> list[Path]:
    """Returns the files in a folder that match a pattern, in name order, without hidden ones and the cache."""
    try:
        names = sorted(path.relative_to(folder).as_posix() for path in folder.glob(pattern) if path.is_file())
    except (ValueError, NotImplementedError, IndexError) as error:
        raise UserError(f"-files '{pattern}' is not a valid pattern inside {folder}; try '*.txt'") from error
    return [folder / name for name in names if not re.search(r"(^|/)\.", name) and name not in CACHE_FILES]


def suggestion(folder: Path) -> str:
    """Returns a hint for a missing text if the folder has files that could be joined, else an empty string."""
    for pattern in ("*.txt", "*"):
        count = len(matching(folder, pattern))
        if count:
            what = "take the one file there" if count == 1 else f"join the {count} files there in name order"
            return f"; -files '{pattern}' would {what}"
    return ""


def check_there(path: Path) -> None:
    """Raises UserError, with a way out, if there is no such text."""
    if path.parent.is_file():
        raise UserError(f"{path.parent} is a file; -data_dir takes the folder that holds {path.name}")
    if not path.is_file():
        way_out = suggestion(path.parent) or "; put your text there, or give its folder with -data_dir"
        raise UserError(f"there is no {path}{way_out}")


def characters(source: Source, encoding: str, task: str) -> Iterator[bytes | np.ndarray]:
    """Yields the text's characters in large pieces: as bytes if all are below 256, else as uint32 code points.

    Each file is decoded separately, with its own byte order mark. Raises UserError if one is not text in this
    encoding.
    """
    for number, (path, pieces) in enumerate(source.read(task)):
        if number and source.separator:
            yield as_numbers(as_bytes(source.separator) if encoding == "bytes" else source.separator)
        for text in decoded(path, pieces, encoding):
            yield as_numbers(text)


def decoded(path: Path, pieces: Iterator[bytes], encoding: str) -> Iterator[str]:
    """Yields the content of a file as text. Raises UserError with the position in its decompressed content."""
    decoder = new_decoder(encoding)
    offset = 0
    for piece in itertools.chain(pieces, [b""]):
        start = offset - len(decoder.getstate()[0])
        try:
            yield decoder.decode(piece, final=not piece)
        except UnicodeError as error:
            where = start
            if isinstance(error, UnicodeDecodeError):
                # Counted from the end of the decoded bytes, since utf-8-sig strips the BOM from the front first.
                where = offset + len(piece) - len(error.object) + error.start
            utf16 = where == 0 and isinstance(error, UnicodeDecodeError) and error.object[:2] in UTF16_MARKS
            way_out = (
                "it starts like UTF-16; try -encoding utf-16"
                if utf16
                else "give its encoding with -encoding, or use -encoding latin-1 or bytes, which accept any file"
            )
            raise WrongEncoding(f"{path} is not {encoding} text (first bad byte at offset {where})", way_out) from error
        offset += len(piece)


@contextmanager
def encoding_of_model() -> Iterator[None]:
    """Inside this context a file in a wrong encoding can only be converted: the encoding is a trained model's."""
    try:
        yield
    except WrongEncoding as error:
        raise UserError(f"{error.fault}, which is what the model was trained on; convert it") from error


def as_numbers(text: str) -> bytes | np.ndarray:
    """Returns characters as their code points: bytes if all are below 256, else uint32."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def new_decoder(encoding: str) -> codecs.IncrementalDecoder:
    """Returns a decoder that takes a text in pieces; `bytes` decodes each byte to the character of its number.

    Raises UserError if there is no such text encoding.
    """
    return find_codec("latin-1" if canonical(encoding) == "bytes" else encoding).incrementaldecoder()  # type: ignore[misc]


def canonical(encoding: str) -> str:
    """Returns the canonical name of an encoding: UTF8 is utf-8. Raises UserError like `new_decoder`."""
    return "bytes" if encoding.lower() == "bytes" else find_codec(encoding).name


def find_codec(encoding: str) -> codecs.CodecInfo:
    try:
        # Only Python's own codecs: an installed package may have registered one that answers to any name.
        codec = encodings.search_function(encoding.lower())
        if not codec or not codec.incrementaldecoder or not isinstance(codec.incrementaldecoder().decode(b""), str):
            raise LookupError
        if codec.name == "punycode":  # it cannot be decoded in pieces
            raise LookupError
    except (LookupError, ValueError, TypeError) as error:
        raise UserError(
            f"{encoding!r} is not a text encoding; -encoding takes utf-8, latin-1, gb18030 and so on, or bytes"
        ) from error
    return codec


def progress_bar(task: str, size: int) -> tqdm:
    """Returns a progress bar for reading `size` bytes, shown on a terminal after a second."""
    quiet = not (task and sys.stderr.isatty())
    return tqdm(desc=task, total=size, unit="B", unit_scale=True, delay=1, leave=False, disable=quiet)


def unpacked(file: BinaryIO, path: Path, bar: tqdm) -> Iterator[bytes]:
    """Yields the content of a gzip file in pieces. Raises UserError if it is damaged."""
    try:
        with gzip.open(file) as content:
            yield from pieces_of(content, file, bar)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        what = "is cut off" if isinstance(error, EOFError) else "is damaged, or not a gzip file"
        raise UserError(
            f"{path} {what}; download it again, or unpack what you can and put that there as plain text"
        ) from error


def pieces_of(content: BinaryIO | gzip.GzipFile, file: BinaryIO, bar: tqdm) -> Iterator[bytes]:
    """Yields the rest of `content` in pieces; the bar follows the position in the underlying file."""
    before = file.tell()
    while chunk := content.read(CHUNK_BYTES):
        yield chunk
        bar.update(file.tell() - before)
        before = file.tell()
