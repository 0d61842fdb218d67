"""sample.py as a user runs it: its flags, and what it writes where."""

import json
import os
import re
import signal
import subprocess
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import sample
from model.stepper import Stepper
from tests.helpers.checkpoints import rewrite
from tests.helpers.inputs import GOLDEN
from tests.helpers.refusals import refused
from tests.helpers.scripts import command, run_command, run_here
from tests.helpers.t7_writer import char_rnn_checkpoint, write_t7
from util.checkpoint.pt import read_pt
from util.checkpoint.store import load_checkpoint

LSTM = GOLDEN / "lstm.t7"


def run(*flags: object, checkpoint: Path = LSTM, **options: object) -> subprocess.CompletedProcess:
    """What sample.py does with a golden checkpoint and without messages.

    Where options of subprocess.run are given it is a process of its own; else, to save time, it runs in this one.
    """
    arguments = [checkpoint, "-gpuid=-1", "-verbose=0", *flags]
    if options:
        return run_command("sample.py", *arguments, text=False, **options)
    return run_here("sample.py", *arguments)


def written(*flags: object, **options: object) -> str:
    """Returns the standard output of sample.py, which must end well and print no messages."""
    done = run(*flags, **options)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode()


# Several texts


def test_several_texts_are_those_of_the_seeds_that_follow():
    flags = ("-length=80", "-primetext=one ", "-temperature=0.8")
    alone = [written(*flags, f"-seed={seed}") for seed in (7, 8, 9)]
    assert len(set(alone)) == 3
    together = written(*flags, "-seed=7", "-num_samples=3", env=os.environ)
    assert together == "".join(f"----- {number} -----\n{text}" for number, text in enumerate(alone, 1))
    assert written(*flags, "-seed=7", "-num_samples=1") == alone[0]
    texts = written("-length=9", "-seed=4294967295", "-num_samples=2")
    assert texts.endswith("----- 2 -----\n" + written("-length=9", "-seed=0"))
    # Without draws they are all the same.
    done = run("-sample=0", "-num_samples=2", "-length=20", "-verbose=1")
    first, second = re.split(r"----- \d -----\n", done.stdout.decode())[1:]
    assert first == second and b"all texts will be the same" in done.stderr


# Where a text ends


@pytest.mark.parametrize(("stop", "end"), [(r"\n", "\n"), ("on", "on"), (r"e\n", "e\n")])
def test_a_text_ends_with_the_first_stop(stop, end):
    whole = written("-length=2000")
    before, _, _ = whole.partition(end)
    assert written("-length=2000", "-stop", stop, env=os.environ) == before + end + "\n"
    assert 0 < len(before) < 1900


def test_a_stop_lies_in_what_is_sampled():
    """One in the primetext ends nothing, nor one that begins there."""
    whole = written("-primetext=one", "-length=200")
    assert len(whole) == 204
    assert written("-primetext=one", "-length=200", f"-stop={'e' + whole[3]}").find("e" + whole[3], 3) > 3
    assert len(written("-primetext=one", "-length=200", "-stop=one")) > 4
    texts = re.split(r"----- \d -----\n", written("-length=200", "-num_samples=5", r"-stop=\n"))[1:]
    assert len({len(text) for text in texts}) > 1
    assert all(text.index("\n") == len(text) - 2 for text in texts)


def test_a_stop_that_never_comes():
    assert written("-length=20", "-stop=9-9-9-9-9") == written("-length=20")
    refused(run("-stop=QUIT"), "-stop contains 'Q'", "leave it out")
    refused(run(r"-stop=\t"), r"-stop contains '\t'")
    refused(run(r"-stop=\\"), r"-stop contains '\\'")


@pytest.mark.parametrize("prime", ["", "one"])
def test_a_length_of_0(prime):
    assert written("-length=0", "-primetext", prime) == prime + "\n"
    assert (
        written("-length=0", "-primetext", prime, "-num_samples=2")
        == f"----- 1 -----\n{prime}\n----- 2 -----\n{prime}\n"
    )


