"""Reads a text from its files, decompressing and decoding it in pieces; the whole text is never in memory."""

import codecs
import encodings
import gzip
import hashlib
import itertools
import os
import re
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np
from tqdm import tqdm

from util.cli.console import shown
from util.cli.files import is_stream, read_input, what_is
from util.cli.flags import unescape
from util.errors import UserError, reason
from util.text.vocabulary import as_bytes

CHUNK_BYTES = 1 << 22
CACHE_FILES = ("vocab.json", "data.bin")
"""What util.text.cache keeps in a text's folder."""
JOINING = ("files", "separator", "document_end")  # the flags that say how files are joined, as find_text takes them
OUR_PAGE = re.compile(rb"<!doctype html>\s<html.*>\s<meta charset.*>\s<meta http-equiv.* script-src 'sha256-")
"""How the pages of visualize.py begin."""
# How files begin that are not in the encoding that they were taken for, and what to do with them.
SIGNATURES: dict[bytes | tuple[bytes, ...], str] = {
    (b"\xff\xfe\0\0", b"\0\0\xfe\xff"): "it seems to be UTF-32; convert it or, for a new model, try -encoding utf-32",
    (b"\xff\xfe", b"\xfe\xff"): "it seems to be UTF-16; convert it or, for a new model, try -encoding utf-16",
    b"\x1f\x8b": "it seems to be compressed by gzip; give it a name that ends in .gz",
    b"PK\x03\x04": "it seems to be a zip archive, as .docx and .epub files are; unpack it and take the text in it",
    b"%PDF": "it seems to be a PDF; save its text and take that",
    (b"\x89PNG", b"\xff\xd8\xff"): "it seems to be a picture",
    b"": "convert it or, for a new model, try -encoding latin-1 or bytes, which accept any file, or Windows' cp1252",
}


class Source:
    """One or more files that are read in order, with a separator between them; *.gz files are decompressed.

    A file that does not end with `end`, by itself or by the separator, gets it. `folder` is where the cache goes; by
    default the first file's folder.
    """

    content: bytes | None = None
    """That of a file that can be read only once, such as a pipe."""

    def __init__(self, *files: Path, separator: str = "", end: str = "", folder: Path | None = None) -> None:
        self.files, self.separator, self.end = files, separator, end
        self.folder = folder or files[0].parent

    def __str__(self) -> str:
        """What the text is called, also on standard output: a stranger's checkpoint may have named its folder."""
        many = f"the text of {len(self.files)} files in {self.folder}"
        return shown(str(self.files[0]) if len(self.files) == 1 else many)

    def read(self, task: str) -> Iterator[tuple[Path, Iterator[bytes]]]:
        """Yields each file with its decompressed content in pieces. Raises UserError if a .gz file is damaged."""
        if self.content is not None:
            yield self.files[0], iter([self.content])
            return
        with progress_bar(task, sum(path.stat().st_size for path in self.files)) as bar:
            for path in self.files:
                with open(path, "rb") as file:
                    yield path, pieces_of(file, path, bar)

    def texts(self, encoding: str, task: str = "") -> Generator[tuple[Path, str], None, str]:
        """Yields the text in large pieces, each with its file, and returns its SHA-256 as `hand_over` does.

        A separator belongs to the file before it. Each file is decoded separately, with its own byte order mark. Raises
        UserError if a file is not text in this encoding.
        """
        typed = as_bytes if encoding == "bytes" else str
        between, end = typed(self.separator), typed(self.end)
        before, digests, an_end_was_added = None, list[str](), False
        for path, pieces in self.read(task):
            if before and between:
                yield before, between
            before, digest, last = path, hashlib.sha256(), ""
            for text in decoded(pieces, path, encoding, digest):
                last = (last + text[-len(end) :])[-len(end) :] if end else ""
                yield path, text
            if last and not last.endswith(end) and not (last + between).endswith(end):
                yield path, end
                an_end_was_added = True
            digests.append(digest.hexdigest())
        if len(digests) == 1 and not an_end_was_added:
            return digests[0]
        several = self.separator, digests, *[self.end] * an_end_was_added
        return hashlib.sha256(repr(several).encode()).hexdigest()

    def hand_over(self, encoding: str, take: Callable[[str], object], task: str) -> str:
        """Calls `take` with the text, piece by piece, and returns its SHA-256: that of its decompressed content.

        For several files it is the SHA-256 of all of their digests, the separator and, if a file got it, the end.
        """
        texts = self.texts(encoding, task)
        while True:
            try:
                _, piece = next(texts)
            except StopIteration as end:
                return end.value
            take(piece)

    def identity(self, encoding: str) -> str:
        """Reads the text to check it, and returns its SHA-256; only to look for ends must it be decoded."""
        return self.hand_over(encoding if self.end else "bytes", len, "checking the text")


def find_text(folder: Path, pattern: str = "", separator: str = "", document_end: str = "") -> Source:
    r"""Returns the text of a folder: input.txt or input.txt.gz, or the files that match `pattern`, in name order.

    The separator and the end of each of these files may use the escapes \n, \t, \r and \\. Raises UserError if
    nothing matches.
    """
    path, packed = folder / "input.txt", folder / "input.txt.gz"
    try:
        if not pattern:
            return Source(packed if packed.is_file() and not path.is_file() else path)
        if not folder.is_dir():
            raise UserError(f"{folder} is no folder; -data_dir takes the one that holds the files")
        files = matching(folder, pattern)
        if not files:
            raise UserError(f"no file in {folder} matches -files '{pattern}'; {suggestion(folder)}")
        return Source(*files, separator=unescape(separator), end=unescape(document_end), folder=folder)
    except OSError as error:
        raise UserError(f"cannot read {folder}: {reason(error)}") from error


