"""input.txt as batches of indices, the way char-rnn cuts them.

The text becomes one long array of indices into the sorted vocabulary, kept beside input.txt in two cache files:
vocab.json says which text and encoding they belong to, data.bin is the array, memory-mapped from then on.
"""

from __future__ import annotations

import codecs
import encodings
import hashlib
import itertools
import json
import os
import sys
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from tqdm import tqdm

from util.errors import UserError, reason, warn
from util.files import replacing

CHUNK_BYTES = 1 << 22
CACHE_FORMAT = 1
UNICODE_SIZE = 0x110000


class CharLoader:
    """Batches of B streams of S characters, in three splits.

    The text, cut to a multiple of B·S, is read as B equal consecutive streams; batch k holds columns k·S to (k+1)·S
    of that matrix. The first batches are for training, the next for validation, the rest for testing.
    """

    def __init__(
        self,
        indices: np.ndarray,
        batch_size: int,
        seq_length: int,
        train_frac: float,
        val_frac: float,
        translation: np.ndarray | None = None,
        streams: slice = slice(None),
    ) -> None:
        """`translation`, if given, turns an index of the text's vocabulary into one of the model's.

        `streams` are those of the B that `batch` gives.
        """
        self.indices, self.translation = indices, translation
        num_batches = len(indices) // (batch_size * seq_length)
        self.length = num_batches * batch_size * seq_length
        self.split_sizes = split_sizes(num_batches, train_frac, val_frac)
        stream_length = num_batches * seq_length
        self.seq_length = seq_length
        if num_batches:
            # Where in the text the characters of batch 0 stand, and after them the last targets: (S+1, B).
            self._offsets = np.arange(seq_length + 1)[:, None] + np.arange(batch_size)[streams] * stream_length

    def batch(self, split: int, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Inputs and targets, int64 (S, streams) each, of a batch of split 0 (train), 1 (validation) or 2 (test).

        Targets are the inputs shifted by one character; after the text's last character comes its first.
        """
        k = sum(self.split_sizes[:split]) + number
        places = self._offsets + k * self.seq_length
        places[-1] %= self.length
        window = self.indices[places]
        window = window.astype(np.int64) if self.translation is None else self.translation[window]
        return window[:-1], window[1:]


def split_sizes(num_batches: int, train_frac: float, val_frac: float) -> tuple[int, int, int]:
    """How many batches there are for training, validation and testing."""
    train = int(num_batches * train_frac)
    if train_frac + val_frac >= 1:
        return train, num_batches - train, 0
    val = int(num_batches * val_frac)
    return train, val, num_batches - train - val


@dataclass
class Text:
    """A text as indices: indices[n] is the rank in `vocabulary` of its n-th character.

    With the encoding `bytes` a character is a byte, and the vocabulary holds the characters of the same numbers.
    `sha256` is that of the file.
    """

    vocabulary: str
    indices: np.ndarray
    sha256: str


def load_text(path: Path, encoding: str, expected_sha256: str | None = None) -> Text:
    """Reads input.txt, from its cache where that belongs to it and is whole; otherwise makes the cache.

    Raises UserError where the file is missing, empty, not text in this encoding, or not the one with that SHA-256.
    """
    new_decoder(encoding)
    try:
        if path.parent.is_file():
            raise UserError(f"{path.parent} is a file; -data_dir wants a folder that holds {path.name}")
        if not path.is_file():
            raise UserError(f"there is no {path}; put the text to learn there, or name its folder with -data_dir")
        sha256 = hash_file(path)
        if expected_sha256 not in (None, sha256):
            raise UserError(
                f"{path} is not the text that the run learned from; -init_from starts a new run with this one"
            )
        return read_cache(path, encoding, sha256) or make_cache(path, encoding, sha256)
    except OSError as error:
        raise UserError(f"cannot read {path}: {reason(error)}") from error


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
        """The checksum of the header itself, which that of data.bin goes on from."""
        return zlib.crc32(
            repr((self.format, self.encoding, self.sha256, self.vocabulary, self.length, self.dtype)).encode()
        )


def read_cache(path: Path, encoding: str, sha256: str) -> Text | None:
    """The cached text, if it is of this file and encoding, and whole."""
    try:
        header = CacheHeader(**json.loads(path.with_name("vocab.json").read_bytes()))
        if (header.format, header.encoding, header.sha256) != (CACHE_FORMAT, encoding, sha256):
            return None
        # One open file from the check to the last batch: another run may put its own in this place meanwhile.
        with open(path.with_name("data.bin"), "rb") as file:
            checksum = header.own_crc32()
            for chunk in chunks(file, "checking the indexed text"):
                checksum = zlib.crc32(chunk, checksum)
            indices = np.memmap(file, np.dtype(header.dtype), "r", shape=(header.length,))
            whole = checksum == header.crc32 and file.tell() == indices.nbytes
    except (OSError, ValueError, TypeError, OverflowError, RecursionError, SyntaxError):
        return None
    return Text(header.vocabulary, indices, sha256) if whole else None


def make_cache(path: Path, encoding: str, sha256: str) -> Text:
    """Reads the text twice, for its vocabulary and for its indices, and keeps both beside it.

    Where the folder cannot be written to, that costs a warning, and the indices go into a temporary file.
    """
    vocabulary, length = find_vocabulary(path, encoding)
    if not length:
        raise UserError(f"{path} is empty; put the text to learn there")
    dtype = np.min_scalar_type(len(vocabulary) - 1)
    header = CacheHeader(CACHE_FORMAT, encoding, sha256, vocabulary, length, dtype.str)
    try:
        with replacing(path.with_name("data.bin")) as file:
            indices = write_indices(path, header, file)
        with replacing(path.with_name("vocab.json")) as file:
            file.write(json.dumps(asdict(header)).encode())
    except OSError as error:
        warn(f"warning: cannot keep the indexed text in {path.parent} ({reason(error)}); every run will index it anew")
        with tempfile.TemporaryFile() as file:
            indices = write_indices(path, header, file)
    if hash_file(path) != sha256:
        raise UserError(f"{path} was changed while it was being read; start again")
    return Text(vocabulary, indices, sha256)


def find_vocabulary(path: Path, encoding: str) -> tuple[str, int]:
    """The distinct characters of a text in order, and how many characters it has."""
    length = 0
    seen_bytes, seen = b"", np.zeros(UNICODE_SIZE, bool)
    for chunk in characters(path, encoding, "reading the text"):
        length += len(chunk)
        if isinstance(chunk, bytes):
            seen_bytes += bytes(set(chunk.translate(None, seen_bytes)))
        else:
            seen[chunk] = True
    seen[list(seen_bytes)] = True
    return "".join(map(chr, np.flatnonzero(seen))), length


def write_indices(path: Path, header: CacheHeader, file: BinaryIO) -> np.ndarray:
    """Writes the text's indices to the file and their checksum into the header; returns them memory-mapped."""
    dtype = np.dtype(header.dtype)
    codes = [ord(c) for c in header.vocabulary]
    rank = np.zeros(UNICODE_SIZE, dtype)
    rank[codes] = np.arange(len(codes))
    byte_rank = rank[:256].tobytes() if dtype.itemsize == 1 else None
    checksum = header.own_crc32()
    for chunk in characters(path, header.encoding, "indexing the text"):
        if byte_rank and isinstance(chunk, bytes):
            indices = chunk.translate(byte_rank)
        else:
            indices = rank[np.frombuffer(chunk, np.uint8) if isinstance(chunk, bytes) else chunk]
        checksum = zlib.crc32(indices, checksum)
        file.write(indices)
    file.flush()
    header.crc32 = checksum
    return np.memmap(file, dtype, "r", shape=(header.length,))


def characters(path: Path, encoding: str, task: str) -> Iterator[bytes | np.ndarray]:
    """The text's characters in large pieces: as bytes where all are below 256, else as uint32 code points.

    Raises UserError where the file is not text in this encoding.
    """
    decoder = new_decoder(encoding)
    offset = 0
    with open(path, "rb") as file:
        for chunk in itertools.chain(chunks(file, task), [b""]):
            start = offset - len(decoder.getstate()[0])
            try:
                text = decoder.decode(chunk, final=not chunk)
            except UnicodeError as error:
                where = start
                if isinstance(error, UnicodeDecodeError):
                    # Counted from the end of what was decoded, since utf-8-sig takes the BOM from its front first.
                    where = offset + len(chunk) - len(error.object) + error.start
                raise UserError(
                    f"{path} is not {encoding} text (see the byte at offset {where}); "
                    "name its encoding with -encoding, or take -encoding latin-1 or bytes, which accept any file"
                ) from error
            offset += len(chunk)
            try:
                yield text.encode("latin-1")
            except UnicodeEncodeError:
                yield np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def new_decoder(encoding: str) -> codecs.IncrementalDecoder:
    """Decodes a text piece by piece; `bytes` gives each byte the character of its number. Raises UserError."""
    try:
        if encoding == "bytes":
            encoding = "latin-1"
        # Python's own: an installed package may have added a codec that answers to any name.
        codec = encodings.search_function(encoding.lower())
        if not codec or not codec.incrementaldecoder:
            raise LookupError
        decoder = codec.incrementaldecoder()
        if not isinstance(decoder.decode(b""), str):
            raise LookupError
    except (LookupError, ValueError, TypeError) as error:
        raise UserError(
            f"'{encoding}' is no text encoding; -encoding takes utf-8, latin-1, gb18030 and such, or bytes"
        ) from error
    return decoder


def hash_file(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for chunk in chunks(file, "checking the text"):
            digest.update(chunk)
    return digest.hexdigest()


def chunks(file: BinaryIO, task: str) -> Iterator[bytes]:
    """The rest of a file, piece by piece; a bar on a terminal shows the progress when it takes long."""
    size = os.fstat(file.fileno()).st_size
    bar = tqdm(desc=task, total=size, unit="B", unit_scale=True, delay=1, leave=False, disable=not sys.stderr.isatty())
    with bar:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk
            bar.update(len(chunk))