# Which characters are drawn


def test_the_most_likely_one_is_what_a_cold_model_takes():
    greedy = written("-sample=0", "-primetext=one", "-length=100")
    assert greedy != written("-primetext=one", "-length=100")
    for flags in (["-top_k=1"], ["-top_p=1e-9"], ["-temperature=1e-9"], ["-top_k=1", "-temperature=100", "-top_p=0.5"]):
        assert written("-primetext=one", "-length=100", *flags) == greedy


def test_limits_that_leave_every_character_change_nothing():
    text = written("-length=100")
    assert written("-length=100", "-top_k=32") == written("-length=100", "-top_k=1000", "-top_p=1") == text
    assert written("-length=100", "-top_k=5") != text != written("-length=100", "-top_p=0.5")


def test_the_first_character_of_all_is_uniform_whatever_the_limits():
    texts = written("-length=1", "-num_samples=50", "-top_k=1", "-top_p=0.1")
    assert len(set(re.findall(r"-----\n(.)\n", texts, re.DOTALL))) > 10


@pytest.mark.parametrize(
    "flags",
    [["-top_k=-1"], ["-top_k=1.5"], ["-top_p=0"], ["-top_p=1.1"], ["-top_p=nan"], ["-num_samples=0"], ["-color=2"],
     ["-unknown_chars=drop"], ["-stop"]],
)  # fmt: skip
def test_values_that_make_no_sense(flags):
    refused(run(*flags), flags[0].split("=")[0], "-help", status=2)


# The primetext


def test_a_primetext_from_a_file_is_fed_as_it_is(tmp_path):
    (tmp_path / "prime.txt").write_bytes(b"twenty-one\n")
    text = written("-length=50", "-primetext_file", tmp_path / "prime.txt")
    assert text == written("-length=50", "-primetext=twenty-one\n")
    assert text.startswith("twenty-one\n") and text != written("-length=50", "-primetext=twenty-one")


def test_a_primetext_file_is_in_the_checkpoint_s_encoding(unicode_checkpoint, tmp_path):
    path = tmp_path / "prime.txt"
    path.write_bytes("é道".encode())
    flags = ("-length=0", "-primetext_file", path)
    assert written(*flags, checkpoint=unicode_checkpoint) == "é道\n"
    path.write_bytes(b"\xe9")
    refused(run(*flags, checkpoint=unicode_checkpoint), str(path), "is not utf-8 text")
    # A model of bytes takes any; this one knows none of them.
    refused(run(*flags), r"the primetext contains '\udce9'")
    assert written(*flags, "-unknown_chars=skip") == "\n"


def test_primetext_files_that_cannot_be_fed(tmp_path):
    refused(run("-primetext_file", tmp_path / "x"), f"cannot read {tmp_path / 'x'}", "no such file")
    refused(run("-primetext_file", tmp_path), str(tmp_path), "directory")
    refused(run("-primetext_file", LSTM, "-primetext=one"), "-primetext and -primetext_file", "leave one out")


def test_unknown_characters():
    flags = ("-length=0", "-primetext", "One – ‘two’ Q9é")  # noqa: RUF001
    refused(run(*flags), "the primetext contains 'O'", "-unknown_chars skip")
    assert written(*flags, "-unknown_chars=skip") == "ne  two 9\n"
    refused(run(*flags, "-unknown_chars=nearest"), "contains '‘'", "nor anything close to it")  # noqa: RUF001
    assert written("-length=0", "-primetext=ONE – Éé", "-unknown_chars=nearest") == "one - ee\n"  # noqa: RUF001


