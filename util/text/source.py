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
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from tqdm import tqdm

from util import ROOT
from util.cli.flags import as_bytes, unescape
from util.errors import UserError
from util.text.hints import what_it_may_be

CHUNK_BYTES = 1 << 22
CACHE_FILES = ("vocab.json", "data.bin")
"""What util.text.cache keeps in a text's folder."""
JOINING = ("files", "separator", "document_end")  # the flags that say how files are joined, as find_text takes them


class Source:
    """One or more files that are read in order, with a separator between them; *.gz files are decompressed.

    A file that does not end with `end`, by itself or by the separator, gets it. `folder` is where the cache goes; by
    default the first file's folder.
    """

    sha256 = ""
    """The identity of the text as it was last read to its end: the SHA-256 of the file's decompressed content.

    For several files it is the SHA-256 of all of their digests, the separator and, if a file got it, the end.
    """

    def __init__(self, *files: Path, separator: str = "", end: str = "", folder: Path | None = None) -> None:
        self.files, self.separator, self.end = files, separator, end
        self.folder = folder or files[0].parent
        self._completed = False  # whether a file got the end when the text was last read

    def __str__(self) -> str:
        return str(self.files[0]) if len(self.files) == 1 else f"the text of {len(self.files)} files in {self.folder}"

    def read(self, task: str) -> Iterator[tuple[Path, Iterator[bytes]]]:
        """Yields each file with its decompressed content in pieces. Raises UserError if a .gz file is damaged."""
        digests = []
        with progress_bar(task, sum(path.stat().st_size for path in self.files)) as bar:
            for path in self.files:
                digest = hashlib.sha256()
                with open(path, "rb") as file:
                    pieces = unpacked(file, path, bar) if path.suffix == ".gz" else pieces_of(file, file, bar)
                    yield path, hashing(pieces, digest)
                digests.append(digest.hexdigest())
        end = (self.end,) * self._completed
        several = hashlib.sha256(repr((self.separator, digests, *end)).encode()).hexdigest()
        self.sha256 = digests[0] if len(digests) == 1 and not end else several

    def characters(self, encoding: str, task: str = "") -> Iterator[np.ndarray]:
        """Yields the text's code points in large pieces: as uint8 if all of a piece are below 256, else as uint32.

        Each file is decoded separately, with its own byte order mark. Raises UserError if one is not text in this
        encoding.
        """
        return (codes for _, codes in self.by_file(encoding, task))

    def by_file(self, encoding: str, task: str = "") -> Iterator[tuple[Path, np.ndarray]]:
        """Yields the same, each piece with the file that it is from; a separator belongs to the file before it."""
        typed = as_bytes if encoding == "bytes" else str
        between, end = typed(self.separator), typed(self.end)
        self._completed = False
        for number, (path, pieces) in enumerate(self.read(task)):
            if number and between:
                yield self.files[number - 1], code_points(between)
            last = ""
            for piece in decoded(path, pieces, encoding):
                last = (last + piece[-len(end) :])[-len(end) :] if end else ""
                yield path, code_points(piece)
            if last and not last.endswith(end) and not (last + between).endswith(end):
                self._completed = True
                yield path, code_points(end)

    def identity(self, encoding: str) -> str:
        """Reads the text to check it, and returns its `sha256`. Raises UserError like `characters`."""
        task = "checking the text"
        pieces: Iterator[Any] = itertools.chain.from_iterable(pieces for _, pieces in self.read(task))
        for _ in self.characters(encoding, task) if self.end else pieces:
            pass
        return self.sha256


def find_text(folder: Path, pattern: str = "", separator: str = "", document_end: str = "") -> Source:
    r"""Returns the text of a folder: input.txt or input.txt.gz, or the files that match `pattern`, in name order.

    The separator and the end of each of these files may use the escapes \n, \t, \r and \\. Raises UserError if
    nothing matches.
    """
    if pattern:
        files = matching(folder, pattern)
        if not files:
            raise UserError(f"no file in {folder} matches -files '{pattern}'{suggestion(folder)}")
        return Source(*files, separator=unescape(separator), end=unescape(document_end), folder=folder)
    path, packed = folder / "input.txt", folder / "input.txt.gz"
    return Source(packed if packed.is_file() and not path.is_file() else path)


