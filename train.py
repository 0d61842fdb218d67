"""Trains a character-level language model on a text file.

    python train.py -data_dir data/tinyshakespeare -rnn_size 256 -dropout 0.2

Prints the loss of every iteration, and now and then validates and writes a checkpoint for sample.py.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    # Before the imports, which take a while: Ctrl-C during them shows no traceback either.
    sys.excepthook = lambda kind, *rest: None if kind is KeyboardInterrupt else sys.__excepthook__(kind, *rest)

import hashlib
import importlib.util
import math
import os
import shlex
import time
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from model.shapes import parameter_shapes
from util import errors
from util.checkpoint.content import Checkpoint
from util.checkpoint.folder import CheckpointFolder, newest_checkpoint
from util.checkpoint.store import load_checkpoint
from util.cli.device import choose_device, open_device
from util.cli.flags import Flags, fraction, gpu_id, positive, positive_single, real, seed, switch, text, whole
from util.cli.signals import StopSignals
from util.errors import UserError, warn
from util.text.batches import Batches
from util.text.cache import Text, load_text
from util.text.source import Source, find_text
from util.torch7_random import Torch7Random
from util.training.log import Recorder
from util.training.processes import Processes

if TYPE_CHECKING:
    from util.training.trainer import Trainer

HERE = Path(__file__).parent


def flags() -> Flags:
    flags = Flags("Trains a character-level language model.", "python train.py -data_dir data/mytext -rnn_size 256")
    add = flags.group("data")
    add("data_dir", Path, Path("data/tinyshakespeare"), "folder that holds input.txt or input.txt.gz")
    add("files", text, "", "such as *.txt: the text is all files of data_dir that match, joined")
    add("separator", text, "", r"what to put between these files; \n and \t stand for line end and tab")
    add("encoding", text, "utf-8", "encoding of the text: any that Python knows, or bytes")
    add("train_frac", fraction, 0.95, "share of the text for training")
    add("val_frac", fraction, 0.05, "share of the text for validation; the rest is for testing")
    add = flags.group("model")
    add("model", str, "lstm", "the recurrent cell", choices=("lstm", "gru", "rnn"))
    add("rnn_size", whole(1), 128, "size of each hidden layer")
    add("num_layers", whole(1), 2, "number of hidden layers")
    add("dropout", real(lambda x: 0 <= x < 1, "a number from 0 to below 1"), 0.0, "probability of dropping an output")
    add("dtype", str, "float32", "precision of the arithmetic", choices=("float32", "float64"))
    add("init_from", text, "", "start from the parameters in this checkpoint")
    add("resume", text, "", "go on with the run of this checkpoint, or of the newest in this folder")
    add = flags.group("optimisation")
    add("learning_rate", positive_single, 2e-3, "learning rate")
    add("learning_rate_decay", positive, 0.97, "factor on the learning rate at the end of an epoch")
    add("learning_rate_decay_after", whole(0), 10, "epochs before the first decay")
    add("decay_rate", fraction, 0.95, "how slowly RMSprop forgets past gradients")
    add("optim", str, "rmsprop", "the optimizer", choices=("rmsprop", "adam"))
    add("seq_length", whole(1), 50, "time steps to backpropagate through")
    add("batch_size", whole(1), 50, "streams of text in parallel")
    add("max_epochs", whole(1), 50, "passes over the training text")
    add("grad_clip", positive_single, 5.0, "each element of the gradient is clamped to plus or minus this")
    add(
        "max_loss_ratio",
        real(lambda x: x >= 0, "a number from 0 up"),
        3.0,
        "stop at this many times the first loss; 0 = never",
    )
    add("early_stop", whole(0), 0, "stop after this many validations without a lower loss; 0 = never")
    add("seed", seed, 123, "seed of the random numbers")
    add = flags.group("output")
    add("print_every", whole(1), 1, "iterations between lines of the log")
    add("eval_val_every", whole(1), 1000, "iterations between validations, each followed by a checkpoint")
    add("checkpoint_dir", Path, Path("cv"), "folder for checkpoints; made if missing")
    add("savefile", text, "lstm", "goes into the names of checkpoints")
    add("save_every", whole(0), 0, "iterations between checkpoints to resume from; the newest is kept; 0 = none")
    add("keep", whole(0), 0, "how many of the best checkpoints to keep, and the newest; 0 = all")
    add("log_csv", text, "", "file for the figures of each line of the log, as a table")
    add("tensorboard", text, "", "folder for the same figures, for TensorBoard")
    add("accurate_gpu_timing", switch, 0, "1 = wait for the GPU before reading the clock")
    add = flags.group("machine")
    add("gpuid", gpu_id, 0, "which GPU; -1 = CPU")
    add("opencl", switch, 0, "1 = OpenCL instead of CUDA")
    return flags


def main() -> int:
    processes = Processes()
    options = flags().parse()
    resumed = resume(options) if options.resume else None
    start: Checkpoint | None = None
    if resumed:
        options, start = resumed.options, resumed.checkpoint
    elif options.init_from:
        start = load_checkpoint(Path(options.init_from))
        adopt(options, start)
    if processes.size > 1 and options.gpuid >= 0:
        options.gpuid = processes.local_rank  # one GPU for each process of this machine
    device = choose_device(options.gpuid, options.opencl, say)
    folder = CheckpointFolder(options.checkpoint_dir, options.savefile, options.keep)
    if processes.first:
        folder.try_writing()
    text = load_text(input_text(options), options.encoding, resumed.training["text_sha256"] if resumed else None)
    vocabulary = start.vocabulary if start else text.vocabulary
    loader = make_loader(text, vocabulary, processes.share(options.batch_size), options)
    say(f"vocab size: {len(vocabulary)}")
    check_memory(len(vocabulary), options)

    import torch  # takes seconds, so only now that flags and data are known to be right

    from model.char_rnn import CharRNN
    from util.training.trainer import TRAIN, VALIDATION, Trainer

    device = open_device(device, say)
    say(f"creating {options.model} with {options.num_layers} layers of {options.rnn_size}")
    random = Torch7Random(options.seed)
    model = CharRNN(len(vocabulary), options.rnn_size, options.num_layers, options.model)
    model.to(device=device, dtype=getattr(torch, options.dtype))
    if start:
        model.load_arrays(start.parameters)
    else:
        random.skip(model.flat.numel())  # the reference initialises twice, and keeps the second
        model.initialize(lambda count: torch.from_numpy(random.uniform(count, -0.08, 0.08)))
    say(f"number of parameters in the model: {model.flat.numel()}")
    trainer = Trainer(model, loader, random, processes, options)
    if resumed:
        trainer.restore(resumed.checkpoint)
        if "learning_rate" in resumed.changed:
            trainer.learning_rate = options.learning_rate
        folder.adopt(resumed.path, resumed.checkpoint)
        if resumed.training["device"] != model.flat.device.type:
            say(f"the run was on {resumed.training['device']}; on another device its figures change in the last digits")

    if processes.size > 1:
        processes.connect(device, facts(options, text, trainer))

    saved_at = trainer.iteration

    def save(path: Path) -> None:
        nonlocal saved_at
        saved_at = trainer.iteration
        checkpoint = trainer.checkpoint(plain(options), vocabulary, options.encoding, text.sha256)
        if processes.first:
            folder.save(checkpoint, path)

    iterations = options.max_epochs * loader.split_sizes[TRAIN]
    if trainer.iteration >= iterations:
        say(f"the run is complete, with {trainer.iteration} iterations; a higher -max_epochs goes on with it")
    tell_sizes(len(text.indices), model.flat.numel())
    recorder = Recorder(options.log_csv, options.tensorboard, trainer.iteration) if processes.first else None
    bar = progress_bar(trainer.iteration, iterations, options)
    train_loss, bound, sound = math.nan, math.inf, True  # until the first look at a loss
    with bar, StopSignals(silent=not processes.first) as stop:
        while trainer.iteration < iterations and not (trainer.stopping if processes.size > 1 else stop.received):
            clock = time.perf_counter()
            trainer.step(bool(stop.received))
            if options.accurate_gpu_timing and device != "cpu":
                torch.cuda.synchronize()
            i, epoch = trainer.iteration, trainer.epoch
            to_print = i % options.print_every == 0
            to_validate = i % options.eval_val_every == 0 or i == iterations
            to_save = options.save_every and i % options.save_every == 0
            if device == "cpu" or to_print or to_validate or to_save:  # to look at the loss is to wait for the GPU
                train_loss = trainer.train_losses[-1]
                bound = options.max_loss_ratio * trainer.train_losses[0] if options.max_loss_ratio else math.inf
                sound = train_loss <= bound  # false for NaN, too
            seconds = time.perf_counter() - clock
            show_progress(bar, epoch, train_loss)

            if trainer.ends_epoch and options.learning_rate_decay < 1 and epoch >= options.learning_rate_decay_after:
                trainer.learning_rate *= options.learning_rate_decay
                say(f"decayed learning rate by a factor {options.learning_rate_decay} to {trainer.learning_rate}")

            if sound and to_validate:
                say("evaluating loss over split index 2")
                val_loss = trainer.evaluate(VALIDATION)
                sound = math.isfinite(val_loss) and trainer.finite
                if sound:
                    trainer.val_losses[i] = val_loss
                    path = folder.validated_path(epoch, val_loss)
                    say(f"saving checkpoint to {path}")
                    save(path)
            elif sound and to_save and trainer.finite:
                save(folder.rolling_path(i))

            to_record = recorder and (to_print or i in trainer.val_losses)
            norm_ratio = trainer.norm_ratio() if to_print or to_record or not sound else math.nan
            if to_print or not sound:
                say(
                    f"{i}/{iterations} (epoch {epoch:.3f}), train_loss = {train_loss:6.8f}, "
                    f"grad/param norm = {norm_ratio:6.4e}, time/batch = {seconds:.4f}s"
                )
            if recorder and to_record:
                recorder.record(
                    iteration=i,
                    epoch=epoch,
                    train_loss=train_loss,
                    val_loss=trainer.val_losses.get(i),
                    learning_rate=trainer.learning_rate,
                    grad_param_norm=norm_ratio,
                    seconds=seconds,
                )
            if not sound:
                what = "is exploding" if bound < train_loss < math.inf else "is not a number"
                good = f"the last good checkpoint is {folder.newest}" if folder.newest else "there is no checkpoint yet"
                raise UserError(f"the loss {what}; {good}. A lower -learning_rate or -grad_clip often helps")
            if to_validate and options.early_stop and without_improvement(trainer.val_losses) >= options.early_stop:
                say(f"no lower validation loss for {options.early_stop} validations; stopping early")
                break

        stopped = trainer.stopping or stop.received
        if stopped and saved_at < trainer.iteration and trainer.finite:
            save(folder.rolling_path(trainer.iteration))
    if recorder:
        recorder.close()
    if stopped and trainer.iteration < iterations and folder.newest:
        name = shlex.quote(str(folder.newest))
        say(f"stopped at iteration {folder.newest_iteration}; go on with: python train.py -resume {name}")
    if processes.first and folder.best and not stopped:
        loss, best = folder.best
        tell(f"best validation loss: {loss:.4f}; sample from it: python sample.py {shlex.quote(str(best))}")
    if folder.failed and not stop.received:
        raise UserError(
            f"the last checkpoint could not be written; the newest one is {folder.newest or 'missing, too'}"
        )
    return stop.exit_status


def say(sentence: str) -> None:
    """A line of the log, above the progress bar. It appears at once in a pipe, too."""
    if Processes().first:
        tqdm.write(sentence, sys.stdout)
        sys.stdout.flush()


def tell(sentence: str) -> None:
    """Something for the user that is no part of the log."""
    if Processes().first:
        warn(sentence)


def tell_sizes(characters: int, parameters: int) -> None:
    """The two numbers that should be of the same order of magnitude; see README.md, Choosing sizes."""
    if sys.stderr.isatty():
        tell(f"the text has {characters:,} characters, the model {parameters:,} parameters")
    if parameters > 100 * characters:
        tell("warning: the model is far larger than the text and will learn it by heart; try a smaller -rnn_size")
    if characters > 100 * parameters:
        tell("warning: the text is far larger than the model, which will underfit; try a larger -rnn_size")


def progress_bar(start: int, iterations: int, options: Namespace) -> tqdm:
    """A bar on standard error, where that is a terminal."""
    return tqdm(
        initial=start,
        total=iterations,
        unit_scale=options.batch_size * options.seq_length,
        unit=" characters",
        bar_format="{desc}{percentage:3.0f}%|{bar}| {rate_fmt}, {remaining} left",
        dynamic_ncols=True,
        leave=False,
        disable=not (sys.stderr.isatty() and Processes().first),
    )


def show_progress(bar: tqdm, epoch: float, train_loss: float) -> None:
    """Moves the bar by an iteration; the loss on it is a running mean."""
    if not bar.disable and not math.isnan(train_loss):
        bar.smoothed = 0.98 * getattr(bar, "smoothed", train_loss) + 0.02 * train_loss
        bar.set_description_str(f"epoch {epoch:.2f}, loss {bar.smoothed:.3f} ", refresh=False)
    bar.update()


def without_improvement(val_losses: dict[int, float]) -> int:
    """How many validations there have been since the one with the lowest loss."""
    losses = list(val_losses.values())
    return len(losses) - 1 - losses.index(min(losses))


def adopt(options: Namespace, start: Checkpoint) -> None:
    """Takes what belongs to the model from the checkpoint to start from, and says so where the flags differ."""
    say(f"loading a model from checkpoint {options.init_from}")
    fixed = {name: start.options[name] for name in ("model", "rnn_size", "num_layers")}
    # These can change, but stay as they were where the user does not say otherwise.
    kept = {"dropout": start.options["dropout"], "encoding": start.encoding, "dtype": start.dtype}
    for name, value in fixed.items() | {(k, v) for k, v in kept.items() if k not in options.given}:
        if value != getattr(options, name):
            say(f"overwriting {name}={getattr(options, name)} with {value}, based on the checkpoint")
            setattr(options, name, value)


@dataclass
class Resumed:
    """A run that goes on: from which checkpoint, with which flags, and which of them the user has changed."""

    path: Path
    checkpoint: Checkpoint
    training: dict[str, Any]
    options: Namespace
    changed: set[str]


CHANGEABLE = {
    *("data_dir", "files", "separator", "checkpoint_dir", "savefile", "keep", "print_every", "max_epochs"),
    *("eval_val_every", "save_every"),
    *("learning_rate", "learning_rate_decay", "learning_rate_decay_after", "max_loss_ratio"),
    *("gpuid", "opencl", "accurate_gpu_timing", "resume", "early_stop", "log_csv", "tensorboard"),
}
"""The flags that may change when a run is resumed; the others would make it another run."""
PLACES = {"checkpoint_dir", "log_csv", "tensorboard"}
"""The flags that name places to write to; never taken from a checkpoint."""


def resume(options: Namespace) -> Resumed:
    """What -resume asks for. Raises UserError where there is nothing to resume, or a flag makes it another run."""
    path, checkpoint = newest_checkpoint(Path(options.resume))
    if checkpoint.training is None:
        raise UserError(
            f"{path} holds a model, but not where its run stood; -init_from starts a new run from the model"
        )
    say(f"resuming from {path}, iteration {checkpoint.iteration}")
    # Where the checkpoint lies is where its run goes on, and records are kept where the user says: what a file says of
    # other places is no reason to write there.
    kept = {name: value for name, value in checkpoint.options.items() if name in vars(options) and name not in PLACES}
    stored = [f"-{name}={value}" for name, value in kept.items()] + [f"-checkpoint_dir={path.parent}"]
    before, after = flags().parse(stored), flags().parse([*stored, *sys.argv[1:]])
    changed = {name for name in options.given if getattr(before, name) != getattr(after, name)}
    for name in sorted(changed - {"resume"}):
        old, new = getattr(before, name), getattr(after, name)
        if name not in CHANGEABLE:
            raise UserError(
                f"-{name} {new} would make it another run than the one to resume, which has {old}; "
                f"leave it out, or start a new run with -init_from {path}"
            )
        say(f"going on with {name}={new} instead of {old}")
    after.given = options.given
    return Resumed(path, checkpoint, checkpoint.training, after, changed)


def input_text(options: Namespace) -> Source:
    """Where the text is. That of the default folder is fetched if it is missing."""
    if "data_dir" not in options.given and not options.data_dir.exists():
        options.data_dir = HERE / options.data_dir  # started from elsewhere
    folder: Path = options.data_dir
    path = folder / "input.txt"
    if not path.exists() and not options.files and folder.resolve() == (HERE / "data" / "tinyshakespeare").resolve():
        script = load_script(folder / "prepare.py")
        say(f"there is no {path} yet; making it")
        try:
            say(script.prepare(path))
        except script.PrepareError as error:
            raise UserError(str(error)) from error
    return find_text(folder, options.files, options.separator)


def load_script(path: Path) -> ModuleType:
    """A Python file as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def facts(options: Namespace, text: Text, trainer: Trainer) -> dict[str, Any]:
    """What must be the same for all processes that train together."""
    import torch

    here = {
        name: value for name, value in plain(options).items() if name not in ("data_dir", "checkpoint_dir", "gpuid")
    }
    sources = [
        path.read_bytes()
        for path in sorted([*HERE.glob("*.py"), *HERE.glob("model/**/*.py"), *HERE.glob("util/**/*.py")])
    ]
    return {
        "text (by content)": text.sha256,
        "flag": here,
        "version of the code": hashlib.sha256(b"".join(sources)).hexdigest(),
        "version of torch": torch.__version__,
        "checkpoint to start from": (trainer.iteration, trainer.model.flat.double().sum().item()),
    }


