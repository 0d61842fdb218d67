"""One Chromium for all tests of the page, with one tab in which every request and every complaint is noticed."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.helpers.pages import LENGTH, LSTM, finished
from tests.helpers.scripts import run_here

ARGUMENTS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="session")
def browser() -> Iterator:
    """Skips the tests that need it if there is none; with the variable BROWSER_REQUIRED set, they fail."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing = "the package playwright, which pip install -e '.[test]' brings"
    else:
        missing = "" if CHROMIUM else "Chromium; apt-get install chromium"
    if missing:
        (pytest.fail if os.environ.get("BROWSER_REQUIRED") else pytest.skip)(f"needs {missing}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS.split())
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def tab(browser) -> tuple:
    """A tab, for a new one takes a second, and a list of what its pages complain of or request."""
    page, complaints = browser.new_page(), []
    page.on("request", lambda request: request.url.startswith("file:") or complaints.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: complaints.append(dialog.message))
    return page, complaints


@pytest.fixture
def complaints(tab) -> Iterator[list[str]]:
    """What the pages of a test complain of or request; at its end it must be empty."""
    _, complaints = tab
    yield complaints
    left, complaints[:] = complaints[:], []
    assert left == []


@pytest.fixture
def opened(tab, complaints) -> Callable:
    """opened(file): the page in that file, once it has read its text."""

    def opened(path: Path):
        page, _ = tab
        page.mouse.move(0, 0)
        page.goto(path.as_uri())
        finished(page)
        return page

    return opened


@pytest.fixture(scope="session")
def made(small_text, tmp_path_factory) -> Callable[..., Path]:
    """made(checkpoint, *flags): the page that visualize.py makes. It shows TEXT, unless a flag names another text."""

    def made(*arguments: object) -> Path:
        page = tmp_path_factory.mktemp("page") / "x.html"
        named = any(str(argument).startswith(("-file", "-data_dir")) for argument in arguments)
        own = [] if named else ["-file", small_text / "input.txt"]
        done = run_here("visualize.py", *arguments, *own, "-output", page)
        assert done.returncode == 0, done.stderr
        return page

    return made


@pytest.fixture(scope="session")
def golden(made) -> Path:
    """The page of a golden model, with the first LENGTH characters of TEXT."""
    return made(LSTM, f"-length={LENGTH}")


@pytest.fixture
def page(golden, opened):
    return opened(golden)