def text_of_run(options: Mapping[str, Any]) -> Source | None:
    """Returns the text that a run's options name, or None if it is gone; a relative folder may be in the program's."""
    stored, *how = (str(options.get(name, "")) for name in ("data_dir", *JOINING))
    for folder in (Path(stored), ROOT / stored):
        if stored and folder.is_dir():
            with suppress(UserError):
                source = find_text(folder, *how)
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
    """Raises UserError, with advice, if there is no such text."""
    if path.parent.is_file():
        raise UserError(f"{path.parent} is a file; -data_dir takes the folder that holds {path.name}")
    if not path.is_file():
        advice = suggestion(path.parent) or "; put your text there, or give its folder with -data_dir"
        raise UserError(f"there is no {path}{advice}")


def decoded(path: Path, pieces: Iterator[bytes], encoding: str) -> Iterator[str]:
    """Yields the content of a file as text. Raises UserError with the position in its decompressed content."""
    decoder, offset, beginning = new_decoder(encoding), 0, b""
    for piece in itertools.chain(pieces, [b""]):
        start, beginning = offset - len(decoder.getstate()[0]), beginning or piece[:1000]
        try:
            yield decoder.decode(piece, final=not piece)
        except UnicodeError as error:
            bad = start
            if isinstance(error, UnicodeDecodeError):
                # Counted from the end of the decoded bytes, since utf-8-sig strips the BOM from the front first.
                bad = offset + len(piece) - len(error.object) + error.start
            what = what_it_may_be(beginning, piece, encoding)
            raise UserError(f"{path} is not {encoding} text (first bad byte at offset {bad}); {what}") from error
        offset += len(piece)


def code_points(text: str) -> np.ndarray:
    """Returns characters as their code points: uint8 if all are below 256, else uint32."""
    try:
        return np.frombuffer(text.encode("latin-1"), np.uint8)
    except UnicodeEncodeError:
        return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def new_decoder(encoding: str) -> codecs.IncrementalDecoder:
    """Returns a decoder that takes a text in pieces; `bytes` decodes each byte to the character of its number.

    Raises UserError if there is no such text encoding.
    """
    return codec_of("latin-1" if canonical(encoding) == "bytes" else encoding).incrementaldecoder()  # type: ignore[misc]


def canonical(encoding: str) -> str:
    """Returns the canonical name of an encoding: UTF8 is utf-8. Raises UserError like `new_decoder`."""
    return "bytes" if encoding.lower() == "bytes" else codec_of(encoding).name


def codec_of(encoding: str) -> codecs.CodecInfo:
    try:
        # Only Python's own codecs: an installed package may have registered one that answers to any name.
        codec = encodings.search_function(encoding.lower())
        in_pieces = codec and codec.name != "punycode" and codec.incrementaldecoder
        if codec and in_pieces and isinstance(in_pieces().decode(b""), str):
            return codec
    except (LookupError, ValueError, TypeError):
        pass
    raise UserError(f"{encoding!r} is not a text encoding; -encoding takes utf-8, latin-1, gb18030 and so on, or bytes")


def progress_bar(task: str, size: int) -> tqdm:
    """Returns a progress bar for reading `size` bytes, shown on a terminal after a second."""
    quiet = not (task and sys.stderr.isatty())
    return tqdm(desc=task, total=size, unit="B", unit_scale=True, delay=1, leave=False, disable=quiet)


def hashing(pieces: Iterator[bytes], digest: hashlib._Hash) -> Iterator[bytes]:
    """Yields the pieces as they are, and adds them to the digest."""
    for piece in pieces:
        digest.update(piece)
        yield piece


def unpacked(file: BinaryIO, path: Path, bar: tqdm) -> Iterator[bytes]:
    """Yields the content of a gzip file in pieces. Raises UserError if it is damaged."""
    try:
        with gzip.open(file) as content:
            yield from pieces_of(content, file, bar)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        what = "is cut off" if isinstance(error, EOFError) else "is damaged, or not a gzip file"
        raise UserError(f"{path} {what}; download it again, or put what you can unpack there as plain text") from error


def pieces_of(content: BinaryIO | gzip.GzipFile, file: BinaryIO, bar: tqdm) -> Iterator[bytes]:
    """Yields the rest of `content` in pieces; the bar follows the position in the underlying file."""
    before = file.tell()
    while chunk := content.read(CHUNK_BYTES):
        yield chunk
        bar.update(file.tell() - before)
        before = file.tell()
