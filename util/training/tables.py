"""The tables to which a run writes its figures: a CSV file, a folder for TensorBoard."""

import importlib.util
import os
from argparse import Namespace
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, TextIO

import numpy as np

from util.cli.console import rank
from util.cli.files import check_output, is_stream, lock
from util.errors import UserError, reason


class Row(NamedTuple):
    """The figures of an iteration."""

    iteration: int
    epoch: float
    train_loss: float
    val_loss: float | None
    learning_rate: float
    grad_param_norm: float
    seconds: float


def tables_of(options: Namespace, train_losses: np.ndarray, reads: Sequence[Path]) -> "list[Table]":
    """Returns what -log_csv and -tensorboard name, in the first of several processes.

    `train_losses` (iterations,) are those of a resumed run so far; the run `reads` these files. Making a table changes
    nothing; it is opened when nothing can refuse the run any more. Raises UserError if what is named cannot be one.
    """
    tables: list[Table] = []
    if not rank().first:
        return tables
    if options.log_csv:
        check_output(options.log_csv, "-log_csv", reads)
        tables.append(CSVFile(options.log_csv, train_losses))
    if options.tensorboard:
        tables.append(TensorBoard(options.tensorboard, train_losses))
    return tables


class TensorBoard:
    """A folder for TensorBoard. A resumed run's figures take the place of those after its checkpoint."""

    def __init__(self, path: str, train_losses: np.ndarray) -> None:
        if not importlib.util.find_spec("tensorboard"):
            raise UserError("-tensorboard needs the package tensorboard; run: pip install -e '.[tensorboard]'")
        self.path, self._first = path, len(train_losses) + 1

    def open(self) -> None:
        from torch.utils.tensorboard import SummaryWriter

        try:
            self._writer = SummaryWriter(self.path, purge_step=self._first)
        except OSError as error:
            raise UserError(f"cannot write {self.path}: {reason(error)}; choose another -tensorboard") from error

    def write(self, row: Row) -> None:
        figures = row._asdict()
        for name in figures.keys() - {"iteration", "epoch"}:
            if figures[name] is not None:
                self._writer.add_scalar(name, figures[name], row.iteration)
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


class CSVFile:
    """A table with a row for each log line and checkpoint.

    A new run takes only a new or empty file, a resumed one its own log as well, without the rows after its checkpoint.
    Devices and pipes are written to as they are, and so is standard output, `-`.
    """

    def __init__(self, path: str, train_losses: np.ndarray) -> None:
        self.path, self._losses = path, train_losses
        self._is_file = path != "-" and not is_stream(Path(path))
        self._file: TextIO | None = None
        if self._is_file and Path(path).exists():
            end_of_rows(Path(path), train_losses)
        elif self._is_file:
            parent = next(parent for parent in Path(path).absolute().parents if parent.exists())
            if not (parent.is_dir() and os.access(parent, os.W_OK)):
                raise UserError(f"cannot write {path}: {parent} is no folder to write to; choose another -log_csv")

    def open(self) -> None:
        """Opens the file for this run alone; another one that would write to it is refused. Raises UserError."""
        path, end = Path(self.path), 0
        try:
            if self._is_file:
                path.parent.mkdir(parents=True, exist_ok=True)
            self._file = open(os.dup(1) if self.path == "-" else path, "a", newline="\n")  # noqa: SIM115
            if self._is_file:
                if not lock(self._file):
                    raise UserError(f"another run writes to {path}; choose another file for -log_csv")
                end = end_of_rows(path, self._losses)
                self._file.truncate(end)
            if not end:
                print(*Row._fields, sep=",", file=self._file, flush=True)
        except OSError as error:
            self.close()  # or Python would try to write it again, and show that error as well
            name = "standard output" if self.path == "-" else path
            raise UserError(f"cannot write {name}: {reason(error)}; choose another -log_csv") from error

    def write(self, row: Row) -> None:
        print(*("" if value is None else value for value in row), sep=",", file=self._file, flush=True)

    def close(self) -> None:
        with suppress(OSError):  # of which a row has told already
            if self._file:
                self._file.close()


Table = CSVFile | TensorBoard


def end_of_rows(path: Path, train_losses: np.ndarray) -> int:
    """Returns where a log's rows up to the checkpoint of a run with these losses end, in bytes; 0 if it is empty.

    Raises UserError if it is not the log of that run.
    """
    header, *rows = path.read_bytes().splitlines(keepends=True) or [b""]
    end = len(header)
    try:
        ours = header.decode().strip() == ",".join(Row._fields)
        for line in rows:
            if not line.endswith(b"\n"):
                break  # it was cut off, as by a full disk
            figures = dict(zip(Row._fields, line.decode().split(",")))
            if int(figures["iteration"]) > len(train_losses):
                break
            ours = ours and float(figures["train_loss"]) == train_losses[int(figures["iteration"]) - 1]
            end += len(line)
    except (ValueError, LookupError):
        ours = False
    if header and (not ours or end == len(header) < path.stat().st_size):
        what_to_do = "choose another file for -log_csv, or continue its run with -resume"
        raise UserError(f"{path} exists and is not the log of this run up to its checkpoint; {what_to_do}")
    return end
