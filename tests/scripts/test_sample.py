"""sample.py as a user runs it: its flags, and what it writes where."""

import json
import os
import re
import signal
import subprocess

import numpy as np
import pytest

import sample
from tests.helpers.checkpoints import log_probs, rewrite, with_weights
from tests.helpers.inputs import GOLDEN
from tests.helpers.refusals import refused, told
from tests.helpers.samples import LSTM, run, written
from tests.helpers.scripts import command, run_command
from util.checkpoint.store import load_checkpoint

# Where a text ends


@pytest.mark.parametrize(("stop", "end"), [(r"\n", "\n"), (r"e\n", "e\n")])
def test_a_text_ends_with_the_first_stop(stop, end):
    before, _, _ = written("-length=2000").partition(end)
    assert 0 < len(before) < 1900
    assert written("-length=2000", "-stop", stop) == before + end + "\n"
    texts = re.split(r"----- \d -----\n", written("-length=200", "-num_samples=5", "-stop", stop))[1:]
    assert len({len(text) for text in texts}) > 1
    assert all(text.index(end) == len(text) - len(end) - 1 for text in texts if end in text)


def test_a_stop_lies_in_what_is_sampled():
    """One in the primetext ends nothing, nor one that begins there."""
    whole = written("-primetext=one", "-length=200")
    assert len(whole) == 204
    assert written("-primetext=one", "-length=200", f"-stop={'e' + whole[3]}").find("e" + whole[3], 3) > 3
    assert len(written("-primetext=one", "-length=200", "-stop=one")) > 4
    whole = written("-length=200")
    ends = min(whole.find(end) + len(end) for end in ("x", "e\n", "tw") if end in whole)  # the first of them
    assert written("-length=200", "-stop=x", r"-stop=e\n", "-stop=tw", "-stop=") == whole[:ends] + "\n"
    assert written("-length=200", "-stop=9-9-9-9-9") == whole
    refused(run("-stop=QUIT"), "-stop contains 'Q'", "leave it out")
    refused(run(r"-stop=\\"), r"-stop contains '\\'")


@pytest.mark.parametrize("prime", ["", "one"])
def test_a_length_of_0(prime):
    assert written("-length=0", "-primetext", prime) == prime + "\n"
    several = written("-length=0", "-primetext", prime, "-num_samples=2")
    assert several == f"----- 1 -----\n{prime}\n----- 2 -----\n{prime}\n"


def test_without_the_primetext():
    flags = ("-length=50", "-primetext=one", "-seed=4")
    whole, rest = written(*flags), written(*flags, "-echo=0")
    assert whole == "one" + rest
    assert written(*flags, "-echo=0", "-num_samples=2").startswith(f"----- 1 -----\n{rest}----- 2 -----\n")
    shown = json.loads(written(*flags, "-echo=0", "-json=1"))
    assert (shown["text"], shown["primetext"], shown["continuation"]) == (rest[:-1], "one", rest[:-1])


# Which characters are drawn


def test_limits():
    greedy = written("-sample=0", "-primetext=one", "-length=100")
    assert greedy != written("-primetext=one", "-length=100")
    for flags in (["-top_k=1"], ["-top_p=1e-9"], ["-temperature=1e-9"], ["-top_k=1", "-temperature=100", "-top_p=0.5"]):
        assert written("-primetext=one", "-length=100", *flags) == greedy
    text = written("-length=100")
    assert written("-length=100", "-top_k=32") == written("-length=100", "-top_k=1000", "-top_p=1") == text
    assert written("-length=100", "-top_k=5") != text != written("-length=100", "-top_p=0.5")
    # The first character of all is uniform.
    texts = written("-length=1", "-num_samples=50", "-top_k=1", "-top_p=0.1")
    assert len(set(re.findall(r"-----\n(.)\n", texts, re.DOTALL))) > 10


# Where the text goes


@pytest.mark.parametrize("flags", [["-length=30"], ["-length=30", "-num_samples=2"], []])
def test_an_output_file_holds_what_would_have_been_printed(flags, unicode_checkpoint, tmp_path):
    """But for the newline at the end of bytes, which may be no text."""
    path, checkpoint = tmp_path / "x.txt", LSTM if flags else unicode_checkpoint
    path.write_text("before")
    assert written(*flags, "-output", path, checkpoint=checkpoint) == ""
    printed = written(*flags, checkpoint=checkpoint)
    assert path.read_text() == (printed[:-1] if flags == ["-length=30"] else printed)
    assert [path.name for path in tmp_path.iterdir()] == ["x.txt"]


def test_an_output_that_is_no_file():
    assert written("-length=30", "-output=/dev/stdout", env=os.environ) == written("-length=30", "-output=-")


