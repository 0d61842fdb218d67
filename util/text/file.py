"""The text of one file that the user names, or of standard input."""

from collections.abc import Iterator
from pathlib import Path

from util.cli.files import is_stream, read_input, what_is
from util.errors import UserError
from util.text.source import Source


class StreamSource(Source):
    """A text that can be read only once, such as a pipe, as it lies in memory."""

    def __init__(self, name: str) -> None:
        super().__init__(Path("standard input" if name == "-" else name))
        self._content = read_input(name)

    def read(self, task: str) -> Iterator[tuple[Path, Iterator[bytes]]]:
        yield self.files[0], iter([self._content])


def source_of_file(name: str) -> Source:
    """Returns the text that -file names; `-` is standard input. Raises UserError if there is none."""
    path = Path(name)
    if name == "-" or (is_stream(path) and not path.is_dir()):
        return StreamSource(name)
    if not path.is_file():
        what = f"{path} is {found}" if (found := what_is(path)) else f"there is no file {path}"
        raise UserError(f"{what}; -file takes the name of a text file")
    return Source(path)
