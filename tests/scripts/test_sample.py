"""sample.py as a user runs it: its flags, and what it writes where. Mistakes not of these flags: test_errors.py."""

import io
import os
import re
import signal
import subprocess
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest

import sample
from tests.helpers.inputs import GOLDEN, ROOT
from tests.helpers.t7_writer import char_rnn_checkpoint, write_t7
from util import errors
from util.checkpoint.pt import read_pt
from util.checkpoint.store import load_checkpoint
from util.sampling.drawing import alike, chooser, decode, encode, probabilities
from util.torch7_random import Torch7Random

LSTM = GOLDEN / "lstm.t7"


@pytest.fixture
def run(run_script):
    """run(*flags): what sample.py does with a golden checkpoint and without messages, as a finished process.

    Where options of subprocess.run are given it is one; else, to save time, the script runs in this process.
    """

    def run(*flags: object, checkpoint: Path = LSTM, **options: object) -> subprocess.CompletedProcess:
        arguments = [checkpoint, "-gpuid=-1", "-verbose=0", *flags]
        if options:
            return run_script("sample.py", *arguments, text=False, **options)
        streams = [io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2)]
        with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as stop:
            patch.setattr(sys, "argv", ["sample.py", *map(str, arguments)])
            patch.setattr(sys, "stdout", streams[0])
            patch.setattr(sys, "stderr", streams[1])
            errors.run(sample.main)
        for stream in streams:
            stream.flush()
        return subprocess.CompletedProcess(
            arguments, stop.value.code, *(stream.buffer.getvalue() for stream in streams)
        )

    return run


@pytest.fixture
def written(run):
    """written(*flags): the standard output of sample.py, where it ends well and has nothing to say."""

    def written(*flags: object, **options: object) -> str:
        done = run(*flags, **options)
        assert (done.returncode, done.stderr) == (0, b"")
        return done.stdout.decode()

    return written


def refused(done: subprocess.CompletedProcess, *words: str, status: int = 1) -> None:
    """Asserts that the script ended with one sentence with these words in it, and wrote nothing."""
    error = done.stderr.decode()
    assert (done.returncode, done.stdout) == (status, b"")
    assert error.startswith("error: ") and error.count("\n") == 1
    assert [word for word in words if word not in error] == []


@pytest.fixture(scope="session")
def unicode_checkpoint(tmp_path_factory) -> Path:
    """A model of characters, not bytes, untrained: it draws all sorts of them."""
    import torch

    from model.char_rnn import CharRNN
    from util.checkpoint.content import Checkpoint
    from util.checkpoint.store import save_checkpoint

    vocabulary = "\n aeAéß道😀\u05d0\u0301"
    network = CharRNN(len(vocabulary), 3, 1, "gru")
    path = tmp_path_factory.mktemp("unicode") / "x.pt"
    options = {"model": "gru", "rnn_size": 3, "num_layers": 1, "batch_size": 1, "seq_length": 1, "dropout": 0.0}
    parameters = {name: parameter.detach() for name, parameter in network.named_parameters()}
    losses = torch.zeros(0, dtype=torch.float64)
    save_checkpoint(Checkpoint(options, vocabulary, "utf-8", parameters, 0, 0.0, losses, {}, None), path)
    return path


# Several texts


def test_several_texts_are_those_of_the_seeds_that_follow(written):
    flags = ("-length=80", "-primetext=one ", "-temperature=0.8")
    alone = [written(*flags, f"-seed={seed}") for seed in (7, 8, 9)]
    assert len(set(alone)) == 3
    together = written(*flags, "-seed=7", "-num_samples=3", env=os.environ)
    assert together == "".join(f"----- {number} -----\n{text}" for number, text in enumerate(alone, 1))
    assert written(*flags, "-seed=7", "-num_samples=1") == alone[0]


