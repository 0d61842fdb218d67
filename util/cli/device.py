"""Where a model runs: on a GPU, an OpenCL device, or the CPU; and how much memory there is."""

import ctypes
import importlib
import mmap
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from util.cli.console import rank, tell
from util.errors import UserError

TORCH = 480 << 20  # bytes of addresses that it takes at least


def choose_device(gpuid: int, opencl: int, say: Callable[[str], object]) -> str:
    """Returns the device that -gpuid and -opencl ask for, as torch names it; "cpu" if it fails, after saying why.

    Of several processes each takes one of its machine's GPUs in turn. Raises UserError if there are GPUs, but not this.
    """
    if gpuid < 0:
        return "cpu"
    if not rank().first:  # it prints all the same, since this is about its own device
        say = partial(tell, everywhere=True)
    if not opencl:
        count = count_gpus()
        if not count:
            say("no GPU found; continuing on the CPU (-gpuid -1 silences this message)")
            return "cpu"
        gpuid = rank().local % count if rank().total > 1 else gpuid
        if gpuid >= count:
            raise UserError(f"there is no GPU {gpuid} among the {count} here, numbered from 0; -gpuid -1 is the CPU")
    device = f"ocl:{gpuid}" if opencl else f"cuda:{gpuid}"
    try:
        if opencl:
            importlib.import_module("pytorch_ocl")  # adds these devices; github.com/artyom-beilis/pytorch_dlprim
        import torch

        torch.ones(1, device=device).add_(1).item()
        if not opencl:
            torch.cuda.set_device(device)
    except (ImportError, OSError, RuntimeError, AssertionError) as error:  # the last from a torch for CPUs
        why = str(error).partition("\n")[0] or type(error).__name__
        say(f"cannot compute on {device} ({why}); continuing on the CPU")
        return "cpu"
    return device


def count_gpus() -> int:
    """Returns how many GPUs there are. Asking NVIDIA's driver is instant; importing torch takes seconds."""
    import importlib.metadata  # slow, too

    try:
        if "rocm" in importlib.metadata.version("torch"):  # AMD's GPUs, which torch calls cuda as well
            import torch

            return torch.cuda.device_count()
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
        count = ctypes.c_int()
        return 0 if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)) else count.value
    except (ImportError, OSError, AttributeError):
        return 0


def memory_of(device: str) -> int:
    """Returns how many bytes of memory a GPU has, or else this machine; sys.maxsize if the system does not say."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.get_device_properties(device).total_memory
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError):
        return sys.maxsize


def check_room_for_torch() -> None:
    """Raises OSError if this process may not have the memory (ulimit -v) without which importing torch would abort."""
    with suppress(AttributeError):  # Windows has no such limit
        mmap.mmap(-1, TORCH, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, mmap.PROT_READ).close()
