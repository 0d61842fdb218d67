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
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from util.cli.console import tell
from util.cli.files import replacing
from util.errors import UserError, reason
from util.text.hints import doubts
from util.text.source import CACHE_FILES, Source, canonical, check_there, pieces_of, progress_bar
from util.text.vocabulary import UNICODE_SIZE, Vocabulary

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

CACHE_FORMAT = 3
CACHE_START = re.compile(rb'\{"format": \d+, "encoding": "')
"""How a vocab.json of ours begins."""
VOCABULARY, DATA = CACHE_FILES


@dataclass
class Text:
    """A text as indices: indices[n] is the rank of its n-th character in `vocabulary`, which is sorted.

    `sha256` is its source's, and `files` how many files that has.
    """

    vocabulary: Vocabulary
    indices: np.ndarray
    sha256: str
    files: int = 1


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
    if not path.is_file():
        return None
    try:
        header = json.loads(path.read_bytes())
        expected = header.pop("crc32")
        ours = (header["format"], header["encoding"]) == (CACHE_FORMAT, encoding)
        if not ours or header["sha256"] != source.identity(encoding):
            return None
        # The file stays open from the check to the last batch: another run may replace it meanwhile.
        with open(source.folder / DATA, "rb") as file:
            checksum = checksum_of(header)
            with progress_bar("checking the indexed text", os.fstat(file.fileno()).st_size) as bar:
                for chunk in pieces_of(file, file, bar):
                    checksum = zlib.crc32(chunk, checksum)
            if checksum == expected:
                indices = np.memmap(file, index_type(header["vocabulary"]), "r")
                return Text(Vocabulary(header["vocabulary"], encoding), indices, header["sha256"], len(source.files))
    except (OSError, ValueError, TypeError, AttributeError, KeyError, RecursionError):
        pass
    return None


def make_cache(source: Source, encoding: str) -> Text:
    """Reads the text twice, once for its vocabulary and once for its indices, and writes both to its folder.

    If the folder is not writable, or has other files of these names, warns and uses a temporary file.
    """
    vocabulary, length = read_vocabulary(source, encoding)
    if not length:
        raise UserError(f"{source} is empty; put your text there")
    for sentence in doubts(vocabulary, encoding):
        tell(f"warning: {source}: {sentence}")
    header: dict[str, Any] = {
        "format": CACHE_FORMAT,
        "encoding": encoding,
        "sha256": source.sha256,
        "vocabulary": vocabulary,
    }
    try:
        check_replaceable(source.folder)
        # vocab.json comes first: alone it is a cache to be made again, but data.bin alone could be anybody's.
        with replacing(source.folder / DATA) as file:
            indices, checksum = write_indices(source, header, file)
            with replacing(source.folder / VOCABULARY) as header_file:
                header_file.write(json.dumps(header | {"crc32": checksum}).encode())
    except OSError as error:
        tell(
            f"warning: cannot cache the indexed text in {source.folder} ({reason(error)}); "
            "every run will have to index it again"
        )
        try:
            with tempfile.TemporaryFile() as file:
                indices, _ = write_indices(source, header, file)
        except OSError as error:
            raise UserError(
                f"cannot index {source}: {reason(error)} in the temporary folder; make room, or name another in TMPDIR"
            ) from error
    return Text(Vocabulary(vocabulary, encoding), indices, header["sha256"], len(source.files))


def checksum_of(header: dict[str, Any]) -> int:
    """Returns the checksum of the header, which that of the indices continues."""
    return zlib.crc32(json.dumps(header).encode())


def index_type(vocabulary: str) -> np.dtype:
    """Returns the smallest type for indices into a vocabulary."""
    return np.min_scalar_type(len(vocabulary) - 1).newbyteorder("<")


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


def write_indices(source: Source, header: dict[str, Any], file: BinaryIO) -> tuple[np.ndarray, int]:
    """Writes the text's indices to the file; returns them memory-mapped, and the checksum of header and indices.

    Raises UserError if the text has changed.
    """
    dtype = index_type(header["vocabulary"])
    rank = np.zeros(UNICODE_SIZE, dtype)
    rank[[ord(c) for c in header["vocabulary"]]] = np.arange(len(header["vocabulary"]))
    checksum = checksum_of(header)
    for chunk in source.characters(header["encoding"], "indexing the text"):
        in_bytes = chunk.dtype == dtype == np.uint8  # several times faster
        indices = chunk.tobytes().translate(rank[:256].tobytes()) if in_bytes else rank[chunk]
        checksum = zlib.crc32(indices, checksum)
        file.write(indices)
    file.flush()
    # Before the cache is in place: under the name of this text it must not hold another.
    if source.sha256 != header["sha256"]:
        raise UserError(f"{source} changed while it was being read; start again")
    return np.memmap(file, dtype, "r"), checksum
