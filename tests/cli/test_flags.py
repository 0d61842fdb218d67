"""Flags as a user writes them."""

import re
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


def test_defaults_of_the_reference():
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
    assert sampling().gpuid == -1  # unlike the reference's: a GPU is slower at one character at a time


@pytest.mark.parametrize(
    ("script", "wrong", "said"),
    [
        (train, "-rnn", "-rnn (did you mean -rnn_size?)"),
        (train, "--learning-rate", "-learning-rate (did you mean -learning_rate?)"),
        (train, "-modle=gru", "-modle (did you mean -model?)"),
        *((train, like_none, f"{like_none}; ") for like_none in ("-qqqq", "-5", "-ü", "-min_freq")),
        # Those of other programs.
        (sample, "-temp", "-temp (did you mean -temperature?)"),
        (train, "-rnn_type", "-rnn_type (did you mean -model?)"),
        (train, "-checkpoint", "-checkpoint (did you mean -init_from?)"),
        (train, "-max_iters", "-max_iters (did you mean -max_epochs, in passes over the text?)"),
        (train, "-losslog", "-losslog (did you mean -log_csv?)"),
        (sample, "-checkpoint", "-checkpoint (the checkpoint is the first argument)"),
        (sample, "-stop_on_newline", r"-stop_on_newline (did you mean -stop '\n'?)"),
        (sample, "-read_start_text", "-read_start_text (did you mean -primetext_file?)"),
        (sample, "-hide_start_text", "-hide_start_text; "),
    ],
)
def test_an_unknown_flag_names_the_one_that_was_meant(script, wrong, said, capsys):
    sentence = refused_flags(script.flags().parse, wrong, "1", capsys=capsys)
    assert f"there is no flag {said}" in sentence and "-help" in sentence


def test_several_gpus_need_torchrun(capsys):
    assert "torchrun" in refused_flags(train.flags().parse, "-gpuid", "0,1", capsys=capsys)


@pytest.mark.parametrize(
    ("script", "flag"),
    [
        *((train, flag) for flag in ("resume", "log_csv", "tensorboard")),
        *((sample, flag) for flag in ("primetext_file", "prompts", "output")),
        *((evaluate, flag) for flag in ("data_dir", "file", "novelty")),
        *((inspect_checkpoint, flag) for flag in ("losses", "plot")), (visualize, "output"),
    ],
)  # fmt: skip
def test_a_file_whose_name_was_lost_is_not_left_out(script, flag, capsys):
    """As the value of an unset variable of a shell: -resume "$LAST" would start a new run."""
    words = ["x.pt"] * (script is not train) + [f"-{flag}", ""]
    assert f"-{flag} names no file" in refused_flags(script.flags().parse, *words, capsys=capsys)


def test_an_empty_word_is_called_one(capsys):
    assert "an empty word does not belong" in refused_flags(sample.flags().parse, "x.pt", "", capsys=capsys)


def test_a_pattern_that_became_thousands_of_names_is_still_one_sentence(capsys):
    names = [f"texts/{number}.txt" for number in range(2000)]
    sentence = refused_flags(train.flags().parse, "-files", *names, capsys=capsys)
    assert "texts/1.txt texts/2.txt" in sentence and "does not belong" in sentence and len(sentence) < 250


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


@pytest.mark.parametrize("argv", [["-seed"], ["-seed", "-length", "5"], ["-length", "5", "-seed"]])
def test_a_missing_value(argv, capsys):
    assert "-seed: expected one argument" in refused_flags(sample.flags().parse, CHECKPOINT, *argv, capsys=capsys)


@pytest.mark.parametrize("argv", [[], [CHECKPOINT, "another.pt"]])
def test_one_checkpoint_to_sample_from(argv, capsys):
    assert ("CHECKPOINT" if not argv else "another.pt") in refused_flags(sample.flags().parse, *argv, capsys=capsys)


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
