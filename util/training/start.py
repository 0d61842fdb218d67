"""Where a run starts: from scratch, from a model (-init_from), or where another run stopped (-resume)."""

import os
import runpy
import shlex
import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from model.stepper import Stepper
from util import ROOT
from util.checkpoint.choice import best_checkpoint, newest_checkpoint
from util.checkpoint.content import Checkpoint
from util.checkpoint.folder import CheckpointFolder
from util.checkpoint.new_characters import add_characters
from util.checkpoint.text_of_checkpoint import text_of_run
from util.cli.console import log, rank, tell
from util.cli.flags import Flags, Role
from util.errors import UserError
from util.sampling.drawing import check_numbers
from util.text.source import Source, canonical, find_text
from util.text.vocabulary import Vocabulary

if TYPE_CHECKING:
    from util.training.trainer import Trainer


class Start:
    """A run that starts from scratch. `options` are its flags."""

    text_sha256: str | None = None
    """The identity of the text that the run must go on with; None if any text will do."""
    train_losses = np.zeros(0)
    """Those of the iterations that the run has already done."""

    def __init__(self, options: Namespace) -> None:
        self.options = options

    def find_text(self) -> Source:
        """Finds the text that the user names, or the example if that is named or none is. Raises UserError."""
        options, example = self.options, ROOT / "data" / "tinyshakespeare"
        how = options.files, options.separator, options.document_end
        if "data_dir" in options.given and Path(os.path.realpath(options.data_dir)) != example:
            return find_text(options.data_dir, *how)
        for folder in (options.data_dir, example):
            if options.files and folder.is_dir():
                return find_text(folder, *how)
            if (source := find_text(folder)).files[0].exists():
                return source
        return make_example(example / "input.txt")

    def share(self) -> slice:
        """Returns this process's streams, divided as evenly as possible. Raises UserError if there are too few."""
        streams, number, total = self.options.batch_size, rank().number, rank().total
        if streams < total:
            raise UserError(f"{total} processes need a -batch_size of at least {total}; it is {streams}")
        return slice(number * streams // total, (number + 1) * streams // total)

    def vocabulary(self, text: Vocabulary) -> Vocabulary:
        """Returns that of the run's model, given that of its text."""
        return text

    def begin(self, trainer: "Trainer", vocabulary: Vocabulary) -> None:
        """Brings a new trainer, whose model has this vocabulary, to where the run starts."""
        trainer.random.raw(trainer.flat.values.numel())  # the original initializes twice and keeps the second draw
        trainer.model.initialize(trainer.random.uniform)

    def take_over(self, folder: CheckpointFolder) -> None:
        """Takes over the files of the run, if it has any."""


class FromModel(Start):
    """A new run from the model of a checkpoint."""

    def __init__(self, options: Namespace, checkpoint: Checkpoint) -> None:
        """Raises UserError if the weights are so large that no loss can come of them, which no flag would mend."""
        super().__init__(options)
        self.checkpoint = checkpoint
        V, _, L, cell = checkpoint.model_shape
        check_numbers(Stepper(checkpoint.parameters, L, cell)(np.arange(min(V, 100))))

    def vocabulary(self, text: Vocabulary) -> Vocabulary:
        """Returns the checkpoint's in the run's encoding; with -new_chars add, the text's new characters come last."""
        known = self.checkpoint.vocabulary
        new = known.unknown(text.characters) if self.options.new_chars == "add" else ""
        if new:
            characters = "1 character" if len(new) == 1 else f"{len(new)} characters"
            log(f"added {characters} that the checkpoint does not know: {text.named(new, most=20)}")
        return Vocabulary(known.characters + new, self.options.encoding)

    def begin(self, trainer: "Trainer", vocabulary: Vocabulary) -> None:
        new = len(vocabulary) - len(self.checkpoint.vocabulary)
        trainer.model.load_arrays(add_characters(self.checkpoint.parameters, new, self.options.seed))


class Resumed(FromModel):
    """A run that goes on where its checkpoint left it; `forked`: in another way than before."""

    def __init__(self, options: Namespace, path: Path, checkpoint: Checkpoint, forked: bool) -> None:
        super().__init__(options, checkpoint)
        self.path, self.forked = path, forked
        self.train_losses, self.text_sha256 = checkpoint.train_losses, checkpoint.text_sha256

    def find_text(self) -> Source:
        """Finds the text that the user names; without a name, that of the run. Raises UserError if that has moved."""
        if "data_dir" in self.options.given:
            return super().find_text()
        source = text_of_run(vars(self.options), self.text_sha256)
        if not source:
            where = self.options.data_dir
            raise UserError(f"the text of this run was not found in {where}; give its folder with -data_dir")
        return source

    def begin(self, trainer: "Trainer", vocabulary: Vocabulary) -> None:
        trainer.restore(self.checkpoint)

    def take_over(self, folder: CheckpointFolder) -> None:
        folder.continue_from(self.path, self.checkpoint, self.forked)


def make_example(path: Path) -> Source:
    """Makes the example text. Raises UserError."""
    log(f"{path} does not exist yet; making it")
    try:
        log(runpy.run_path(str(path.with_name("prepare.py")))["prepare"](path))
    except SystemExit as error:
        raise UserError(str(error)) from error
    return find_text(path.parent)


def starting_point(flags: Flags) -> Start:
    """Reads the command line, and returns the start that it asks for; logs what differs. Raises UserError."""
    given = flags.parse()
    if given.log_csv == "-":
        sys.stdout = sys.stderr  # standard output is for the table
    given = changed(given, encoding=canonical(given.encoding))
    if not given.val_frac and "train_frac" not in given.given:
        given = changed(given, train_frac=1.0)
    if given.resume:
        start: Start = resume(given, flags)
    elif given.init_from:
        start = init_from(given)
    else:
        start = Start(given)
    options = start.options = changed(start.options, savefile=start.options.savefile or start.options.model)
    if options.separator and not options.files:
        tell("warning: -separator has no effect without -files")
    if options.shuffle and not options.document_end:
        raise UserError("-shuffle 1 shuffles documents; say with -document_end what ends one, or leave it out")
    if options.early_stop and not options.val_frac:
        raise UserError("-early_stop counts validations, and with -val_frac 0 there are none; leave one of them out")
    return start


def changed(options: Namespace, **values: Any) -> Namespace:
    """Returns the options with other values for some."""
    return Namespace(**vars(options) | values)


def init_from(options: Namespace) -> FromModel:
    """Takes the model's options from the checkpoint, and logs those that differ from the flags."""
    path, checkpoint = best_checkpoint(Path(options.init_from))
    log(f"loading a model from checkpoint {path}")
    if checkpoint.options.get("batchnorm"):  # see util.checkpoint.torch7
        log("the checkpoint's batch normalization is now part of its weights, and will not be trained separately")
    stored = checkpoint.options | {"dtype": checkpoint.precision, "encoding": canonical(checkpoint.vocabulary.encoding)}
    names = ("model", "rnn_size", "num_layers", *sorted({"dropout", "dtype", "encoding"} - options.given))
    other = {name: stored[name] for name in names if stored[name] != getattr(options, name)}
    for name, value in other.items():
        log(f"overwriting {name}={getattr(options, name)} with {value}, based on the checkpoint")
    options = changed(options, init_from=str(path), **other)
    if not Vocabulary(checkpoint.vocabulary.characters, options.encoding).fits_encoding:
        raise UserError(f"{path} knows characters that are not bytes; leave out -encoding bytes")
    document_end = checkpoint.options.get("document_end")
    if document_end and "document_end" not in options.given:
        log(f"that model's text had -document_end {shlex.quote(str(document_end))}; give it again if this one has, too")
    return FromModel(options, checkpoint)


def resume(given: Namespace, flags: Flags) -> Resumed:
    """Continues a run with the checkpoint's flags, except for those that the user gives and that may change."""
    path, checkpoint = newest_checkpoint(Path(given.resume))
    if checkpoint.training is None:
        raise UserError(f"{path} holds a model but not the state of its run; start a new run from it with -init_from")
    log(f"resuming from {path}, iteration {checkpoint.iteration}")
    # The run continues in the checkpoint's own folder: nothing is ever written to a path that comes out of a file.
    own = {"checkpoint_dir": path.parent, "given": given.given}
    options = vars(flags.parse([])) | own | stored_options(path, checkpoint, flags)
    # The flag is the learning rate that the run began with; what matters is the present one.
    present = options | {"learning_rate": checkpoint.training["learning_rate"]}
    wanted = {name: getattr(given, name) for name in sorted(given.given - {"resume"})}
    new = {name: value for name, value in wanted.items() if value != present[name]}
    for name, value in new.items():
        was, becomes = ("nothing" if shown == "" else shown for shown in (present[name], value))
        if flags.roles[name] is Role.RUN:
            what_to_do = f"leave it out, or start a new run with -init_from {path}"
            raise UserError(f"-{name} {value} cannot be combined with -resume, since the run has {was}; {what_to_do}")
        log(f"continuing with {name}={becomes} instead of {was}")
    checkpoint.training["learning_rate"] = (present | new)["learning_rate"]  # with which it goes on
    forked = any(flags.roles[name] is Role.COURSE for name in new)
    return Resumed(Namespace(**options | new), path, checkpoint, forked)


def stored_options(path: Path, checkpoint: Checkpoint, flags: Flags) -> dict[str, Any]:
    """Returns the flags of a checkpoint's run that may be taken from a checkpoint. Raises UserError."""
    stored = {}
    for name, value in checkpoint.options.items():
        if flags.roles.get(name, Role.CALL) is Role.CALL:
            continue
        if not flags.accepts(name, value):
            raise UserError(f"{path} is not a valid char-rnn checkpoint: it has -{name} {ascii(value)[:50]}")
        stored[name] = Path(value) if isinstance(flags.get_default(name), Path) else value
    return stored | {"encoding": canonical(str(stored.get("encoding", "utf-8")))}


def saved_options(options: Namespace, flags: Flags) -> dict[str, str | int | float]:
    """Returns the flags as a checkpoint stores them: all but those for one command only."""
    values = {name: getattr(options, name) for name, role in flags.roles.items() if role is not Role.CALL}
    return {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}
