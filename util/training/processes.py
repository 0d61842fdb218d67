"""Several processes, started by torchrun, that train one model, and sums over all of them.

Every process holds the whole model and some of the batch's streams. Gradients are summed in every iteration, so that
all processes take the same step, the one that a single process would take.
"""

import os
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed

from util.cli.console import rank
from util.errors import UserError

PATIENCE = timedelta(seconds=20)
"""How long an iteration waits for another process; torchrun takes up to 30 seconds more to end one that hangs."""


class LostProcess(UserError):
    """Another process has died or hangs."""

    everywhere = True


def identity_of(device: str) -> str | None:
    """Returns what distinguishes a GPU from all others, however few of them a process sees; nothing for a CPU."""
    return str(torch.cuda.get_device_properties(device).uuid) if device.startswith("cuda") else None


class Processes:
    """This process among the others; without torchrun it is the only one."""

    def __init__(self) -> None:
        self.rank, self.size, *_ = rank()

    def take_threads(self, threads: int) -> None:
        """Takes so many threads or, with 0, this process's share of the machine's cores."""
        if self.size > 1 and not threads:
            cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
            threads = max(1, cores // rank().local_total)
        if threads:
            torch.set_num_threads(threads)

    def join(self, device: str, mine: dict[str, Any]) -> None:
        """Joins the others, if all have the same of everything that is named in `mine`, and each a GPU of its own.

        Raises UserError if that is not so, which names the first difference, or if they cannot be reached.
        """
        # Joining may take long, since one process may still be indexing the text. After that, none should be late.
        try:
            distributed.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
        except (ValueError, RuntimeError) as error:
            why = str(error).splitlines()[0]
            raise UserError(f"cannot join the other processes, which torchrun starts: {why}") from error
        everyones: list[Any] = [None] * self.size
        distributed.all_gather_object(everyones, (mine, identity_of(device)))
        gpus = [gpu for _, gpu in everyones if gpu]
        if len(set(gpus)) < len(gpus):
            raise UserError("two processes would use the same GPU; start as many as there are, or use -gpuid -1")
        for number, (theirs, _) in enumerate(everyones):
            for name, expected in everyones[0][0].items():
                if theirs[name] != expected:
                    raise UserError(f"process {number} differs from process 0 in its {name}; all must have the same")
        self._group = distributed.new_group(timeout=PATIENCE)

    def close(self) -> None:
        """Leaves the group, so that none of its threads is still running when the interpreter shuts down."""
        if self.size > 1 and distributed.is_initialized():  # some builds of torch have no such module
            distributed.destroy_process_group()

    def sum(self, tensor: Tensor) -> Tensor:
        """Sums the tensor over all processes, in place, and returns it. Raises LostProcess."""
        if self.size == 1:
            return tensor
        try:
            distributed.all_reduce(tensor, group=self._group)
        except RuntimeError as error:
            why = f"which has died or not answered for {PATIENCE.seconds} seconds"
            raise LostProcess(f"process {self.rank} lost contact with another process, {why}") from error
        return tensor
