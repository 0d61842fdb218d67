"""The page in a browser: what it shows, what clicks and keys do, and that nothing in it runs but its own script."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from model.char_rnn import CharRNN
from model.stepper import Stepper
from tests.helpers.checkpoints import stepper
from tests.helpers.inputs import GOLDEN, numbers
from util.checkpoint.content import Checkpoint
from util.checkpoint.store import load_checkpoint, save_checkpoint
from util.page.reading import SHOWN
from util.sampling.writing import sample_text
from util.text.vocabulary import Vocabulary

LSTM = GOLDEN / "lstm.t7"
TEXT = numbers(140).decode()
HOSTILE = (
    '</script><script>alert(1)</script><!--\u2028\u2029\x00\t\r\n"a" \\u003c ${x} $title <img src=x onerror=alert(2)> '
    "😀👨‍👩‍👧 שלום مرحبا e\u0301 \u202eevil\u202c\u200b\ufeff\x1b[31m\x7f道可道\n"
)


@pytest.fixture(scope="module")
def figures():
    """What the network makes of the text: each character's surprise in bits, the cells (T, L·H) and gates after it."""
    checkpoint = load_checkpoint(LSTM)
    step = stepper(checkpoint)
    log_probs = np.full(len(checkpoint.vocabulary), -math.log(len(checkpoint.vocabulary)))
    bits, cells, gates, opened = [], [], [], []
    sigmoid = step.xp.sigmoid
    step.xp.sigmoid = lambda x: opened.append(sigmoid(x)) or opened[-1]  # i, f and o of each layer in turn
    for c in TEXT[:1500]:
        index = checkpoint.vocabulary.index[c]
        bits.append(-log_probs[index] / math.log(2))
        log_probs = step(np.array([index]))[0]
        cells.append(np.concatenate([SHOWN["lstm"](*states) for states in step.states]))
        gates.append(opened[-len(step.states) :])
    return np.array(bits), np.array(cells), np.array(gates)


@pytest.fixture
def page(made, opened):
    return opened(made(LSTM, "-length=1500"))


def save_model(path: Path, vocabulary: str, encoding: str) -> Path:
    """A small model that has learned nothing."""
    torch.manual_seed(1)
    network = CharRNN(len(vocabulary), 5, 2, "gru")
    options = {"model": "gru", "rnn_size": 5, "num_layers": 2, "batch_size": 1, "seq_length": 1, "dropout": 0.0}
    parameters = {name: torch.rand_like(parameter).numpy() - 0.5 for name, parameter in network.named_parameters()}
    known = Vocabulary(vocabulary, encoding)
    save_checkpoint(Checkpoint(options, known, parameters, 0, 0.0, np.zeros(0), {}, None), path)
    return path


def classes(page) -> list[str]:
    return page.eval_on_selector_all("#text span", "spans => spans.map((span) => span.className)")


def cursor(page) -> int:
    return page.eval_on_selector_all("#text span", "spans => spans.findIndex((s) => s.hasAttribute('data-cursor'))")


def text_of(page) -> str:
    return page.eval_on_selector("#text", "text => text.textContent")


def finished(page) -> None:
    """Waits until the network has read or written the text."""
    page.wait_for_selector("#progress", state="hidden")


def settled(page) -> None:
    """Waits until the panels show what the cursor is on."""
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def cell_class(value: float) -> set[str]:
    """The class of a cell's value, or both where it lies on the border of two."""
    return {f"d{math.floor(40 * (1 + value) + 0.5 + error)}" for error in (-0.01, 0.01)}


def test_surprise_in_the_text_and_at_the_pointer(page, figures):
    bits, _, _ = figures
    found = classes(page)
    assert text_of(page) == TEXT[:1500] and found[0] == "first"
    expected = ["s" + str(round(40 * min(1, value / 8))) for value in bits[1:]]
    assert sum(a != b for a, b in zip(found[1:], expected, strict=True)) <= 1 and len(set(found)) > 20
    assert f"numbers.txt. 1,500 bytes, {bits[1:].mean():.2f} bits" in page.inner_text("#status")
    for position in (5, 41):
        page.locator("#text span").nth(position).hover()
        settled(page)
        assert cursor(page) == position and f"{bits[position]:.2f} bits" in page.inner_text("#prediction p")
        actual = float(re.search(r"[\d.]+(?=%)", page.inner_text("#prediction li.actual"))[0])
        assert actual == pytest.approx(100 * 2 ** -bits[position], abs=0.51)


