"""The page in use: what clicks, keys, tabs and forms do."""

import re
import shutil

import char_rnn
from tests.helpers.pages import LENGTH, LSTM, TEXT, classes, cursor, finished, paste, text_of
from util.page.page import FOLDER


def test_a_click_holds_the_cursor_and_keys_move_it(page):
    def after(*keys: str) -> int:
        for key in keys:
            page.keyboard.press(key)
        return cursor(page)

    spans = page.locator("#text span")
    assert page.inner_text("#hold") == "a click holds it"
    spans.nth(50).click()
    assert page.inner_text("#hold") == "held; Esc lets it go" and page.locator("#text.held").count()
    spans.nth(10).hover()
    assert cursor(page) == 50 and after("ArrowRight", "ArrowRight", "ArrowLeft") == 51
    page.evaluate("addEventListener('keydown', (event) => { globalThis.taken = event.defaultPrevented; })")
    for modifier in ("Alt", "Control", "Meta"):  # with which the browser does something of its own
        assert after(f"{modifier}+ArrowLeft") == 51 and not page.evaluate("taken")
    assert after("End", "ArrowRight") == LENGTH - 1 and after("Home", "ArrowLeft") == 0
    assert "begins a passage" in page.inner_text("#prediction")
    after("Escape")
    assert page.inner_text("#hold") == "a click holds it" and not page.locator("#text.held").count()
    spans.nth(30).click()
    spans.nth(20).click()  # holds it there
    spans.nth(25).hover()
    assert cursor(page) == 20
    spans.nth(20).click()  # lets it go
    spans.nth(21).hover()
    assert cursor(page) == 21


def test_what_colors_the_text_is_chosen_by_clicks_and_arrow_keys(page):
    def chosen(*keys: str) -> str:
        for key in keys:
            page.keyboard.press(key)
        return page.inner_text("#by-cell")

    def coloring() -> list[bool]:
        shown = [page.is_visible(f"#{what}-legend") for what in ("surprise", "cell")]
        assert shown == [page.is_checked(f"#by-{what} input") for what in ("surprise", "cell")]
        return shown

    assert chosen() == "a cell" and coloring() == [True, False] and page.inner_text("#value") == ""
    page.click("#by-cell")
    best = page.inner_text("#facts small >> nth=0")
    assert chosen() == best and coloring() == [False, True]
    page.click("#by-surprise")
    assert chosen() == "a cell" and coloring() == [True, False]

    page.evaluate(
        "for (const grid of document.querySelectorAll('.grid')) grid.style.gridTemplateColumns = '1fr 1fr 1fr'"
    )
    page.focus(".grid >> nth=0")
    assert chosen("ArrowRight") == "layer 1, cell 1" and page.input_value("#layer") == "0"  # none was chosen
    assert chosen("ArrowRight", "ArrowDown") == "layer 1, cell 5"
    assert chosen("ArrowUp", "ArrowLeft", "ArrowLeft") == "layer 1, cell 1"
    page.focus(".grid >> nth=1")
    assert chosen("ArrowDown") == "layer 2, cell 1"
    assert chosen(*["ArrowDown"] * 8) == "layer 2, cell 24" and page.input_value("#layer") == "1"
    page.focus("#plot")
    assert [chosen(f"Arrow{way}") for way in ("Down", "Left", "Up")] == [f"layer 2, cell {k}" for k in (23, 22, 23)]
    selected = page.eval_on_selector_all("[data-cell][aria-selected=true]", "all => all.map((one) => one.dataset.cell)")
    assert set(selected) == {"46"} and len(selected) >= 2  # its square and its dot, perhaps its fact
    page.select_option("#gate", "0")
    last = page.locator("#plot circle").last  # over the others
    assert (last.get_attribute("data-cell"), last.get_attribute("aria-selected")) == ("46", "true")
    page.select_option("#gate", "1")
    page.click("#by-cell")
    assert chosen() == "layer 2, cell 23"  # already
    assert re.fullmatch(r"layer 2, cell 23: [+\N{MINUS SIGN}][01]\.\d\d", page.inner_text("#value"))
    page.click("#plot circle >> nth=3")
    assert chosen() == f"layer 2, cell {1 + int(page.get_attribute('#plot circle:last-child', 'data-cell')) - 24}"
    page.click("#tab-write")
    finished(page)
    assert all(name.startswith("d") for name in classes(page))


