"""Flags as a user writes them."""

import re
import shlex
from pathlib import Path
from subprocess import CompletedProcess

import pytest

import evaluate
import inspect_checkpoint
import sample
import train
import visualize
from docs.flags import SCRIPTS
from tests.helpers.refusals import refused
from util.cli import console

CHECKPOINT = "x.pt"


def sampling(*arguments: str):
    return sample.flags().parse([CHECKPOINT, *arguments])


def refused_flags(parse, *arguments: str, capsys: pytest.CaptureFixture) -> str:
    """Returns the one sentence that is printed for bad arguments."""
    with pytest.raises(SystemExit) as stop:
        parse(arguments)
    captured = capsys.readouterr()
    refused(CompletedProcess([], stop.value.code, captured.out, captured.err), status=2)
    return captured.err


@pytest.mark.parametrize("argv", [["-seed", "7"], ["--seed", "7"], ["-seed=7"], ["--seed=7"]])
def test_ways_to_write_a_flag(argv):
    assert sampling(*argv).seed == 7


def test_any_whole_number_is_a_seed_and_its_last_32_bits_count():
    for word, seed in (("-5", 2**32 - 5), ("1764245489123", 1764245489123 % 2**32), (str(-(2**70) + 7), 7)):
        assert sampling("-seed", word).seed == seed == train.flags().parse([f"-seed={word}"]).seed


@pytest.mark.parametrize("value", ["-", "--", "-5", "-- x", "-nonsense", "a=b", "-a=b", "", "two words"])
def test_any_text_is_a_value(value):
    assert sampling("-primetext", value).primetext == sampling(f"-primetext={value}").primetext == value


def test_flags_and_the_checkpoint_may_stand_in_any_order_and_the_last_of_several_counts():
    options = sample.flags().parse(["-seed", "1", "-gpuid", "-1", CHECKPOINT, "-length", "2", "--seed=3"])
    assert (options.checkpoint, options.seed, options.gpuid, options.length) == (Path(CHECKPOINT), 3, -1, 2)
    assert options.given == {"seed", "gpuid", "length"}


def test_defaults_of_the_original():
    options = vars(train.flags().parse([]))
    assert options["given"] == set()
    expected = {
        "data_dir": Path("data/tinyshakespeare"), "rnn_size": 128, "num_layers": 2, "model": "lstm",
        "learning_rate": 2e-3, "learning_rate_decay": 0.97, "learning_rate_decay_after": 10, "decay_rate": 0.95,
        "dropout": 0, "seq_length": 50, "batch_size": 50, "max_epochs": 50, "grad_clip": 5, "train_frac": 0.95,
        "val_frac": 0.05, "init_from": "", "seed": 123, "print_every": 1, "eval_val_every": 1000,
        "checkpoint_dir": Path("cv"), "accurate_gpu_timing": 0, "gpuid": 0, "opencl": 0,
        "encoding": "utf-8", "dtype": "float32",
    }  # fmt: skip
    assert options.items() >= expected.items()
    expected = {"seed": 123, "sample": 1, "primetext": "", "length": 2000, "temperature": 1, "opencl": 0, "verbose": 1}
    assert vars(sampling()).items() >= expected.items()
    assert sampling().gpuid == -1  # unlike the original's: a GPU is slower at one character at a time


@pytest.mark.parametrize(
    ("script", "words", "said"),
    [
        (train, "-rnn 1", "there is no flag -rnn (did you mean -rnn_size?)"),
        (train, "--learning-rate 1", "there is no flag -learning-rate (did you mean -learning_rate?)"),
        (train, "-modle=gru", "there is no flag -modle (did you mean -model?)"),
        *((train, f"{like_none} 1", f"there is no flag {like_none}; ") for like_none in ("-qqqq", "-5", "-ü")),
        # Those of other programs.
        (train, "-min_freq 1", "there is no flag -min_freq; "),
        (sample, "-temp 1", "there is no flag -temp (did you mean -temperature?)"),
        (train, "-rnn_type 1", "there is no flag -rnn_type (did you mean -model?)"),
        (train, "-checkpoint x.pt", "there is no flag -checkpoint (did you mean -init_from?)"),
        (train, "-max_iters 1", "there is no flag -max_iters (did you mean -max_epochs, in passes over the text?)"),
        (train, "-losslog x", "there is no flag -losslog (did you mean -log_csv?)"),
        (sample, "-checkpoint x.pt", "there is no flag -checkpoint (the checkpoint is the first argument)"),
        (sample, "-stop_on_newline 1", r"there is no flag -stop_on_newline (did you mean -stop '\n'?)"),
        (sample, "-read_start_text x", "there is no flag -read_start_text (did you mean -primetext_file?)"),
        (sample, "-hide_start_text 1", "there is no flag -hide_start_text; "),
        (train, "-gpuid 0,1", "torchrun"),
        # A value or a checkpoint is missing, or there are too many.
        *((sample, f"x.pt {words}", "-seed has no value") for words in ("-seed", "-seed -length 5")),
        (sample, "x.pt -primetext -length 5", "-primetext has no value; if -length was meant as one, write -prime"),
        (sample, "", "CHECKPOINT"),
        (sample, "x.pt another.pt", "another.pt cannot be taken as well: one CHECKPOINT is enough"),
        (sample, "x.pt ''", "an empty word does not belong"),
        pytest.param(train, "-files" + " texts/1.txt" * 2000, "... does not belong to any flag (quote", id="a pattern"),
        # As with the value of an unset variable of a shell: -resume "$LAST" would start a new run.
        *((train, f"-{flag} ''", f"-{flag} names no file") for flag in ("resume", "log_csv", "tensorboard")),
        *((sample, f"x -{flag} ''", f"-{flag} names no file") for flag in ("primetext_file", "prompts", "output")),
        *((evaluate, f"x -{flag} ''", f"-{flag} names no file") for flag in ("data_dir", "file", "novelty")),
        *((inspect_checkpoint, f"x -{flag} ''", f"-{flag} names no file") for flag in ("losses", "plot")),
        (visualize, "x -output ''", "-output names no file"),
    ],
)
def test_a_command_that_cannot_be_is_one_sentence(script, words, said, capsys):
    sentence = refused_flags(script.flags().parse, *shlex.split(words), capsys=capsys)
    assert said in sentence and "-help" in sentence and len(sentence) < 250


