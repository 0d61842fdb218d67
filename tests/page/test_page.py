"""What the page shows of a text: surprise, cells, saturation and figures, against those of the network in Python."""

import math
import re

import numpy as np
import pytest

import char_rnn
from tests.helpers.checkpoints import stepper
from tests.helpers.pages import LENGTH, LSTM, TEXT, cell_class, classes, cursor, paste, save_random_model, text_of
from util.checkpoint.store import load_checkpoint
from util.page.reading import read_passages


@pytest.fixture(scope="module")
def figures():
    """What the network makes of the text: surprises in bits, the cells (T, L·H), gates, and what is likely (T, V)."""
    checkpoint = load_checkpoint(LSTM)
    step = stepper(checkpoint)
    log_probs = np.full(len(checkpoint.vocabulary), -math.log(len(checkpoint.vocabulary)))
    bits, cells, gates, likely, opened = [], [], [], [], []
    sigmoid = step.xp.sigmoid
    step.xp.sigmoid = lambda x: opened.append(sigmoid(x)) or opened[-1]  # i, f and o of each layer in turn
    for c in TEXT[:LENGTH]:
        index = checkpoint.vocabulary.index[c]
        likely.append(np.exp(log_probs))
        bits.append(-log_probs[index] / math.log(2))
        log_probs = step(np.array([index]))[0]
        cells.append(np.concatenate([np.tanh(c) for c, _ in step.states]))
        gates.append(opened[-len(step.states) :])
    return np.array(bits), np.array(cells), np.array(gates), np.array(likely)


def test_surprise_in_the_text_and_at_the_pointer(page, figures):
    bits, _, _, likely = figures
    assert cursor(page) == 60  # by then the network knows what it reads
    found = classes(page)
    assert text_of(page) == TEXT[:LENGTH] and found[0] == "first"
    expected = ["s" + str(round(40 * min(1, value / 8))) for value in bits[1:]]
    assert sum(a != b for a, b in zip(found[1:], expected, strict=True)) <= 1 and len(set(found)) > 20
    assert f"numbers.txt. {LENGTH} bytes, {bits[1:].mean():.2f} bits" in page.inner_text("#status")
    for position in (5, 41):
        page.locator("#text span").nth(position).hover()
        assert cursor(page) == position and f"{bits[position]:.2f} bits" in page.inner_text("#prediction p")
        actual = float(re.search(r"[\d.]+(?=%)", page.inner_text("#prediction li.actual"))[0])
        assert actual == pytest.approx(100 * 2 ** -bits[position], abs=0.51)
        best = np.argsort(-likely[position])[:5]
        rows = page.eval_on_selector_all("#prediction li", "rows => rows.map((row) => row.textContent)")[:5]
        named = [load_checkpoint(LSTM).vocabulary.characters[v].replace("\n", "↵").replace(" ", "␣") for v in best]
        assert [row[0] for row in rows] == named
        assert [float(row[1:-1]) for row in rows] == pytest.approx((100 * likely[position, best]).tolist(), abs=0.51)


def test_cells_at_the_cursor_and_the_text_in_the_colors_of_one(page, figures):
    _, cells, _, _ = figures
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


def test_saturation(page, figures):
    """Dots lie where the gates' shares are."""
    _, cells, gates, _ = figures
    L, H = gates.shape[1], cells.shape[1] // gates.shape[1]
    assert (page.input_value("#layer"), page.input_value("#gate")) == (str(L - 1), "1")  # the forget gate
    for layer, gate in ((0, 0), (L - 1, 1), (0, 2)):
        page.select_option("#layer", str(layer))
        page.select_option("#gate", str(gate))
        values = gates[:, layer, gate * H : (gate + 1) * H]
        dots = page.eval_on_selector_all(
            "#plot circle", "all => all.map((d) => [d.dataset.cell, ...['cx', 'cy'].map((at) => d.getAttribute(at))])"
        )
        found = np.array(sorted([float(x) for x in dot] for dot in dots))
        low, high = (values < 0.1).mean(axis=0), (values > 0.9).mean(axis=0)
        assert found[:, 0].tolist() == list(range(layer * H, (layer + 1) * H))
        assert np.allclose(found[:, 1] / 240, low, atol=0.003) and np.allclose(1 - found[:, 2] / 240, high, atol=0.003)
        title = page.text_content(f"#plot circle[data-cell='{layer * H + 7}'] title")
        name, *shares = re.fullmatch(r"(.*): below 0.1 (?:< )?(.*)%, above 0.9 (?:< )?(.*)%", title).groups()
        assert name == f"layer {layer + 1}, cell 8"
        assert [float(share) for share in shares] == pytest.approx([100 * low[7], 100 * high[7]], abs=0.51)


def test_the_figures_of_passages(made, opened, tmp_path):
    """The first character of each is left out of the mean; of the others there are few, so that it would tell."""
    (tmp_path / "input.txt").write_text(TEXT)
    vocabulary, sizes = load_checkpoint(LSTM).vocabulary, {"batch_size": 6, "seq_length": 5}
    model = save_random_model(tmp_path / "x.pt", vocabulary, largest=3, train_frac=0.95, val_frac=0.05, **sizes)
    page = opened(made(tmp_path / "x.pt", f"-data_dir={tmp_path}", "-split=val"))
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
    said = surprise(char_rnn.load(tmp_path / "x.pt").score("thirty-one").mean())
    paste(page, "thirty-one")
    assert page.inner_text("#status") == f"10 bytes, {said}."
    paste(page, "QthirtyQ-one")
    assert page.inner_text("#status") == f"12 bytes, {said}, 2 of them unknown to the model."
