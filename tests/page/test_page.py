"""What the page shows of a text: surprise, cells, saturation and figures, against those of the network in Python."""

import math
import re

import numpy as np
import pytest

import char_rnn
from tests.helpers.checkpoints import stepper
from tests.helpers.pages import LENGTH, LSTM, TEXT, cell_class, classes, cursor, paste, save_random_model, text_of
from util.page.reading import read_passages

MODEL = char_rnn.load(LSTM)


def test_surprise_in_the_text_and_at_the_pointer(page):
    bits = MODEL.score(TEXT[:LENGTH]) / math.log(2)
    assert cursor(page) == 60  # by then the network knows what it reads
    first, *found = classes(page)
    assert text_of(page) == TEXT[:LENGTH] and first == "first"
    expected = [f"s{round(40 * min(1, value / 8))}" for value in bits]
    assert sum(a != b for a, b in zip(found, expected, strict=True)) <= 1 and len(set(found)) > 20
    assert f"input.txt. {LENGTH} bytes, {bits.mean():.2f} bits" in page.inner_text("#status")
    for position in (5, 41):
        page.locator("#text span").nth(position).hover()
        assert cursor(page) == position and f"{bits[position - 1]:.2f} bits" in page.inner_text("#prediction p")
        rows = page.eval_on_selector_all("#prediction li", "rows => rows.map((row) => row.textContent)")[:5]
        likeliest = list(MODEL.next(TEXT[:position]).items())[:5]
        assert [row[0] for row in rows] == [c.decode().translate({10: "↵", 32: "␣"}) for c, _ in likeliest]
        assert [float(row[1:-1]) for row in rows] == pytest.approx([100 * share for _, share in likeliest], abs=0.51)


def test_cells_at_the_cursor_and_the_text_in_the_colors_of_one(page):
    cells = np.tanh(MODEL.states(TEXT[:LENGTH])["c"]).reshape(LENGTH, -1)
    page.locator("#text span").nth(77).click()
    squares = page.eval_on_selector_all("#grids i", "all => all.map((square) => square.className)")
    assert all(found in cell_class(value) for found, value in zip(squares, cells[77], strict=True))
    chosen = cells.shape[1] - 3
    page.click(f"#grids i[data-cell='{chosen}']")
    assert all(found in cell_class(value) for found, value in zip(classes(page), cells[:, chosen], strict=True))
    assert page.inner_text("#value").endswith(f"{abs(cells[77, chosen]):.2f}")
    page.click("#by-surprise")
    assert classes(page)[100].startswith("s")

    line = page.locator("#facts tr[data-cell]").filter(has_text="since the line began")
    cell = int(line.get_attribute("data-cell"))
    columns = np.array([n - TEXT.rfind("\n", 0, n + 1) for n in range(LENGTH)])
    assert abs(np.corrcoef(columns, cells[:, cell])[0, 1]) > 0.5
    line.locator("button").click()
    assert classes(page)[200] in cell_class(cells[200, cell]) and line.get_attribute("aria-selected") == "true"


def test_saturation(page):
    """Dots lie where the gates' shares are; those of a gate that goes through tanh, on the scale of the others."""
    step, opened, squashed = stepper(MODEL.checkpoint), [], []
    step.xp.sigmoid = recording(step.xp.sigmoid, opened)  # i, f and o of each layer in turn
    step.xp.tanh = recording(step.xp.tanh, squashed)  # g and c
    for index in MODEL.checkpoint.vocabulary.encode(TEXT[:LENGTH]):
        step(np.array([index]))
    scaled = (1 + np.array(squashed[::2]).reshape(LENGTH, 2, 1, 24)) / 2
    gates = np.concatenate([np.array(opened).reshape(LENGTH, 2, 3, 24), scaled], axis=2)
    assert (page.input_value("#layer"), page.input_value("#gate")) == ("1", "1")  # the last one's forget gate
    for layer, gate in ((0, 0), (1, 1), (1, 3), (0, 2)):
        page.select_option("#layer", str(layer))
        page.select_option("#gate", str(gate))
        low, high = (condition.mean(axis=0) for condition in (gates < 0.1, gates > 0.9))
        dots = page.eval_on_selector_all(
            "#plot circle", "all => all.map((d) => [d.dataset.cell, ...['cx', 'cy'].map((at) => d.getAttribute(at))])"
        )
        numbers, x, y = np.array(sorted([float(x) for x in dot] for dot in dots)).T
        assert numbers.tolist() == list(range(layer * 24, (layer + 1) * 24))
        assert np.allclose(x / 240, low[layer, gate]) and np.allclose(1 - y / 240, high[layer, gate])
    title = page.text_content("#plot circle[data-cell='7'] title")
    shown = re.fullmatch("layer 1, cell 8: below 0.1 (?:< )?(.*)%, above 0.9 (?:< )?(.*)%", title).groups()
    assert [float(share) for share in shown] == pytest.approx([100 * low[0, 2, 7], 100 * high[0, 2, 7]], abs=0.51)


def recording(function, results):
    """A function that also adds to a list what it returns."""

    def recorded(x):
        results.append(function(x))
        return results[-1]

    return recorded


def test_the_figures_of_passages(made, opened, small_text, tmp_path):
    """The first character of each is left out of the mean; of the others there are few, so that it would tell."""
    sizes = {"batch_size": 6, "seq_length": 5, "train_frac": 0.95, "val_frac": 0.05}
    model = save_random_model(tmp_path / "x.pt", MODEL.checkpoint.vocabulary, largest=3, **sizes)
    page = opened(made(tmp_path / "x.pt", f"-data_dir={small_text}", "-split=val"))
    passages = page.eval_on_selector_all("#text div", "all => all.map((one) => [one.textContent, one.dataset.passage])")
    assert len(passages) == 6 and [afresh for _, afresh in passages] == [None] + ["the network begins afresh"] * 5
    texts = [text for text, _ in passages]
    assert page.inner_text("#tab-own") == "Validation text" and text_of(page) == "".join(texts)
    begins = [sum(map(len, texts[:n])) for n in range(6)]
    assert [n for n, name in enumerate(classes(page)) if name == "first"] == begins

    def surprise(loss: float) -> str:
        return f"{loss / math.log(2):.2f} bits of surprise a byte ({loss:.3f} nats)"

    loss, cells = read_passages(model, model.parameters, texts)
    assert page.inner_text("#status").endswith(f"{len(cells)} bytes in 6 passages, {surprise(loss)}.")
    said = surprise(char_rnn.load(tmp_path / "x.pt").score("thirty\none").mean())
    for text, status in (
        ("o", "1 byte."),
        ("thirty\none", f"10 bytes, {said}."),
        ("Qthirty\n\tone", f"12 bytes, {said}, 2 of them unknown to the model."),
    ):
        paste(page, text)
        assert text_of(page) == text and page.inner_text("#status") == status
    assert [n for n, name in enumerate(classes(page)) if name == "unknown"] == [0, 8]
