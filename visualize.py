"""Makes a page in which a network reads, writes and shows its cells: one file that opens in any browser.

    python visualize.py cv

The page contains the model and runs it: nothing is fetched, no server is needed, and it can be sent to a friend.
"""

from __future__ import annotations

if __name__ == "__main__":
    import util.cli.early  # noqa: F401  (before the other imports)

from util.checkpoint.choice import best_checkpoint
from util.checkpoint.text_of_checkpoint import add_text_flags, check_text_flags
from util.cli import console
from util.cli.console import tell
from util.cli.files import check_output, output
from util.cli.flags import STRING, SWITCH, Flags, whole
from util.page.findings import find_cells
from util.page.page import in_half_precision, packed_weights, page_bytes, page_content
from util.page.reading import read_passages
from util.page.text import text_for_page

LARGE = 20_000_000  # bytes of a page


def flags() -> Flags:
    flags = Flags("Makes a page that shows what a network does.", "python visualize.py CHECKPOINT -file other.txt")
    flags.add_checkpoint()
    add = add_text_flags(flags, "show", "another text file to show instead; - = standard input")
    add("length", whole(1, 100_000), 5000, "number of characters to show")
    add = flags.group("output")
    add("output", STRING, "", "file to write the page to; by default it lies beside the checkpoint, with .html")
    add("half", SWITCH, 0, "1 = store the weights in 16 bits: a smaller page, a little less exact")
    flags.add_machine(used=False)
    return flags


def main() -> None:
    options = flags().parse()
    check_text_flags(options)
    options.checkpoint, checkpoint = best_checkpoint(options.checkpoint)
    page_text = text_for_page(checkpoint, options)
    target = options.output or options.checkpoint.with_suffix(".html")
    reads = (options.checkpoint, *page_text.reads)
    check_output(target, "-output", reads, "page")

    loss, cells = read_passages(checkpoint, checkpoint.parameters, page_text.searched)
    findings, searched = find_cells(page_text.searched, cells), len(cells)
    parameters = checkpoint.parameters
    if options.half:
        parameters = in_half_precision(parameters)
        rounded, _ = read_passages(checkpoint, parameters, page_text.searched)
        tell(f"loss on {searched:,} characters: {loss:.5f} nats per character, with 16-bit weights {rounded:.5f}")
    content = page_content(checkpoint, options.checkpoint.stem, parameters, page_text, findings)
    page = page_bytes(content, packed_weights(parameters))
    with output(target, "-output", reads, "page") as file:
        file.write(page)
    if options.output != "-":
        hint = "; -half 1 makes it smaller" * (len(page) > LARGE and not options.half)
        print(f"wrote {target} ({len(page) / 1e6:.1f} MB); open it in a browser{hint}")


if __name__ == "__main__":
    console.run(main)
