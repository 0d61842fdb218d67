"""Indexes a text by its sorted vocabulary, and caches the result in two files in its folder.

vocab.json says which text and encoding the cache belongs to; data.bin is the array of indices, read memory-mapped.
They are left alone unless vocab.json is ours.
"""

import json
import operator
import os
import re
import stat
import tempfile
import time
import zlib
from contextlib import suppress
from dataclasses import dataclass
from functools import reduce
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from util.cli.console import tell
from util.cli.files import lock, replacing
from util.errors import UserError, reason
from util.text.source import CACHE_FILES, Source, canonical, check_there, code_points, pieces_of, progress_bar
from util.text.vocabulary import UNICODE_SIZE, Vocabulary

CACHE_FORMAT = 3
CACHE_START = re.compile(rb'\{"format": \d+, "encoding": "')
"""How a vocab.json of ours begins."""


@dataclass
class Text:
    """A text as indices: indices[n] is the rank of its n-th character in `vocabulary`, which is sorted.

    `sha256` is its source's, which has so many files.
    """

    vocabulary: Vocabulary
    indices: np.ndarray
    sha256: str
    file_count: int = 1


def load_text(source: Source, encoding: str, expected_sha256: str | None = None, keep: bool = True) -> Text:
    """Loads a text from its cache if that is valid; otherwise indexes the text and, to `keep` it, writes the cache.

    Raises UserError if a file is missing, empty or not text in this encoding, or if the SHA-256 is not as expected.
    """
    encoding = canonical(encoding)
    try:
        check_there(source.files[0])
        text = read_cache(source, encoding)
        if not text:
            with open(source.files[0], "rb") as file:
                if keep and os.access(source.folder, os.W_OK):  # one process at a time; the others find the cache
                    wait_for_lock(file, source)
                text = read_cache(source, encoding) or index(source, encoding, expected_sha256, keep)
    except OSError as error:
        raise UserError(f"cannot read or index {error.filename or source}: {reason(error)}") from error
    check_identity(source, text.sha256, expected_sha256)
    return text


def wait_for_lock(file: BinaryIO, source: Source) -> None:
    """Waits until no other process holds the lock of a file, and says after two seconds what it waits for."""
    for attempt in count():
        if lock(file):
            return
        if attempt == 20:
            tell(f"waiting for another process, which is indexing {source}; Ctrl-C ends this one")
        time.sleep(0.1)


def check_identity(source: Source, sha256: str, expected_sha256: str | None) -> None:
    """Raises UserError if a text is not the one that is expected, if one is."""
    if expected_sha256 not in (None, sha256):
        newest = max(source.files, key=lambda path: path.stat().st_mtime)
        which = f" (the newest of its files is {newest.name})" if len(source.files) > 1 else ""
        raise UserError(
            f"{source} is not the text that the run was trained on{which}; "
            "give that one's folder with -data_dir, or train on this one with -init_from"
        )


def read_cache(source: Source, encoding: str) -> Text | None:
    """Returns the text from its cache, if that is of this text in this encoding, and intact; else None."""
    header_path, data_path = (source.folder / name for name in CACHE_FILES)
    if not is_ours(header_path):
        return None
    with suppress(OSError, ValueError, KeyError):
        header = json.loads(header_path.read_bytes())
        expected = header.pop("crc32")
        if (header["format"], header["encoding"]) != (CACHE_FORMAT, encoding):
            return None
        if header["sha256"] != source.identity(encoding) or not data_path.is_file():  # perhaps a device without end
            return None
        # The file stays open from the check to the last batch: another run may replace it meanwhile.
        with open(data_path, "rb") as file:
            checksum = zlib.crc32(json.dumps(header).encode())  # the indices continue it
            with progress_bar("checking the indexed text", os.fstat(file.fileno()).st_size) as bar:
                for chunk in pieces_of(file, data_path, bar):
                    checksum = zlib.crc32(chunk, checksum)
            if checksum == expected:
                return text_from(source, header, file)
    return None


def index(source: Source, encoding: str, expected_sha256: str | None = None, keep: bool = True) -> Text:
    """Reads the text twice, once for its vocabulary and once for its indices, and keeps both in its folder.

    If it is not to be kept, uses a temporary file; so it does, with a warning, if the folder is not writable or has
    other files of these names.
    """
    vocabulary, sha256 = read_vocabulary(source, encoding)
    if not vocabulary:
        raise UserError(f"{source} is empty; put your text there")
    check_identity(source, sha256, expected_sha256)  # a checkpoint must not choose where a cache is written
    warn_of_characters(vocabulary, encoding, source)
    header = {"format": CACHE_FORMAT, "encoding": encoding, "sha256": sha256, "vocabulary": vocabulary}
    if keep:
        try:
            return write_cache(source, header)
        except OSError as error:
            tell(
                f"warning: cannot cache the indexed text in {source.folder} ({reason(error)}); "
                "every run will have to index it again"
            )
    with tempfile.TemporaryFile() as file:  # which goes when nobody reads it any more
        write_indices(source, header, file)
        return text_from(source, header, file)