def test_tabs_keep_what_they_show(page):
    own, status = text_of(page), page.inner_text("#status")
    page.locator("#text span").nth(3).click()  # the cursor is held in this text only
    paste(page, "one")
    page.locator("#text span").nth(1).hover()
    assert cursor(page) == 1 and page.inner_text("#hold") == "a click holds it"
    page.focus("#tab-paste input")
    for key, tab in (("ArrowRight", "own"), ("ArrowLeft", "paste"), ("ArrowLeft", "write"), ("ArrowLeft", "own")):
        page.keyboard.press(key)
        finished(page)
        assert page.eval_on_selector_all("[name=tab]:checked", "all => all.map((one) => one.parentNode.id)") == [
            f"tab-{tab}"
        ]
        assert [page.is_visible(f"#form-{name}") for name in ("write", "paste")] == [tab == "write", tab == "paste"]
        if tab != "write":
            assert text_of(page) == {"own": own, "paste": "one"}[tab]
    assert page.inner_text("#status") == status


def test_writing(page):
    """It begins by itself, what it writes is sample.py's text, and it can be stopped."""
    model = char_rnn.load(LSTM)
    page.click("#tab-write")
    finished(page)
    assert text_of(page) == model.sample()
    for temperature, settings in (("0.5", {"temperature": 0.5, "seed": 7}), ("0", {"sample": False})):
        for name, value in (("primetext", "37 thirty"), ("temperature", temperature), ("length", "300"), ("seed", "7")):
            page.fill(f"#{name}", value)
        page.click("#go")
        finished(page)
        assert text_of(page) == model.sample("37 thirty", length=300, **settings)
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
    assert float(re.search(r"([\d.]+) bits", page.inner_text("#status"))[1]) > 1
    length = len(text_of(page))
    page.wait_for_timeout(100)
    assert 0 < length == len(text_of(page)) < 100_000


def test_up_and_down_go_to_the_nearest_character_of_the_next_line(page):
    text = "one two three four\nsix\nnine ten eleven\n"
    paste(page, text)
    page.locator("#text span").nth(14).click()
    page.mouse.move(0, 0)
    short, third = text.index("\n", 19), text.index("nine")
    found = []
    for key in ("ArrowDown", "ArrowDown", "ArrowDown", "ArrowUp", "ArrowUp", "ArrowUp"):
        page.keyboard.press(key)
        found.append(cursor(page))
    assert found == [short, third + 3, third + 3, short, 3, 3]


def test_a_long_text_is_cut_and_the_page_answers_while_it_reads(opened, made, tmp_path, monkeypatch):
    """A click or the pointer on what the network has yet to read waits for it."""
    shutil.copytree(FOLDER, tmp_path / "page")
    monkeypatch.setattr("util.page.page.FOLDER", tmp_path / "page")
    reading = tmp_path / "page" / "reading.js"
    reading.write_text(reading.read_text().replace("LONGEST = 100_000", "LONGEST = 20_000"))
    page = opened(made(LSTM, "-length=2"))
    page.click("#tab-paste")
    page.click("#form-paste button")  # an empty text is not read
    assert page.inner_text("#status") == "Paste a text, and the network reads it."
    page.evaluate("text => { document.getElementById('pasted').value = text; }", TEXT * 10)
    seen = page.evaluate("""async () => {
        const seen = [], byId = (id) => document.getElementById(id);
        const span = (at) => byId("text").querySelectorAll("span")[at];
        const until = async (holds) => { while (!holds() && !byId("progress").hidden) await new Promise(setTimeout); };
        const look = (at) => seen.push([!byId("progress").hidden, byId("prediction").textContent,
            span(at).hasAttribute("data-cursor")]);
        document.querySelector("#form-paste button").click();
        await until(() => byId("progress").value > 30);
        for (const [what, at] of [["mouseover", 30], ["mouseover", 19000], ["click", 10000]]) {
            span(at).dispatchEvent(new MouseEvent(what, { bubbles: true }));
            look(at);
        }
        await until(() => byId("prediction").textContent.includes("likely"));
        look(10000);
        return seen;
    }""")
    words = "likely", "not read this far yet", "not read this far yet", "likely"
    for (still_reads, prediction, here), word in zip(seen, words, strict=True):
        assert still_reads and here and word in prediction
    finished(page)
    assert text_of(page) == (TEXT * 10)[:20_000]
    assert page.inner_text("#status").startswith("Cut: the whole text has 24,710 bytes, more than fit here.")
    page.click("#tab-write")
    page.fill("#length", "30000")
    page.click("#go")
    assert page.inner_text("#status") == "Cut: the whole text has 30,000 bytes, more than fit here."
