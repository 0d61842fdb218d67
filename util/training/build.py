"""Builds what a run needs: finds its text, and makes its model and trainer."""

from __future__ import annotations

import hashlib
import os
import runpy
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model.shapes import count_parameters
from util import ROOT
from util.checkpoint.text_of_checkpoint import text_of_run
from util.cli.console import log, rank, tell
from util.cli.device import memory_of
from util.cli.flags import Flags, Role
from util.errors import UserError
from util.text.batches import Batches
from util.text.source import Source, find_text
from util.text.vocabulary import Vocabulary
from util.training.resume import Start

if TYPE_CHECKING:
    from util.training.processes import Processes
    from util.training.trainer import Trainer

LAYER = 1 << 18
"""What a layer takes at least besides its parameters: its steps, each with views of its memory."""


def find_input(options: Namespace, sha256: str | None) -> Source:
    """Finds the text of a run, which has this SHA-256 if it is resumed; the example text is made if it is missing.

    Raises UserError if a run's text has moved.
    """
    if options.separator and not options.files:
        tell("warning: -separator has no effect without -files")
    if sha256 and "data_dir" not in options.given:
        source = text_of_run(vars(options), sha256)
        if not source:
            raise UserError(f"the text of this run was not found in {options.data_dir}; give its folder with -data_dir")
    else:
        source = named_text(options)
    if options.log_csv and os.path.realpath(options.log_csv) in map(os.path.realpath, source.files):
        raise UserError(f"-files matches {options.log_csv}, which -log_csv writes; put it into another folder")
    return source


def named_text(options: Namespace) -> Source:
    """Returns the text that the user names; without a name, or by its own, the example. Raises UserError."""
    example = ROOT / "data" / "tinyshakespeare"
    how = options.files, options.separator, options.document_end
    if "data_dir" in options.given and Path(os.path.realpath(options.data_dir)) != example:
        return find_text(options.data_dir, *how)
    for folder in (options.data_dir, example):
        if options.files and folder.is_dir():
            return find_text(folder, *how)
        if (source := find_text(folder)).files[0].exists():
            return source
    return make_example(example / "input.txt")


def make_example(path: Path) -> Source:
    """Makes the example text. Raises UserError."""
    log(f"{path} does not exist yet; making it")
    try:
        log(runpy.run_path(str(path.with_name("prepare.py")))["prepare"](path))
    except SystemExit as error:
        raise UserError(str(error)) from error
    return find_text(path.parent)


def share(batch_size: int) -> slice:
    """Returns this process's streams, divided as evenly as possible. Raises UserError if there are too few."""
    number, size, *_ = rank()
    if batch_size < size:
        raise UserError(f"{size} processes need a -batch_size of at least {size}; it is {batch_size}")
    return slice(number * batch_size // size, (number + 1) * batch_size // size)


def make_trainer(vocabulary: Vocabulary, batches: Batches, device: str, processes: Processes, start: Start) -> Trainer:
    """Returns a trainer, with a model of this vocabulary on its device, where the run starts.

    Raises UserError if the model is too large.
    """
    import torch

    from model.char_rnn import CharRNN
    from model.fast.launch import why_not
    from util.training.trainer import Trainer

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
    import torch

    code = sorted([*ROOT.glob("*.py"), *ROOT.glob("model/**/*.py"), *ROOT.glob("util/**/*.py")])
    return {
        "text": text_sha256,
        "flags": [getattr(options, n) for n, r in flags.roles.items() if r in (Role.RUN, Role.COURSE, Role.PACE)],
        "starting checkpoint": hashlib.sha256(trainer.flat.values.cpu().numpy().tobytes()).hexdigest(),
        "kind of device": trainer.device.type,
        "source code": hashlib.sha256(b"".join(path.read_bytes() for path in code)).hexdigest(),
        "torch version": torch.__version__,
    }