def test_seeds_begin_again_after_the_last(written):
    texts = written("-length=9", "-seed=4294967295", "-num_samples=2")
    assert texts.endswith("----- 2 -----\n" + written("-length=9", "-seed=0"))


def test_several_texts_without_draws_are_all_the_same(run):
    done = run("-sample=0", "-num_samples=2", "-length=20", "-verbose=1")
    first, second = re.fullmatch(
        r"----- 1 -----\n(.*)\n----- 2 -----\n(.*)\n", done.stdout.decode(), re.DOTALL
    ).groups()
    assert first == second and len(first) == 20
    assert b"all texts are the same" in done.stderr


def test_several_texts_that_stop(written):
    texts = re.split(r"----- \d -----\n", written("-length=200", "-num_samples=5", r"-stop=\n"))[1:]
    lengths = [len(text) for text in texts]
    assert len(texts) == 5 and len(set(lengths)) > 1 and max(lengths) < 200
    assert all(text.index("\n") == len(text) - 2 for text in texts)


# Where a text ends


@pytest.mark.parametrize(("stop", "end"), [(r"\n", "\n"), ("on", "on"), (r"e\n", "e\n")])
def test_a_text_ends_with_the_first_stop(written, stop, end):
    whole = written("-length=2000")
    before, _, _ = whole.partition(end)
    assert written("-length=2000", "-stop", stop, env=os.environ) == before + end + "\n"
    assert 0 < len(before) < 1900


def test_a_stop_lies_in_what_is_sampled(written):
    """One in the primetext ends nothing, nor one that begins there."""
    whole = written("-primetext=one", "-length=200")
    assert len(whole) == 204
    assert written("-primetext=one", "-length=200", f"-stop={'e' + whole[3]}").find("e" + whole[3], 3) > 3
    assert len(written("-primetext=one", "-length=200", "-stop=one")) > 4


def test_a_stop_that_never_comes(written, run):
    assert written("-length=20", "-stop=9-9-9-9-9") == written("-length=20")
    refused(run("-stop=QUIT"), "-stop has 'Q'", "leave it out")
    refused(run(r"-stop=\t"), r"-stop has '\t'")
    refused(run(r"-stop=\\"), r"-stop has '\\'")


@pytest.mark.parametrize("prime", ["", "one"])
def test_a_length_of_0(written, prime):
    assert written("-length=0", "-primetext", prime) == prime + "\n"
    assert (
        written("-length=0", "-primetext", prime, "-num_samples=2")
        == f"----- 1 -----\n{prime}\n----- 2 -----\n{prime}\n"
    )


# Which characters are drawn


def test_the_most_likely_one_is_what_a_cold_model_takes(written):
    greedy = written("-sample=0", "-primetext=one", "-length=100")
    assert greedy != written("-primetext=one", "-length=100")
    for flags in (["-top_k=1"], ["-top_p=1e-9"], ["-temperature=1e-9"], ["-top_k=1", "-temperature=100", "-top_p=0.5"]):
        assert written("-primetext=one", "-length=100", *flags) == greedy


def test_limits_that_leave_every_character_change_nothing(written):
    text = written("-length=100")
    assert written("-length=100", "-top_k=32") == written("-length=100", "-top_k=1000", "-top_p=1") == text
    assert written("-length=100", "-top_k=5") != text != written("-length=100", "-top_p=0.5")


def test_the_first_character_of_all_is_uniform_whatever_the_limits(written):
    texts = written("-length=1", "-num_samples=50", "-top_k=1", "-top_p=0.1")
    assert len(set(re.findall(r"-----\n(.)\n", texts, re.DOTALL))) > 10


LOG_PROBS = np.log([0.1, 0.4, 0.05, 0.25, 0.2])


