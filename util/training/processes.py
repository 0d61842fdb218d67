"""Several processes, started by torchrun, that train one model: their shares of a batch, and sums over all of them.

Every process holds the whole model and some of the batch's streams. Gradients are summed in every iteration, so that
all processes take the same step, the one that a single process would take.
"""

from __future__ import annotations

import hashlib
import os
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

    def connect(self, device: str, threads: int) -> None:
        """Joins the other processes, and takes so many threads or, with 0, this one's share of the machine's cores.

        Raises UserError if that fails, or if two of them have the same GPU as their device.
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
        gpus = [gpu for gpu in self._everyones(identity_of(device)) if gpu]
        if len(set(gpus)) < len(gpus):
            raise UserError("two processes would use the same GPU; start as many as there are, or use -gpuid -1")

    def compare(self, mine: dict[str, Any]) -> None:
        """Begins the work together, if all processes have the same of everything that is named, the code included.

        Raises UserError, which names the first difference.
        """
        if self.size == 1:
            return
        import torch
        from torch import distributed

        code = sorted([*ROOT.glob("*.py"), *ROOT.glob("model/**/*.py"), *ROOT.glob("util/**/*.py")])
        mine |= {
            "source code": hashlib.sha256(b"".join(path.read_bytes() for path in code)).hexdigest(),
            "torch version": torch.__version__,
        }
        everyones = self._everyones(mine)
        for number, theirs in enumerate(everyones):
            for name, expected in everyones[0].items():
                if theirs[name] != expected:
                    raise UserError(f"process {number} differs from process 0 in its {name}; all must have the same")
        self._group = distributed.new_group(timeout=PATIENCE)

    def _everyones(self, mine: Any) -> list[Any]:
        """Returns what each process has given, by their numbers."""
        from torch import distributed

        found: list[Any] = [None] * self.size
        distributed.all_gather_object(found, mine)
        return found

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
