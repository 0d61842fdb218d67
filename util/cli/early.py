"""Keeps Ctrl-C quiet, and running out of memory to one sentence, during the imports of a script, which take a while.

Every script imports this first when it is run as a program.
"""

import sys
from types import TracebackType

from util.errors import is_out_of_memory


def tell(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """Replaces sys.excepthook until util.cli.console.run takes over."""
    if is_out_of_memory(error):
        sys.stderr.write("error: out of memory while the program was starting\n")
    elif not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)


sys.excepthook = tell