NOT_WHOLE = ["0", "-1", "1.5", "", "x", "nan", "inf", "1e3", "9" * 5000, str(2**63)]


@pytest.mark.parametrize(
    ("flag", "values", "wanted"),
    [
        ("rnn_size", NOT_WHOLE, "a whole number of at least 1"),
        ("keep", ["-1", "1.5", str(2**63)], "a whole number of at least 0"),
        ("gpuid", ["-2", "a"], "a whole number of at least -1"),
        ("seed", ["0.5", "one", "1e3"], "a whole number"),
        ("max_epochs", ["0", "-1", "nan", "inf", "1e38", "9" * 5000, "one"], "a number above 0 and below 1e38"),
        ("learning_rate_decay_after", ["-0.5", "inf"], "a number from 0"),
        ("dropout", ["1", "-0.1", "1.1"], "a number from 0 to below 1"),
        ("train_frac", ["-0.1", "1.01", "nan", "inf", "-inf", "one", ""], "a number from 0 to 1"),
        ("learning_rate", ["0", "-1", "1e-400", "1e38"], "a number above 0"),
        ("model", ["LSTM", ""], "one of lstm, gru, rnn"),
        ("temperature", ["0", "-1", "nan", "inf"], "a number above 0 and below 1e38; -sample 0 always takes the most"),
        ("sample", ["2", "-1"], "a whole number from 0 to 1"),
    ],
)
def test_values_that_a_flag_cannot_have(flag, values, wanted, capsys):
    script = train if flag in train.flags().actions else sample
    for value in values:
        sentence = refused_flags(script.flags().parse, f"-{flag}", value, capsys=capsys)
        assert f"-{flag}: {console.shown(repr(value))} is not {wanted}" in sentence and len(sentence) < 250


def test_the_borders_themselves_are_accepted():
    borders = {"dropout": 0, "train_frac": 1, "val_frac": 0, "rnn_size": 1, "seed": 2**32 - 1, "keep": 2**63 - 1}
    options = train.flags().parse([f"-{name}={value}" for name, value in borders.items()])
    assert {name: getattr(options, name) for name in borders} == borders
    assert sampling("-temperature", "1e-300").temperature == 1e-300
    assert sampling("-length", "0").length == 0


@pytest.mark.parametrize(("word", "value"), [("0.5", 0.5), ("50", 50), ("1e2", 100), ("0.00047", 0.00047)])
def test_epochs_may_be_fractions_and_whole_ones_stay_so(word, value):
    options = train.flags().parse([f"-max_epochs={word}", f"-learning_rate_decay_after={word}"])
    assert options.max_epochs == options.learning_rate_decay_after == value
    assert type(options.max_epochs) is type(value)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.__name__)
@pytest.mark.parametrize("argv", [["-help"], ["-gpuid", "5", "-h"]])
def test_help_shows_every_flag_with_its_default(script, argv, capsys):
    with pytest.raises(SystemExit) as stop:
        script.flags().parse(argv)
    captured = capsys.readouterr()
    assert stop.value.code == 0 and captured.err == ""
    entries = re.sub(r"\n {4,}", " ", captured.out).splitlines()  # each on one line
    options = vars(script.flags().parse([] if script is train else [CHECKPOINT]))
    for name in options.keys() - {"given", "checkpoint"}:
        (entry,) = [entry for entry in entries if entry.startswith(f"  -{name} ")]
        shown = f"(default: {options[name]})" if options[name] not in ("", []) else ""
        assert entry.endswith(shown) and entry.count("(default:") == (shown != "")
