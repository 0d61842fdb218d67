"""What a run reads is never written over, and links, modes, devices and pipes stay what they are."""

import os
import stat

import pytest

from tests.campaigns.outputs import campaign
from tests.helpers.folders import names
from tests.helpers.refusals import told
from tests.helpers.scripts import run, run_command
from util.checkpoint.store import load_checkpoint


def test_nothing_that_is_read_is_written_over():
    figures = campaign(every=23)
    assert figures["must not be lost: refused, all as before"] > 5


@pytest.mark.parametrize("flag", ["-output", "-per_char", "-plot"])
def test_no_text_table_or_picture_goes_over_a_checkpoint(flag, checkpoint, data_dir, tmp_path):
    other = tmp_path / "other.png"
    other.write_bytes(checkpoint.read_bytes())
    script = {"-output": "sample.py", "-per_char": "evaluate.py", "-plot": "inspect_checkpoint.py"}[flag]
    more = {"-output": ["-verbose=0"], "-per_char": ["-gpuid=-1", "-file", data_dir / "input.txt"]}.get(flag, [])
    told(run(script, checkpoint, *more, flag, other), "other.png", "checkpoint", flag)
    assert other.read_bytes() == checkpoint.read_bytes()


def test_the_prime_stays(checkpoint, tmp_path):
    prime = tmp_path / "prime.txt"
    prime.write_text("one two")
    (tmp_path / "link").symlink_to("prime.txt")
    told(
        run("sample.py", checkpoint, "-verbose=0", "-primetext_file", prime, "-output", tmp_path / "link"),
        "link",
        "-output",
    )
    assert prime.read_text() == "one two" and (tmp_path / "link").is_symlink()


def test_a_minus_is_standard_output(checkpoint, tmp_path):
    printed = run("sample.py", checkpoint, "-length=20", cwd=tmp_path)
    assert run("sample.py", checkpoint, "-length=20", "-output=-", cwd=tmp_path).stdout == printed.stdout != ""
    assert names(tmp_path) == set()


def test_a_text_is_replaced_and_keeps_its_mode(checkpoint, tmp_path):
    poem = tmp_path / "poem.txt"
    poem.write_text("roses")
    poem.chmod(0o600)
    (tmp_path / "link").symlink_to("poem.txt")
    assert run("sample.py", checkpoint, "-length=20", "-output", tmp_path / "link").returncode == 0
    assert len(poem.read_text()) == 21 and stat.S_IMODE(poem.stat().st_mode) == 0o600
    assert os.readlink(tmp_path / "link") == "poem.txt"


def test_the_converter_replaces_only_its_own_file(checkpoint, tmp_path):
    source, target = tmp_path / "x.pt", tmp_path / "x.pt_cpu.pt"
    source.write_bytes(checkpoint.read_bytes())
    for _ in range(2):
        assert run("convert_gpu_cpu_checkpoint.py", source).returncode == 0
    assert load_checkpoint(target).iteration == 164
    target.unlink()
    target.symlink_to("x.pt")
    told(run("convert_gpu_cpu_checkpoint.py", source), "x.pt_cpu.pt")
    assert source.read_bytes() == checkpoint.read_bytes()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no /dev/full")
def test_a_full_disk_behind_standard_output(checkpoint, data_dir):
    for script, *words in (
        ("sample.py", checkpoint, "-gpuid=-1", "-verbose=0"),
        ("inspect_checkpoint.py", checkpoint),
    ):
        with open("/dev/full", "w") as full:
            done = run_command(script, *words, capture_output=False, stdout=full, stderr=-1)
        told(done, "no space left on device")