def source_of_file(name: str) -> Source:
    """Returns the text that -file names; `-` is standard input. Raises UserError if there is none."""
    path = Path(name)
    if name == "-" or (is_stream(path) and not path.is_dir()):
        source = Source(Path("standard input" if name == "-" else name))
        source.content = read_input(name)
        return source
    if not path.is_file():
        found = what_is(path)
        what = f"{path} is {found}" if found else f"there is no file {path}"
        raise UserError(f"{what}; -file takes the name of a text file")
    return Source(path)


def matching(folder: Path, pattern: str) -> list[Path]:
    """Returns the files in a folder that match, in name order, without hidden ones and what our scripts write."""
    try:
        if folder.is_dir():
            os.listdir(folder)  # glob takes a folder that cannot be read for an empty one
        names = sorted(path.relative_to(folder).as_posix() for path in folder.glob(pattern) if path.is_file())
    except (ValueError, NotImplementedError, IndexError) as error:
        raise UserError(f"-files '{pattern}' is not a valid pattern inside {folder}; try '*.txt'") from error
    names = [name for name in names if not re.search(r"(^|/)\.|\.(pt|t7)$", name) and name not in CACHE_FILES]
    return [folder / name for name in names if not (name.endswith(".html") and is_our_page(folder / name))]


def is_our_page(path: Path) -> bool:
    """Whether a file is a page that visualize.py made."""
    with suppress(OSError), path.open("rb") as file:
        return bool(OUR_PAGE.match(file.read(500)))
    return False


def suggestion(folder: Path) -> str:
    """Returns what to do about a text that is missing in a folder: perhaps the files there are meant."""
    others = next((pattern for pattern in ("*.txt", "*") if matching(folder, pattern)), None)
    advice = "put your text there, or give its folder with -data_dir"
    return f"{advice}, or train on the files there, in name order, with -files '{others}'" if others else advice


def check_there(path: Path) -> None:
    """Raises UserError, with advice, if there is no such text."""
    if path.parent.is_file():
        raise UserError(f"{path.parent} is a file; -data_dir takes the folder that holds {path.name}")
    if found := what_is(path):
        raise UserError(f"{path} is {found}; put your text there as a file, or give its folder with -data_dir")
    if not path.exists():
        raise UserError(f"there is no {path}; {suggestion(path.parent)}")


def pieces_of(file: BinaryIO, path: Path, bar: tqdm) -> Iterator[bytes]:
    """Yields the content of a file in pieces, decompressed if its name ends in .gz. Raises UserError if that fails."""
    content, before = gzip.GzipFile(fileobj=file) if path.suffix == ".gz" else file, bar.n
    try:
        while piece := content.read(CHUNK_BYTES):
            yield piece
            bar.update(before + file.tell() - bar.n)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        what = "is cut off" if isinstance(error, EOFError) else "is damaged, or not a gzip file"
        raise UserError(f"{path} {what}; download it again, or put what you can unpack there as plain text") from error


def decoded(pieces: Iterator[bytes], path: Path, encoding: str, digest: "hashlib._Hash") -> Iterator[str]:
    """Yields the content of a file as text, and adds it to the digest. Raises UserError with the first bad byte."""
    decoder, offset = new_decoder(encoding), 0
    for piece in itertools.chain(pieces, [b""]):
        digest.update(piece)
        try:
            yield decoder.decode(piece, final=not piece)
        except UnicodeError as error:
            bad = offset
            if isinstance(error, UnicodeDecodeError):
                # Counted from the end of the decoded bytes, since utf-8-sig strips the BOM from the front first.
                bad += len(piece) - len(error.object) + error.start
            advice = next(advice for start, advice in SIGNATURES.items() if piece.startswith(start))
            if path.suffix == ".gz" and piece.startswith(b"\x1f\x8b"):
                advice = "it was compressed twice; unpack it once"
            elif advice == SIGNATURES[b""] and b"\r" in piece and b"\n" not in piece:
                advice = "its lines end as on old Macs; convert it or, for a new model, try -encoding mac-roman"
            raise UserError(f"{path} is not {encoding} text (first bad byte at offset {bad}); {advice}") from error
        offset += len(piece)


def code_points(text: str) -> np.ndarray:
    """Returns characters as their code points: uint8 if all are below 256, else uint32."""
    try:
        return np.frombuffer(text.encode("latin-1"), np.uint8)
    except UnicodeEncodeError:
        return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def new_decoder(encoding: str) -> codecs.IncrementalDecoder:
    """Returns a decoder that takes a text in pieces. Raises UserError if there is no such text encoding."""
    name = encoding.lower()
    with suppress(LookupError, ValueError, TypeError, AttributeError):
        # Only Python's own codecs: an installed package may have registered one that answers to any name.
        codec = encodings.search_function("latin-1" if name == "bytes" else name)  # which has a character for each byte
        decoder = codec.incrementaldecoder()  # type: ignore[union-attr, misc]
        if isinstance(decoder.decode(b""), str):
            return decoder
    raise UserError(f"{encoding!r} is not a text encoding; -encoding takes utf-8, latin-1, gb18030 and so on, or bytes")


def canonical(encoding: str) -> str:
    """Returns the canonical name of an encoding: UTF8 is utf-8. Raises UserError like `new_decoder`."""
    new_decoder(encoding)
    return "bytes" if encoding.lower() == "bytes" else codecs.lookup(encoding).name


def progress_bar(task: str, size: int) -> tqdm:
    """Returns a progress bar for reading `size` bytes, shown on a terminal after a second; without a task, nowhere."""
    return tqdm(desc=task, total=size, unit="B", unit_scale=True, delay=1, leave=False, disable=None if task else True)
