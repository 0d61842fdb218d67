"""Reports what a run has done: log lines, a progress bar, a CSV file, TensorBoard."""

from __future__ import annotations

import importlib.util
import math
import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from util.cli.console import log, rank, shows_bars, tell
from util.cli.files import check_output, is_stream
from util.errors import UserError, reason
from util.training.record import Record

if TYPE_CHECKING:
    from util.training.trainer import Trainer

Row = Sequence[object]
COLUMNS = ("iteration", "epoch", "train_loss", "val_loss", "learning_rate", "grad_param_norm", "seconds")


class RunLog:
    """The log of a run on standard output, its bar on a terminal, and its tables."""

    def __init__(self, trainer: Trainer, iterations: int, tables: list[CSVFile | TensorBoard]) -> None:
        self.trainer, self.iterations, self.tables = trainer, iterations, tables
        self._seconds: list[float] = []
        self._fastest = math.inf
        self._bar = tqdm(
            initial=trainer.iteration,
            total=iterations,
            unit_scale=trainer.options.batch_size * trainer.options.seq_length,
            unit=" characters",
            bar_format="{desc}{percentage:3.0f}%|{bar}| {rate_fmt}, {remaining} left",
            dynamic_ncols=True,
            leave=False,
            disable=not shows_bars(),
        )

    def close(self) -> None:
        self._bar.close()

    def add(self, record: Record, to_print: bool, to_tables: bool) -> None:
        """Advances the bar to the last iteration; prints it, and adds it to the tables."""
        trainer, i = self.trainer, self.trainer.iteration
        if i in trainer.val_losses:
            self._bar.unpause()  # a validation is no measure of its speed
        mean = np.mean(trainer.train_losses[-50:])
        self._bar.set_description_str(f"epoch {trainer.epoch:.2f}, loss {mean:.3f} ", refresh=False)
        self._bar.update(i - self._bar.n)
        if to_print:
            log(
                f"{i}/{self.iterations} (epoch {trainer.epoch:.3f}), train_loss = {record.loss:6.8f}, "
                f"grad/param norm = {record.norm_ratio:6.4e}, time/batch = {record.seconds:.4f}s"
            )
        val_loss = trainer.val_losses.get(i) if trainer.options.val_frac else None
        row = (i, trainer.epoch, record.loss, val_loss, trainer.learning_rate, record.norm_ratio, record.seconds)
        for table in list(self.tables) if to_tables else ():
            try:
                table.write(row)
            except OSError as error:
                self.tables.remove(table)
                tell(f"warning: cannot write {table.path} ({reason(error)}); the rest of the run will be missing there")
        self.tell_pace(record.seconds)

    def tell_pace(self, seconds: float) -> None:
        """Says on a terminal how long the run takes, and once if iterations become three times as long as the fastest.

        Then other programs use the cores, and the threads wait for each other.
        """
        import torch

        self._seconds.append(seconds)
        if len(self._seconds) < 5:
            return
        now, device = median(self._seconds[-5:]), self.trainer.device
        if len(self._seconds) == 20 and sys.stderr.isatty():
            minutes = now * (self.iterations - self.trainer.iteration) / 60
            time = f"{minutes:.0f} minutes" if minutes < 100 else f"{minutes / 60:.0f} hours"
            tell(f"about {time} to go on {device}; -print_every 100 prints fewer lines, and Ctrl-C stops and saves")
        if now > 3 * self._fastest > 0 and device.type == "cpu" and torch.get_num_threads() > 1:
            before, self._fastest = self._fastest, 0.0  # so that it is said once
            tell(
                f"an iteration takes {now:.2f} s now, and took {before:.2f} s before: other programs use the cores; "
                "-threads 1 is faster then"
            )
        self._fastest = min(self._fastest, now)


def open_tables(options: Namespace, train_losses: np.ndarray) -> list[CSVFile | TensorBoard]:
    """Opens what -log_csv and -tensorboard name, in the first of several processes.

    `train_losses` are those of a resumed run so far. Raises UserError, before hours of training are spent.
    """
    tables: list[CSVFile | TensorBoard] = []
    for flag, kind in (("log_csv", CSVFile), ("tensorboard", TensorBoard)):
        path = getattr(options, flag)
        if path and rank().first:
            try:
                tables.append(kind(path, train_losses))
            except OSError as error:
                raise UserError(f"cannot write {path}: {reason(error)}; choose another -{flag}") from error
    return tables


class TensorBoard:
    """The same figures for TensorBoard, where they take the place of those after the checkpoint."""

    def __init__(self, path: str, train_losses: np.ndarray) -> None:
        if not importlib.util.find_spec("tensorboard"):
            raise UserError("-tensorboard needs the package tensorboard; run: pip install -e '.[tensorboard]'")
        from torch.utils.tensorboard import SummaryWriter

        self.path, self._writer = path, SummaryWriter(path, purge_step=len(train_losses) + 1)

    def write(self, row: Row) -> None:
        for name, value in zip(COLUMNS[2:], row[2:]):
            if value is not None:
                self._writer.add_scalar(name, value, row[0])
        self._writer.flush()


class CSVFile:
    """A table with a row for each log line and checkpoint.

    A new run takes only a new or empty file, a resumed one its own log as well, without the rows after its checkpoint.
    Devices and pipes are written to as they are, and so is standard output, `-`.
    """

    def __init__(self, path: str, train_losses: np.ndarray) -> None:
        check_output(path, "-log_csv")
        self.path, file = path, Path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        has_rows = path != "-" and not is_stream(file) and file.exists() and file.stat().st_size > 0
        end = end_of_rows(file, train_losses) if has_rows else 0
        self._file = open(os.dup(1) if path == "-" else path, "a", newline="\n")  # noqa: SIM115
        if has_rows:
            self._file.truncate(end)
        else:
            self.write(COLUMNS)

    def write(self, row: Row) -> None:
        print(*("" if value is None else value for value in row), sep=",", file=self._file, flush=True)


def end_of_rows(path: Path, train_losses: np.ndarray) -> int:
    """Returns where a log's rows up to the checkpoint of a run with these losses end, in bytes.

    Raises UserError if it is not the log of that run.
    """
    header, *rows = path.read_bytes().splitlines(keepends=True)
    end = len(header)
    try:
        ours = header.decode().strip() == ",".join(COLUMNS)
        for row in rows:
            if not row.endswith(b"\n"):
                break  # it was cut off, as by a full disk
            number, _, loss = row.decode().split(",")[:3]
            if int(number) > len(train_losses):
                break
            ours = ours and float(loss) == train_losses[int(number) - 1]
            end += len(row)
    except (ValueError, IndexError):
        ours = False
    if not ours or end == len(header) < path.stat().st_size:
        raise UserError(
            f"{path} exists and is not the log of this run up to its checkpoint; "
            "choose another file for -log_csv, or continue its run with -resume"
        )
    return end
