"""The page's functions by themselves, without a network: how numbers, characters, facts and gates are shown."""

from collections.abc import Callable

import numpy as np
import pytest

from util.page.page import FOLDER, SCRIPTS


@pytest.fixture(scope="module")
def js(browser) -> Callable:
    """js(expression, x): the value of an expression in x, with everything in scope but the page itself."""
    context = browser.new_context()
    page = context.new_page()
    page.set_content("<div id='text' style='width: 800px; white-space: pre-wrap'></div><div id='other'></div>")
    for part in SCRIPTS[:-1]:  # view.js is the page itself
        page.add_script_tag(path=FOLDER / f"{part}.js")
    yield lambda expression, x=None: page.evaluate(f"x => {expression}", x)
    context.close()


def test_numbers(js):
    shares = {1: "100%", 0.5: "50%", 0.0997: "10%", 0.0994: "9.9%", 0.001: "0.1%", 0.0009: "< 0.1%", 0: "< 0.1%"}
    assert js("x.map(percent)", list(shares)) == list(shares.values())
    values = {-1: "-1.00", -0.0051: "-0.01", -0.001: "0.00", 0: "0.00", 0.126: "0.13", 1: "1.00"}
    minus = [shown.replace("-", "\N{MINUS SIGN}") for shown in values.values()]
    plus = [shown if value <= -0.005 else f"+{shown}" for value, shown in zip(values, minus)]
    assert js("x.map((value) => digits(value))", list(values)) == minus
    assert js("x.map((value) => digits(value, '+'))", list(values)) == plus
    assert js("[0, 127, 128, 300].map((cell) => cellName(cell, 128))") == [
        "layer 1, cell 1", "layer 1, cell 128", "layer 2, cell 1", "layer 3, cell 45",
    ]  # fmt: skip
    assert js("[0, 0.25, 1].map((share) => parseFloat(shareBar(share).style.backgroundSize))") == [0, 25, 100]


def test_numbers_of_16_bits(js):
    bits = [number for number in range(0, 1 << 16, 7) if (number >> 10) % 32 < 31]  # the finite ones
    assert js("x.map(halfPrecision)", bits) == np.array(bits, np.uint16).view(np.float16).tolist()


def test_the_scales_of_colors(js):
    assert js("[-2, -1, -0.5, 0, 0.013, 1, 3].map(cellClass)") == ["d0", "d0", "d20", "d40", "d41", "d80", "d80"]
    assert js("[NaN, 0, 4, 8, 9].map((bits) => surpriseClass(bits, 8))") == ["first", "s0", "s20", "s40", "s40"]
    assert js("[4, 16].map((bits) => surpriseClass(bits, mostBits(500)))") == ["s10", "s40"]
    ticks = "(() => { const [a, b] = [make('ol'), make('ol')]; showTicks(a, b, mostBits(x));"
    ticks += "return [a, b].map((list) => Array.from(list.children, (tick) => tick.textContent)); })()"
    bits, likely = js(ticks, 499)
    assert bits == [*"01234567", "8+ bits"]
    assert likely == ["certain", "50%", "25%", "13%", "6.3%", "3.1%", "1.6%", "0.8%", "0.4% likely"]
    bits, likely = js(ticks, 500)
    assert bits == ["0", "2", "4", "6", "8", "10", "12", "14", "16+ bits"]
    assert likely[-2:] == ["< 0.1%", "< 0.1% likely"]
    rules = js("Object.fromEntries(colorRules().map((rule) => [rule.split(' ')[0], rule.match(/var.*(?=[)])/)[0]]))")
    mixed = {"s0": "surprise-1) 0%, var(--paper", "s4": "surprise-1) 50%, var(--paper"}
    mixed |= {"s40": "surprise-5) 100%, var(--surprise-4", "d0": "low-1) 0%, var(--low-2"}
    mixed |= {"d40": "high-1) 0%, var(--paper", "d80": "high-2) 100%, var(--high-1"}
    assert {name: rules[f".{name}"] for name in mixed} == {name: f"var(--{mix})" for name, mix in mixed.items()}