def make_loader(text: Text, vocabulary: str, streams: slice, options: Namespace) -> Batches:
    """The text in batches, as indices of `vocabulary`. Raises UserError where that, or the splits, cannot be."""
    unknown = sorted(set(text.vocabulary) - set(vocabulary))
    if unknown:
        some = ", ".join(map(repr, unknown[:5])) + (", ..." if len(unknown) > 5 else "")
        raise UserError(f"the text has characters that the checkpoint's vocabulary does not have: {some}; remove them")
    index = {c: i for i, c in enumerate(vocabulary)}
    translation = None if text.vocabulary == vocabulary else np.array([index[c] for c in text.vocabulary])
    B, S = options.batch_size, options.seq_length
    loader = Batches(text.indices, B, S, options.train_frac, options.val_frac, translation, streams)
    train, val, test = loader.split_sizes
    total = train + val + test
    if total < 50:
        smaller = smaller_batches(len(text.indices), B, S)
        more = f"; -batch_size {smaller[0]} -seq_length {smaller[1]} make 50" if smaller else "; add some text"
        warn(f"warning: the text is small: {len(text.indices)} characters make only {total} batches of {B} x {S}{more}")
    if train < 1 or val < 1:
        raise UserError(
            f"the text makes {train} batches for training and {val} for validation, and each must have one; "
            "it takes more text, a lower -batch_size or -seq_length, or another -train_frac and -val_frac"
        )
    say(f"data load done. Number of data batches in train: {train}, val: {val}, test: {test}")
    return loader