@pytest.mark.parametrize(
    ("top_k", "top_p", "left"),
    [
        (0, 1, {0, 1, 2, 3, 4}), (1, 1, {1}), (2, 1, {1, 3}), (4, 1, {0, 1, 3, 4}), (9, 1, {0, 1, 2, 3, 4}),
        (0, 0.39, {1}), (0, 0.41, {1, 3}), (0, 0.66, {1, 3, 4}), (0, 0.96, {0, 1, 2, 3, 4}), (0, 1e-30, {1}),
        (2, 0.6, {1}), (2, 0.63, {1, 3}), (3, 0.5, {1, 3}),
    ],
)  # fmt: skip
def test_what_top_k_and_top_p_leave(top_k, top_p, left):
    """Of top_p it is the share in what top_k has left: of 0.4 and 0.25, the first has 0.615."""
    for log_probs in (LOG_PROBS, np.stack([LOG_PROBS, LOG_PROBS]), LOG_PROBS.astype(np.float32)):
        probs = probabilities(log_probs, 1.0, top_k, top_p)
        assert probs.dtype == np.float32 and probs.shape == log_probs.shape
        for row in np.atleast_2d(probs):
            assert set(np.flatnonzero(row)) == left
            assert np.allclose(row[row > 0], np.exp(LOG_PROBS)[row > 0])


def test_top_p_is_measured_after_the_temperature():
    assert np.count_nonzero(probabilities(LOG_PROBS, 0.1, top_p=0.9)) == 1
    assert np.count_nonzero(probabilities(LOG_PROBS, 1e9, top_p=0.9)) == 5


def test_of_equally_likely_characters_all_stay():
    log_probs = np.log([0.3, 0.1, 0.3, 0.3])
    for limits in ({"top_k": 1}, {"top_k": 2}, {"top_p": 0.1}, {"top_p": 0.5}):
        assert np.flatnonzero(probabilities(log_probs, 1.0, **limits)).tolist() == [0, 2, 3]


def test_draws_of_several_texts_are_those_of_torch7():
    log_probs = np.log(np.random.default_rng(0).dirichlet(np.ones(50), size=(30, 3)))
    together = chooser(5, 3)
    drawn = np.array([together(rows) for rows in log_probs])
    for k in range(3):
        random = Torch7Random(5 + k)
        expected = [random.multinomial(probabilities(rows[k], 1.0)) for rows in log_probs]
        assert drawn[:, k].tolist() == expected and len(set(expected)) > 5


@pytest.mark.parametrize("temperature", [1e-320, 1e-50, 1e300])
def test_rows_of_several_texts_do_not_touch_each_other(temperature):
    log_probs = np.stack([LOG_PROBS, LOG_PROBS * 1000, LOG_PROBS[::-1]]).astype(np.float32)
    found = probabilities(log_probs, temperature)
    assert np.isfinite(found).all() and np.allclose(found.sum(axis=1), 1)
    assert [row.argmax() for row in found] == ([1, 1, 3] if temperature < 1 else [0, 0, 0])


@pytest.mark.parametrize(
    "flags",
    [["-top_k=-1"], ["-top_k=1.5"], ["-top_p=0"], ["-top_p=1.1"], ["-top_p=nan"], ["-num_samples=0"], ["-color=2"],
     ["-unknown_chars=drop"], ["-stop"]],
)  # fmt: skip
def test_values_that_make_no_sense(run, flags):
    refused(run(*flags), flags[0].split("=")[0], "-help", status=2)


# The primetext


def test_a_primetext_from_a_file_is_fed_as_it_is(written, tmp_path):
    (tmp_path / "prime.txt").write_bytes(b"twenty-one\n")
    text = written("-length=50", "-primetext_file", tmp_path / "prime.txt")
    assert text == written("-length=50", "-primetext=twenty-one\n")
    assert text.startswith("twenty-one\n") and text != written("-length=50", "-primetext=twenty-one")


