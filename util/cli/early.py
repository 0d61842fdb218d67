"""Keeps Ctrl-C quiet, and running out of memory to one sentence, during the imports of a script, which take a while.

Every script imports this first when it is run as a program.
"""

import mmap
import sys
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType

from util.errors import UserError, is_out_of_memory


def excepthook(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """Replaces sys.excepthook until util.cli.console.run takes over."""
    if is_out_of_memory(error):
        sys.stderr.write("error: out of memory while the program was starting\n")
    elif not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)


class RoomForTorch:
    """Checks that there is room for torch's libraries just before it is imported.

    If a limit (ulimit -v) leaves too little, they would kill the process in the middle of loading.
    """

    def find_spec(self, name: str, *_: object) -> None:
        """Finds nothing; called before each import. Raises UserError if it is torch and there is no room."""
        if name != "torch":
            return
        sys.meta_path.remove(self)  # type: ignore[arg-type]
        torch = find_spec("torch")
        if torch and torch.origin and hasattr(mmap, "MAP_ANONYMOUS"):
            libraries = sum(file.stat().st_size for file in Path(torch.origin).parent.glob("lib/*.so*"))
            size = libraries + libraries // 10  # what they need to start, measured with torch 2.13
            try:
                if size:
                    mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, 0).close()  # address space only
            except OSError as error:
                raise UserError(f"out of memory: PyTorch alone needs {size >> 20} MB of address space") from error


sys.excepthook = excepthook
sys.meta_path.insert(0, RoomForTorch())  # type: ignore[arg-type]
