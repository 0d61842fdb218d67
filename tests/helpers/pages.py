"""What tests of the page ask it: its text, its cursor and its colors."""

import math
from pathlib import Path

import numpy as np

from model.shapes import parameter_shapes
from tests.helpers.inputs import GOLDEN, numbers
from util.checkpoint.content import Checkpoint
from util.checkpoint.store import save_checkpoint
from util.text.vocabulary import Vocabulary

LSTM = GOLDEN / "lstm.t7"
TEXT = numbers(140).decode()
LENGTH = 400
"""How much of TEXT the page of the fixture `page` shows."""


def save_random_model(
    path: Path, vocabulary: Vocabulary, cell: str = "gru", largest: float = 0.5, dtype: str = "float64", **more: object
) -> Checkpoint:
    """Saves a model of random weights: three layers, of a size that is not a multiple of four."""
    random, H, L = np.random.default_rng(1), 5, 3
    options = {"model": cell, "rnn_size": H, "num_layers": L, "batch_size": 1, "seq_length": 1, "dropout": 0.0}
    shapes = parameter_shapes(len(vocabulary), H, L, cell)
    parameters = {name: random.uniform(-largest, largest, shape).astype(dtype) for name, shape in shapes.items()}
    checkpoint = Checkpoint(options | more, vocabulary, parameters, 0, 0.0, np.zeros(0), {}, None)
    save_checkpoint(checkpoint, path)
    return checkpoint


def classes(page) -> list[str]:
    return page.eval_on_selector_all("#text span", "spans => spans.map((span) => span.className)")


def cursor(page) -> int:
    return page.eval_on_selector_all("#text span", "spans => spans.findIndex((s) => s.hasAttribute('data-cursor'))")


def text_of(page) -> str:
    return page.eval_on_selector("#text", "text => text.textContent")


def finished(page) -> None:
    """Waits until the network has read or written the text."""
    page.wait_for_selector("#progress", state="hidden")


def paste(page, text: str) -> None:
    """Has the page read a text, up to its end."""
    page.click("#tab-paste")
    page.fill("#pasted", text)
    page.click("#form-paste button")
    finished(page)


def cell_class(value: float) -> set[str]:
    """The class of a cell's value, or both where it lies on the border of two."""
    return {f"d{math.floor(40 * (1 + value) + 0.5 + error)}" for error in (-0.01, 0.01)}


def colors(page, selector: str) -> list[tuple[list, list]]:
    """The pairs of an element's color and background, or the paper's: red, green and blue from 0 to 255."""
    return page.evaluate(
        """selector => {
            const brush = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
            const painted = (...colors) => {
                for (brush.fillStyle of colors) brush.fillRect(0, 0, 1, 1);
                return Array.from(brush.getImageData(0, 0, 1, 1).data).slice(0, 3);
            };
            const paper = getComputedStyle(document.getElementById("text")).backgroundColor;
            const pairs = Array.from(document.querySelectorAll(selector), (element) => getComputedStyle(element))
                .map(({ color, backgroundColor }) => [color + backgroundColor, [color, backgroundColor]]);
            return [...new Map(pairs).values()].map(([ink, ground]) => [painted(ink), painted(paper, ground)]);
        }""",
        selector,
    )


def contrast(*colors: list) -> float:
    """The contrast of two colors as WCAG 2 has it."""
    parts = np.array(colors) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    darker, lighter = sorted(linear @ [0.2126, 0.7152, 0.0722])
    return (lighter + 0.05) / (darker + 0.05)
