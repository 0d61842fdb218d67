"""What must be the same in all processes that train one model together."""

from __future__ import annotations

import hashlib
from argparse import Namespace
from typing import TYPE_CHECKING, Any

from util import ROOT
from util.cli.flags import Flags, Role

if TYPE_CHECKING:
    from util.training.trainer import Trainer


def shared_values(flags: Flags, options: Namespace, text_sha256: str, trainer: Trainer) -> dict[str, Any]:
    """Returns what must be equal in all processes of a run, by name."""
    import torch

    code = sorted([*ROOT.glob("*.py"), *ROOT.glob("model/**/*.py"), *ROOT.glob("util/**/*.py")])
    return {
        "text": text_sha256,
        "flags": {name: getattr(options, name) for name in flags.named(Role.RUN, Role.COURSE, Role.PACE)},
        "source code": hashlib.sha256(b"".join(path.read_bytes() for path in code)).hexdigest(),
        "torch version": torch.__version__,
        "kind of device": trainer.device.type,
        "starting checkpoint": (trainer.iteration, trainer.flat.values.double().sum().item()),
    }
