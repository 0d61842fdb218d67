"""Where a model runs: a CUDA GPU, an OpenCL device, or the CPU."""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import sys
from collections.abc import Callable

from util.errors import UserError

OPENCL_BACKEND = "pytorch_ocl"
"""The package that adds OpenCL devices, called ocl:0 and so on, to PyTorch; github.com/artyom-beilis/pytorch_dlprim."""


def choose_device(gpuid: int, opencl: int, say: Callable[[str], None]) -> str:
    """The device that -gpuid and -opencl ask for, as a torch device string, or "cpu" with the reason said.

    Does not import torch. Raises UserError where there are GPUs but not this one.
    """
    if gpuid < 0:
        return "cpu"
    if opencl:
        if importlib.util.find_spec(OPENCL_BACKEND):
            return f"ocl:{gpuid}"
        say(f"OpenCL takes the package {OPENCL_BACKEND}, which is not installed; going on on the CPU")
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


def open_device(device: str, say: Callable[[str], None]) -> str:
    """The device from `choose_device`, after a try to compute there; "cpu" with the reason said where that fails."""
    if device == "cpu":
        return device
    import torch

    try:
        if device.startswith("ocl"):
            importlib.import_module(OPENCL_BACKEND)
        torch.ones(1, device=device).add_(1).item()
        if device.startswith("cuda"):
            torch.cuda.set_device(device)
    except (ImportError, OSError, RuntimeError, AssertionError) as error:
        # A CPU build of torch raises AssertionError.
        say(f"cannot compute on {device} ({str(error).splitlines()[0]}); going on on the CPU")
        return "cpu"
    return device
