"""Where a model runs: a CUDA GPU, or the CPU."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable

from util.errors import UserError


def choose_device(gpuid: int, opencl: int, say: Callable[[str], None]) -> str:
    """The device that -gpuid and -opencl ask for, as a torch device string, or "cpu" with the reason said.

    Does not import torch. Raises UserError where there are GPUs but not this one.
    """
    if gpuid < 0:
        return "cpu"
    if opencl:
        say("OpenCL is not supported by PyTorch; going on on the CPU")
        return "cpu"
    count = count_gpus()
    if count == 0:
        say("no CUDA GPU found; going on on the CPU (-gpuid -1 does so without this message)")
        return "cpu"
    if gpuid >= count:
        raise UserError(f"there is no GPU {gpuid}; -gpuid takes 0 to {count - 1}, or -1 for the CPU")
    return f"cuda:{gpuid}"


def count_gpus() -> int:
    """How many GPUs the CUDA driver sees; asking the driver takes no time, importing torch takes seconds."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
        count = ctypes.c_int()
        failed = driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count))
    except (OSError, AttributeError):
        return 0
    return 0 if failed else count.value
