"""The text as indices into its sorted vocabulary, kept in two files in its folder.

vocab.json says which text and encoding they belong to; data.bin is the array, memory-mapped from then on.
"""

from __future__ import annotations

import json
import os
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from util.cli.console import warn
from util.cli.files import replacing
from util.errors import UserError, reason
from util.text.source import Source, canonical, characters, check_there, chunks, progress_bar
from util.text.vocabulary import UNICODE_SIZE, Vocabulary

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

MANY_CHARACTERS = 10_000
CACHE_FORMAT = 1


@dataclass
class Text:
    """A text as indices: indices[n] is the rank in `vocabulary`, which is sorted, of its n-th character.

    `sha256` is that of its source.
    """

    vocabulary: Vocabulary
    indices: np.ndarray
    sha256: str


def load_text(source: Source, encoding: str, expected_sha256: str | None = None) -> Text:
    """Reads a text, from its cache where that belongs to it and is whole; otherwise makes the cache.

    Raises UserError where a file is missing, empty, not text in this encoding, or not the one with that SHA-256.
    """
    encoding = canonical(encoding)
    try:
        check_there(source.files[0])
        sha256 = source.sha256()
        if expected_sha256 not in (None, sha256):
            raise UserError(
                f"{source} is not the text that the run learned from; -init_from starts a new run with this one"
            )
        text = read_cache(source.folder, encoding, sha256)
        if not text:
            with taking_turns(source.folder):
                text = read_cache(source.folder, encoding, sha256) or make_cache(source, encoding, sha256)
    except OSError as error:
        raise UserError(f"cannot read {error.filename or source}: {reason(error)}") from error
    if len(text.vocabulary) > MANY_CHARACTERS:
        warn(
            f"warning: the text has {len(text.vocabulary):,} different characters; a step computes the probability of "
            "each at every place of the batch, which takes memory and time. Is -encoding right? "
            "-encoding bytes has 256 at most, and a lower -batch_size or -seq_length takes less memory"
        )
    return text


@contextmanager
def taking_turns(folder: Path) -> Iterator[None]:
    """Lets one process at a time index the text of a folder; the others wait, and find it done.

    Where folders cannot be locked, or nothing can be kept there, they all do it at once: slower, but right.
    """
    if not fcntl or not os.access(folder, os.W_OK):
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@dataclass
class CacheHeader:
    """vocab.json: whose cache this is, what data.bin holds, and a checksum of both."""

    format: int
    encoding: str
    sha256: str
    vocabulary: str
    length: int
    dtype: str
    crc32: int = 0

    def own_crc32(self) -> int:
        """Returns the checksum of the header itself, which that of data.bin goes on from."""
        return zlib.crc32(
            repr((self.format, self.encoding, self.sha256, self.vocabulary, self.length, self.dtype)).encode()
        )


def read_cache(folder: Path, encoding: str, sha256: str) -> Text | None:
    """Returns the text cached in a folder, if it is this one in this encoding, and whole."""
    try:
        header = CacheHeader(**json.loads((folder / "vocab.json").read_bytes()))
        if (header.format, header.encoding, header.sha256) != (CACHE_FORMAT, encoding, sha256):
            return None
        # One open file from the check to the last batch: another run may put its own in this place meanwhile.
        with open(folder / "data.bin", "rb") as file:
            checksum = header.own_crc32()
            with progress_bar("checking the indexed text", os.fstat(file.fileno()).st_size) as bar:
                for chunk in chunks(file, file, bar):
                    checksum = zlib.crc32(chunk, checksum)
            indices = np.memmap(file, np.dtype(header.dtype), "r", shape=(header.length,))
            whole = checksum == header.crc32 and file.tell() == indices.nbytes
    except (OSError, ValueError, TypeError, OverflowError, RecursionError, SyntaxError):
        return None
    return Text(Vocabulary(header.vocabulary, encoding), indices, sha256) if whole else None


def make_cache(source: Source, encoding: str, sha256: str) -> Text:
    """Reads the text twice, for its vocabulary and for its indices, and keeps both in its folder.

    Where the folder cannot be written to, that costs a warning, and the indices go into a temporary file.
    """
    vocabulary, length = find_vocabulary(source, encoding)
    if not length:
        raise UserError(f"{source} is empty; put the text to learn there")
    dtype = np.min_scalar_type(len(vocabulary) - 1)
    header = CacheHeader(CACHE_FORMAT, encoding, sha256, vocabulary, length, dtype.str)
    try:
        with replacing(source.folder / "data.bin") as file:
            indices = write_indices(source, header, file)
        with replacing(source.folder / "vocab.json") as file:
            file.write(json.dumps(asdict(header)).encode())
    except OSError as error:
        warn(
            f"warning: cannot keep the indexed text in {source.folder} ({reason(error)}); every run will index it anew"
        )
        with tempfile.TemporaryFile() as file:
            indices = write_indices(source, header, file)
    if source.sha256() != sha256:
        raise UserError(f"{source} was changed while it was being read; start again")
    return Text(Vocabulary(vocabulary, encoding), indices, sha256)


def find_vocabulary(source: Source, encoding: str) -> tuple[str, int]:
    """Returns the distinct characters of a text in order, and how many characters it has."""
    length = 0
    seen_bytes, seen = b"", np.zeros(UNICODE_SIZE, bool)
    for chunk in characters(source, encoding, "reading the text"):
        length += len(chunk)
        if isinstance(chunk, bytes):
            seen_bytes += bytes(set(chunk.translate(None, seen_bytes)))
        else:
            seen[chunk] = True
    seen[list(seen_bytes)] = True
    return "".join(map(chr, np.flatnonzero(seen))), length


def write_indices(source: Source, header: CacheHeader, file: BinaryIO) -> np.ndarray:
    """Writes the text's indices to the file and their checksum into the header; returns them memory-mapped."""
    dtype = np.dtype(header.dtype)
    codes = [ord(c) for c in header.vocabulary]
    rank = np.zeros(UNICODE_SIZE, dtype)
    rank[codes] = np.arange(len(codes))
    byte_rank = rank[:256].tobytes() if dtype.itemsize == 1 else None
    checksum = header.own_crc32()
    for chunk in characters(source, header.encoding, "indexing the text"):
        if byte_rank and isinstance(chunk, bytes):
            indices = chunk.translate(byte_rank)
        else:
            indices = rank[np.frombuffer(chunk, np.uint8) if isinstance(chunk, bytes) else chunk]
        checksum = zlib.crc32(indices, checksum)
        file.write(indices)
    file.flush()
    header.crc32 = checksum
    return np.memmap(file, dtype, "r", shape=(header.length,))
