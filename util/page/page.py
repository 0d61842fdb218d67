"""Puts the page together: one file that contains everything it needs.

Whatever comes from a checkpoint or a text is data in it, never HTML or a script. Its Content-Security-Policy allows
only the script written here to run, and forbids every request.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template

import numpy as np

from model.cells import CELLS
from model.stepper import Parameters
from util.checkpoint.content import Checkpoint
from util.page.findings import Finding
from util.page.text import PageText
from util.sampling.writing import Writer

FOLDER = Path(__file__).parent
SCRIPTS = ("random", "drawing", "model", "alphabet", "reading", "colors", "text", "panels", "view")
"""The page's JavaScript files, in the order in which they run as one module."""


def page_bytes(
    checkpoint: Checkpoint, name: str, parameters: Parameters, text: PageText, findings: Sequence[Finding]
) -> bytes:
    """Returns the page of a model with these parameters, which are the checkpoint's own or rounded."""
    _, H, L, model = checkpoint.model_shape
    writer = Writer(checkpoint)
    content = {
        "name": name, "about": about(checkpoint),
        "cell": model, "gates": CELLS[model].gates, "layers": L, "size": H,
        "vocabulary": list(checkpoint.vocabulary.characters), "bytes": checkpoint.vocabulary.is_bytes,
        "opening": writer.opening._asdict() if writer.document_end else None,  # others begin with the zero state
        "stored": str(next(iter(parameters.values())).dtype),
        "tab": text.tab, "source": text.sentence, "passages": text.passages,
        "facts": [finding._asdict() for finding in findings], "searched": sum(map(len, text.searched)),
    }  # fmt: skip
    style = (FOLDER / "page.css").read_text("utf-8")
    script = "\n".join((FOLDER / f"{part}.js").read_text("utf-8") for part in SCRIPTS)
    arrays = (np.ascontiguousarray(array, array.dtype.newbyteorder("<")) for array in parameters.values())
    page = Template((FOLDER / "page.html").read_text("utf-8")).substitute(
        title=escape(name), style=style, style_digest=digest(style), script=script, script_digest=digest(script),
        # ASCII only; without < nothing in it can end the element it is in.
        content=json.dumps(content, default=np.ndarray.tolist).replace("<", r"\u003c"),
        weights=base64.b64encode(b"".join(array.tobytes() for array in arrays)).decode(),
    )  # fmt: skip
    return page.encode(errors="replace")  # a file name need not be text


def about(checkpoint: Checkpoint) -> str:
    """Returns what the page says of its model."""
    V, H, L, model = checkpoint.model_shape
    loss, units = checkpoint.validations.get(checkpoint.iteration), f"{checkpoint.vocabulary.unit}s"
    return (
        f"{'A' if model == 'gru' else 'An'} {model.upper()} of {L} layer{'s' * (L > 1)} of {H:,} cells that predicts "
        f"the next of {V:,} {units}: {checkpoint.size:,} parameters, {checkpoint.trained}"
        f"{'' if loss is None else f', validation loss {loss:.4f}'}. It runs in your browser; nothing leaves it."
    )


def digest(source: str) -> str:
    """Returns the name that a Content-Security-Policy gives to an element with this content."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"
