"""Trains a character-level language model on a text file.

    python train.py -data_dir data/tinyshakespeare -rnn_size 256 -dropout 0.2

Prints the loss of each iteration; validates and writes a checkpoint for sample.py at regular intervals.
"""

from __future__ import annotations

if __name__ == "__main__":
    import util.cli.early  # noqa: F401  (before the other imports)

import math
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from util.checkpoint.content import Checkpoint
from util.checkpoint.folder import CheckpointFolder
from util.cli import console
from util.cli.console import log, tell
from util.cli.device import choose_device
from util.cli.flags import Flags, Role, fraction, path, positive, positive_single, real, seed, switch, text, whole
from util.cli.signals import StopSignals
from util.errors import UserError
from util.text.batches import TRAIN, VALIDATION
from util.text.cache import load_text
from util.text.loading import make_batches
from util.training.log import Log, tell_sizes
from util.training.processes import LostProcess, Processes
from util.training.schedule import due, without_improvement
from util.training.shared import shared_values
from util.training.start import input_text, make_trainer, restore_run, saved_options, starting_point
from util.training.threads import Threads, choose_threads

if TYPE_CHECKING:
    from util.training.trainer import Trainer


def flags() -> Flags:
    flags = Flags("Trains a character-level language model.", "python train.py -data_dir data/mytext -rnn_size 256")
    RUN, COURSE, PACE, TEXT, MACHINE, CALL = Role.RUN, Role.COURSE, Role.PACE, Role.TEXT, Role.MACHINE, Role.CALL
    add = flags.group("data")
    add("data_dir", path, Path("data/tinyshakespeare"), "folder that holds input.txt or input.txt.gz", role=TEXT)
    files = "pattern in quotes, such as '*.txt': train on all matching files in data_dir, joined in name order"
    add("files", text, "", files, role=TEXT)
    add("separator", text, "", r"text to put between these files; \n is a newline, \t a tab", role=TEXT)
    add("encoding", text, "utf-8", "encoding of the text: any Python codec, or bytes", role=RUN)
    add("train_frac", fraction, 0.95, "fraction of the text to train on", role=RUN)
    add("val_frac", fraction, 0.05, "fraction to validate on; what is left is the test split", role=RUN)
    ends = r"what ends each document of a text made of many, such as '\n\n'; no split then cuts one in two"
    add("document_end", text, "", ends, role=RUN)
    add("shuffle", switch, 0, "1 = read the training documents in a new order in each epoch", role=RUN)
    add = flags.group("model")
    add("model", str, "lstm", "recurrent cell", choices=("lstm", "gru", "rnn"), role=RUN)
    add("rnn_size", whole(1), 128, "size of each hidden layer", role=RUN)
    add("num_layers", whole(1), 2, "number of hidden layers", role=RUN)
    dropped = real(lambda x: 0 <= x < 1, "a number of at least 0 and below 1")
    add("dropout", dropped, 0.0, "probability of dropping an output of a hidden layer while training", role=RUN)
    precision = "floating-point precision; bfloat16 = float32, but with faster, rougher products for large layers"
    add("dtype", str, "float32", precision, choices=("float32", "float64", "bfloat16"), role=RUN)
    add("init_from", text, "", "checkpoint to take the initial parameters from", role=RUN)
    unseen = "what to do with characters of the text that this checkpoint has never seen"
    add("new_chars", str, "error", unseen, choices=("error", "add"), role=RUN)
    add("resume", text, "", "continue the run of this checkpoint, or of the newest one in this folder", role=CALL)
    add = flags.group("optimization")
    add("learning_rate", positive_single, 2e-3, "learning rate", role=COURSE)
    add("learning_rate_decay", positive, 0.97, "multiply the learning rate by this after each epoch", role=COURSE)
    add("learning_rate_decay_after", whole(0), 10, "number of epochs before the decay starts", role=COURSE)
    add("decay_rate", fraction, 0.95, "how much of its running mean RMSprop keeps in each iteration", role=RUN)
    add("optim", str, "rmsprop", "optimizer", choices=("rmsprop", "adam"), role=RUN)
    add("seq_length", whole(1), 50, "number of time steps to backpropagate through", role=RUN)
    add("batch_size", whole(1), 50, "number of streams of text to train on in parallel", role=RUN)
    add("max_epochs", whole(1), 50, "number of passes over the training text", role=PACE)
    add("grad_clip", positive_single, 5.0, "clamp each element of the gradient to plus or minus this", role=RUN)
    ratio = real(lambda x: x >= 0, "a number of at least 0")
    add("max_loss_ratio", ratio, 3.0, "stop if the loss exceeds this many times the first one; 0 = never", role=PACE)
    add("early_stop", whole(0), 0, "stop after this many validations without a lower loss; 0 = never", role=PACE)
    add("seed", seed, 123, "seed for the random numbers", role=RUN)
    add = flags.group("output")
    add("print_every", whole(1), 1, "iterations between log lines", role=PACE)
    add("eval_val_every", whole(1), 1000, "iterations between validations, each followed by a checkpoint", role=PACE)
    add("checkpoint_dir", path, Path("cv"), "folder for checkpoints; created if missing", role=CALL)
    add("savefile", text, "lstm", "name to put into the file names of checkpoints", role=PACE)
    extra = "iterations between extra checkpoints to resume from, of which only the newest is kept; 0 = none"
    add("save_every", whole(0), 0, extra, role=PACE)
    add("keep", whole(0), 0, "keep only this many of the best checkpoints, and the newest; 0 = keep all", role=PACE)
    add("log_csv", text, "", "CSV file to write the figures of each log line to", role=CALL)
    add("tensorboard", text, "", "folder to write the same figures to, for TensorBoard", role=CALL)
    add("accurate_gpu_timing", switch, 0, "1 = wait for the GPU before reading the clock", role=MACHINE)
    add = flags.add_machine()
    chosen = "number of threads to compute with on a CPU; 0 = whichever is fastest"
    add("threads", whole(0, 1024), 0, chosen, role=MACHINE)
    return flags