def smaller_batches(characters: int, batch_size: int, seq_length: int) -> tuple[int, int] | None:
    """A batch_size and seq_length of which the text makes 50 batches at least; None if it is too short for any."""
    most = characters // 50
    seq_length = min(seq_length, math.isqrt(most)) if most < seq_length * 10 else seq_length
    return (min(batch_size, most // seq_length), seq_length) if seq_length else None


def check_memory(vocab_size: int, options: Namespace) -> None:
    """Raises UserError for sizes that are far beyond this machine, before it starts to swap."""
    shapes = parameter_shapes(vocab_size, options.rnn_size, 1, options.model).values()
    layer = sum(math.prod(shape) for shape in shapes)
    values = options.num_layers * (layer + 8 * options.batch_size * options.seq_length * options.rnn_size)
    needed, there = 4 * values, physical_memory()
    if needed > there:
        raise UserError(f"this model needs more than {needed >> 30} GB, and this machine has {there >> 30}")


def physical_memory() -> int:
    """Bytes of memory in this machine; without bound where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError):
        return sys.maxsize


def plain(options: Namespace) -> dict[str, str | int | float]:
    """The flags as a checkpoint keeps them."""
    values = {
        name: value
        for name, value in vars(options).items()
        if name not in ("given", "resume", "log_csv", "tensorboard")
    }
    return {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}


if __name__ == "__main__":
    errors.run(main)