def test_a_model_of_bytes_is_fed_utf_8(tmp_path):
    byte_values = {bytes([value]): number for number, value in enumerate(b"\n\xc3\xa9eA", 1)}
    rows = [np.zeros(shape) for shape in ((3, 5), 3, (3, 3), 3, (5, 3), 5)]
    checkpoint = write_t7(tmp_path / "x.t7", char_rnn_checkpoint("rnn", rows, 1) | {"vocab": byte_values})
    for flags, text in (["-primetext=é"], "é"), (["-primetext=É", "-unknown_chars=nearest"], "é"):
        done = written("-length=0", *flags, checkpoint=checkpoint)
        assert done == text + "\n"


# Where the text goes


def test_an_output_file_holds_what_would_have_been_printed(unicode_checkpoint, tmp_path):
    """But for the newline at the end of bytes, which may be no text."""
    for flags, checkpoint in (
        (["-length=30"], LSTM),
        (["-length=30", "-num_samples=2"], LSTM),
        ([], unicode_checkpoint),
    ):
        (tmp_path / "x.txt").write_text("before")
        assert written(*flags, "-output", tmp_path / "x.txt", checkpoint=checkpoint) == ""
        printed = written(*flags, checkpoint=checkpoint)
        assert (tmp_path / "x.txt").read_text() == (printed[:-1] if flags == ["-length=30"] else printed)
    assert [path.name for path in tmp_path.iterdir()] == ["x.txt"]
    refused(run("-output", tmp_path), f"cannot write {tmp_path}: it is a folder", "-output")
    refused(run("-output", tmp_path / "none" / "x.txt"), str(tmp_path / "none" / "x.txt"), "no such file")
    assert written("-length=30", "-output=/dev/stdout", env=os.environ) == written("-length=30", "-output=-")


def test_lines_of_json(tmp_path):
    """Each has its text as it is printed, and the mean surprise that a model written in numpy finds in it."""
    flags = ("-length=12", "-primetext=one", r"-stop=\n", "-seed=-2", "-temperature=0.8")
    lines = written(*flags, "-num_samples=4", "-json=1").splitlines()
    assert written(*flags, "-json=1") == lines[0] + "\n"
    found = [json.loads(line) for line in lines]
    assert [one["seed"] for one in found] == [2**32 - 2, 2**32 - 1, 0, 1]
    assert [one["text"] for one in found] == [written(*flags, f"-seed={one['seed']}")[:-1] for one in found]
    assert {one["ended"] for one in found} == {one["text"][-1] == "\n" for one in found} == {True, False}
    checkpoint = load_checkpoint(LSTM)
    for one in found:
        step, index = Stepper(checkpoint.parameters, 2, "lstm"), checkpoint.vocabulary.index
        surprises = [-step(np.array([index[c]]))[0, index[d]] / np.log(2) for c, d in pairwise(one["text"])]
        assert one["bits"] == pytest.approx(np.mean(surprises[2:]))
    assert written("-length=0", "-json=1") == '{"text": "", "seed": 123, "ended": false, "bits": null}\n'
    refused(run("-json=1", "-color=1"), "-color", "-json")


def test_json_of_any_character(unicode_checkpoint, tmp_path):
    assert written("-length=200", "-json=1", "-output", tmp_path / "x.json", checkpoint=unicode_checkpoint) == ""
    line = (tmp_path / "x.json").read_text("utf-8")
    assert line.count("\n") == 1 and json.loads(line)["text"] + "\n" == written(
        "-length=200", checkpoint=unicode_checkpoint
    )
    surrogate = rewrite(unicode_checkpoint, tmp_path / "x.pt", vocabulary="\n aeAéß道😀\u05d0\ud800", encoding="utf-16")
    assert "?" in json.loads(written("-length=99", "-json=1", checkpoint=surrogate))["text"]


def test_characters_are_utf_8_in_any_locale(unicode_checkpoint):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG"))}
    for locale in (
        {"LC_ALL": "C", "PYTHONUTF8": "0"},
        {"LC_ALL": "POSIX"},
        {"PYTHONIOENCODING": "ascii"},
        {"LANG": "x"},
    ):
        text = written("-length=200", checkpoint=unicode_checkpoint, env=environment | locale)
        assert set(text) == set(load_checkpoint(unicode_checkpoint).vocabulary.characters) and len(text) == 201