def test_a_primetext_file_is_in_the_checkpoint_s_encoding(written, run, unicode_checkpoint, tmp_path):
    path = tmp_path / "prime.txt"
    path.write_bytes("é道".encode())
    flags = ("-length=0", "-primetext_file", path)
    assert written(*flags, checkpoint=unicode_checkpoint) == "é道\n"
    path.write_bytes(b"\xe9")
    refused(run(*flags, checkpoint=unicode_checkpoint), str(path), "is not utf-8 text")
    # A model of bytes takes any; this one knows none of them.
    refused(run(*flags), r"the primetext has '\udce9'")
    assert written(*flags, "-unknown_chars=skip") == "\n"


def test_primetext_files_that_cannot_be_fed(run, tmp_path):
    refused(run("-primetext_file", tmp_path / "x"), f"cannot read {tmp_path / 'x'}", "no such file")
    refused(run("-primetext_file", tmp_path), str(tmp_path), "directory")
    refused(run("-primetext_file", LSTM, "-primetext=one"), "-primetext and -primetext_file", "leave one out")


def test_unknown_characters(written, run):
    flags = ("-length=0", "-primetext", "One – ‘two’ Q9é")  # noqa: RUF001
    refused(run(*flags), "the primetext has 'O'", "-unknown_chars skip")
    assert written(*flags, "-unknown_chars=skip") == "ne  two 9\n"
    refused(run(*flags, "-unknown_chars=nearest"), "has '‘'", "none near it")  # noqa: RUF001
    assert written("-length=0", "-primetext=ONE – Éé", "-unknown_chars=nearest") == "one - ee\n"  # noqa: RUF001


@pytest.mark.parametrize(
    ("text", "near"),
    [("é", "é"), ("É", "é"), ("ê", "e"), ("Ê", "e"), ("á", "a"), ("Å", "A"), ("E", "e"), ("ẞ", "ß"), ("\u0302", ""),
     ("e\u0301", "e\u0301"), ("\u00a0", " "), ("\uff21", "A"), ("\uffa0", None), ("b", None), ("道", "道")],
)  # fmt: skip
def test_the_nearest_character(unicode_checkpoint, text, near):
    checkpoint = load_checkpoint(unicode_checkpoint)
    if near is None:
        with pytest.raises(Exception, match="none near it"):
            encode(text, checkpoint, "nearest")
    else:
        assert decode(encode(text, checkpoint, "nearest"), checkpoint) == near


def test_what_is_alike_is_plainer():
    for c in map(chr, range(0xA0, 0x2FF)):
        assert not any(unicodedata.combining(part) for part in "".join(alike(c)[2:]))
    assert '"' in alike("”") and "'" in alike("’") and "-" in alike("—") and "ss" in alike("ß")  # noqa: RUF001


def test_a_model_of_bytes_is_fed_utf_8(written, tmp_path):
    byte_values = {bytes([value]): number for number, value in enumerate(b"\n\xc3\xa9eA", 1)}
    rows = [np.zeros(shape) for shape in ((3, 5), 3, (3, 3), 3, (5, 3), 5)]
    checkpoint = write_t7(tmp_path / "x.t7", char_rnn_checkpoint("rnn", rows, 1) | {"vocab": byte_values})
    for flags, text in (["-primetext=é"], "é"), (["-primetext=É", "-unknown_chars=nearest"], "é"):
        done = written("-length=0", *flags, checkpoint=checkpoint)
        assert done == text + "\n"


# Where the text goes


def test_an_output_file_holds_what_would_have_been_printed(written, run, tmp_path):
    for flags in (["-length=30"], ["-length=30", "-num_samples=2"]):
        (tmp_path / "x.txt").write_text("before")
        assert written(*flags, "-output", tmp_path / "x.txt") == ""
        assert (tmp_path / "x.txt").read_text() == written(*flags)
    assert [path.name for path in tmp_path.iterdir()] == ["x.txt"]