def test_several_texts_and_lines_of_json():
    """Each text is that of its seed, and has the mean surprise that a model written in numpy finds in it."""
    flags = ("-length=12", "-primetext=one", r"-stop=\n", "-seed=-2", "-temperature=0.8")
    lines = written(*flags, "-num_samples=4", "-json=1").splitlines()
    found = [json.loads(line) for line in lines]
    alone = json.loads(written(*flags, "-json=1"))  # whose last digits need not be those of a text beside others
    assert alone | {"bits": pytest.approx(alone["bits"])} == found[0]
    assert [one["seed"] for one in found] == [2**32 - 2, 2**32 - 1, 0, 1]
    assert [one["text"] for one in found] == [written(*flags, f"-seed={one['seed']}")[:-1] for one in found]
    together = "".join(f"----- {number} -----\n{one['text']}\n" for number, one in enumerate(found, 1))
    assert written(*flags, "-num_samples=4") == together
    assert {one["ended"] for one in found} == {one["text"][-1] == "\n" for one in found} == {True, False}
    checkpoint = load_checkpoint(LSTM)
    for one in found:
        indices = checkpoint.vocabulary.encode(one["text"])
        surprises = -log_probs(checkpoint, indices)[np.arange(2, len(indices) - 1), indices[3:]] / np.log(2)
        assert one["bits"] == pytest.approx(np.mean(surprises))
        assert (one["primetext"], "one" + one["continuation"]) == ("one", one["text"])
    empty = {"text": "", "primetext": "", "continuation": "", "seed": 123, "ended": False, "bits": None}
    assert written("-length=0", "-json=1") == json.dumps(empty) + "\n"
    refused(run("-json=1", "-color=1"), "-color", "-json")
    refused(run("-num_samples=1000000000000"), "'1000000000000' is not a whole number from 1 to 100000", status=2)


def test_json_of_any_character(unicode_checkpoint, tmp_path):
    (line,) = written("-length=200", "-json=1", checkpoint=unicode_checkpoint).splitlines()
    assert json.loads(line)["text"] + "\n" == written("-length=200", checkpoint=unicode_checkpoint)
    surrogate = rewrite(unicode_checkpoint, tmp_path / "x.pt", vocabulary="\n aeAéß道😀\u05d0\ud800", encoding="utf-16")
    assert "?" in json.loads(written("-length=99", "-json=1", checkpoint=surrogate))["text"]


@pytest.mark.parametrize("locale", [{"LC_ALL": "C", "PYTHONUTF8": "0"}, {"PYTHONIOENCODING": "ascii"}])
def test_characters_are_utf_8_in_any_locale(locale, unicode_checkpoint):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG"))}
    text = written("-length=200", checkpoint=unicode_checkpoint, env=environment | locale)
    assert set(text) == set(load_checkpoint(unicode_checkpoint).vocabulary.characters) and len(text) == 201


def test_colors(unicode_checkpoint):
    for checkpoint, flags in ((LSTM, ["-primetext=one"]), (LSTM, ["-num_samples=2"]), (unicode_checkpoint, [])):
        plain = written("-length=300", *flags, checkpoint=checkpoint)
        colored = written("-length=300", *flags, "-color=1", checkpoint=checkpoint)
        assert re.sub(r"\x1b\[38;5;\d+m(.)\x1b\[0m", r"\1", colored) == plain != colored
    flags = ("-length=300", "-primetext=one", "-color=1")
    assert "\x1b" not in written(*flags, "-length=0")
    assert set(re.findall(r"38;5;(\d+)m", written(*flags, "-temperature=5"))) == {"160", "166", "136", "65"}
    # What is most likely among 32 characters has more than 1 % by far.
    assert "160" not in re.findall(r"38;5;(\d+)m", written(*flags, "-sample=0"))


def test_ctrl_c_keeps_the_text_so_far():
    endless = command("sample.py", LSTM, "-gpuid=-1", "-verbose=0", "-length=100000000")
    with subprocess.Popen(endless, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        found = process.stdout.read(10)
        process.send_signal(signal.SIGINT)
        rest, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (130, b"")
    assert len(found + rest) > 10 and rest.endswith(b"\n")


def test_messages_go_to_standard_error_only():
    done = run("-verbose=1", "-length=10")
    said = b"sampling from lstm with 2 layers of 24, trained for 2.00 epochs\nno -primetext given: the first byte"
    assert len(done.stdout) == 11 and done.stderr.startswith(said)


# Without torch, and with it


@pytest.mark.parametrize("flags", [["-opencl=1", "-gpuid=0"], ["-num_samples=3"], ["-help"]])
def test_torch_is_not_imported(flags, unicode_checkpoint, tmp_path):
    (tmp_path / "torch.py").write_text("raise SystemExit('torch was imported')")
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "CUDA_VISIBLE_DEVICES": ""}
    done = run_command("sample.py", unicode_checkpoint, "-length=5", *flags, env=environment)
    assert done.returncode == 0 and "torch was" not in done.stderr and done.stdout


@pytest.mark.parametrize("flags", [["-num_samples=1"], ["-num_samples=3"], ["-sample=0", "-primetext=one"]])
def test_a_gpu_writes_the_same_text(monkeypatch, flags):
    """Through torch, as on a GPU: to torch this name of the CPU is a device like any other."""
    expected = written("-length=100", *flags)
    asked = []
    monkeypatch.setattr(sample, "choose_device", lambda *settings: asked.append(settings) or "cpu:0")
    assert written("-length=100", *flags) == expected
    assert len(asked) == 1


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("flags", [(), ("-json=1",), ("-sample=0",), ("-num_samples=3",)])
def test_weights_beyond_all_numbers_are_one_sentence(flags, tmp_path):
    path = with_weights(3e38, GOLDEN / "lstm_float32.pt", tmp_path / "x.pt")
    told(run("-length=50", *flags, checkpoint=path), "weights are so large that it predicts no probabilities")
