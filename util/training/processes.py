"""Several processes that train one model, as torchrun starts them: who is who, and sums over all of them.

Every process holds the whole model and some of the batch's streams. Gradients are added up in each iteration, so
that all take the same steps, which are those that one process would take.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from util.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

PATIENCE = timedelta(seconds=20)
"""How long an iteration waits for another process; torchrun takes up to 30 seconds more to end one that hangs."""
VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")


class LostProcess(UserError):
    """Another process has died, or hangs."""

    everywhere = True


class Processes:
    """This process among the others; without torchrun, which tells by environment variables, the only one."""

    def __init__(self) -> None:
        launched = all(name in os.environ for name in (*VARIABLES, "MASTER_ADDR"))
        numbers = [int(os.environ[name]) for name in VARIABLES] if launched else [0, 1, 0, 1]
        self.rank, self.size, self.local_rank, self.local_size = numbers

    @property
    def first(self) -> bool:
        """Whether this is the process that prints and saves."""
        return self.rank == 0

    def share(self, batch_size: int) -> slice:
        """The streams of this process: as many as the others', or one more or less. Raises UserError."""
        if batch_size < self.size:
            raise UserError(f"{self.size} processes need a -batch_size of at least {self.size}; it is {batch_size}")
        return slice(self.rank * batch_size // self.size, (self.rank + 1) * batch_size // self.size)

    def connect(self, device: str, facts: dict[str, Any]) -> None:
        """Meets the others, and takes this process's share of the machine's cores.

        Raises UserError where the facts, each with its name, are not the same for all.
        """
        import torch
        from torch import distributed

        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        torch.set_num_threads(max(1, cores // self.local_size))
        # To meet may take long, with one still indexing the text. From then on nobody has a reason to be late.
        distributed.init_process_group("gloo" if device == "cpu" else "nccl")
        everyones: list[Any] = [None] * self.size
        distributed.all_gather_object(everyones, facts)
        for name in facts:
            for rank, theirs in enumerate(everyones):
                if theirs[name] != everyones[0][name]:
                    raise UserError(f"process {rank} has another {name} than process 0; all must have the same")
        self._group = distributed.new_group(timeout=PATIENCE)

    def sum(self, tensor: Tensor) -> Tensor:
        """Puts into the tensor its sum over all processes, and returns it. Raises LostProcess."""
        if self.size == 1:
            return tensor
        from torch import distributed

        try:
            distributed.all_reduce(tensor, group=self._group)
        except RuntimeError as error:
            raise LostProcess(
                f"process {self.rank} has lost another process, which died or has not answered for {PATIENCE.seconds} "
                "seconds; start again with -resume and the newest checkpoint"
            ) from error
        return tensor
