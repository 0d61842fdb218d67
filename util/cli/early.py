"""What must be set before numpy and torch are imported; every script run as a program imports this first.

The imports take a while, and until they are done Ctrl-C stays quiet and running out of memory is one sentence.
"""

import os
import sys
import warnings
from types import TracebackType

from util.errors import is_out_of_memory

# A daemon may have closed the first three; what is opened next would take their numbers, and get what is printed.
while (descriptor := os.open(os.devnull, os.O_RDWR)) < 3:
    pass
os.close(descriptor)
# What is too large for a number has a sentence of its own; numpy's would show lines of the program.
warnings.filterwarnings("ignore", category=RuntimeWarning)
os.environ["MPLBACKEND"] = "agg"  # pictures go to files; another one, perhaps misspelled, would only be in the way
# numpy multiplies matrices by vectors here, which is bound by memory: a second thread gains nothing.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# OpenMP's threads spin while they wait: on a busy machine they starve other programs, and each other.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")


def excepthook(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """Replaces sys.excepthook until util.cli.console.run takes over."""
    if is_out_of_memory(error):
        sys.stderr.write("error: out of memory while the program was starting\n")
    elif isinstance(error, ModuleNotFoundError) and error.name in ("numpy", "torch", "tqdm"):
        sys.stderr.write(
            f"error: {sys.executable} has no {error.name}; activate the environment in which pip installed char-rnn,"
            " as with source .venv/bin/activate\n"
        )
    elif not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)


sys.excepthook = excepthook

if any(name.startswith("TQDM_") for name in os.environ):
    try:
        import tqdm  # noqa: F401
    except ValueError as error:
        sys.exit(f"error: a variable of tqdm's, {', '.join(n for n in os.environ if n.startswith('TQDM_'))}: {error}")
