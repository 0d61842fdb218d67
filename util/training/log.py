"""Reports a run's figures: log lines, a progress bar, a CSV file, TensorBoard."""

from __future__ import annotations

import csv
import importlib.util
import io
import math
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from util.cli.console import log, rank, tell
from util.cli.files import check_output, is_stream, replacing
from util.errors import UserError, reason

if TYPE_CHECKING:
    from util.training.trainer import Trainer

Row = Sequence[object]
COLUMNS = ("iteration", "epoch", "train_loss", "val_loss", "learning_rate", "grad_param_norm", "seconds")


class Log:
    """The log of a run, in the first of several processes.

    Raises UserError if the CSV file cannot be written or TensorBoard is missing, before hours of training are spent.
    """

    def __init__(self, options: Namespace, train_losses: np.ndarray) -> None:
        """`train_losses` are those of a resumed run so far, one for each iteration."""
        self.options, first, start = options, rank().first, len(train_losses)
        self._csv = CSVFile(Path(options.log_csv), train_losses) if options.log_csv and first else None
        self._tensorboard = open_tensorboard(options.tensorboard, start) if options.tensorboard and first else None
        self._bar: tqdm | None = None
        self._smoothed = math.nan

    def begin(self, trainer: Trainer, iterations: int) -> None:
        """Shows the bar on standard error, if that is a terminal."""
        self.iterations, i = iterations, trainer.iteration
        if self._csv and i:
            loss, val_loss = trainer.train_losses[-1], trainer.val_losses.get(i)
            self._csv.start = [(i, trainer.epoch, loss, val_loss, None, None, None)]
        self._bar = tqdm(
            initial=i,
            total=iterations,
            unit_scale=self.options.batch_size * self.options.seq_length,
            unit=" characters",
            bar_format="{desc}{percentage:3.0f}%|{bar}| {rate_fmt}, {remaining} left",
            dynamic_ncols=True,
            leave=False,
            disable=not (sys.stderr.isatty() and rank().first),
        )

    def __enter__(self) -> Log:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.close()
        if self._tensorboard:
            self._tensorboard.close()

    def advance(self, trainer: Trainer) -> None:
        """Advances the bar by one iteration; the loss it shows is a running mean."""
        assert self._bar is not None
        if not self._bar.disable and trainer.train_losses:
            train_loss = trainer.train_losses[-1]
            before = train_loss if math.isnan(self._smoothed) else self._smoothed
            self._smoothed = 0.98 * before + 0.02 * train_loss
            self._bar.set_description_str(f"epoch {trainer.epoch:.2f}, loss {self._smoothed:.3f} ", refresh=False)
        self._bar.update()

    def line(self, trainer: Trainer, to_print: bool) -> None:
        """Records the figures of the last iteration, and prints its log line if `to_print`."""
        if not to_print and not self._csv and not self._tensorboard:
            return
        i, val_loss = trainer.iteration, trainer.val_losses.get(trainer.iteration)
        train_loss, norm_ratio = trainer.train_losses[-1], trainer.norm_ratio()
        if to_print:
            log(
                f"{i}/{self.iterations} (epoch {trainer.epoch:.3f}), train_loss = {train_loss:6.8f}, "
                f"grad/param norm = {norm_ratio:6.4e}, time/batch = {trainer.seconds:.4f}s"
            )
        self._record(i, trainer.epoch, train_loss, val_loss, trainer.learning_rate, norm_ratio, trainer.seconds)

    def _record(self, *figures: float | None) -> None:
        """Records the figures of COLUMNS; None for one that is missing."""
        if self._csv:
            self._csv.write(figures)
        if self._tensorboard:
            for name, value in zip(COLUMNS[1:], figures[1:]):
                if value is not None and name != "epoch":
                    self._tensorboard.add_scalar(name, value, figures[0])


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

    A new run takes only a new or empty file; a resumed one takes its log so far, known by its losses. Rows after the
    checkpoint stay until the run writes its first one. Devices and pipes are written to as they are. If a row cannot be
    written, warns and carries on without. Raises UserError.
    """

    def __init__(self, path: Path, train_losses: np.ndarray) -> None:
        self.path, self.working = path, True
        self.start: Sequence[Row] = ()
        """The row of the checkpoint, by which a log is known that has no other of the run so far."""
        self._stream: IO[str] | None = None
        self._known: Sequence[Row] | None = None
        """The rows up to the checkpoint, until the first row is written."""
        check_output(path, "-log_csv")
        try:
            if is_stream(path):
                self._stream = path.open("a", newline="")
                self._write_to(self._stream, COLUMNS)
                return
            rows, self._known = rows_of_run(path, train_losses)
            self._replace(rows)
        except OSError as error:
            raise UserError(f"cannot write {path}: {reason(error)}; choose another file for -log_csv") from error

    def write(self, row: Row) -> None:
        if not self.working:
            return
        try:
            if self._known is not None:
                self._replace(self._known or self.start)
                self._known = None
            if self._stream:
                self._write_to(self._stream, row)
                return
            with self.path.open("a", newline="") as file:
                self._write_to(file, row)
        except OSError as error:
            self.working = False
            tell(f"warning: cannot write {self.path} ({reason(error)}); the rest of the run will not be logged there")

    def _replace(self, rows: Sequence[Row]) -> None:
        content = io.StringIO()
        self._write_to(content, COLUMNS, *rows)
        with replacing(self.path.resolve()) as new:
            new.write(content.getvalue().encode())

    @staticmethod
    def _write_to(file: IO[str], *rows: Row) -> None:
        csv.writer(file, lineterminator="\n").writerows(rows)
        file.flush()


def rows_of_run(path: Path, train_losses: np.ndarray) -> tuple[Sequence[Row], Sequence[Row]]:
    """Returns the rows of the log of a run with these losses so far: all, and those up to its last iteration.

    Raises UserError if it is not that run's.
    """
    if not path.exists() or path.stat().st_size == 0:
        return [], []
    try:
        with path.open(newline="") as file:
            header, *rows = list(csv.reader(file))
        if tuple(header) != COLUMNS:
            raise ValueError
        # The last row may have been cut off by a full disk.
        rows = [row for row in rows if len(row) == len(COLUMNS)]
        known = [row for row in rows if int(row[0]) <= len(train_losses)]
        of_this_run = all(float(row[2]) == train_losses[int(row[0]) - 1] for row in known)
    except (ValueError, IndexError, csv.Error) as error:
        raise UserError(f"{path} exists but is not a log of this program; choose another file for -log_csv") from error
    resumed = len(train_losses) > 0
    if rows and not (known and of_this_run):
        late = f"has no line up to iteration {len(train_losses)}, so it may be another run's log"
        why = late if resumed and not known else "is the log of another run"
        way_out = "" if resumed else ", or continue that run with -resume"
        raise UserError(f"{path} {why}; choose another file for -log_csv{way_out}")
    return rows, known


def tell_sizes(characters: int, parameters: int) -> None:
    """Reports the two numbers that should be of the same order of magnitude; see docs/training.md."""
    if sys.stderr.isatty():
        tell(f"the text has {characters:,} characters and the model {parameters:,} parameters")
    if parameters > 100 * characters:
        tell("warning: the model is much larger than the text and will memorize it; try a smaller -rnn_size")
    if characters > 100 * parameters:
        tell("warning: the text is much larger than the model, which will underfit; try a larger -rnn_size")
