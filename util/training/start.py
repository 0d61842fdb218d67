"""Where a run starts: from scratch, from a model (-init_from), or where another run stopped (-resume)."""

from __future__ import annotations

import runpy
import shlex
import sys
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from model.shapes import count_parameters
from util import ROOT
from util.checkpoint.choice import best_checkpoint, newest_checkpoint
from util.checkpoint.content import Checkpoint
from util.checkpoint.new_characters import add_characters
from util.cli.console import log, tell
from util.cli.device import memory_of
from util.cli.flags import Flags, Role
from util.errors import UserError
from util.text.batches import Batches
from util.text.source import Source, canonical, find_text, text_of_run
from util.text.vocabulary import Vocabulary
from util.torch7_random import Torch7Random
from util.training.processes import Processes

if TYPE_CHECKING:
    from util.training.trainer import Trainer


@dataclass
class Start:
    """A run's flags, and what it starts from."""

    options: Namespace
    checkpoint: Checkpoint | None = None
    """The checkpoint whose model the run starts from or continues with."""
    resumed_from: Path | None = None
    """The checkpoint's file, if the run continues with it."""
    forked: bool = False
    """Whether it continues in another way, such as with another learning rate."""

    @property
    def train_losses(self) -> np.ndarray:
        """Those of the iterations that the run has already done."""
        return self.checkpoint.train_losses if self.checkpoint and self.resumed_from else np.zeros(0)

    @property
    def text_sha256(self) -> str | None:
        """The identity of the text that the run must continue with; None if any text will do."""
        training = self.checkpoint.training if self.checkpoint and self.resumed_from else None
        return training["text_sha256"] if training else None


def starting_point(options: Namespace, flags: Flags) -> Start:
    """Returns the start that -resume or -init_from asks for, and logs what differs. Raises UserError."""
    if options.log_csv == "-":
        sys.stdout = sys.stderr  # standard output is for the table
    options.encoding = canonical(options.encoding)
    if not options.val_frac and "train_frac" not in options.given:
        options.train_frac = 1.0
    start = resume(options, flags) if options.resume else init_from(options) if options.init_from else Start(options)
    options = start.options
    options.savefile = options.savefile or options.model
    if options.shuffle and not options.document_end:
        raise UserError("-shuffle 1 shuffles documents; say with -document_end what ends one, or leave it out")
    if options.early_stop and not options.val_frac:
        raise UserError("-early_stop counts validations, and with -val_frac 0 there are none; leave one of them out")
    return start


def init_from(options: Namespace) -> Start:
    """Takes the model's options from the checkpoint, and logs those that differ from the flags."""
    path, checkpoint = best_checkpoint(Path(options.init_from))
    options.init_from = str(path)
    log(f"loading a model from checkpoint {path}")
    if checkpoint.options.get("batchnorm"):  # see util.checkpoint.torch7
        log("the checkpoint's batch normalization is now part of its weights, and will not be trained separately")
    stored = checkpoint.options | {"dtype": checkpoint.precision, "encoding": canonical(checkpoint.vocabulary.encoding)}
    for name in ("model", "rnn_size", "num_layers", *sorted({"dropout", "dtype", "encoding"} - options.given)):
        if stored[name] != getattr(options, name):
            log(f"overwriting {name}={getattr(options, name)} with {stored[name]}, based on the checkpoint")
            setattr(options, name, stored[name])
    if not Vocabulary(checkpoint.vocabulary.characters, options.encoding).fits_encoding:
        raise UserError(f"{path} knows characters that are not bytes; leave out -encoding bytes")
    document_end = checkpoint.options.get("document_end")
    if document_end and "document_end" not in options.given:
        log(f"that model's text had -document_end {shlex.quote(str(document_end))}; give it again if this one has, too")
    return Start(options, checkpoint)


def resume(given: Namespace, flags: Flags) -> Start:
    """Continues a run with the checkpoint's flags, except for those that the user gives and that may change."""
    path, checkpoint = newest_checkpoint(Path(given.resume))
    training = checkpoint.training
    if training is None:
        raise UserError(f"{path} holds a model but not the state of its run; start a new run from it with -init_from")
    log(f"resuming from {path}, iteration {checkpoint.iteration}")
    options = flags.parse([])
    vars(options).update(stored_options(path, checkpoint, flags))
    # The run continues in the checkpoint's own folder: nothing is ever written to a path that comes out of a file.
    options.checkpoint_dir, options.given = path.parent, given.given
    # The flag is the learning rate that the run began with; what matters is the current one.
    before, forked = vars(options) | {"learning_rate": training["learning_rate"]}, False
    for name in sorted(given.given - {"resume"}):
        old, new = before[name], getattr(given, name)
        if old == new:
            continue
        was, becomes = ("nothing" if value == "" else value for value in (old, new))
        if flags.roles[name] is Role.RUN:
            raise UserError(
                f"-{name} {new} cannot be combined with -resume, since the run has {was}; "
                f"leave it out, or start a new run with -init_from {path}"
            )
        log(f"continuing with {name}={becomes} instead of {was}")
        forked = forked or flags.roles[name] is Role.COURSE
        setattr(options, name, new)
        if name == "learning_rate":
            training[name] = new
    return Start(options, checkpoint, path, forked)


