"""Makes a page in which a network reads, writes and shows its cells: one file that opens in any browser.

    python visualize.py cv

The page contains the model and runs it: nothing is fetched, no server is needed, and it can be sent to a friend.
"""

if __name__ == "__main__":
    import os
    import sys

    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # which python -P and -I leave out
    import util.cli.early  # noqa: F401  (before the other imports)

import numpy as np

from util.checkpoint.choice import best_checkpoint
from util.cli import console
from util.cli.console import tell
from util.cli.files import output
from util.cli.flags import FILE, SWITCH, Flags, check_text_flags, whole
from util.errors import UserError
from util.page.findings import find_cells
from util.page.page import page_bytes
from util.page.reading import check_model, read_passages
from util.page.text import text_for_page
from util.text.batches import SPLITS


def flags() -> Flags:
    flags = Flags("Makes a page that shows what a network does.", "python visualize.py CHECKPOINT -file other.txt")
    flags.add_checkpoint()
    add = flags.add_text("show", SPLITS, "another text file to show instead; - = standard input")
    add("length", whole(1, 100_000), 5000, "number of characters to show")
    add = flags.group("output")
    add("output", FILE, "", "file to write the page to; by default it lies beside the checkpoint, with .html")
    add("half", SWITCH, 0, "1 = store the weights in 16 bits: a smaller page, a little less exact")
    flags.add_machine(used=False)
    return flags


def main() -> None:
    options = flags().parse()
    check_text_flags(options.file, options.given)
    path, checkpoint = best_checkpoint(options.checkpoint)
    check_model(checkpoint.model_shape[-1])  # before its text is read, or written
    split = options.split if "split" in options.given else ""
    text = text_for_page(checkpoint, path, options.file, options.data_dir, split, options.length)
    target = options.output or path.with_suffix(".html")
    parameters = checkpoint.parameters
    with output(target, "-output", (path, *text.files), "page") as file:
        loss, cells = read_passages(checkpoint, parameters, text.searched)
        findings = find_cells(text.searched, cells)
        if options.half:
            parameters = {name: array.astype("float16") for name, array in parameters.items()}
            if any(np.isinf(array).any() for array in parameters.values()):
                raise UserError(f"{path} has weights that 16 bits cannot hold, above 65,504; leave out -half")
            rounded, _ = read_passages(checkpoint, parameters, text.searched)
            unit = checkpoint.vocabulary.unit
            tell(f"loss on {len(cells):,} {unit}s: {loss:.5f} nats per {unit}, with 16-bit weights {rounded:.5f}")
        page = page_bytes(checkpoint, path.stem, parameters, text, findings)
        file.write(page)
    if options.output != "-":
        print(f"wrote {target} ({len(page) / 1e6:.1f} MB); open it in a browser")


if __name__ == "__main__":
    console.run(main)
