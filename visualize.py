"""Makes a page in which a network reads, writes and shows its cells: one file that opens in any browser.

    python visualize.py cv/lm_lstm_epoch26.00_1.3850.pt

The page contains the model and runs it: nothing is fetched, no server is needed, and it can be sent to a friend.
"""

from __future__ import annotations

if __name__ == "__main__":
    import util.cli.early  # noqa: F401  (before the other imports)


from util.checkpoint.content import Checkpoint
from util.checkpoint.store import load_checkpoint
from util.checkpoint.text_of_checkpoint import add_text_flags, check_text_flags
from util.cli import console
from util.cli.console import tell
from util.cli.files import check_output, output
from util.cli.flags import STRING, SWITCH, Flags, whole
from util.page.findings import find
from util.page.page import in_half_precision, packed_weights, page_bytes, page_content
from util.page.reading import read_passages
from util.page.shown import choose_text

LARGE = 20_000_000
"""A page of more bytes than this is worth a warning."""


def flags() -> Flags:
    flags = Flags("Makes a page that shows what a network does.", "python visualize.py CHECKPOINT -file other.txt")
    flags.add_checkpoint()
    add = add_text_flags(flags, "show", "another text file to show instead")
    add("length", whole(1, 1_000_000), 5000, "number of characters to show")
    add = flags.group("output")
    add("output", STRING, "", "file to write the page to; by default the checkpoint's name with .html, in this folder")
    add("half", SWITCH, 0, "1 = store the weights in 16 bits: a smaller page, a little less exact")
    flags.add_unused_machine()
    return flags


def main() -> None:
    options = flags().parse()
    check_text_flags(options)
    checkpoint = load_checkpoint(options.checkpoint)
    shown = choose_text(checkpoint, options)
    place = options.output or f"{options.checkpoint.stem}.html"
    reads = (options.checkpoint, *shown.reads)
    check_output(place, "-output", reads)

    parameters = in_half_precision(checkpoint.parameters) if options.half else checkpoint.parameters
    stored = "float16" if options.half else checkpoint.dtype
    size = sum(array.nbytes for array in parameters.values()) * 4 // 3  # in base64
    if size > LARGE:
        tell(f"the page will be {size / 1e6:.0f} MB" + ("" if options.half else "; -half 1 makes it smaller"))
    if options.half:
        tell(cost(checkpoint, shown.known))

    _, cells = read_passages(checkpoint, checkpoint.parameters, shown.searched)
    findings, searched = find(shown.searched, cells), len(cells)
    content = page_content(checkpoint, options.checkpoint.stem, stored, shown, findings, searched)
    page = page_bytes(content, packed_weights(parameters))
    with output(place, "-output", reads) as file:
        file.write(page)
    if place != "-":
        print(f"wrote {place} ({len(page) / 1e6:.1f} MB); open it in a browser")


def cost(checkpoint: Checkpoint, passages: list[str]) -> str:
    """Returns a sentence on how 16-bit weights change the loss on the text shown."""
    rounded = {n: array.astype(checkpoint.dtype) for n, array in in_half_precision(checkpoint.parameters).items()}
    both = checkpoint.parameters, rounded
    before, after = (read_passages(checkpoint, weights, passages, keep_cells=False)[0] for weights in both)
    return f"loss on the text shown: {before:.5f} nats per character, with 16-bit weights {after:.5f}"


if __name__ == "__main__":
    console.run(main)