def warn_of_returns(characters: str, source: Source) -> None:
    """Warns if lines end as on old Macs; `characters` are all that the text has."""
    if "\r" in characters and "\n" not in characters:
        tell(rf"warning: {source}: its lines end with a carriage return alone; tr '\r' '\n' makes that a newline")


def warn_of_characters(characters: str, encoding: str, source: Source) -> None:
    """Warns of characters that a text in this encoding hardly has on purpose; `characters` are all that it has."""
    warn_of_returns(characters, source)
    if "\0" in characters and not re.search("bytes|16|32", encoding):
        tell(f"warning: {source}: it has NUL characters; if it is UTF-16, say so with -encoding utf-16-le or utf-16-be")
    if encoding == "iso8859-1" and re.search("[\x80-\x9f]", characters):
        tell(f"warning: {source}: bytes 0x80 to 0x9f are quotes and dashes on Windows; for those, use -encoding cp1252")


def write_cache(source: Source, header: dict[str, Any]) -> Text:
    """Indexes a text into the two files in its folder. Raises OSError, also if others' files have their names."""
    header_path, data_path = (source.folder / name for name in CACHE_FILES)
    if not is_ours(header_path) and (os.path.lexists(header_path) or os.path.lexists(data_path)):
        raise FileExistsError("the vocab.json or data.bin there may be somebody's; move or delete it")
    # Nobody may read it who cannot read all of the text.
    modes = (stat.S_IMODE(path.stat().st_mode) for path in source.files)
    mode = reduce(operator.and_, modes) | stat.S_IRUSR | stat.S_IWUSR
    # vocab.json comes first: alone it is a cache to be made again, but data.bin alone could be anybody's.
    with replacing(data_path, mode=mode) as file:
        checksum = write_indices(source, header, file)
        with replacing(header_path, mode=mode) as header_file:
            header_file.write(json.dumps(header | {"crc32": checksum}).encode())
        return text_from(source, header, file)


def is_ours(header_path: Path) -> bool:
    """Whether a vocab.json is one that we wrote, and may read."""
    with suppress(OSError):
        if header_path.is_file():
            with open(header_path, "rb") as file:
                return bool(CACHE_START.match(file.read(100)))
    return False


def text_from(source: Source, header: dict[str, Any], file: BinaryIO) -> Text:
    """Returns the text whose indices are in an open file, memory-mapped."""
    vocabulary = Vocabulary(header["vocabulary"], header["encoding"])
    return Text(vocabulary, np.memmap(file, index_type(vocabulary), "r"), header["sha256"], len(source.files))


def index_type(vocabulary: Vocabulary) -> np.dtype:
    """Returns the smallest type for indices into a vocabulary."""
    return np.min_scalar_type(len(vocabulary) - 1).newbyteorder("<")


def read_vocabulary(source: Source, encoding: str) -> tuple[str, str]:
    """Returns the distinct characters of a text, sorted, and its SHA-256."""
    seen, seen_bytes = np.zeros(UNICODE_SIZE, bool), bytearray()

    def look(piece: str) -> None:
        codes = code_points(piece)
        if codes.dtype == np.uint8:  # usual, and several times faster this way
            seen_bytes.extend(set(codes.tobytes().translate(None, seen_bytes)))
        else:
            seen[codes] = True

    sha256 = source.hand_over(encoding, look, "reading the text")
    seen[list(seen_bytes)] = True
    return "".join(map(chr, np.flatnonzero(seen))), sha256


def write_indices(source: Source, header: dict[str, Any], file: BinaryIO) -> int:
    """Writes the text's indices to the file; returns the checksum of header and indices.

    Raises UserError if the text has changed.
    """
    vocabulary = Vocabulary(header["vocabulary"], header["encoding"])
    rank, checksum = vocabulary.by_code.astype(index_type(vocabulary)), zlib.crc32(json.dumps(header).encode())

    def write(piece: str) -> None:
        nonlocal checksum
        codes = code_points(piece)
        in_bytes = codes.dtype == rank.dtype == np.uint8  # several times faster
        indices = codes.tobytes().translate(rank[:256].tobytes()) if in_bytes else rank[codes]
        checksum = zlib.crc32(indices, checksum)
        file.write(indices)

    sha256 = source.hand_over(vocabulary.encoding, write, "indexing the text")
    file.flush()
    # Before the cache is in place: under the name of this text it must not hold another.
    if sha256 != header["sha256"]:
        raise UserError(f"{source} changed while it was being read; start again")
    return checksum
