"""Builds a run's model and trainer."""

import hashlib
from argparse import Namespace
from typing import Any

import torch

from model.char_rnn import CharRNN
from model.fast.launch import why_not
from model.shapes import count_parameters
from util import ROOT
from util.cli.console import log, tell
from util.cli.device import memory_of
from util.cli.flags import Flags, Role
from util.errors import UserError
from util.text.batches import Batches
from util.text.vocabulary import Vocabulary
from util.training.processes import Processes
from util.training.start import Start
from util.training.trainer import Trainer

LAYER = 1 << 18
"""What a layer takes at least besides its parameters: its steps, each with views of its memory."""


def make_trainer(vocabulary: Vocabulary, batches: Batches, device: str, processes: Processes, start: Start) -> Trainer:
    """Returns a trainer, with a model of this vocabulary on its device, where the run starts.

    Raises UserError if the model is too large.
    """
    options = start.options
    shape = len(vocabulary), options.rnn_size, options.num_layers, options.model
    size, memory = count_parameters(*shape), memory_of(device)
    needed = 8 * size + LAYER * options.num_layers
    if needed > memory:  # the system would end the run without a word
        what_to_do = "try a smaller -rnn_size or fewer -num_layers"
        raise UserError(f"the model needs more than {needed >> 30} GB of memory, of {memory >> 30} GB; {what_to_do}")
    log(f"creating {options.model} with {options.num_layers} layers of {options.rnn_size}")
    if options.dtype == "bfloat16":
        torch.set_float32_matmul_precision("medium")
    model = CharRNN(*shape).to(device=device, dtype=torch.float64 if options.dtype == "float64" else torch.float32)
    log(f"number of parameters in the model: {size}")
    trainer = Trainer(model, batches, processes, options)
    start.begin(trainer, vocabulary)
    if device.startswith("cuda") and options.dtype != "float64" and why_not(trainer.device):
        tell(f"warning: training will be slower than it could be: {why_not(trainer.device)}")
    return trainer


def must_agree(options: Namespace, flags: Flags, text_sha256: str, trainer: Trainer) -> dict[str, Any]:
    """Returns what all processes that train one model must have the same, by name."""
    code = sorted([*ROOT.glob("*.py"), *ROOT.glob("model/**/*.py"), *ROOT.glob("util/**/*.py")])
    return {
        "text": text_sha256,
        "flags": [getattr(options, n) for n, r in flags.roles.items() if r in (Role.RUN, Role.COURSE, Role.PACE)],
        "starting checkpoint": hashlib.sha256(trainer.flat.values.cpu().numpy().tobytes()).hexdigest(),
        "kind of device": trainer.device.type,
        "source code": hashlib.sha256(b"".join(path.read_bytes() for path in code)).hexdigest(),
        "torch version": torch.__version__,
    }