def test_characters(js):
    """Their names in a label, and a byte model's from a typed text and back."""
    names = {" ": "␣", "\n": "↵", "\t": "→", "\r": "␍", "\0": "␀", "\x7f": "␡", "a": "a", "é": "é", "😀": "😀"}
    names |= {"\u0301": "◌\u0301", **{c: f"{ord(c):04X}" for c in "\u00a0\u200d\u2028\ufeff\ue000"}}
    assert js("x.map((c) => new Alphabet(x, false).name(c))", list(names)) == list(names.values())
    names = {"a": "a", " ": "␣", "\n": "↵", "\x1b": "␛", "\xe9": "E9", "\xff": "FF"}
    assert js("x.map((c) => new Alphabet(x, true).name(c))", list(names)) == list(names.values())

    def of(is_bytes: bool, method: str, *arguments: object) -> list:
        each = f"x.map((argument) => new Alphabet(['a', '\\x80', '😀'], {str(is_bytes).lower()}).{method}(argument))"
        return js(each, list(arguments))

    typed, as_bytes = "aé😀", "aé😀".encode().decode("latin-1")
    assert of(False, "split", typed) == [list(typed)] and of(True, "split", typed) == [list(as_bytes)]
    assert js("x.map(decoded)", [list(as_bytes), list("\xef\xbb\xbfa\xff")]) == [typed, "\ufeffa\ufffd"]
    assert of(False, "index", *"b😀a") == [-1, 2, 0]
    assert of(True, "continues", *"\x7f\x80\xbf\xc0") == [False, True, True, False]
    assert not any(of(False, "continues", *"\x7f\x80\xbf\xc0"))


def test_the_prediction_at_the_cursor(js):
    """In words, and as bars: the likeliest characters, and the one that was there."""
    shown = """(() => {
        const reading = { indices: [1, 4, -1, 0], characters: ["b", "e", "?", "a"],
            surprises: [NaN, 3, NaN, 12.345], model: { V: 5 },
            expected: Array(4).fill([[0, 0.5], [1, 0.25], [2, 0.2]]) };
        const panel = document.getElementById("other");
        showPrediction(panel, reading, x, new Alphabet(["a", "b", " ", "d", "e"], false));
        const rows = [...panel.querySelectorAll("li")].map((row) => [row.className, ...Array.from(row.children,
            (part) => parseFloat(part.style.backgroundSize) || part.textContent)]);
        return [panel.querySelector("p").textContent, rows];
    })()"""
    sentences = (
        "b begins a passage: before it, all 5 characters are equally likely.",
        "e was 13% likely: 3.00 bits of surprise.",
        "? is no character of this model; the network passes over it.",
        "a was < 0.1% likely: 12.3 bits of surprise.",
    )
    rows = [["", "a", 50, "50%"], ["", "b", 25, "25%"], ["", "␣", 20, "20%"]]
    found = [js(shown, position) for position in range(4)]
    assert [sentence for sentence, _ in found] == list(sentences)
    actual = ["actual", "e", 12.5, "13%"]
    assert [bars for _, bars in found] == [[], [*rows, actual], [], [["actual", *rows[0][1:]], *rows[1:]]]


def test_rows_of_facts(js):
    fact = {"name": "a digit", "is_number": False, "rises": False, "cell": 30, "strength": 0.75, "base": 0.0997,
            "chance": 0, "pair": 0.5, "found": True}  # fmt: skip
    row = """(() => {
        const row = factRow(x, 24), filled = parseFloat(row.querySelector(".share").style.backgroundSize);
        return [row.dataset.cell, filled, ...Array.from(row.cells, (cell) => cell.textContent)];
    })()"""
    assert js(row, fact) == ["30", 75, "a digitlayer 2, cell 7", "↓ 0.88", "0.75", "0.50", "10%"]
    up = fact | {"rises": True, "strength": -0.2}  # worse than chance: an empty bar
    assert js(row, up) == ["30", 0, "a digitlayer 2, cell 7", "0.40", "0.75", "0.50", "10%"]
    number = fact | {"is_number": True, "strength": 0.5, "base": 12.34, "pair": -0.001}
    shown = ["30", 50, "a digitlayer 2, cell 7", "\N{MINUS SIGN}0.50", "0.00", "0.00", "⌀ 12.3"]
    assert js(row, number) == shown
    assert js(row, number | {"rises": True}) == [*shown[:3], "0.50", *shown[4:]]