def main() -> int:
    parser = flags()
    start = starting_point(parser.parse(), parser)
    options = start.options
    with Processes() as processes, Log(options, start.train_losses) as figures:
        device = choose_device(options.gpuid, options.opencl, log)
        folder = CheckpointFolder(options.checkpoint_dir, options.savefile, options.keep)
        folder.check_writable()
        text = load_text(input_text(start), options.encoding, start.text_sha256)
        vocabulary = start.vocabulary_for(text.vocabulary)
        batches = make_batches(text, vocabulary, options, processes.share(options.batch_size))
        trainer = make_trainer(vocabulary, batches, device, processes, start)
        if start.resumed_from:
            restore_run(start, trainer, folder)
        processes.connect(lambda: shared_values(parser, options, text.sha256, trainer))

        def save() -> None:
            snapshot = trainer.snapshot(text.sha256)
            folder.save(Checkpoint(options=saved_options(options, parser), vocabulary=vocabulary, **snapshot))

        iterations = options.max_epochs * batches.split_sizes[TRAIN]
        if trainer.iteration >= iterations:
            log(f"the run is already complete after {trainer.iteration} iterations; a higher -max_epochs adds more")
        tell_sizes(len(text.indices), trainer.size)
        threads = choose_threads(trainer, options.threads)
        figures.begin(trainer, iterations)
        with StopSignals(silent=not console.rank().first) as stop:
            try:
                learn(trainer, iterations, folder, save, figures, threads, stop)
            except LostProcess as error:
                raise LostProcess(f"{error}; {how_to_continue(folder)}") from error
            if trainer.stops(stop.received) and folder.tried < trainer.iteration:
                trainer.fetch()  # a run that runs ahead has losses that nobody has looked at yet
                if trainer.unsound_loss is not None or not trainer.finite():
                    raise UserError(trouble(trainer, folder))
                save()
    farewell(trainer, folder, trainer.iteration < iterations, stop)
    return stop.exit_status


