"""Makes a page in which a network reads, writes and shows its cells: one file that any browser opens.

    python visualize.py cv/lm_lstm_epoch26.00_1.3850.pt

The page holds the model itself, and runs it: nothing is fetched, no server is needed, and it can be sent to a friend.
"""

from __future__ import annotations

from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evaluate import SPLITS, input_text, is_fraction
from util import errors
from util.checkpoint.content import Checkpoint
from util.checkpoint.store import load_checkpoint
from util.cli.files import replacing
from util.cli.flags import Flags, gpu_id, switch, text, whole
from util.errors import UserError, reason, warn
from util.page.findings import find
from util.page.page import in_half_precision, packed_weights, page_bytes, page_content
from util.page.reading import read_passages, written_text, written_texts
from util.text.batches import Batches
from util.text.cache import load_text
from util.text.source import Source, characters

SEED = 123  # of what the model writes where its text is gone
SEARCHED = 30_000  # characters in which cells are looked for that follow a fact ...
PIECE = 1000  # ... in passages of at most so many
MOST_VALUES = 60_000_000  # of cells in these characters; larger models read fewer
LARGE = 20_000_000  # bytes of a page that deserve a word


def flags() -> Flags:
    flags = Flags("Makes a page that shows what a network does.", "python visualize.py CHECKPOINT -file other.txt")
    flags.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="a file written by train.py")
    add = flags.group("text")
    add("file", text, "", "a text to show, instead of the one that the checkpoint was trained on")
    add("split", str, "val", "part of the text that the checkpoint was trained on", choices=SPLITS)
    add("data_dir", text, "", "folder that holds its input.txt, if not the one it was trained from")
    add("length", whole(1, 1_000_000), 5000, "number of characters to show")
    add = flags.group("output")
    add("output", text, "", "the page, a name that ends in .html; that of the checkpoint, if not given")
    add("half", switch, 0, "1 = store the weights in 16 bits: a smaller page, a little less exact")
    add = flags.group("accepted as the original accepts them; the page is made without a GPU")
    add("gpuid", gpu_id, 0, "not needed")
    add("opencl", switch, 0, "not needed")
    return flags


def main() -> None:
    options = flags().parse()
    if options.file and options.given & {"split", "data_dir"}:
        raise UserError("-file takes the place of -split and -data_dir; leave out one or the other")
    checkpoint = load_checkpoint(options.checkpoint)
    shown = choose_text(checkpoint, options)
    output = checked_output(options, shown)

    parameters = in_half_precision(checkpoint.parameters) if options.half else checkpoint.parameters
    stored = "float16" if options.half else checkpoint.dtype
    weight = sum(array.nbytes for array in parameters.values()) * 4 // 3
    if weight > LARGE:
        warn(f"the page will weigh {weight / 1e6:.0f} MB" + ("" if options.half else "; -half 1 makes it smaller"))
    if options.half:
        tell_cost(checkpoint, shown.known)

    _, cells = read_passages(checkpoint, checkpoint.parameters, shown.searched)
    findings = find(shown.searched, cells)
    searched = sum(map(len, shown.searched))
    content = page_content(
        checkpoint, options.checkpoint.stem, stored, shown.passages, shown.tab, shown.source, findings, searched
    )
    page = page_bytes(content, packed_weights(parameters))
    try:
        with replacing(output) as file:
            file.write(page)
    except OSError as error:
        raise UserError(f"cannot write {output}: {reason(error)}; name another place with -output") from error
    print(f"wrote {output} ({len(page) / 1e6:.1f} MB); open it in a browser")


@dataclass
class Shown:
    """A text for the page, in the characters of the model; of a model of bytes, characters 0 to 255 for them."""

    passages: list[str]
    """What is shown, each from a zero state."""
    searched: list[str]
    """What is searched for cells that follow a fact, only characters that the model knows."""
    known: list[str]
    """The passages without characters that the model does not know."""
    tab: str
    source: str
    files: tuple[Path, ...] = ()


