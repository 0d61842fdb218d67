"""Figures of a run for other programs: a CSV file, TensorBoard."""

from __future__ import annotations

import csv
import importlib.util
from pathlib import Path
from typing import Any

from util.cli.files import replacing
from util.errors import UserError, reason, warn

COLUMNS = ("iteration", "epoch", "train_loss", "val_loss", "learning_rate", "grad_param_norm", "seconds")


class Recorder:
    """Writes a row of figures for each line of the log; a file that cannot be written costs a warning, not the run.

    A run that goes on after iteration `start` keeps the rows up to there. An empty path leaves a record out.
    Raises UserError where TensorBoard is asked for and missing, or the CSV file cannot be made.
    """

    def __init__(self, csv_path: str, tensorboard_dir: str, start: int) -> None:
        self._csv = CSVFile(Path(csv_path), start) if csv_path else None
        self._tensorboard: Any = None
        if tensorboard_dir:
            if not importlib.util.find_spec("tensorboard"):
                raise UserError("-tensorboard needs the package tensorboard; pip install -e '.[tensorboard]' brings it")
            from torch.utils.tensorboard import SummaryWriter

            self._tensorboard = SummaryWriter(tensorboard_dir, purge_step=start + 1)

    def record(self, **figures: float | None) -> None:
        """Takes a value for each of COLUMNS; None where there is none."""
        if self._csv:
            self._csv.write([figures[name] for name in COLUMNS])
        if self._tensorboard:
            for name in COLUMNS[2:]:
                if figures[name] is not None:
                    self._tensorboard.add_scalar(name, figures[name], figures["iteration"])

    def close(self) -> None:
        if self._tensorboard:
            self._tensorboard.close()


class CSVFile:
    def __init__(self, path: Path, start: int) -> None:
        self.path, self.working = path, True
        try:
            rows = []
            if start and path.exists():
                with path.open(newline="") as old:
                    rows = [row for row in list(csv.reader(old))[1:] if row and int(row[0]) <= start]
            with replacing(path) as new:
                new.write("".join(",".join(row) + "\n" for row in [COLUMNS, *rows]).encode())
        except OSError as error:
            raise UserError(f"cannot write {path}: {reason(error)}; name another file with -log_csv") from error
        except (ValueError, csv.Error) as error:
            raise UserError(f"{path} is no log of such a run; name another file with -log_csv") from error

    def write(self, row: list[float | None]) -> None:
        if not self.working:
            return
        try:
            with self.path.open("a", newline="") as file:
                csv.writer(file, lineterminator="\n").writerow(row)
        except OSError as error:
            self.working = False
            warn(f"warning: cannot write {self.path} ({reason(error)}); the rest of the run is not recorded there")