def learn(
    trainer: Trainer,
    iterations: int,
    folder: CheckpointFolder,
    save: Callable[[], None],
    figures: Log,
    threads: Threads,
    stop: StopSignals,
) -> None:
    """Runs the loop: an iteration, then whatever is due after it. Raises UserError if the loss goes wrong."""
    options = trainer.options
    while trainer.iteration < iterations and not trainer.stops(stop.received):
        if 0 < options.early_stop <= without_improvement(trainer.val_losses):
            log(f"no improvement in the last {options.early_stop} validations; stopping early")
            break
        trainer.step(stop.received)
        if trainer.decay_learning_rate():
            log(f"decayed learning rate by a factor {options.learning_rate_decay} to {trainer.learning_rate}")
        now = due(trainer.iteration, iterations, options)
        if any(now) or not trainer.runs_ahead:
            trainer.fetch(with_norms=now.line)
            threads.took(trainer.seconds)
        figures.advance(trainer)
        sound = trainer.unsound_loss is None
        if sound and now.validation:
            sound = validate(trainer, save)
        elif sound and now.rolling and trainer.finite():
            save()
        if any(now) or not sound:
            figures.line(trainer, now.line or not sound)
        if not sound:
            raise UserError(trouble(trainer, folder))


def validate(trainer: Trainer, save: Callable[[], None]) -> bool:
    """Validates and writes a checkpoint, unless the model is broken; returns whether it is sound."""
    log("evaluating loss over split index 2")
    val_loss = trainer.evaluate(VALIDATION)
    if not (math.isfinite(val_loss) and trainer.finite()):
        return False
    trainer.val_losses[trainer.iteration] = val_loss
    save()
    return True


def trouble(trainer: Trainer, folder: CheckpointFolder) -> str:
    """Returns the message for a loss that ends the run."""
    good = f"the last good checkpoint is {folder.last.path}" if folder.last.path else "there is no checkpoint yet"
    way_out = "try a lower -learning_rate or -grad_clip"
    if trainer.unsound_loss is not None and trainer.unsound_loss < math.inf:
        allowed = f"allow it with a -max_loss_ratio above {trainer.options.max_loss_ratio:g}"
        return f"the loss is exploding; {good}; {way_out}, or {allowed}"
    what = "the model" if trainer.unsound_loss is None else "the loss"
    return f"{what} is not a number any more; {good}; {way_out}"


def on_disk(folder: CheckpointFolder) -> Path | None:
    """Returns the last checkpoint, if it is still there."""
    return folder.last.path if folder.last.path and folder.last.path.exists() else None


def how_to_continue(folder: CheckpointFolder) -> str:
    """Returns how to continue a run that has ended early."""
    newest = on_disk(folder)
    if not newest:
        return "there is no checkpoint yet, so start again"
    return f"resume with: {console.launcher()} train.py -resume {shlex.quote(str(newest))}"


def farewell(trainer: Trainer, folder: CheckpointFolder, unfinished: bool, stop: StopSignals) -> None:
    """Says how to resume, or which checkpoint is best. Raises UserError if the last one could not be written."""
    stopped = trainer.stops(stop.received)
    newest = on_disk(folder)
    if stopped and unfinished and newest:
        sentence = f"stopped at iteration {folder.last.iteration}; {how_to_continue(folder)}"
        if not log(sentence):
            tell(sentence)
    elif trainer.val_losses and not stopped:
        iteration, loss = min(trainer.val_losses.items(), key=lambda item: item[1])
        best = folder.path_at(iteration)
        sampling = f"sample from it with: python sample.py {shlex.quote(str(best))}"
        tell(f"best validation loss: {loss:.4f}; {sampling if best else 'its checkpoint no longer exists'}")
    if folder.last.iteration < folder.tried:
        rest = f"; the newest one on disk is {newest}" if newest else ", and there is no earlier one"
        lost = f"the last checkpoint could not be written{rest}"
        if not stop.received:
            raise UserError(lost)
        tell(f"warning: {lost}")


if __name__ == "__main__":
    console.run(main)
