"""Reports what a run has done: log lines, a progress bar, a CSV file, TensorBoard."""

from __future__ import annotations

import csv
import importlib.util
import io
import math
import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from util.cli.console import log, rank, shows_bars, tell
from util.cli.files import check_output, is_stream, replacing
from util.errors import UserError, reason
from util.training.record import Record

if TYPE_CHECKING:
    from util.training.trainer import Trainer

Row = Sequence[object]
COLUMNS = ("iteration", "epoch", "train_loss", "val_loss", "learning_rate", "grad_param_norm", "seconds")


class RunLog:
    """The log of a run, in the first of several processes.

    Raises UserError if the CSV file cannot be written or TensorBoard is missing, before hours of training are spent.
    """

    def __init__(self, options: Namespace, train_losses: np.ndarray) -> None:
        """`train_losses` are those of a resumed run so far, one for each iteration."""
        self.options, first, start = options, rank().first, len(train_losses)
        self._csv = CSVFile(Path(options.log_csv), train_losses) if options.log_csv and first else None
        self._tensorboard = open_tensorboard(options.tensorboard, start) if options.tensorboard and first else None
        self._bar: tqdm | None = None
        self._mean_loss = math.nan

    def begin(self, trainer: Trainer, iterations: int) -> None:
        """Shows the bar on standard error, if that is a terminal."""
        self.iterations, i = iterations, trainer.iteration
        if self._csv and i:
            self._csv.start = [(i, trainer.epoch, trainer.train_losses[-1], trainer.val_losses.get(i), "", "", "")]
        self._bar = tqdm(
            initial=i,
            total=iterations,
            unit_scale=self.options.batch_size * self.options.seq_length,
            unit=" characters",
            bar_format="{desc}{percentage:3.0f}%|{bar}| {rate_fmt}, {remaining} left",
            dynamic_ncols=True,
            leave=False,
            disable=not shows_bars(),
        )

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, *_: object) -> None:
        for output in (self._bar, self._tensorboard):
            if output is not None:
                with suppress(OSError):
                    output.close()

    def advance(self, trainer: Trainer) -> None:
        """Advances the bar by one iteration; the loss it shows is a running mean."""
        assert self._bar is not None
        if not self._bar.disable and trainer.train_losses:
            loss = trainer.train_losses[-1]
            self._mean_loss = loss if math.isnan(self._mean_loss) else 0.98 * self._mean_loss + 0.02 * loss
            self._bar.set_description_str(f"epoch {trainer.epoch:.2f}, loss {self._mean_loss:.3f} ", refresh=False)
        self._bar.update()

    def add(self, trainer: Trainer, record: Record, to_print: bool) -> None:
        """Records the last iteration, and prints its log line if `to_print`."""
        i = trainer.iteration
        if self._bar is not None and i in trainer.val_losses:
            self._bar.unpause()  # a validation is no measure of its speed
        if to_print:
            log(
                f"{i}/{self.iterations} (epoch {trainer.epoch:.3f}), train_loss = {record.loss:6.8f}, "
                f"grad/param norm = {record.norm_ratio:6.4e}, time/batch = {record.seconds:.4f}s"
            )
        losses = record.loss, trainer.val_losses.get(i) if self.options.val_frac else None
        row = (i, trainer.epoch, *losses, trainer.learning_rate, record.norm_ratio, record.seconds)
        if self._csv:
            self._csv.write(row)
        for name, value in zip(COLUMNS[2:], row[2:]):
            if self._tensorboard and value is not None:
                try:
                    self._tensorboard.add_scalar(name, value, i)
                except OSError as error:
                    self._tensorboard = None
                    tell(f"warning: cannot write for TensorBoard ({reason(error)}); the run goes on without")