def test_a_click_holds_the_cursor_and_keys_move_it(page):
    def after(*keys: str) -> int:
        for key in keys:
            page.keyboard.press(key)
        return cursor(page)

    spans = page.locator("#text span")
    spans.nth(50).click()
    spans.nth(10).hover()
    assert cursor(page) == 50 and after("ArrowRight", "ArrowRight", "ArrowLeft") == 51
    column, end = 51 - TEXT.rindex("\n", 0, 51), TEXT.index("\n", 51)
    assert after("ArrowDown") == min(end + column, TEXT.index("\n", end + 1))
    assert TEXT.count("\n", 0, after("ArrowUp")) == TEXT.count("\n", 0, 51)
    assert after("Home", "ArrowLeft") == 0 and after("End") == 1499 and after("ArrowUp") < 1499
    settled(page)
    after("Home")
    settled(page)
    assert "begins a passage" in page.inner_text("#prediction")
    after("Escape")
    spans.nth(20).click()
    spans.nth(20).click()  # lets it go
    spans.nth(21).hover()
    assert cursor(page) == 21


def test_cells_at_the_cursor_and_the_text_in_the_colors_of_one(page, figures):
    _, cells, _ = figures
    page.locator("#text span").nth(77).click()
    settled(page)
    squares = page.eval_on_selector_all("#grids i", "all => all.map((square) => square.className)")
    assert all(found in cell_class(value) for found, value in zip(squares, cells[77], strict=True))
    chosen = cells.shape[1] - 3
    page.click(f"#grids i[data-cell='{chosen}']")
    assert all(found in cell_class(value) for found, value in zip(classes(page), cells[:, chosen], strict=True))
    settled(page)
    assert page.inner_text("#value").endswith(f"{abs(cells[77, chosen]):.2f}")
    page.click("#by-surprise")
    assert classes(page)[100].startswith("s")

    line = page.locator("#facts tr[data-cell]").filter(has_text="since the line began")
    cell = int(line.get_attribute("data-cell"))
    columns = np.array([n - TEXT.rfind("\n", 0, n + 1) for n in range(1500)])
    assert abs(np.corrcoef(columns, cells[:, cell])[0, 1]) > 0.5
    line.locator("button").click()
    assert classes(page)[200] in cell_class(cells[200, cell]) and line.get_attribute("aria-selected") == "true"


def test_saturation(page, figures):
    """Dots lie where the gates' shares are."""
    _, cells, gates = figures
    L, H = gates.shape[1], cells.shape[1] // gates.shape[1]
    for layer, gate in ((0, 0), (L - 1, 1), (0, 2)):
        page.select_option("#layer", str(layer))
        page.select_option("#gate", str(gate))
        values = gates[:, layer, gate * H : (gate + 1) * H]
        dots = page.eval_on_selector_all(
            "#plot circle", "all => all.map((d) => [d.dataset.cell, d.getAttribute('cx'), d.getAttribute('cy')])"
        )
        found = np.array(sorted([float(x) for x in dot] for dot in dots))
        assert found[:, 0].tolist() == list(range(layer * H, (layer + 1) * H))
        assert np.allclose(found[:, 1] / 240, (values < 0.1).mean(axis=0), atol=0.003)
        assert np.allclose(1 - found[:, 2] / 240, (values > 0.9).mean(axis=0), atol=0.003)


def test_writing(page):
    """It begins by itself, what it writes is sample.py's text, and it can be stopped."""
    checkpoint = load_checkpoint(LSTM)
    page.click("#tab-write")
    finished(page)
    assert text_of(page) == sample_text(checkpoint)
    for name, value in (("primetext", "37 thirty"), ("temperature", "0.5"), ("length", "300"), ("seed", "7")):
        page.fill(f"#{name}", value)
    page.click("#go")
    finished(page)
    assert text_of(page) == sample_text(checkpoint, 300, "37 thirty", 0.5, 7)
    page.fill("#primetext", "Qé")
    page.click("#go")
    assert "never seen “Q”, “C3”, “A9”" in page.inner_text("#status") and text_of(page) == ""
    page.fill("#primetext", "")
    page.fill("#length", "100000")
    states = page.evaluate("""() => ["go", "tab-own", "tab-write", "go"].map((id) => {
        document.getElementById(id).click();
        return document.getElementById("go").textContent;
    })""")
    assert states == ["Stop", "Write", "Stop", "Write"]  # back in its tab, it went on until it was stopped
    assert not page.is_visible("#progress") and page.inner_text("#status").startswith("Stopped. ")
    length = len(text_of(page))
    page.wait_for_timeout(100)
    assert 0 < length == len(text_of(page)) < 100_000


def test_a_text_of_one_s_own(page):
    page.click("#tab-paste")
    page.fill("#pasted", "one Q two\n\ttwenty")
    page.click("#form-paste button")
    finished(page)
    assert text_of(page) == "one Q two\n\ttwenty"
    assert [n for n, name in enumerate(classes(page)) if name == "unknown"] == [4, 10]
    assert "2 of them unknown" in page.inner_text("#status")


