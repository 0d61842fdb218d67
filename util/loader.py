"""A text as batches of indices, the way char-rnn cuts them.

The text, input.txt or several files joined, becomes one long array of indices into its sorted vocabulary. Two cache
files in its folder keep it: vocab.json says which text and encoding they belong to, data.bin is the array,
memory-mapped from then on. No step holds the whole text in memory.
"""

from __future__ import annotations

import codecs
import encodings
import gzip
import hashlib
import itertools
import json
import mmap
import os
import re
import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from tqdm import tqdm

from util.errors import UserError, reason, warn
from util.files import replacing

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

CHUNK_BYTES = 1 << 22
MANY_CHARACTERS = 10_000
RELEASE_CHARACTERS = 1 << 24
"""How many characters are read from a memory-mapped text until its pages are let go."""
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
        self._read = 0
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
        self._read += window.size
        if self._read >= RELEASE_CHARACTERS:
            release(self.indices)
            self._read = 0
        window = window.astype(np.int64) if self.translation is None else self.translation[window]
        return window[:-1], window[1:]


def release(indices: np.ndarray) -> None:
    """Lets go of the pages that were read from a memory-mapped array, which count as this process's memory.

    The system keeps them as long as it has room, so that reading them again costs next to nothing.
    """
    if isinstance(indices.base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        indices.base.madvise(mmap.MADV_DONTNEED)


def split_sizes(num_batches: int, train_frac: float, val_frac: float) -> tuple[int, int, int]:
    """How many batches there are for training, validation and testing."""
    train = int(num_batches * train_frac)
    if train_frac + val_frac >= 1:
        return train, num_batches - train, 0
    val = int(num_batches * val_frac)
    return train, val, num_batches - train - val


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
        """Each file with its unpacked content, piece by piece. Raises UserError where a packed one is damaged."""
        with progress_bar(task, sum(path.stat().st_size for path in self.files)) as bar:
            for path in self.files:
                with open(path, "rb") as file:
                    yield path, unpacked(file, path, bar) if path.suffix == ".gz" else chunks(file, file, bar)

    def sha256(self) -> str:
        """What tells this text from others, in hexadecimal: the SHA-256 of the file's unpacked content.

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
    r"""The text of a folder: input.txt, or input.txt.gz; with `pattern` the files that match it, sorted by name.

    In the separator \n, \t, \r and \\ stand for what they do in Python. Raises UserError where nothing matches.
    """
    if pattern:
        files = matching(folder, pattern)
        if not files:
            raise UserError(f"no file in {folder} matches -files '{pattern}'{suggestion(folder)}")
        meanings = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\"}
        separator = re.sub(r"\\([ntr\\])", lambda escape: meanings[escape[1]], separator)
        return Source(*files, separator=separator, folder=folder)
    path, packed = folder / "input.txt", folder / "input.txt.gz"
    return Source(packed if packed.is_file() and not path.is_file() else path)


def matching(folder: Path, pattern: str) -> list[Path]:
    """The files in a folder that match a pattern, sorted by name, without hidden ones and the cache."""
    try:
        names = sorted(path.relative_to(folder).as_posix() for path in folder.glob(pattern) if path.is_file())
    except (ValueError, NotImplementedError, IndexError) as error:
        raise UserError(f"-files '{pattern}' is no pattern for names inside {folder}; '*.txt' is one") from error
    return [folder / name for name in names if not re.search(r"(^|/)\.|^(vocab\.json|data\.bin)$", name)]


def suggestion(folder: Path) -> str:
    """What to say of a missing text where a folder has files that could be joined; empty where it has none."""
    for pattern in ("*.txt", "*"):
        count = len(matching(folder, pattern))
        if count:
            files = (
                "file there that matches" if count == 1 else "files there that match, joined in order of their names"
            )
            return f"; -files '{pattern}' takes the {count} {files}"
    return ""


@dataclass
class Text:
    """A text as indices: indices[n] is the rank in `vocabulary` of its n-th character.

    With the encoding `bytes` a character is a byte, and the vocabulary holds the characters of the same numbers.
    `sha256` is that of its source.
    """

    vocabulary: str
    indices: np.ndarray
    sha256: str


def load_text(source: Source | Path, encoding: str, expected_sha256: str | None = None) -> Text:
    """Reads a text, from its cache where that belongs to it and is whole; otherwise makes the cache.

    Raises UserError where a file is missing, empty, not text in this encoding, or not the one with that SHA-256.
    """
    new_decoder(encoding)
    source = as_source(source)
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


def as_source(text: Source | Path) -> Source:
    return text if isinstance(text, Source) else Source(text)


def check_there(path: Path) -> None:
    """Raises UserError where there is no such text, with what could be done about it."""
    if path.parent.is_file():
        raise UserError(f"{path.parent} is a file; -data_dir wants a folder that holds {path.name}")
    if not path.is_file():
        way_out = suggestion(path.parent) or "; put the text to learn there, or name its folder with -data_dir"
        raise UserError(f"there is no {path}{way_out}")


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
        """The checksum of the header itself, which that of data.bin goes on from."""
        return zlib.crc32(
            repr((self.format, self.encoding, self.sha256, self.vocabulary, self.length, self.dtype)).encode()
        )


def read_cache(folder: Path, encoding: str, sha256: str) -> Text | None:
    """The text cached in a folder, if it is this one in this encoding, and whole."""
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
    return Text(header.vocabulary, indices, sha256) if whole else None


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
    return Text(vocabulary, indices, sha256)


def find_vocabulary(source: Source | Path, encoding: str) -> tuple[str, int]:
    """The distinct characters of a text in order, and how many characters it has."""
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


def characters(source: Source | Path, encoding: str, task: str) -> Iterator[bytes | np.ndarray]:
    """The text's characters in large pieces: as bytes where all are below 256, else as uint32 code points.

    Each file is decoded on its own, from its byte order mark on. Raises UserError where one is not text in this
    encoding.
    """
    source = as_source(source)
    for number, (path, pieces) in enumerate(source.read(task)):
        if number and source.separator:
            yield as_numbers(source.separator)
        for text in decoded(path, pieces, encoding):
            yield as_numbers(text)


def decoded(path: Path, pieces: Iterator[bytes], encoding: str) -> Iterator[str]:
    """The content of a file as text. Raises UserError, which names the file and the place in its unpacked content."""
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
            raise UserError(
                f"{path} is not {encoding} text (see the byte at offset {where}); "
                "name its encoding with -encoding, or take -encoding latin-1 or bytes, which accept any file"
            ) from error
        offset += len(piece)


def as_numbers(text: str) -> bytes | np.ndarray:
    """Characters as their numbers: bytes where all are below 256, else uint32."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


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
            f"{encoding!r} is no text encoding; -encoding takes utf-8, latin-1, gb18030 and such, or bytes"
        ) from error
    return decoder


def progress_bar(task: str, size: int) -> tqdm:
    """A bar on a terminal for reading so many bytes, when it takes long."""
    quiet = not (task and sys.stderr.isatty())
    return tqdm(desc=task, total=size, unit="B", unit_scale=True, delay=1, leave=False, disable=quiet)


def unpacked(file: BinaryIO, path: Path, bar: tqdm) -> Iterator[bytes]:
    """The content of a gzip file, piece by piece. Raises UserError where it is damaged."""
    try:
        with gzip.open(file) as content:
            yield from chunks(content, file, bar)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        what = "ends too early" if isinstance(error, EOFError) else "is damaged, or no gzip file at all"
        raise UserError(f"{path} {what}; fetch it anew, or put what can be unpacked of it there as text") from error


def chunks(content: BinaryIO | gzip.GzipFile, file: BinaryIO, bar: tqdm) -> Iterator[bytes]:
    """The rest of some content, piece by piece; the bar moves as the file that it comes from is read."""
    before = file.tell()
    while chunk := content.read(CHUNK_BYTES):
        yield chunk
        bar.update(file.tell() - before)
        before = file.tell()