def test_outputs_that_cannot_be_written(run, tmp_path):
    refused(run("-output", tmp_path), str(tmp_path), "is no file")
    refused(run("-output=/dev/null"), "/dev/null", "is no file")
    refused(run("-output", tmp_path / "none" / "x.txt"), str(tmp_path / "none" / "x.txt"), "no such file")


def test_characters_are_utf_8_in_any_locale(written, unicode_checkpoint):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG"))}
    for locale in (
        {"LC_ALL": "C", "PYTHONUTF8": "0"},
        {"LC_ALL": "POSIX"},
        {"PYTHONIOENCODING": "ascii"},
        {"LANG": "x"},
    ):
        text = written("-length=200", checkpoint=unicode_checkpoint, env=environment | locale)
        assert set(text) == set(load_checkpoint(unicode_checkpoint).vocabulary) and len(text) == 201


def test_colors_change_nothing_but_the_color(written, unicode_checkpoint):
    for checkpoint, flags in ((LSTM, ["-primetext=one"]), (LSTM, ["-num_samples=2"]), (unicode_checkpoint, [])):
        plain = written("-length=300", *flags, checkpoint=checkpoint)
        colored = written("-length=300", *flags, "-color=1", checkpoint=checkpoint)
        assert re.sub(r"\x1b\[38;5;\d+m(.)\x1b\[0m", r"\1", colored) == plain != colored


def test_colors_say_how_unlikely_a_character_was(written):
    flags = ("-length=300", "-primetext=one", "-color=1")
    assert "\x1b" not in written(*flags, "-length=0")
    colors = re.findall(r"38;5;(\d+)m", written(*flags, "-temperature=5"))
    assert set(colors) == {"160", "166", "136", "65"}
    # What is most likely among 32 characters has more than 1 % by far.
    assert "160" not in re.findall(r"38;5;(\d+)m", written(*flags, "-sample=0"))


@pytest.mark.parametrize("to", ["standard output", "a file"])
def test_ctrl_c_keeps_the_text_so_far(to, tmp_path):
    flags = ["-gpuid=-1", "-verbose=0", "-length=100000000", *(["-output=x.txt"] if to == "a file" else [])]
    command = [sys.executable, ROOT / "sample.py", LSTM, *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path) as process:
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
    assert len(text) > 1 and text.endswith(b"\n")
    assert [path.name for path in tmp_path.iterdir()] == (["x.txt"] if to == "a file" else [])


def test_messages_go_to_standard_error_only(run):
    done = run("-verbose=1", "-length=10")
    assert len(done.stdout) == 11
    assert re.fullmatch(
        rb"sampling from a lstm of 2 layers of 24, trained for 2.00 epochs\nno -primetext: .* uniformly\n", done.stderr
    )


# Without torch


@pytest.mark.parametrize("flags", [["-gpuid=-1"], ["-opencl=1", "-gpuid=0"], ["-num_samples=3"], ["-help"]])
def test_torch_is_not_imported(flags, unicode_checkpoint, tmp_path):
    (tmp_path / "torch.py").write_text("raise SystemExit('torch was imported')")
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "CUDA_VISIBLE_DEVICES": ""}
    for checkpoint in (LSTM, unicode_checkpoint):
        command = [sys.executable, ROOT / "sample.py", checkpoint, "-length=5", *flags]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0 and "torch was" not in done.stderr and done.stdout
    assert read_pt(unicode_checkpoint)["encoding"] == "utf-8"


@pytest.mark.parametrize("flags", [["-num_samples=1"], ["-num_samples=3"], ["-sample=0", "-primetext=one"]])
def test_a_gpu_writes_the_same_text(written, monkeypatch, flags):
    """By way of torch, as on a GPU; torch takes this name of the CPU for a device like any other."""
    expected = written("-length=100", *flags)
    asked = []
    monkeypatch.setattr(sample, "choose_device", lambda *settings: asked.append(settings) or "cpu:0")
    assert written("-length=100", *flags) == expected
    assert len(asked) == 1