def test_a_long_text_is_cut_and_the_page_answers_while_it_reads(page):
    page.click("#tab-paste")
    page.evaluate("text => { document.getElementById('pasted').value = text; }", TEXT * 50)
    still_reads, prediction, at = page.evaluate("""async () => {
        document.querySelector("#form-paste button").click();
        const progress = document.getElementById("progress"), spans = document.querySelectorAll("#text span");
        while (progress.value <= 30 && !progress.hidden) await new Promise(requestAnimationFrame);
        spans[30].click(); // which is ignored where the network has not read yet
        const at = [...spans].findIndex((span) => span.hasAttribute("data-cursor"));
        const prediction = document.getElementById("prediction");
        while (!prediction.textContent.includes("likely") && !progress.hidden) await new Promise(requestAnimationFrame);
        return [!progress.hidden, prediction.textContent, at];
    }""")
    assert still_reads and "likely" in prediction and at == 30
    assert text_of(page) == (TEXT * 50)[:100_000]
    assert "Cut" in page.inner_text("#status")


@pytest.mark.parametrize("encoding", ["utf-8", "bytes"])
def test_hostile_texts_and_vocabularies(encoding, tmp_path, made, opened):
    is_bytes = encoding == "bytes"
    vocabulary = "".join(map(chr, range(256))) if is_bytes else "".join(sorted(set(HOSTILE)))
    (tmp_path / "x.txt").write_bytes(HOSTILE.encode() + b"\xff\xe2\x82" * is_bytes)
    path = save_model(tmp_path / "<img src=x onerror=alert(3)>$title&amp;.pt", vocabulary, encoding)
    page = opened(made(path, f"-file={tmp_path / 'x.txt'}"))
    assert page.title() == page.inner_text("#name") == path.stem
    assert page.evaluate("charRNN.vocabulary") == list(vocabulary)
    assert page.evaluate("document.querySelectorAll('img, script').length") == 2  # the content and the program
    shown = page.eval_on_selector_all("#text span", "spans => spans.map((s) => s.textContent || s.dataset.mark || '')")
    unseen = {"\u2028": "2028", "\u2029": "2029", "\0": "␀", "\r": "␍", "\u200d": "200D", "\u202e": "202E",
              "\u202c": "202C", "\u200b": "200B", "\ufeff": "FEFF", "\x1b": "␛", "\x7f": "␡"}  # fmt: skip
    expected = [unseen.get(c, c) for c in HOSTILE]
    if is_bytes:
        expected = [part for c in HOSTILE for part in [unseen.get(c, c)] + ["·"] * (len(c.encode()) - 1)]
        expected += ["FF", "E2", "82"]
    assert shown == expected
    assert "unknown" not in classes(page)
    written = page.evaluate("charRNN.write({length: 50, primetext: '道'})")
    step = Stepper({n: a.astype(float) for n, a in load_checkpoint(path).parameters.items()}, 2, "gru")
    assert written == sample_text(load_checkpoint(path), 50, "道", step=step)


def test_requests_and_injected_scripts_come_to_nothing(made, browser):
    context = browser.new_context()
    page, complaints = context.new_page(), []
    page.goto(made(LSTM, "-length=1500").as_uri())
    policy = page.get_attribute("meta[http-equiv=Content-Security-Policy]", "content")
    assert policy.startswith("default-src 'none'; script-src 'sha256-") and "unsafe" not in policy
    page.on("console", lambda message: complaints.append(message.text))
    page.evaluate("""() => {
        document.body.insertAdjacentHTML("beforeend", "<img src='https://x.invalid/i' onerror='globalThis.ran = 1'>");
        document.body.append(Object.assign(document.createElement("script"), { textContent: "globalThis.ran = 1" }));
        fetch("https://x.invalid/f").catch(() => 0);
    }""")
    page.wait_for_timeout(200)
    assert page.evaluate("globalThis.ran") is None
    assert len(complaints) >= 3 and all("Content Security Policy" in complaint for complaint in complaints)
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_screen_and_paper(scheme, made, opened):
    options = {"viewport": {"width": 360, "height": 640}, "color_scheme": scheme, "has_touch": True}
    page = opened(made(LSTM, "-length=1500"), **options)
    ((ink, paper),) = colors(page, "#text")
    assert (sum(ink) > sum(paper)) == (scheme == "dark") and abs(sum(ink) - sum(paper)) > 500
    found = colors(page, "#text span")
    assert len({tuple(paper) for _, paper in found}) > 20
    for ink, paper in found:
        assert contrast(ink, paper) > 3.5, (ink, paper)
    for tab in ("write", "paste", "own"):
        page.tap(f"#tab-{tab}")
        assert page.evaluate("document.documentElement.scrollWidth") == 360
    finished(page)
    page.locator("#text span").nth(3).tap()
    assert cursor(page) == 3
    page.locator("#grids i >> nth=7").tap()  # the text that it colors comes into sight
    assert abs(page.evaluate("document.getElementById('reader').getBoundingClientRect().top")) < 2
    page.emulate_media(media="print")
    assert page.eval_on_selector("#text", "e => e.scrollHeight <= e.clientHeight")  # all of it is there
    ((ink, paper),) = colors(page, "#text")
    assert sum(ink) < sum(paper)


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
