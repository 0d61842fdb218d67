"""The page where it is hard: hostile texts and vocabularies, injected scripts, narrow screens and paper."""

import math

import pytest

import char_rnn
from tests.helpers.pages import classes, colors, contrast, cursor, finished, paste, save_random_model, text_of
from util.text.vocabulary import Vocabulary

HOSTILE = (
    '</script><script>alert(1)</script><!--\u2028\u2029\x00\t\r\n"a" \\u003c ${x} $title <img src=x onerror=alert(2)> '
    "😀👨‍👩‍👧 שלום مرحبا e\u0301 \u202eevil\u202c\u200b\ufeff\x1b[31m\x7f道可道\n"
)


@pytest.mark.parametrize("encoding", ["utf-8", "bytes"])
def test_hostile_texts_and_vocabularies(encoding, tmp_path, made, opened):
    is_bytes = encoding == "bytes"
    vocabulary = "".join(map(chr, range(256))) if is_bytes else "".join(sorted(set(HOSTILE)))
    (tmp_path / "x.txt").write_bytes(HOSTILE.encode() + b"\xff\xe2\x82" * is_bytes)
    path = tmp_path / "<img src=x onerror=alert(3)>$title&amp;.pt"
    save_random_model(path, Vocabulary(vocabulary, encoding))
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
    assert written == char_rnn.load(path).sample("道", length=50)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_a_model_of_documents_begins_between_two_of_them(cell, tmp_path, made, opened):
    """What it writes, with a primetext and without; and the first character of the user's text is predicted."""
    path = tmp_path / "x.pt"
    save_random_model(path, Vocabulary("\nabcd", "utf-8"), cell, largest=3, document_end="\\n")
    model = char_rnn.load(path)
    page = opened(made(path, "-length=100"))
    page.click("#tab-write")
    for prime in ("", "ab"):
        expected = model.sample(prime, length=60)
        assert page.evaluate("flags => charRNN.write(flags)", {"length": 60, "primetext": prime}) == expected
        page.fill("#primetext", prime)
        page.fill("#length", "60")
        page.click("#go")
        finished(page)
        assert text_of(page) == expected
    probability = model.next()["a"]
    paste(page, "a")
    assert f"{-math.log2(probability):.2f} bits of surprise" in page.inner_text("#status")


def test_requests_and_injected_scripts_come_to_nothing(page, complaints):
    policy = page.get_attribute("meta[http-equiv=Content-Security-Policy]", "content")
    assert policy.startswith("default-src 'none'; script-src 'sha256-") and "unsafe" not in policy
    inject = """() => {
        document.body.append(Object.assign(document.createElement("script"), { textContent: "globalThis.ran = 1" }));
        fetch("https://x.invalid/f").catch(() => 0);
        document.body.insertAdjacentHTML("beforeend", "<img src='https://x.invalid/i' onerror='globalThis.ran = 1'>");
    }"""
    with page.expect_event("requestfailed"):  # the picture's
        page.evaluate(inject)
    assert page.evaluate("globalThis.ran") is None
    others = [complaint for complaint in complaints if "Content Security Policy" not in complaint]
    assert len(complaints) - len(others) >= 4 and others == ["https://x.invalid/i"]  # which was not sent either
    complaints.clear()


def test_dark_and_narrow_screens_and_paper(golden, browser):
    context = browser.new_context(viewport={"width": 360, "height": 640}, has_touch=True)
    page = context.new_page()
    page.goto(golden.as_uri())
    finished(page)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
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
    context.close()
