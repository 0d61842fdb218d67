"""Measures how well a checkpoint predicts a text.

    python evaluate.py cv -file other.txt

Prints the loss per character in nats and in bits, and the perplexity, on a split of the text that the checkpoint was
trained on or on any other text; for several checkpoints, or for each line of a text, as a table.
"""

if __name__ == "__main__":
    import os
    import sys

    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # which python -P and -I leave out
    import util.cli.early  # noqa: F401  (before the other imports)

from argparse import Namespace
from pathlib import Path

from util.checkpoint.choice import all_checkpoints, best_checkpoint
from util.checkpoint.content import Checkpoint
from util.cli import console
from util.cli.console import print_row, tell
from util.cli.device import choose_device
from util.cli.flags import FILE, STRING, SWITCH, Flags, check_text_flags
from util.errors import UserError
from util.evaluation.lines import print_lines
from util.evaluation.loss import COLUMNS, Task, measure, predict_file, predict_split, print_loss, print_result
from util.evaluation.novelty import print_novelty
from util.sampling.settings import UNKNOWN_CHARS
from util.text.batches import SPLITS
from util.text.source import source_of_file


def flags() -> Flags:
    flags = Flags("Measures how well checkpoints predict a text.", "python evaluate.py CHECKPOINT -split test")
    flags.add_checkpoint("the best, and with -table 1 all of them")
    add = flags.add_text("predict", SPLITS, "another text file to predict instead, as one stream; - = standard input")
    add("lines", SWITCH, 0, "1 = predict each line of this file by itself, and print a row for each")
    add("unknown_chars", UNKNOWN_CHARS, "error", "what to do with unknown characters in these lines")
    add = flags.group("novelty")
    add("novelty", FILE, "", "text written by sample.py; find what it copies from the training text instead")
    add("primetext", STRING, "", "primetext at the front of that text, which is not counted")
    add("json", SWITCH, 0, "1 = print a line of JSON for each of its texts")
    add = flags.group("output")
    add("table", SWITCH, 0, "1 = print a row for each checkpoint, also for each in a folder and its folders")
    flags.add_machine()
    return flags


def main() -> None:
    options = flags().parse()
    several = bool(options.table or len(options.checkpoint) > 1)
    check_flags(options, several)
    choose = all_checkpoints if options.table else lambda path: [best_checkpoint(path)]
    found = (pair for path in options.checkpoint for pair in choose(path))
    source = source_of_file(options.file) if options.file else None
    split = options.split if "split" in options.given else ""
    if options.novelty:
        path, checkpoint = next(found)
        print_novelty(options.novelty, options.primetext, checkpoint, path, options.data_dir, bool(options.json))
        return
    if source and options.lines:
        print_lines(next(found)[1], source, options.unknown_chars)
        return
    device = choose_device(options.gpuid, options.opencl, tell)

    def predict(path: Path, checkpoint: Checkpoint) -> tuple[Task, float, int]:
        task = predict_file(checkpoint, source) if source else predict_split(checkpoint, path, options.data_dir, split)
        return task, *measure(checkpoint, task, device)

    if not several:
        path, checkpoint = next(found)
        print_loss(checkpoint, *predict(path, checkpoint))
        return
    rows = 0
    for path, checkpoint in found:
        try:
            task, loss, _ = predict(path, checkpoint)
        except UserError as error:
            tell(f"warning: {path} has no row: {error}")
            continue
        if not rows:
            print_row(*COLUMNS)
        rows += 1
        print_result(checkpoint, path, task, loss)
    if not rows:
        raise UserError("none of these checkpoints predicts this text")


def check_flags(options: Namespace, several: bool) -> None:
    """Raises UserError if the flags contradict each other, or name `several` checkpoints where one is needed."""
    check_text_flags(options.file, options.given)
    for flag in ("primetext", "json"):
        if getattr(options, flag) and not options.novelty:
            raise UserError(f"-{flag} is for -novelty; leave it out, or name a sampled text with -novelty")
    if options.novelty and (several or options.given & {"file", "split", "lines"}):
        raise UserError("-novelty takes one checkpoint, and no -file, -split, -lines or -table; leave out the others")
    if "unknown_chars" in options.given and not options.lines:
        raise UserError("-unknown_chars is for -lines; leave it out")
    if options.lines and (several or not options.file):
        raise UserError("-lines takes one checkpoint and the lines of a -file; name one, and leave out -table")


if __name__ == "__main__":
    console.run(main)