def test_colors_change_nothing_but_the_color(unicode_checkpoint):
    for checkpoint, flags in ((LSTM, ["-primetext=one"]), (LSTM, ["-num_samples=2"]), (unicode_checkpoint, [])):
        plain = written("-length=300", *flags, checkpoint=checkpoint)
        colored = written("-length=300", *flags, "-color=1", checkpoint=checkpoint)
        assert re.sub(r"\x1b\[38;5;\d+m(.)\x1b\[0m", r"\1", colored) == plain != colored


def test_colors_say_how_unlikely_a_character_was():
    flags = ("-length=300", "-primetext=one", "-color=1")
    assert "\x1b" not in written(*flags, "-length=0")
    colors = re.findall(r"38;5;(\d+)m", written(*flags, "-temperature=5"))
    assert set(colors) == {"160", "166", "136", "65"}
    # What is most likely among 32 characters has more than 1 % by far.
    assert "160" not in re.findall(r"38;5;(\d+)m", written(*flags, "-sample=0"))


@pytest.mark.parametrize("to", ["standard output", "a file"])
def test_ctrl_c_keeps_the_text_so_far(to, tmp_path):
    flags = ["-gpuid=-1", "-verbose=0", "-length=100000000", *(["-output=x.txt"] if to == "a file" else [])]
    with subprocess.Popen(
        command("sample.py", LSTM, *flags), stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path
    ) as process:
        if to == "a file":
            while not any(path.stat().st_size for path in tmp_path.iterdir()):
                assert process.poll() is None
            found = b""
        else:
            found = process.stdout.read(10)
        process.send_signal(signal.SIGINT)
        rest, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (130, b"")
    text = (tmp_path / "x.txt").read_bytes() if to == "a file" else found + rest
    assert len(text) > 1 and text.endswith(b"\n") == (to != "a file")  # which holds nothing but the bytes
    assert [path.name for path in tmp_path.iterdir()] == (["x.txt"] if to == "a file" else [])


def test_messages_go_to_standard_error_only():
    done = run("-verbose=1", "-length=10")
    assert len(done.stdout) == 11
    assert re.fullmatch(
        rb"sampling from lstm with 2 layers of 24, trained for 2.00 epochs\nno -primetext given: .* uniformly\n",
        done.stderr,
    )
    done = run("-verbose=1", "-length=10", "-primetext=ÜÖ", "-unknown_chars=skip")
    assert b"\nthe model knows no character of the primetext: the first character is drawn uniformly\n" in done.stderr


# Without torch


@pytest.mark.parametrize("flags", [["-opencl=1", "-gpuid=0"], ["-num_samples=3"], ["-help"]])
def test_torch_is_not_imported(flags, unicode_checkpoint, tmp_path):
    (tmp_path / "torch.py").write_text("raise SystemExit('torch was imported')")
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "CUDA_VISIBLE_DEVICES": ""}
    for checkpoint in (LSTM, unicode_checkpoint):
        done = run_command("sample.py", checkpoint, "-length=5", *flags, env=environment)
        assert done.returncode == 0 and "torch was" not in done.stderr and done.stdout
    assert read_pt(unicode_checkpoint)["encoding"] == "utf-8"


@pytest.mark.parametrize("flags", [["-num_samples=1"], ["-num_samples=3"], ["-sample=0", "-primetext=one"]])
def test_a_gpu_writes_the_same_text(monkeypatch, flags):
    """Through torch, as on a GPU: to torch this name of the CPU is a device like any other."""
    expected = written("-length=100", *flags)
    asked = []
    monkeypatch.setattr(sample, "choose_device", lambda *settings: asked.append(settings) or "cpu:0")
    assert written("-length=100", *flags) == expected
    assert len(asked) == 1