def test_a_draw_takes_the_first_character_whose_cumulative_share_reaches_it(js):
    assert js("[0, 0.5, 0.51, 1].map((share) => firstReaching(share, [1, 0, 1]))") == [0, 0, 2, 2]
    assert js("firstReaching(1, [0.1, 0.2, NaN])") == 2
    assert js("[1, 0.5, 0.001].map((t) => probabilities([-1, -2, -3].map((x) => 400 * x), t))")[2] == [1, 0, 0]
    assert js("[mostLikely([1, 3, 3]), highestOf([-2, -3]), chooser(1, 0)([0, 2, 1])]") == [1, -2, 1]


def test_a_reading_has_no_more_characters_than_a_browser_shows(js):
    shape = "{ cell: 'rnn', gates: ['h'], layers: 1, size: 1, vocabulary: ['a'] }"
    assert js(f"new Reading(new Model({shape}, new Float64Array(5)), 1e9).size") == 100_000


def test_blocks_of_the_text(js):
    """They end at a line's end or, if there is none for long, between two characters, never within one's bytes."""
    blocks = """(() => {
        const alphabet = new Alphabet([], true), characters = alphabet.split(x), pane = document.getElementById("text");
        const reading = { characters, starts: new Set([characters.length - 3]), length: 0, model: { V: 256 },
            indices: characters.map((_, at) => (at ? 0 : -1)) };
        new TextView(pane, alphabet).start(reading);
        const names = Array.from(pane.firstChild.children, (span) => span.className).slice(0, 2);
        return [names, ...Array.from(pane.children, (block) => [block.children.length, block.dataset.passage ?? ""])];
    })()"""
    text = "a" + "é" * 1500 + "\n" + ("x" * 299 + "\n") * 3 + "end"
    afresh = "the network begins afresh"
    assert js(blocks, text) == [["unknown", "unread"], [2001, ""], [1001, ""], [600, ""], [300, ""], [3, afresh]]


def test_a_character_is_shown_once_its_bytes_are_there(js):
    found = js("""(() => {
        const reading = { characters: ["\\xc3"], starts: new Set([3]), indices: [], length: 0, model: { V: 256 } };
        const view = new TextView(document.getElementById("text"), new Alphabet([], true));
        const shown = () => view.spans.map((span) => span.textContent || span.dataset.mark);
        view.start(reading);
        const before = shown();
        reading.characters.push("\\xa9", "\\xc3", "\\xa9"); // the last one begins another passage
        view.grow();
        return [before, shown()];
    })()""")
    assert found == [["C3"], ["é", "·", "C3", "A9"]]


def test_the_text_scrolls_with_what_is_written_and_with_the_cursor(js):
    found = js("""(() => {
        const pane = document.getElementById("text"), lines = "a\\n".repeat(100), reading = { characters: [...lines],
            starts: new Set(), indices: Array(400).fill(0), length: 0, model: { V: 256 } };
        Object.assign(pane.style, { height: "100px", overflow: "auto" });
        const view = new TextView(pane, new Alphabet([], false)), places = [];
        const below = () => pane.scrollHeight - pane.clientHeight - pane.scrollTop;
        const note = () => places.push(below() < 60 ? "end" : pane.scrollTop);
        const write = () => { reading.characters.push(...lines); view.grow(); note(); };
        view.start(reading); note();
        write();
        pane.scrollTop = pane.scrollHeight;
        write();
        view.moveTo(0, false); note();
        view.moveTo(0, true); note();
        view.moveTo(reading.characters.length - 1, true); note();
        view.start(reading); note();
        return [places, pane.querySelectorAll("[data-cursor]").length];
    })()""")
    assert found == [[0, 0, "end", "end", 0, "end", 0], 0]
