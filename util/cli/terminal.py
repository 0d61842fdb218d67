"""What a terminal is shown: a model's text and a file's name may come from a stranger, and hold what controls it."""

import codecs
import io
import re
from typing import BinaryIO

# All control characters but newline, tab and the colors of -color, which do no harm.
CONTROLS = re.compile(r"(?!\x1b\[(?:38;5;\d+|0)m)(?!\r\n)[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Terminal(io.RawIOBase):
    """Writes bytes to a terminal's `stream`, with everything that would control it escaped."""

    def __init__(self, stream: BinaryIO, encoding: str) -> None:
        self._stream, self._encoding = stream, encoding
        characters = codecs.getincrementaldecoder(encoding)("backslashreplace")
        self._decoder = io.IncrementalNewlineDecoder(characters, translate=False)  # which never parts \r from \n

    def write(self, content: bytes) -> int:  # type: ignore[override]
        text = CONTROLS.sub(lambda found: f"\\x{ord(found[0]):02x}", self._decoder.decode(content))
        self._stream.write(text.encode(self._encoding))
        return len(content)

    def flush(self) -> None:
        self._stream.flush()

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._stream.fileno()

    def isatty(self) -> bool:
        return True
