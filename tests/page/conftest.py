"""One Chromium for all tests of the page, and pages in it that notice every request and every complaint."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.helpers.inputs import numbers
from tests.helpers.pages import LSTM
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


@pytest.fixture
def opened(browser) -> Iterator[Callable]:
    """opened(file, **options of a context): the page in that file, once it has read its text.

    Fails at the end of a test in which a page has asked for anything but itself, or complained of anything.
    """
    contexts, complaints = [], []

    def opened(path: Path, **options):
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: request.url != path.as_uri() and complaints.append(request.url))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.goto(path.as_uri())
        page.wait_for_selector("#progress", state="hidden")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> Callable[..., Path]:
    """made(checkpoint, *flags): the page that visualize.py makes; the same page for the same arguments.

    It shows a text of numbers, unless -file or -data_dir says otherwise.
    """
    pages: dict[tuple, Path] = {}
    text = tmp_path_factory.mktemp("text") / "numbers.txt"
    text.write_bytes(numbers(140))

    def made(*arguments: object) -> Path:
        if arguments not in pages:
            page = tmp_path_factory.mktemp("page") / "x.html"
            named = any(str(argument).startswith(("-file", "-data_dir")) for argument in arguments)
            done = run_here("visualize.py", *arguments, *([] if named else [f"-file={text}"]), f"-output={page}")
            assert done.returncode == 0, done.stderr
            pages[arguments] = page
        return pages[arguments]

    return made


@pytest.fixture
def page(made, opened):
    return opened(made(LSTM, "-length=1500"))
