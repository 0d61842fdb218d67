"""One of four processes on two machines, where its number among all is not that on its own machine."""

import os
import signal
import sys
from argparse import Namespace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.helpers import fake_gpu
from tests.helpers.folders import names
from util.checkpoint.folder import CheckpointFolder, Saved
from util.checkpoint.store import load_checkpoint
from util.cli import console
from util.cli.console import Rank, join_torchrun, log, rank, shows_bars, tell
from util.cli.device import choose_device
from util.cli.signals import StopSignals
from util.errors import UserError
from util.training import trainer
from util.training.processes import Processes
from util.training.report import how_to_continue, preview
from util.training.start import Start
from util.training.tables import tables_of


@pytest.fixture
def be(monkeypatch):
    """be(number, local): this process has that number among all, and that one on its machine."""

    def be(number: int, local: int) -> Processes:
        monkeypatch.setattr(console, "_rank", Rank(number, 4, local, 2))
        return Processes()

    return be


def test_torchrun_says_which_process_this_is(monkeypatch):
    monkeypatch.setattr(console, "_rank", Rank())
    for name, value in (("RANK", "2"), ("WORLD_SIZE", "4"), ("LOCAL_RANK", "0"), ("LOCAL_WORLD_SIZE", "1")):
        join_torchrun()
        assert rank() == (0, 1, 0, 1)
        monkeypatch.setenv(name, value)
    join_torchrun()
    assert rank() == (2, 4, 0, 1)
    for name, value in (("LOCAL_RANK", "1"), ("WORLD_SIZE", "2"), ("RANK", "first")):
        with monkeypatch.context() as patch, pytest.raises(UserError, match="not as torchrun sets them; unset them"):
            patch.setenv(name, value)
            join_torchrun()


def test_the_streams_are_shared_by_all_and_the_cores_by_those_of_one_machine(be, monkeypatch):
    chosen = []
    monkeypatch.setattr(torch, "set_num_threads", chosen.append)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: range(8), raising=False)
    processes = be(2, 0)
    assert Start(Namespace(batch_size=10)).share() == slice(5, 7)
    processes.take_threads(0)
    be(3, 1).take_threads(3)
    assert chosen == [4, 3]


@pytest.mark.parametrize(("number", "local"), [(3, 0), (2, 1)])
def test_each_takes_a_gpu_of_its_machine(number, local, be, monkeypatch, capsys):
    def ones(*_, device):
        raise RuntimeError("it is only imagined")

    monkeypatch.setattr("util.cli.device.count_gpus", lambda: 2)
    monkeypatch.setattr(torch, "ones", ones)
    be(number, local)
    assert choose_device(0, 0, print) == "cpu"
    why = f"cannot compute on cuda:{local} (it is only imagined); continuing on the CPU\n"
    assert capsys.readouterr() == ("", why)


def test_one_of_all_logs_and_one_on_each_machine_warns(be, checkpoint, monkeypatch, capsys):
    first, of_machine, other = ("log\n", "warning\nerror\n"), ("", "warning\nerror\n"), ("", "error\n")
    for number, local, said in ((0, 0, first), (1, 1, other), (2, 0, of_machine), (3, 1, other)):
        be(number, local)
        log("log")
        tell("warning")
        tell("error", everywhere=True)
        assert capsys.readouterr() == said
    be(2, 0)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", SimpleNamespace(isatty=lambda: True))
        assert not shows_bars()
    trainer = SimpleNamespace(options=Namespace(preview=5, given={"preview"}), stop=StopSignals())
    preview(trainer, lambda: load_checkpoint(checkpoint))
    assert capsys.readouterr() == ("", "")


def test_one_of_all_writes(be, checkpoint, tmp_path):
    """The others know what it is called, since they may be those that live to say so."""
    be(2, 0)
    folder = CheckpointFolder(tmp_path / "cv", "s", keep=1)
    folder.check_writable()
    folder.save(load_checkpoint(checkpoint))
    options = Namespace(log_csv=str(tmp_path / "log.csv"), tensorboard=str(tmp_path / "board"))
    tables = tables_of(options, np.zeros(0), [])
    assert (names(tmp_path), tables, folder.last.path.name) == (set(), [], checkpoint.name.replace("lstm", "s"))


def test_a_validation_is_finished_by_all_of_them(be, monkeypatch):
    """Whoever is asked to stop: the others do not know it, and wait for its sum."""
    be(2, 0)
    monkeypatch.setattr(trainer, "LONG", -1.0)
    monkeypatch.setattr(Processes, "sum", lambda self, tensor: tensor)
    found = fake_gpu.trainer("rnn", device="cpu")
    found.stop.received = signal.SIGTERM
    found.validate()
    assert found.validated and not found.stopping


@pytest.mark.parametrize(("number", "local"), [(0, 0), (2, 0)])
def test_how_to_resume(number, local, be, monkeypatch, tmp_path):
    """The command has more in it than torchrun's number of processes; the file may lie on the first machine's disk."""
    be(number, local)
    folder = CheckpointFolder(tmp_path, "s", keep=0)
    folder.last = Saved(5, tmp_path / "x.pt")
    if number == 0:
        assert how_to_continue(folder) == "there is no checkpoint yet, so start again"
        (tmp_path / "x.pt").touch()
    monkeypatch.setattr(sys, "argv", ["train.py"])
    command = f"your torchrun command on each machine, with train.py -resume {tmp_path}/x.pt"
    assert how_to_continue(folder) == f"resume with: {command}"
