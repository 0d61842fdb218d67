"""Which device is chosen, and what is said if there is none."""

import sys
import types

import pytest

from util.cli import device
from util.cli.device import choose_device, tried
from util.errors import UserError


@pytest.fixture
def said():
    return []


def test_the_cpu_needs_no_message(said):
    assert choose_device(-1, 0, said.append) == choose_device(-1, 1, said.append) == "cpu"
    assert said == []


def test_gpus_by_number(monkeypatch, said):
    monkeypatch.setattr(device, "count_gpus", lambda: 2)
    monkeypatch.setattr(device, "tried", lambda name, say: name)
    assert (choose_device(1, 0, said.append), said) == ("cuda:1", [])
    with pytest.raises(UserError, match="there is no GPU 2; -gpuid takes 0 to 1, or -1 for the CPU"):
        choose_device(2, 0, said.append)


def test_a_driver_that_is_missing_or_fails_is_no_gpu(monkeypatch, said):
    def missing(name):
        raise OSError(name)

    broken = types.SimpleNamespace(cuInit=lambda flags: 100, cuDeviceGetCount=lambda count: 0)
    for driver in (missing, lambda name: broken):
        monkeypatch.setattr("ctypes.CDLL", driver)
        assert choose_device(0, 0, said.append) == "cpu"
        assert "no GPU found; continuing on the CPU" in said.pop()


def test_opencl_without_a_back_end_or_with_one_that_does_not_load(monkeypatch, said):
    for module in ({}, {"pytorch_ocl": types.ModuleType("pytorch_ocl")}):
        with monkeypatch.context() as patch:
            for name in module:
                patch.setitem(sys.modules, name, module[name])
            assert choose_device(1, 1, said.append) == "cpu"
    assert said[0] == "cannot compute on ocl:1 (No module named 'pytorch_ocl'); continuing on the CPU"
    assert said[1].startswith("cannot compute on ocl:1 (") and said[1].endswith("continuing on the CPU")


def test_a_device_that_torch_cannot_use(said):
    assert tried("cuda:99", said.append) == "cpu"
    assert said[0].startswith("cannot compute on cuda:99 (")