def stored_options(path: Path, checkpoint: Checkpoint, flags: Flags) -> dict[str, Any]:
    """Returns the flags of a checkpoint's run that may be taken from a checkpoint. Raises UserError."""
    stored = {}
    for name, value in checkpoint.options.items():
        if name not in flags.roles or flags.roles[name] is Role.CALL:
            continue
        if not flags.accepts(name, value):
            raise UserError(f"{path} is not a valid char-rnn checkpoint: it has -{name} {ascii(value)[:50]}")
        stored[name] = Path(value) if isinstance(flags.get_default(name), Path) else value
    return stored | {"encoding": canonical(str(stored.get("encoding", "utf-8")))}


def saved_options(options: Namespace, flags: Flags) -> dict[str, str | int | float]:
    """Returns the flags as a checkpoint stores them: all but those for one command only."""
    values = {name: getattr(options, name) for name, role in flags.roles.items() if role is not Role.CALL}
    return {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}


def must_agree(options: Namespace, flags: Flags, text_sha256: str, trainer: Trainer) -> dict[str, Any]:
    """Returns what all processes that train one model must have the same."""
    same = [getattr(options, n) for n, r in flags.roles.items() if r in (Role.RUN, Role.COURSE, Role.PACE)]
    return {"text": text_sha256, "flags": same, "starting checkpoint": trainer.flat.values.double().sum().item()}


def find_input(start: Start) -> Source:
    """Finds the run's text; the example text is made if it is missing. Raises UserError if a run's text has moved."""
    options, example = start.options, ROOT / "data" / "tinyshakespeare"
    if options.separator and not options.files:
        tell("warning: -separator has no effect without -files")
    if found := text_of_run(vars(options)):
        if options.log_csv and any(Path(options.log_csv).resolve() == file.resolve() for file in found.files):
            raise UserError(f"-files matches {options.log_csv}, which -log_csv writes; put it into another folder")
        return found
    if start.resumed_from and "data_dir" not in options.given:
        raise UserError(f"the text of this run is no longer in {options.data_dir}; give its folder with -data_dir")
    if options.files or (options.data_dir.resolve() != example and "data_dir" in options.given):
        return find_text(options.data_dir, options.files, options.separator, options.document_end)
    path = example / "input.txt"
    log(f"{path} does not exist yet; making it")
    script = runpy.run_path(str(example / "prepare.py"))
    try:
        log(script["prepare"](path))
    except script["PrepareError"] as error:
        raise UserError(str(error)) from error
    return find_text(example)


def model_vocabulary(start: Start, text: Vocabulary) -> Vocabulary:
    """Returns the vocabulary for the run's model: the text's, or its checkpoint's in the run's encoding.

    With -new_chars add, the checkpoint that the run starts from first gets the text's characters that it lacks.
    """
    checkpoint, options = start.checkpoint, start.options
    if not checkpoint:
        return text
    unknown = checkpoint.vocabulary.unknown(text.characters)
    if unknown and options.new_chars == "add" and not start.resumed_from:
        start.checkpoint = checkpoint = add_characters(checkpoint, unknown, options.seed)
        characters = "1 character" if len(unknown) == 1 else f"{len(unknown)} characters"
        log(f"added {characters} that the checkpoint does not know: {text.named(unknown, most=20)}")
    return Vocabulary(checkpoint.vocabulary.characters, options.encoding)


def make_trainer(vocabulary: Vocabulary, batches: Batches, device: str, processes: Processes, start: Start) -> Trainer:
    """Returns a trainer with the model on its device, where the run starts or where its checkpoint left it."""
    import torch  # takes seconds, so not before flags and data have been checked

    from model.char_rnn import CharRNN
    from model.fast.launch import why_not
    from util.training.trainer import Trainer

    options, checkpoint = start.options, start.checkpoint
    shape = len(vocabulary), options.rnn_size, options.num_layers, options.model
    size, memory = count_parameters(*shape), memory_of(device)
    if 8 * size > memory:  # the system would end the run without a word
        needed, there = 8 * size >> 30, memory >> 30
        raise UserError(f"the model needs more than {needed} GB of memory, of {there} GB; try a smaller -rnn_size")
    log(f"creating {options.model} with {options.num_layers} layers of {options.rnn_size}")
    if options.dtype == "bfloat16":
        torch.set_float32_matmul_precision("medium")
    random = Torch7Random(options.seed)
    model = CharRNN(*shape).to(device=device, dtype=torch.float64 if options.dtype == "float64" else torch.float32)
    if checkpoint and not start.resumed_from:
        model.load_arrays(checkpoint.parameters)
    elif not checkpoint:
        random.skip(size)  # the original initializes twice and keeps the second draw
        model.initialize(random.uniform)
    log(f"number of parameters in the model: {size}")
    trainer = Trainer(model, batches, random, processes, options)
    if checkpoint and start.resumed_from:
        trainer.load_state_dict(vars(checkpoint))
    if device.startswith("cuda") and options.dtype != "float64" and why_not(trainer.device):
        tell(f"warning: training will be slower than it could be: {why_not(trainer.device)}")
    return trainer
