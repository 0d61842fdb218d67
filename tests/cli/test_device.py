"""Which device is chosen, and what is said if there is none."""

import types

import pytest
import torch  # noqa: F401  (later, it would get the drivers below)

from util.cli.device import choose_device
from util.errors import UserError


def sees_99_gpus(name: str) -> types.SimpleNamespace:
    """A driver that torch cannot use, as beside a CPU build of torch, or with an old card."""

    def count(pointer) -> int:
        pointer._obj.value = 99
        return 0

    return types.SimpleNamespace(cuInit=lambda flags: 0, cuDeviceGetCount=count)


def missing(name: str) -> None:
    raise OSError(name)


def broken(name: str) -> types.SimpleNamespace:
    return types.SimpleNamespace(cuInit=lambda flags: 100, cuDeviceGetCount=lambda count: 0)


@pytest.mark.parametrize(
    ("driver", "gpuid", "opencl", "said"),
    [
        (missing, -1, 0, ""),
        (missing, -1, 1, ""),
        (missing, 0, 0, "no GPU found; continuing on the CPU"),
        (broken, 0, 0, "no GPU found; continuing on the CPU"),
        (missing, 1, 1, "cannot compute on ocl:1 (No module named 'pytorch_ocl'); continuing on the CPU"),
        (sees_99_gpus, 98, 0, "cannot compute on cuda:98 ("),
    ],
)
def test_what_is_said_on_a_machine_without_what_was_asked_for(driver, gpuid, opencl, said, monkeypatch):
    monkeypatch.setattr("ctypes.CDLL", driver)
    sentences: list[str] = []
    assert choose_device(gpuid, opencl, sentences.append) == "cpu" and len(sentences) == bool(said)
    assert all(said in sentence and "continuing on the CPU" in sentence for sentence in sentences)


def test_a_gpu_that_the_driver_does_not_see_is_a_mistake(monkeypatch):
    monkeypatch.setattr("ctypes.CDLL", sees_99_gpus)
    with pytest.raises(UserError, match="there is no GPU 99 among the 99 here, numbered from 0; -gpuid -1 is the CPU"):
        choose_device(99, 0, print)
