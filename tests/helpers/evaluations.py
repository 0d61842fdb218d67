"""What evaluate.py says of some runs, and what an independent model says."""

import csv
import io
import math
import re
from contextlib import chdir
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest

from tests.helpers.checkpoints import log_probs
from tests.helpers.inputs import numbers
from tests.helpers.scripts import run_here
from util.checkpoint.store import load_checkpoint

TEXT = ('für Bücher - 道😀\tand "more"\r\n' + numbers(140).decode()) * 2
RUNS = {
    # Each has something that the others lack.
    "lstm": ("-dropout=0.2", "-optim=adam"),
    "gru": ("-encoding=bytes", "-val_frac=0.03"),
    "rnn": ("-dtype=float64", "-train_frac=0.5", "-val_frac=0.3"),
}


def score(*arguments: object, cwd: Path) -> CompletedProcess:
    """evaluate.py on a CPU, in this process."""
    with chdir(cwd):
        done = run_here("evaluate.py", *arguments, "-gpuid=-1")
    return CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def measured(done: CompletedProcess) -> float:
    """Returns the loss that the script printed; its other figures must follow from it."""
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    pattern = r"loss per (\w+): (.*) nats\n(?:its run stored: .*\n)?bits per \1: (.*)\n(?:bits per character: .*\n)?"
    pattern += r"perplexity: +(.*)\n"
    loss, bits, perplexity = map(float, re.search(pattern, done.stdout).groups()[1:])
    assert bits == pytest.approx(loss / math.log(2), abs=1e-6) and perplexity == pytest.approx(math.exp(loss), rel=1e-6)
    return loss


def expected_loss(path: Path, passages: list[str]) -> float:
    """The mean loss in nats on the characters of passages after each one's first, from the model written in numpy."""
    checkpoint, losses = load_checkpoint(path), []
    for passage in passages:
        indices = [checkpoint.vocabulary.index[c] for c in passage]
        losses += [-after[index] for after, index in zip(log_probs(checkpoint, indices[:-1]), indices[1:])]
    return float(np.mean(losses, dtype=float))


def decoded(path: Path, content: bytes) -> str:
    """What a model reads of bytes: characters or, as their numbers, bytes."""
    encoding = load_checkpoint(path).vocabulary.encoding
    return content.decode("latin-1" if encoding == "bytes" else encoding)


def rows_of(done: CompletedProcess, said: str = "") -> list[dict[str, str]]:
    """Returns the rows of a table; `said` is how the one line on standard error begins, if there is one."""
    assert done.returncode == 0 and done.stderr.startswith(said), done.stderr
    assert done.stderr.count("\n") == bool(said), done.stderr
    return list(csv.DictReader(io.StringIO(done.stdout, newline=""), dialect="excel-tab"))
