"""Trains a character-level language model on a text file.

    python train.py -data_dir data/tinyshakespeare -rnn_size 256 -dropout 0.2

Prints the loss of each iteration; validates and writes a checkpoint for sample.py at regular intervals.
"""

if __name__ == "__main__":
    import os
    import sys

    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # which python -P and -I leave out
    import util.cli.early  # noqa: F401  (before the other imports)

from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

from util.checkpoint.content import Checkpoint
from util.checkpoint.folder import CheckpointFolder
from util.cli import console
from util.cli.console import log
from util.cli.device import check_room_for_torch, choose_device
from util.errors import UserError
from util.text.cache import load_text
from util.text.loading import make_batches
from util.training.options import flags
from util.training.start import saved_options, starting_point
from util.training.tables import tables_of

if TYPE_CHECKING:
    from util.training.report import RunLog
    from util.training.trainer import Trainer

FIRST_PREVIEWS = (100, 300)  # iterations after which one sees that the model learns, long before a validation


def main() -> int:
    console.join_torchrun()
    parser = flags()
    start = starting_point(parser)
    options = start.options
    source = start.find_text()
    tables = tables_of(options, start.train_losses, source.files)
    device = choose_device(options.gpuid, options.opencl, log)
    text = load_text(source, options.encoding, start.text_sha256)
    vocabulary = start.vocabulary(text.vocabulary)
    batches = make_batches(text, vocabulary, options, start.share())
    check_room_for_torch()
    # These import torch, which takes seconds: a mistake in the flags or the text is told before.
    from util.training.build import make_trainer, must_agree
    from util.training.processes import Processes
    from util.training.report import RunLog, preview, report_end, tell_sizes, telling_what_is_left

    with closing(Processes()) as processes:
        trainer = make_trainer(vocabulary, batches, device, processes, start)
        processes.take_threads(options.threads)
        if processes.size > 1:
            processes.join(device, must_agree(options, parser, text.sha256, trainer))
        folder = CheckpointFolder(options.checkpoint_dir, options.savefile, options.keep)
        folder.check_writable()
        checkpoint_of = partial(Checkpoint, saved_options(options, parser), vocabulary)

        def save() -> None:
            trainer.check_finite()
            folder.save(checkpoint_of(**trainer.state_dict(text.sha256)))

        def show() -> None:
            preview(trainer, lambda: checkpoint_of(**trainer.model_state()))

        tell_sizes(trainer)
        with trainer.stop as stop, closing(RunLog(trainer, tables)) as run_log:
            start.take_over(folder)  # after the log, which refuses a run whose table another run is writing
            with telling_what_is_left(folder):
                learn(trainer, save, show, run_log)
                if trainer.stopping and folder.tried < trainer.iteration:  # what failed is not tried again
                    save()
            report_end(trainer, folder)
    return stop.exit_status


def learn(trainer: "Trainer", save: Callable[[], None], show: Callable[[], None], run_log: "RunLog") -> None:
    """Runs the loop: an iteration, then whatever is due after it. Raises UserError if the loss goes wrong."""
    options = trainer.options

    def due(*periods: int) -> bool:
        return trainer.iteration > 0 and any(every > 0 and trainer.iteration % every == 0 for every in periods)

    def validation_is_due() -> bool:
        return due(options.eval_val_every) or trainer.iteration == trainer.iterations

    if validation_is_due() and not trainer.validated:  # it was cut short by the stop, or a flag is new
        trainer.validate()
        save()
        show()
    while trainer.iteration < trainer.iterations and not trainer.stopping:
        if trainer.is_out_of_patience:
            log(f"no improvement in the last {options.early_stop} validations; stopping early")
            break
        trainer.step()
        trainer.decay_learning_rate()
        trainer.fetch()
        try:
            trainer.check_loss()
        except UserError:
            run_log.add(to_print=True, to_tables=True)
            raise
        if validation_is_due():
            trainer.validate()
        if trainer.validated or due(options.save_every):
            save()
        if trainer.validated or trainer.iteration in FIRST_PREVIEWS:
            show()
        is_milestone = validation_is_due() or due(options.print_every, options.save_every)
        run_log.add(to_print=due(options.print_every), to_tables=is_milestone)


if __name__ == "__main__":
    console.run(main)
