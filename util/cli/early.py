"""Makes Ctrl-C quiet, and too little memory one sentence, while a script imports what it needs, which takes a while.

Every script imports this first, if it is the program that runs.
"""

import sys
from types import TracebackType

from util.errors import is_out_of_memory


def tell(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """Takes the place of sys.excepthook until util.cli.console.run does better."""
    if is_out_of_memory(error):
        sys.stderr.write("error: out of memory while the program was starting\n")
    elif not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)


sys.excepthook = tell
