"""What a run reads is never written over, and links, modes, devices and pipes stay what they are."""

import os
import stat

import pytest

from tests.campaigns.outputs import campaign
from tests.helpers.folders import names
from tests.helpers.refusals import told
from tests.helpers.scripts import run_here
from util.cli.files import output
from util.errors import UserError


def test_nothing_that_is_read_is_written_over():
    figures = campaign(every=17)
    assert figures["must not be lost: refused, all as before"] > 5


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_no_link_leads_to_a_file_that_is_read(link, tmp_path):
    prime = tmp_path / "prime.txt"
    prime.write_text("one two")
    link(prime, tmp_path / "link")
    for place in (prime, tmp_path / ".." / tmp_path.name / "prime.txt", tmp_path / "link"):
        with pytest.raises(UserError, match=r"this command reads it; .* -output"), output(place, "-output", [prime]):
            pass
    assert prime.read_text() == "one two" and names(tmp_path) == {"prime.txt", "link"}


@pytest.mark.parametrize("flag", ["-output", "-plot"])
def test_no_text_or_picture_goes_over_a_checkpoint(flag, checkpoint, tmp_path):
    other = tmp_path / "other.png"
    other.write_bytes(checkpoint.read_bytes())
    script, *more = {"-output": ["sample.py", "-verbose=0"], "-plot": ["inspect_checkpoint.py"]}[flag]
    done = run_here(script, checkpoint, *more, flag, other)
    if flag == "-plot" and b"matplotlib" in done.stderr:
        pytest.skip("pictures need matplotlib")
    told(done, "other.png", "checkpoint", flag)
    assert other.read_bytes() == checkpoint.read_bytes()


def test_a_text_is_replaced_and_keeps_its_mode(checkpoint, tmp_path):
    printed = run_here("sample.py", checkpoint, "-length=20", "-output=-").stdout
    poem = tmp_path / "poem.txt"
    poem.write_text("roses")
    poem.chmod(0o600)
    (tmp_path / "link").symlink_to("poem.txt")
    assert run_here("sample.py", checkpoint, "-length=20", "-output", tmp_path / "link").returncode == 0
    assert poem.read_bytes() == printed and len(printed) == 21 and stat.S_IMODE(poem.stat().st_mode) == 0o600
    assert os.readlink(tmp_path / "link") == "poem.txt" and names(tmp_path) == {"link", "poem.txt"}
