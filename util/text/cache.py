"""Indexes a text by its sorted vocabulary, and caches the result in two files in its folder.

vocab.json says which text and encoding the cache belongs to; data.bin is the array of indices, read memory-mapped.
They are left alone unless vocab.json is ours.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from util.cli.console import tell
from util.cli.files import replacing
from util.errors import UserError, reason
from util.text.source import CACHE_FILES, Source, canonical, check_there, pieces_of, progress_bar
from util.text.vocabulary import UNICODE_SIZE, Vocabulary

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

MANY_CHARACTERS = 10_000
CACHE_FORMAT = 2
CACHE_START = re.compile(rb'\{"format": \d+, "encoding": "')
"""How a vocab.json of ours begins."""
VOCABULARY, DATA = CACHE_FILES


@dataclass
class Text:
    """A text as indices: indices[n] is the rank of its n-th character in `vocabulary`, which is sorted.

    `sha256` is its source's.
    """

    vocabulary: Vocabulary
    indices: np.ndarray
    sha256: str


@dataclass
class CacheHeader:
    """vocab.json: which text the cache belongs to, what data.bin holds, and a checksum over both."""

    format: int
    encoding: str
    sha256: str
    vocabulary: str
    length: int
    dtype: str
    crc32: int = 0

    def own_crc32(self) -> int:
        """Returns the checksum of the header, which the checksum of data.bin continues."""
        *values, _ = asdict(self).values()
        return zlib.crc32(repr(tuple(values)).encode())


def load_text(source: Source, encoding: str, expected_sha256: str | None = None) -> Text:
    """Loads a text from its cache if that is valid; otherwise indexes the text and writes the cache.

    Raises UserError if a file is missing, empty or not text in this encoding, or if the SHA-256 is not as expected.
    """
    encoding = canonical(encoding)
    try:
        check_there(source.files[0])
        text = read_cache(source, encoding)
        if not text:
            with taking_turns(source.folder):
                text = read_cache(source, encoding) or make_cache(source, encoding)
    except OSError as error:
        raise UserError(f"cannot read {error.filename or source}: {reason(error)}") from error
    if expected_sha256 not in (None, text.sha256):
        raise UserError(
            f"{source} is not the text that the run was trained on; to train on it, start a new run with -init_from"
        )
    if len(text.vocabulary) > MANY_CHARACTERS:
        tell(
            f"warning: the text has {len(text.vocabulary):,} different characters, which makes steps slow and takes "
            "memory; if -encoding is right, try -encoding bytes, or a lower -batch_size or -seq_length"
        )
    return text


@contextmanager
def taking_turns(folder: Path) -> Iterator[None]:
    """Lets one process at a time index the text of a folder; the others wait and then find the cache.

    If the folder cannot be locked or written to, all index at the same time: slower, but correct.
    """
    if not fcntl or not os.access(folder, os.R_OK | os.W_OK):
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def read_cache(source: Source, encoding: str) -> Text | None:
    """Returns the text from its cache, if that is of this text in this encoding, and intact; else None."""
    path = source.folder / VOCABULARY
    try:
        header = CacheHeader(**json.loads(path.read_bytes())) if path.is_file() else None
    except (OSError, ValueError, TypeError, RecursionError):
        header = None
    if not header or (header.format, header.encoding, header.sha256) != (CACHE_FORMAT, encoding, source.identity()):
        return None
    try:
        # The file stays open from the check to the last batch: another run may replace it meanwhile.
        with open(source.folder / DATA, "rb") as file:
            checksum = header.own_crc32()
            with progress_bar("checking the indexed text", os.fstat(file.fileno()).st_size) as bar:
                for chunk in pieces_of(file, file, bar):
                    checksum = zlib.crc32(chunk, checksum)
            indices = np.memmap(file, np.dtype(header.dtype), "r", shape=(header.length,))
            intact = checksum == header.crc32 and file.tell() == indices.nbytes
    except (OSError, ValueError, TypeError, OverflowError, SyntaxError):
        return None
    return Text(Vocabulary(header.vocabulary, encoding), indices, header.sha256) if intact else None


def make_cache(source: Source, encoding: str) -> Text:
    """Reads the text twice, once for its vocabulary and once for its indices, and writes both to its folder.

    If the folder is not writable, or has other files of these names, warns and uses a temporary file.
    """
    vocabulary, length = read_vocabulary(source, encoding)
    if not length:
        raise UserError(f"{source} is empty; put your text there")
    dtype = np.min_scalar_type(len(vocabulary) - 1)
    header = CacheHeader(CACHE_FORMAT, encoding, source.sha256, vocabulary, length, dtype.str)
    try:
        check_replaceable(source.folder)
        # vocab.json comes first: alone it is a cache to be made again, but data.bin alone could be anybody's.
        with replacing(source.folder / DATA) as file:
            indices = write_indices(source, header, file)
            with replacing(source.folder / VOCABULARY) as header_file:
                header_file.write(json.dumps(asdict(header)).encode())
    except OSError as error:
        tell(
            f"warning: cannot cache the indexed text in {source.folder} ({reason(error)}); "
            "every run will have to index it again"
        )
        try:
            with tempfile.TemporaryFile() as file:
                indices = write_indices(source, header, file)
        except OSError as error:
            raise UserError(
                f"cannot index {source}: {reason(error)} in the temporary folder; make room, or name another in TMPDIR"
            ) from error
    return Text(Vocabulary(vocabulary, encoding), indices, header.sha256)


def check_replaceable(folder: Path) -> None:
    """Raises OSError if the folder has a vocab.json that is not ours, or a data.bin without a vocab.json."""
    header = folder / VOCABULARY
    ours = header.is_file() and CACHE_START.match(header.read_bytes())
    if not ours and any(os.path.lexists(folder / name) for name in CACHE_FILES):
        raise FileExistsError("the vocab.json or data.bin there may be somebody's; move or delete it")


def read_vocabulary(source: Source, encoding: str) -> tuple[str, int]:
    """Returns the distinct characters of a text, sorted, and how many characters it has."""
    length, seen, seen_bytes = 0, np.zeros(UNICODE_SIZE, bool), b""
    for chunk in source.characters(encoding, "reading the text"):
        length += len(chunk)
        if chunk.dtype == np.uint8:  # usual, and several times faster this way
            seen_bytes += bytes(set(chunk.tobytes().translate(None, seen_bytes)))
        else:
            seen[chunk] = True
    seen[list(seen_bytes)] = True
    return "".join(map(chr, np.flatnonzero(seen))), length


def write_indices(source: Source, header: CacheHeader, file: BinaryIO) -> np.ndarray:
    """Writes the text's indices to the file and their checksum to the header; returns the indices memory-mapped.

    Raises UserError if the text has changed.
    """
    dtype = np.dtype(header.dtype)
    rank = np.zeros(UNICODE_SIZE, dtype)
    rank[[ord(c) for c in header.vocabulary]] = np.arange(len(header.vocabulary))
    checksum = header.own_crc32()
    for chunk in source.characters(header.encoding, "indexing the text"):
        same_size = chunk.dtype == dtype == np.uint8  # several times faster as bytes
        indices = chunk.tobytes().translate(rank[:256].tobytes()) if same_size else rank[chunk]
        checksum = zlib.crc32(indices, checksum)
        file.write(indices)
    file.flush()
    # Before the cache is in place: under the name of this text it must not hold another.
    if source.sha256 != header.sha256:
        raise UserError(f"{source} changed while it was being read; start again")
    header.crc32 = checksum
    return np.memmap(file, dtype, "r", shape=(header.length,))
