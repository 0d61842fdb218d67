"""A CSV log is continued by its own run alone, and nothing is written behind half a row; TensorBoard's figures."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.helpers.inputs import numbers
from util.errors import UserError
from util.training.report import RunLog
from util.training.tables import CSVFile, Row, TensorBoard

LOSSES = np.array([3.5, 3.25, 3.0, 2.75, 2.5])


def write(path: Path, *iterations: int, resumed_at: int = 0) -> list[str]:
    """Writes the rows of some iterations, as a run does that was resumed there; returns the lines of the log."""
    table = CSVFile(str(path), LOSSES[:resumed_at])
    table.open()
    for iteration in iterations:
        table.write(Row(iteration, iteration / 10, LOSSES[iteration - 1], None, 0.002, 0.125, 0.5))
    table.close()
    return path.read_text().splitlines()


def test_a_row_that_was_cut_off_is_left_out(tmp_path):
    """Wherever that was, as by a full disk: in its newline, too."""
    log = tmp_path / "log.csv"
    *before, last = write(log, 1, 2, 3, 4)
    whole = log.read_text()
    for cut in range(1, len(last) + 2):
        log.write_text(whole[:-cut])
        found = write(log, 5, resumed_at=4)
        assert found[:-1] == before and found[-1].startswith("5,0.5,2.5,,"), cut


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_a_log_that_takes_no_header_is_named():
    with pytest.raises(UserError, match="cannot write /dev/full: no space left on device; choose another -log_csv"):
        (table := CSVFile("/dev/full", LOSSES[:0])).open()
    assert table._file.closed  # so that Python does not write the header once more, and show another error


def test_rows_after_the_checkpoint_are_written_anew(tmp_path):
    log = tmp_path / "log.csv"
    before = write(log, 1, 2, 3, 4, 5)
    assert write(log, 3, 5, resumed_at=2) == [*before[:4], before[5]]


def test_a_log_whose_rows_all_come_after_the_checkpoint_is_not_known_as_the_run_s(tmp_path):
    log = tmp_path / "log.csv"
    before = write(log, 3, 4)
    with pytest.raises(UserError, match="is not the log of this run up to its checkpoint"):
        write(log, resumed_at=2)
    assert log.read_text().splitlines() == before


@pytest.mark.parametrize("content", [b"a,b\n1,2\n", numbers(20), b"\xff\xfe\0", b'iteration,epoch\n1,"\n', b"PK\3\4"])
def test_a_file_that_is_no_log_stays(content, tmp_path):
    log = tmp_path / "log.csv"
    log.write_bytes(content)
    with pytest.raises(UserError, match=r"log\.csv.* choose another file for -log_csv"):
        CSVFile(str(log), LOSSES[:0])
    assert log.read_bytes() == content


def test_a_log_is_one_run_s_at_a_time(tmp_path):
    first, second = (CSVFile(str(tmp_path / "log.csv"), LOSSES[:0]) for _ in range(2))
    trainer = SimpleNamespace(iteration=0, iterations=5, options=SimpleNamespace(batch_size=1, seq_length=1))
    run_log = RunLog(trainer, [first])
    with pytest.raises(UserError, match=r"another run writes to .*log\.csv; choose another"):
        second.open()
    run_log.close()
    second.open()
    second.close()


@pytest.mark.parametrize(
    ("row", "ours", "theirs"),
    [
        (0, "train_loss", "loss"),
        (0, "iteration", "\ufeffiteration"),
        (1, "3.5", "4.5"),
        (2, "2,", "3,"),
        (3, "3.0", ""),
    ],
)
def test_the_header_and_every_loss_must_be_the_run_s(row, ours, theirs, tmp_path):
    """Not only those of the last row."""
    log = tmp_path / "log.csv"
    lines = write(log, 1, 2, 3, 4)
    lines[row] = lines[row].replace(ours, theirs, 1)
    log.write_text("\n".join([*lines, ""]))
    before = log.read_bytes()
    with pytest.raises(UserError, match="exists and is not the log of this run up to its checkpoint"):
        write(log, resumed_at=4)
    assert log.read_bytes() == before


def test_tensorboard_gets_what_comes_after_the_checkpoint(monkeypatch):
    """Without the package, which few have: a writer that only says what it was given."""
    said = []

    class Writer:
        def __init__(self, path, purge_step):
            said.append((path, purge_step))

        def add_scalar(self, name, value, iteration):
            said.append((name, value, iteration))

        def flush(self):
            said.append("flushed")

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", SimpleNamespace(SummaryWriter=Writer))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    table = TensorBoard("board", LOSSES[:3])
    assert said == []
    table.open()
    table.write(Row(4, 0.4, 2.75, None, 0.002, 0.125, 0.5))
    figures = [("train_loss", 2.75, 4), ("learning_rate", 0.002, 4), ("grad_param_norm", 0.125, 4), ("seconds", 0.5, 4)]
    assert (said[0], sorted(said[1:-1]), said[-1]) == (("board", 4), sorted(figures), "flushed")
