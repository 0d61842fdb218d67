"""Which device is chosen, and what is said if there is none."""

import ctypes
import types

import pytest

from tests.helpers.inputs import TINY
from tests.helpers.scripts import run
from util.cli.device import choose_device
from util.errors import UserError


def sees_99_gpus(name: str) -> types.SimpleNamespace:
    """A driver that torch cannot use, as beside a CPU build of torch, or with an old card."""

    def count(pointer) -> int:
        pointer._obj.value = 99
        return 0

    return types.SimpleNamespace(cuInit=lambda flags: 0, cuDeviceGetCount=count)


def have_99_gpus() -> None:
    ctypes.CDLL = sees_99_gpus  # type: ignore[assignment, misc]


def test_a_gpu_that_the_driver_does_not_see_is_a_mistake(monkeypatch):
    monkeypatch.setattr("ctypes.CDLL", sees_99_gpus)
    with pytest.raises(UserError, match="there is no GPU 99 among the 99 here, numbered from 0; -gpuid -1 is the CPU"):
        choose_device(99, 0, print)


def test_training_continues_on_the_cpu(data_dir):
    flags = [*TINY, "-gpuid=98", "-data_dir", data_dir, "-max_epochs=1"]
    done = run("train.py", *flags, prepare=have_99_gpus)
    assert done.returncode == 0, done.stderr
    assert "cannot compute on cuda:98 (" in done.stdout and done.stdout.count("continuing on the CPU") == 1


def test_what_is_said_on_a_machine_without_what_was_asked_for(monkeypatch):
    def missing(name):
        raise OSError(name)

    said: list[str] = []
    assert choose_device(-1, 0, said.append) == choose_device(-1, 1, said.append) == "cpu" and said == []
    broken = types.SimpleNamespace(cuInit=lambda flags: 100, cuDeviceGetCount=lambda count: 0)
    for driver in (missing, lambda name: broken):
        with monkeypatch.context() as patch:
            patch.setattr("ctypes.CDLL", driver)
            assert choose_device(0, 0, said.append) == "cpu"
        assert "no GPU found; continuing on the CPU" in said.pop()
    assert choose_device(1, 1, said.append) == "cpu"
    assert said.pop() == "cannot compute on ocl:1 (No module named 'pytorch_ocl'); continuing on the CPU"