def choose_text(checkpoint: Checkpoint, options: Namespace) -> Shown:
    """The text that the flags name, or else what the model writes. Raises UserError."""
    _, H, L, _ = checkpoint.model_shape
    searched = max(2 * PIECE, min(SEARCHED, MOST_VALUES // (H * L)))
    wanted = max(searched, options.length)
    if options.file:
        files: tuple[Path, ...] = (Path(options.file),)
        passages, tab = [first_of_file(files[0], checkpoint.encoding, wanted)], files[0].name
        source = tab
    else:
        try:
            found = input_text(checkpoint, options)
        except UserError:
            if options.data_dir:
                raise
            warn(
                f"the text of {options.checkpoint} is not where it was, so the page shows what the model writes "
                "itself; name its folder with -data_dir, or another text with -file"
            )
            return own_writing(checkpoint, options.length, searched)
        passages = passages_of_split(checkpoint, options, found, wanted)
        tab = {"train": "Training text", "val": "Validation text", "test": "Test text"}[options.split]
        source, files = f"{tab} of {found.files[0].parent.name}", found.files
    unknown = sorted(set("".join(passages)) - set(checkpoint.vocabulary))
    if unknown:
        some = ", ".join(map(repr, unknown[:5])) + (", ..." if len(unknown) > 5 else "")
        warn(f"{source} has characters that the model has never seen: {some}; the network passes over them")
    leave_out = str.maketrans(dict.fromkeys(unknown, ""))
    known = [passage.translate(leave_out) for passage in passages]
    pieces = [passage[start : start + PIECE] for passage in known for start in range(0, len(passage), PIECE)]
    shown = beginning(passages, options.length)
    return Shown(shown, beginning(pieces, searched), [p.translate(leave_out) for p in shown], tab, f"{source}.", files)


def beginning(passages: list[str], length: int) -> list[str]:
    """The first `length` characters of passages."""
    taken = []
    for passage in passages:
        if length <= 0:
            break
        taken.append(passage[:length])
        length -= len(passage)
    return taken


def first_of_file(path: Path, encoding: str, length: int) -> str:
    """The first characters of a file, or all where it has fewer. Raises UserError where there is no such text."""
    pieces: list[str] = []
    try:
        if not path.is_file():
            raise UserError(f"there is no file {path}; -file names a text")
        for piece in characters(path, encoding, task=""):
            pieces.append(piece.decode("latin-1") if isinstance(piece, bytes) else "".join(map(chr, piece[:length])))
            if sum(map(len, pieces)) >= length:
                break
    except OSError as error:
        raise UserError(f"cannot read {path}: {reason(error)}") from error
    content = "".join(pieces)[:length]
    if not content:
        raise UserError(f"{path} is empty; -file names a text")
    return content


def passages_of_split(checkpoint: Checkpoint, options: Namespace, source: Source, length: int) -> list[str]:
    """The passages of a split, one of each stream, until they have `length` characters. Raises UserError."""
    loaded = load_text(source, checkpoint.encoding)
    if checkpoint.training and checkpoint.training["text_sha256"] != loaded.sha256:
        warn(f"warning: {source} is not the text that the checkpoint was trained on; its splits are others")
    B, S = checkpoint.options["batch_size"], checkpoint.options["seq_length"]
    train_frac, val_frac = (checkpoint.options.get(name) for name in ("train_frac", "val_frac"))
    if not (is_fraction(train_frac) and is_fraction(val_frac)):
        raise UserError(f"{options.checkpoint} does not tell which part of its text is which; name a text with -file")
    loader = Batches(loaded.indices, B, S, train_frac, val_frac)
    split = SPLITS.index(options.split)
    count = min(loader.split_sizes[split], -(-length // S))
    if not count:
        raise UserError(f"there is nothing in the split {options.split} of {source}; take another -split, or a -file")
    rows = np.concatenate([loader.batch(split, number)[0] for number in range(count)])
    return ["".join(loaded.vocabulary[index] for index in column) for column in rows.T[: -(-length // len(rows))]]


def own_writing(checkpoint: Checkpoint, length: int, searched: int) -> Shown:
    """What the model writes itself."""
    passages = [written_text(checkpoint, length, SEED)]
    texts = written_texts(checkpoint, PIECE, SEED, searched // PIECE)
    source = f"The model's text is gone; this is what it writes itself (seed {SEED}, temperature 1)."
    return Shown(passages, texts, passages, "A sample", source)


def checked_output(options: Namespace, shown: Shown) -> Path:
    """Where the page goes. Raises UserError where it must not."""
    output = Path(options.output or f"{options.checkpoint.stem}.html")
    if output.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"-output {output} is no name of a page; it takes a name that ends in .html")
    if output.exists() and not output.is_file():
        raise UserError(f"-output {output} is no file; name one, new or to be overwritten")
    if any(path.exists() and output.exists() and output.samefile(path) for path in (options.checkpoint, *shown.files)):
        raise UserError(f"-output would write over {output}, which is being read; name another file")
    return output


def tell_cost(checkpoint: Checkpoint, passages: list[str]) -> None:
    """Prints what the loss on the text shown becomes with weights of 16 bits."""
    dtype = checkpoint.dtype
    rounded = {name: array.astype(dtype) for name, array in in_half_precision(checkpoint.parameters).items()}
    before, after = (read_passages(checkpoint, weights, passages)[0] for weights in (checkpoint.parameters, rounded))
    print(f"loss on the text shown: {before:.5f} nats a character, with weights of 16 bits {after:.5f}")


if __name__ == "__main__":
    errors.run(main)
