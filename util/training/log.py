"""Reports what a run has done: log lines, a progress bar, rows of tables."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from util.cli.console import log, shows_bars, tell
from util.errors import reason
from util.training.record import Record
from util.training.tables import Row, Table

if TYPE_CHECKING:
    from util.training.trainer import Trainer


class RunLog:
    """The log of a run on standard output, its bar on a terminal, and its tables, which are opened and closed here."""

    def __init__(self, trainer: Trainer, iterations: int, tables: Sequence[Table]) -> None:
        self.trainer, self.iterations, self.tables = trainer, iterations, list(tables)
        for table in tables:
            table.open()
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
        for table in self.tables:
            table.close()

    def add(self, record: Record, to_print: bool, to_tables: bool) -> None:
        """Advances the bar to the last iteration; prints it, and adds it to the tables."""
        trainer, i = self.trainer, self.trainer.iteration
        if trainer.validated:
            self._bar.unpause()  # a validation is no measure of its speed
        mean = np.mean(trainer.train_losses[-50:])
        self._bar.set_description_str(f"epoch {trainer.epoch:.2f}, loss {mean:.3f} ", refresh=False)
        self._bar.update(i - self._bar.n)
        if to_print:
            log(
                f"{i}/{self.iterations} (epoch {trainer.epoch:.3f}), train_loss = {record.loss:6.8f}, "
                f"grad/param norm = {record.norm_ratio:6.4e}, time/batch = {record.seconds:.4f}s"
            )
        if to_tables:
            self._add_row(record)
        self.tell_pace(record.seconds)

    def _add_row(self, record: Record) -> None:
        trainer, i = self.trainer, self.trainer.iteration
        val_loss = trainer.val_losses.get(i) if trainer.options.val_frac else None
        figures = i, trainer.epoch, record.loss, val_loss, trainer.learning_rate, record.norm_ratio, record.seconds
        for table in list(self.tables):
            try:
                table.write(Row(*figures))
            except OSError as error:
                self.tables.remove(table)
                table.close()
                tell(f"warning: cannot write {table.path} ({reason(error)}); the rest of the run will be missing there")

    def tell_pace(self, seconds: float) -> None:
        """Says on a terminal how long the run takes, and once if iterations become three times as long as the fastest.

        Then other programs may be using the cores, and the threads wait for each other.
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
                f"an iteration takes {now:.2f} s now, and took {before:.2f} s before: perhaps other programs use the "
                "cores; then -threads 1 is faster"
            )
        self._fastest = min(self._fastest, now)
