"""Where a run starts: anew, from a model (-init_from), or where another one stopped (-resume)."""

from __future__ import annotations

import importlib.util
from argparse import Namespace
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from util.checkpoint.content import Checkpoint
from util.checkpoint.folder import newest_checkpoint
from util.checkpoint.store import load_checkpoint
from util.cli.console import log, tell
from util.cli.flags import Flags, Role
from util.errors import UserError
from util.text.source import Source, canonical, find_text, text_of_run
from util.text.vocabulary import Vocabulary


@dataclass
class Start:
    """The flags that a run has, and what it starts from."""

    options: Namespace
    checkpoint: Checkpoint | None = None
    """Whose model the run begins with, or goes on with."""
    resumed_from: Path | None = None
    changed: set[str] = field(default_factory=set)
    """The flags that a resumed run has otherwise than before."""

    @property
    def train_losses(self) -> np.ndarray:
        """The losses of the iterations that the run has behind it."""
        return self.checkpoint.train_losses if self.checkpoint and self.resumed_from else np.zeros(0)

    @property
    def vocabulary(self) -> Vocabulary | None:
        """That of the checkpoint, if there is one; the text is read in the encoding that the flags name."""
        if not self.checkpoint:
            return None
        return Vocabulary(self.checkpoint.vocabulary.characters, self.options.encoding)

    @property
    def text_sha256(self) -> str | None:
        """The text that the run must go on with; None where any will do."""
        training = self.checkpoint.training if self.checkpoint else None
        return training.text_sha256 if training and self.resumed_from else None


def starting_point(options: Namespace, flags: Flags) -> Start:
    """Returns the start that -resume or -init_from ask for, and says what differs. Raises UserError."""
    options.encoding = canonical(options.encoding)
    if options.resume:
        return resume(options, flags)
    if options.init_from:
        return init_from(options)
    return Start(options)


def init_from(options: Namespace) -> Start:
    """Takes what belongs to the model from the checkpoint, and says so where the flags differ."""
    checkpoint = load_checkpoint(options.init_from)
    log(f"loading a model from checkpoint {options.init_from}")
    fixed = {name: checkpoint.options[name] for name in ("model", "rnn_size", "num_layers")}
    # These can change, but stay as they were where the user does not say otherwise.
    kept = {"dropout": checkpoint.options["dropout"], "dtype": checkpoint.dtype}
    kept["encoding"] = canonical(checkpoint.vocabulary.encoding)
    for name, value in fixed.items() | {(k, v) for k, v in kept.items() if k not in options.given}:
        if value != getattr(options, name):
            log(f"overwriting {name}={getattr(options, name)} with {value}, based on the checkpoint")
            setattr(options, name, value)
    return Start(options, checkpoint)


def resume(given: Namespace, flags: Flags) -> Start:
    """Goes on with a run: its flags are the checkpoint's, but for those that the user gives and that may change."""
    path, checkpoint = newest_checkpoint(Path(given.resume), flags)
    if checkpoint.training is None:
        raise UserError(
            f"{path} holds a model, but not where its run stood; -init_from starts a new run from the model"
        )
    log(f"resuming from {path}, iteration {checkpoint.iteration}")
    options = flags.parse([])
    vars(options).update(stored_options(path, checkpoint, flags))
    # Where the checkpoint lies is where its run goes on, and records are kept where the user says: what a file says of
    # other places is no reason to write there.
    options.checkpoint_dir = path.parent
    options.given = given.given
    # The flag says at which rate the run began; what matters is where it has come to.
    before = vars(options) | {"learning_rate": checkpoint.training.learning_rate}
    changed = set()
    for name in sorted(given.given - {"resume"}):
        old, new = before[name], getattr(given, name)
        if old == new:
            if flags.roles[name] is not Role.CALL:
                log(f"{name} is {new} already")
            continue
        if flags.roles[name] is Role.RUN:
            raise UserError(
                f"-{name} {new} would make it another run than the one to resume, which has {shown(old)}; "
                f"leave it out, or start a new run with -init_from {path}"
            )
        log(f"continuing with {name}={shown(new)} instead of {shown(old)}")
        setattr(options, name, new)
        changed.add(name)
    return Start(options, checkpoint, path, changed)


def stored_options(path: Path, checkpoint: Checkpoint, flags: Flags) -> dict[str, Any]:
    """Returns the flags that a checkpoint's run has, as far as a checkpoint may say them. Raises UserError."""
    stored = {}
    for name, value in checkpoint.options.items():
        if name not in flags.roles or flags.roles[name] is Role.CALL:
            continue
        if not flags.accepts(name, value):
            raise UserError(f"{path} is not a sound checkpoint of char-rnn: it has -{name} {ascii(value)[:50]}")
        stored[name] = Path(value) if isinstance(flags.get_default(name), Path) else value
    return stored | {"encoding": canonical(str(stored.get("encoding", "utf-8")))}


def saved_options(options: Namespace, flags: Flags) -> dict[str, str | int | float]:
    """Returns the flags as a checkpoint keeps them: all but those of one command alone."""
    values = {name: getattr(options, name) for name, role in flags.roles.items() if role is not Role.CALL}
    return {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}


def shown(value: Any) -> str:
    return "nothing" if value == "" else str(value)


def input_text(start: Start, root: Path) -> Source:
    """Returns where the run's text is. The example text, in the program's folder `root`, is made if it is missing.

    Raises UserError where a resumed run's text is no longer where it was.
    """
    options, example = start.options, root / "data" / "tinyshakespeare"
    if options.separator and not options.files:
        tell("warning: -separator stands between the texts of -files, and has no effect without it")
    found = text_of_run(vars(options), root)
    if found:
        return found
    if start.resumed_from and "data_dir" not in options.given:
        raise UserError(f"the text of this run is no longer in {options.data_dir}; name its folder with -data_dir")
    if options.files or (options.data_dir.resolve() != example and "data_dir" in options.given):
        return find_text(options.data_dir, options.files, options.separator)
    path = example / "input.txt"
    script = load_script(example / "prepare.py")
    log(f"there is no {path} yet; making it")
    try:
        log(script.prepare(path))
    except script.PrepareError as error:
        raise UserError(str(error)) from error
    return find_text(example)


def load_script(path: Path) -> ModuleType:
    """Returns a Python file as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
