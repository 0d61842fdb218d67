"""data/tinyshakespeare/prepare.py as a module, and what a server may answer to its request."""

import importlib.util
import threading
from http.server import BaseHTTPRequestHandler
from types import ModuleType

from tests.helpers.inputs import ROOT

SCRIPT = ROOT / "data" / "tinyshakespeare" / "prepare.py"
CONTENT = b"First Citizen:\nBefore we proceed any further, hear me speak.\n" * 1000


def load_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("prepare_tinyshakespeare", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