def open_tensorboard(folder: str, start: int) -> Any:
    """Returns a TensorBoard writer that continues after iteration `start`. Raises UserError if it cannot."""
    if not importlib.util.find_spec("tensorboard"):
        raise UserError("-tensorboard needs the package tensorboard; run: pip install -e '.[tensorboard]'")
    from torch.utils.tensorboard import SummaryWriter

    try:
        return SummaryWriter(folder, purge_step=start + 1)
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {reason(error)}; choose another folder for -tensorboard") from error


class CSVFile:
    """A table with a row for each log line and checkpoint.

    A new run takes only a new or empty file; a resumed one takes its log so far, known by its header and by the loss of
    its last row up to the checkpoint. Rows after that stay until the run writes its first one. Devices and pipes are
    written to as they are, and so is standard output, `-`. If a row cannot be written, warns and carries on without.
    Raises UserError.
    """

    def __init__(self, path: Path, train_losses: np.ndarray) -> None:
        self.path, self._works = path, True
        self._file: IO[str] | None = None
        self.start: list[Row] = []
        """The row of the checkpoint, by which a log is known that has no other of the run so far."""
        self._before: list[Row] | None = None  # the rows up to the checkpoint, until the first row is written
        check_output(path, "-log_csv")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if str(path) == "-" or is_stream(path):
                self._file = open(os.dup(1) if str(path) == "-" else path, "a", newline="")  # noqa: SIM115
                self._append(COLUMNS)
            else:
                rows, self._before = rows_of_run(path, train_losses)
                self._replace(rows)
        except OSError as error:
            raise UserError(f"cannot write {path}: {reason(error)}; choose another file for -log_csv") from error

    def write(self, row: Row) -> None:
        if not self._works:
            return
        try:
            if self._before is not None:
                self._replace(self._before or self.start)
                self._before = None
            self._append(row)
        except OSError as error:
            self._works = False
            tell(f"warning: cannot write {self.path} ({reason(error)}); the rest of the run will not be logged there")

    def _append(self, row: Row) -> None:
        assert self._file
        csv.writer(self._file, lineterminator="\n").writerow(row)
        self._file.flush()

    def _replace(self, rows: list[Row]) -> None:
        content = io.StringIO()
        csv.writer(content, lineterminator="\n").writerows([COLUMNS, *rows])
        if self._file:
            self._file.close()  # on Windows an open file cannot be replaced
        with replacing(self.path.resolve()) as new:
            new.write(content.getvalue().encode())
        self._file = self.path.open("a", newline="")


def rows_of_run(path: Path, train_losses: np.ndarray) -> tuple[list[Row], list[Row]]:
    """Returns the rows of the log of a run with these losses so far: all, and those up to its last iteration.

    Raises UserError if it is not that run's.
    """
    if not path.exists() or path.stat().st_size == 0:
        return [], []
    try:
        with path.open(newline="") as file:
            header, *rows = csv.reader(file)
        rows = [row for row in rows if len(row) == len(COLUMNS)]  # a full disk may have cut off the last one
        before = [row for row in rows if int(row[0]) <= len(train_losses)]
        is_ours = bool(before) and float(before[-1][2]) == train_losses[int(before[-1][0]) - 1]
        if tuple(header) != COLUMNS:
            raise ValueError
    except (ValueError, IndexError, csv.Error) as error:
        raise UserError(f"{path} exists but is not a log of this program; choose another file for -log_csv") from error
    if rows and not is_ours:
        raise UserError(
            f"{path} has no line of this run up to iteration {len(train_losses)}, so it may be another run's log; "
            "choose another file for -log_csv, or continue that run with -resume"
        )
    return list(rows), list(before)


def tell_sizes(characters: int, parameters: int) -> None:
    """Reports the two numbers that should be of the same order of magnitude; see docs/training.md."""
    if sys.stderr.isatty():
        tell(f"the text has {characters:,} characters and the model {parameters:,} parameters")
    if parameters > 100 * characters:
        tell("warning: the model is much larger than the text and will memorize it; try a smaller -rnn_size")
    if characters > 100 * parameters:
        tell("warning: the text is much larger than the model, which will underfit; try a larger -rnn_size")
