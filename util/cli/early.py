"""What must be set before numpy and torch are imported; every script run as a program imports this first.

The imports take a while, and until they are done Ctrl-C stays quiet and running out of memory is one sentence.
"""

import os
import sys
from types import TracebackType

from util.errors import is_out_of_memory

# numpy multiplies matrices by vectors here, which is bound by memory: a second thread gains nothing.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# OpenMP's threads spin while they wait: on a busy machine they starve other programs, and each other.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")


def excepthook(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """Replaces sys.excepthook until util.cli.console.run takes over."""
    if is_out_of_memory(error):
        sys.stderr.write("error: out of memory while the program was starting\n")
    elif not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)


sys.excepthook = excepthook
