"""Several processes that train one model, as torchrun starts them: their shares of a batch, and sums over all of them.

Every process holds the whole model and some of the batch's streams. Gradients are added up in each iteration, so
that all take the same steps, which are those that one process would take.
"""

from __future__ import annotations

import hashlib
import os
from argparse import Namespace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from util.cli.console import rank
from util.cli.flags import Flags, Role
from util.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from util.training.trainer import Trainer

PATIENCE = timedelta(seconds=20)
"""How long an iteration waits for another process; torchrun takes up to 30 seconds more to end one that hangs."""


class LostProcess(UserError):
    """Another process has died, or hangs."""

    everywhere = True


class Processes:
    """This process among the others; without torchrun the only one."""

    def __init__(self) -> None:
        self.rank, self.size, *_ = rank()

    @property
    def first(self) -> bool:
        """Whether this is the process that prints and saves."""
        return self.rank == 0

    def share(self, batch_size: int) -> slice:
        """Returns the streams of this process: as many as the others', or one more or less. Raises UserError."""
        if batch_size < self.size:
            raise UserError(f"{self.size} processes need a -batch_size of at least {self.size}; it is {batch_size}")
        return slice(self.rank * batch_size // self.size, (self.rank + 1) * batch_size // self.size)

    def connect(self, facts: dict[str, Any]) -> None:
        """Meets the others, and takes this process's share of the machine's cores.

        Raises UserError where the facts, each with its name, are not the same for all.
        """
        if self.size == 1:
            return
        import torch
        from torch import distributed

        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        torch.set_num_threads(max(1, cores // rank().local_total))
        # To meet may take long, with one still indexing the text. From then on nobody has a reason to be late.
        distributed.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
        everyones: list[Any] = [None] * self.size
        distributed.all_gather_object(everyones, facts)
        for name in facts:
            for number, theirs in enumerate(everyones):
                if theirs[name] != everyones[0][name]:
                    raise UserError(f"process {number} has another {name} than process 0; all must have the same")
        self._group = distributed.new_group(timeout=PATIENCE)

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        """Takes leave of the others; threads that talk to them must not meet the end of the interpreter."""
        if self.size > 1:
            from torch import distributed

            if distributed.is_initialized():
                distributed.destroy_process_group()

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
                "seconds"
            ) from error
        return tensor


def facts(flags: Flags, options: Namespace, text_sha256: str, trainer: Trainer, root: Path) -> dict[str, Any]:
    """Returns what must be the same in all processes that train together; `root` is the program's folder."""
    import torch

    shared = flags.named(Role.RUN, Role.COURSE, Role.PACE)
    code = sorted([*root.glob("*.py"), *root.glob("model/**/*.py"), *root.glob("util/**/*.py")])
    return {
        "text (by content)": text_sha256,
        "flag": {name: getattr(options, name) for name in shared},
        "version of the code": hashlib.sha256(b"".join(path.read_bytes() for path in code)).hexdigest(),
        "version of torch": torch.__version__,
        "kind of device": trainer.device.type,
        "checkpoint to start from": (trainer.iteration, trainer.flat.values.double().sum().item()),
    }
