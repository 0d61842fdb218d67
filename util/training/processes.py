"""Several processes, started by torchrun, that train one model: their shares of a batch, and sums over all of them.

Every process holds the whole model and some of the batch's streams. Gradients are summed in every iteration, so that
all processes take the same step, the one that a single process would take.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from util import ROOT
from util.cli.console import rank
from util.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

PATIENCE = timedelta(seconds=20)
"""How long an iteration waits for another process; torchrun takes up to 30 seconds more to end one that hangs."""


class LostProcess(UserError):
    """Another process has died or hangs."""

    everywhere = True


def identity_of(device: str) -> str | None:
    """Returns what distinguishes a GPU from all others, however few of them a process sees; nothing for a CPU."""
    import torch

    return str(torch.cuda.get_device_properties(device).uuid) if device.startswith("cuda") else None


class Processes:
    """This process among the others; without torchrun it is the only one."""

    def __init__(self) -> None:
        self.rank, self.size, *_ = rank()

    def share(self, batch_size: int) -> slice:
        """Returns this process's streams, divided as evenly as possible. Raises UserError if there are too few."""
        if batch_size < self.size:
            raise UserError(f"{self.size} processes need a -batch_size of at least {self.size}; it is {batch_size}")
        return slice(self.rank * batch_size // self.size, (self.rank + 1) * batch_size // self.size)

    def connect(self, device: str, must_agree: Callable[[], dict[str, Any]], threads: int) -> None:
        """Joins the other processes, and takes so many threads or, with 0, this one's share of the machine's cores.

        Raises UserError, which names the first difference, unless what `must_agree` returns, the code and the versions
        are the same in all of them, and if two of them have the same GPU as their device.
        """
        import torch
        from torch import distributed

        if self.size > 1 and not threads:
            cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
            threads = max(1, cores // rank().local_total)
        if threads:
            torch.set_num_threads(threads)
        if self.size == 1:
            return
        # Joining may take long, since one process may still be indexing the text. After that, none should be late.
        try:
            distributed.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
        except (ValueError, RuntimeError) as error:
            why = str(error).splitlines()[0]
            raise UserError(f"cannot join the other processes, which torchrun starts: {why}") from error
        code = sorted([*ROOT.glob("*.py"), *ROOT.glob("model/**/*.py"), *ROOT.glob("util/**/*.py")])
        mine = must_agree() | {
            "source code": hashlib.sha256(b"".join(path.read_bytes() for path in code)).hexdigest(),
            "torch version": torch.__version__,
            "kind of device": device.partition(":")[0],
        }
        everyones: list[Any] = [None] * self.size
        distributed.all_gather_object(everyones, (mine, identity_of(device)))
        first, gpus = everyones[0][0], [gpu for _, gpu in everyones if gpu]
        for number, (theirs, _) in enumerate(everyones):
            for name in first:
                if theirs[name] != first[name]:
                    raise UserError(f"process {number} differs from process 0 in its {name}; all must have the same")
        if len(set(gpus)) < len(gpus):
            raise UserError("two processes would use the same GPU; start as many as there are, or use -gpuid -1")
        self._group = distributed.new_group(timeout=PATIENCE)

    def close(self) -> None:
        """Leaves the group, so that none of its threads is still running when the interpreter shuts down."""
        if self.size > 1:
            from torch import distributed

            if distributed.is_initialized():
                distributed.destroy_process_group()

    def sum(self, tensor: Tensor) -> Tensor:
        """Sums the tensor over all processes, in place, and returns it. Raises LostProcess."""
        if self.size == 1:
            return tensor
        from torch import distributed

        try:
            distributed.all_reduce(tensor, group=self._group)
        except RuntimeError as error:
            raise LostProcess(
                f"process {self.rank} lost contact with another process, which has died or not answered for "
                f"{PATIENCE.seconds} seconds"
            ) from error
        return tensor
