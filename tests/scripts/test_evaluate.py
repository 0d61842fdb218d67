"""evaluate.py: the trainer's own loss to the last digit, and an independent model's loss for every character."""

import csv
import math
import re
import shutil
from argparse import Namespace
from itertools import pairwise
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest

import evaluate
from model.stepper import Stepper
from tests.helpers.checkpoints import rewrite
from tests.helpers.folders import names
from tests.helpers.inputs import GOLDEN, SMALL, numbers
from tests.helpers.refusals import refused
from tests.helpers.runs import finish
from tests.helpers.scripts import imported, run, run_here
from util.checkpoint.store import load_checkpoint
from util.text import batches
from util.text.source import Source

TEXT = (numbers(140).decode() + "für Bücher - 道😀\r\n") * 2
RUNS = {
    # Each has something that the others lack.
    "lstm": ("-dropout=0.2", "-optim=adam"),
    "gru": ("-encoding=bytes", "-val_frac=0.03"),
    "rnn": ("-dtype=float64", "-train_frac=0.5", "-val_frac=0.3"),
}


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    """A folder with a text of characters of one to four bytes."""
    folder = tmp_path_factory.mktemp("text")
    (folder / "input.txt").write_bytes(TEXT.encode())
    return folder


@pytest.fixture(scope="module")
def trained(text, tmp_path_factory):
    """The last checkpoint of a run of each cell, on that text."""
    paths = {}
    for model, flags in RUNS.items():
        folder = tmp_path_factory.mktemp(model)
        more = (f"-model={model}", f"-data_dir={text}", "-max_epochs=1", "-eval_val_every=50", *flags)
        assert finish(folder, *SMALL, *more).status == 0
        paths[model] = max((folder / "cv").iterdir(), key=lambda path: load_checkpoint(path).iteration)
    return paths


def score(*arguments: object, cwd: Path) -> CompletedProcess:
    """evaluate.py on a CPU."""
    return run("evaluate.py", *arguments, "-gpuid=-1", cwd=cwd)


def measured(done) -> float:
    """Returns the loss that the script printed; its other figures must follow from it."""
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    pattern = (
        r".*: \d+ (character|byte)s\nloss per \1: +(.*) nats\nbits per \1: +(.*)\n"
        r"(?:bits per character: .* \(\d+ characters\)\n)?perplexity: +(.*)\n"
    )
    loss, bits, perplexity = map(float, re.fullmatch(pattern, done.stdout).groups()[1:])
    assert bits == pytest.approx(loss / math.log(2), abs=1e-6) and perplexity == pytest.approx(math.exp(loss), rel=1e-6)
    return loss


def expected_loss(path: Path, passages: list[str]) -> float:
    """The mean loss in nats on the characters of passages after each one's first, from the model written in numpy."""
    checkpoint = load_checkpoint(path)
    index, losses = checkpoint.vocabulary.index, []
    for passage in passages:
        step = Stepper(checkpoint.parameters, checkpoint.options["num_layers"], checkpoint.options["model"])
        losses += [-step(np.array([index[before]]))[0, index[after]] for before, after in pairwise(passage)]
    return float(np.mean(losses, dtype=float))


def decoded(path: Path, content: bytes) -> str:
    encoding = load_checkpoint(path).vocabulary.encoding
    return content.decode("latin-1" if encoding == "bytes" else encoding)


# Splits of the text


@pytest.mark.parametrize("model", RUNS)
def test_the_validation_loss_is_the_trainer_s_to_the_last_digit(model, trained, tmp_path):
    paths = list(trained[model].parent.iterdir())
    assert len(paths) > 1
    for path in paths:
        checkpoint = load_checkpoint(path)
        assert measured(score(path, cwd=tmp_path)) == checkpoint.val_losses[checkpoint.iteration]


@pytest.mark.parametrize("name", ["lstm", "gru", "rnn", "lstm_dropout"])
def test_the_reference_s_own_validation_loss(name, tmp_path):
    (tmp_path / "input.txt").write_bytes(numbers(1500))
    path = GOLDEN / f"{name}.t7"
    loss = measured(score(path, "-data_dir", tmp_path, cwd=tmp_path))
    checkpoint = load_checkpoint(path)
    assert loss == pytest.approx(checkpoint.val_losses[checkpoint.iteration], rel=1e-13)
    refused(score(path, cwd=tmp_path), "'data/numbers'", "-data_dir", "-file")


@pytest.mark.parametrize("split", ["train", "val", "test"])
@pytest.mark.parametrize("model", RUNS)
def test_every_character_of_a_split_in_the_order_of_the_text(model, split, trained, tmp_path):
    path, options = trained[model], load_checkpoint(trained[model]).options
    characters = decoded(path, TEXT.encode())
    B, S = options["batch_size"], options["seq_length"]
    count = len(characters) // (B * S)
    ends = np.cumsum([0, *batches.split_sizes(count, options["train_frac"], options["val_frac"])]) * S
    start, stop = ends[["train", "val", "test"].index(split) :][:2]
    done = score(path, f"-split={split}", cwd=tmp_path)
    if start == stop:
        refused(done, "the test split is empty", "-split", "-file")
        assert names(tmp_path) == set()
        return
    # After a stream's last character comes the next one's first, and after the last stream's the text's first.
    around = characters[: count * B * S] + characters[0]
    passages = [around[b * count * S + start : b * count * S + stop + 1] for b in range(B)]
    assert measured(done) == pytest.approx(expected_loss(path, passages), rel=1e-5)


def test_another_text_costs_a_warning(trained, tmp_path):
    (tmp_path / "input.txt").write_bytes(TEXT.encode()[50:])
    done = score(trained["lstm"], "-data_dir", tmp_path, cwd=tmp_path)
    assert done.stderr == (
        f"warning: {tmp_path / 'input.txt'} is not the text that the checkpoint was trained on, "
        "so its splits are different\n"
    )
    done.stderr = ""
    assert 0 < measured(done) < 5


def test_the_text_is_looked_for_here_and_beside_the_script(trained, tmp_path, monkeypatch):
    here, script = tmp_path / "here", tmp_path / "script"
    monkeypatch.setattr("util.text.source.ROOT", script)
    checkpoint = load_checkpoint(trained["lstm"])
    checkpoint.options["data_dir"] = "data/x"
    options = Namespace(data_dir="", checkpoint=trained["lstm"])
    here.mkdir()
    monkeypatch.chdir(here)
    for folder, expected in ((script, script / "data/x/input.txt"), (here, Path("data/x/input.txt"))):
        (folder / "data/x").mkdir(parents=True)
        (folder / "data/x/input.txt").touch()
        assert str(evaluate.text_of(checkpoint, options)) == str(expected)
    assert str(evaluate.text_of(checkpoint, Namespace(data_dir="y"))) == "y/input.txt"


def test_a_text_that_is_gone_or_was_split_nobody_knows_how(trained, tmp_path):
    options = load_checkpoint(trained["lstm"]).options
    for folder in (str(tmp_path / "gone"), "\x1b[31m", "", 5):
        rewrite(trained["lstm"], tmp_path / "x.pt", options=options | {"data_dir": folder})
        refused(score("x.pt", cwd=tmp_path), "the text of x.pt", repr(str(folder)), "-data_dir", "-file")
    refused(score("x.pt", "-data_dir=y", cwd=tmp_path), "there is no y/input.txt", "-data_dir")
    for value in ("x", -0.1, math.nan):
        rewrite(trained["lstm"], tmp_path / "x.pt", options=options | {"val_frac": value})
        refused(score("x.pt", cwd=tmp_path), "x.pt does not say", "-file")


def test_a_checkpoint_of_torch_rnn_does_not_say_how_its_text_was_split(tmp_path):
    """For a loss -file works, for -novelty -data_dir does."""
    path, other = GOLDEN / "torch_rnn" / "rnn_2x32.t7", tmp_path / "other.txt"
    characters = load_checkpoint(path).vocabulary.characters
    other.write_text(characters)
    refused(score(path, cwd=tmp_path), "is unknown; give", "another text with -file")
    assert score(path, "-file", other, cwd=tmp_path).returncode == 0
    refused(score(path, "-novelty", other, cwd=tmp_path), "give its folder with -data_dir")


# A file of one's own


@pytest.mark.parametrize("model", RUNS)
def test_every_character_of_a_file_after_the_first(model, trained, tmp_path):
    content = "für twenty-one 道\r\n".encode() * 9
    (tmp_path / "other.txt").write_bytes(content)
    done = score(trained[model], "-file=other.txt", cwd=tmp_path)
    characters = decoded(trained[model], content)
    unit = "bytes" if model == "gru" else "characters"
    assert done.stdout.startswith(f"other.txt: {len(characters) - 1} {unit}\n")
    assert measured(done) == pytest.approx(expected_loss(trained[model], [characters]), rel=1e-5)
    assert names(tmp_path) == {"other.txt"}


def test_bytes_that_are_characters(trained, tmp_path):
    content = "für 道 one\n".encode() * 9
    (tmp_path / "other.txt").write_bytes(content)
    done = score(trained["gru"], "-file=other.txt", cwd=tmp_path)
    bits = measured(done) / math.log(2) * (len(content) - 1) / (len(content.decode()) - 1)
    assert f"\nbits per character: {bits:.6f} ({len(content.decode()) - 1} characters)\n" in done.stdout
    (tmp_path / "other.txt").write_bytes(content[:-4] + b"\xc3one")
    assert "bits per character" not in score(trained["gru"], "-file=other.txt", cwd=tmp_path).stdout


# Tables


def rows_of(done: CompletedProcess) -> list[dict[str, str]]:
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return list(csv.DictReader(done.stdout.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE))


def test_a_row_for_each_checkpoint(trained, tmp_path):
    (tmp_path / "x.txt").write_bytes(b"one two three")
    paths = [str(trained[model]) for model in RUNS]
    rows = rows_of(score(*paths, "-file=x.txt", cwd=tmp_path))
    assert [(row["file"], row["model"], row["characters"]) for row in rows] == [
        (str(trained[m]), m, "12") for m in RUNS
    ]
    for path, row in zip(paths, rows):
        alone = score(path, "-file=x.txt", cwd=tmp_path)
        assert float(row["nats"]) == measured(alone) and row["perplexity"] in alone.stdout
        checkpoint = load_checkpoint(path)
        assert [int(row[name]) for name in ("layers", "size", "parameters")] == [2, 8, checkpoint.size]
        assert row["epochs"] == f"{checkpoint.epoch:.2f}"


def test_a_row_for_each_checkpoint_of_a_folder(trained, tmp_path):
    folder = trained["lstm"].parent
    rows = rows_of(score(folder, "-table=1", cwd=tmp_path))
    assert {row["file"] for row in rows} == {str(path) for path in folder.iterdir()} and len(rows) > 1
    for row in rows:
        checkpoint = load_checkpoint(row["file"])
        assert float(row["nats"]) == checkpoint.val_losses[checkpoint.iteration]
    (row,) = rows_of(score(trained["lstm"], "-table=1", "-split=train", cwd=tmp_path))
    refused(score(tmp_path, "-table=1", cwd=tmp_path), f"there is no checkpoint in {tmp_path}")


@pytest.mark.parametrize("model", RUNS)
def test_a_row_for_each_line_of_a_file(model, trained, tmp_path, monkeypatch):
    lines = ["one", "für Bücher - 道", "", "t", *numbers(20).decode().splitlines()]
    (tmp_path / "x.txt").write_text("\r\n".join(lines) + "\n", "utf-8", newline="")
    monkeypatch.setattr("evaluate.SIDE_BY_SIDE", 7)
    done = run_here("evaluate.py", trained[model], "-file", tmp_path / "x.txt", "-lines=1", "-gpuid=-1")
    rows = rows_of(CompletedProcess([], done.returncode, done.stdout.decode(), done.stderr.decode()))
    assert [row["text"] for row in rows] == lines
    assert [int(row["line"]) for row in rows] == list(range(1, len(lines) + 1))
    for line, row in zip(lines, rows):
        symbols = decoded(trained[model], line.encode())
        assert int(row["characters"]) == max(0, len(symbols) - 1)
        if len(symbols) < 2:
            assert row["nats"] == row["bits"] == row["perplexity"] == "nan"
        else:
            nats = expected_loss(trained[model], [symbols])
            found = [float(row[name]) for name in ("nats", "bits", "perplexity")]
            assert found == pytest.approx([nats, nats / math.log(2), math.exp(nats)], rel=1e-4)
    (tmp_path / "x.txt").write_text("one\nZ\n")
    done = run_here("evaluate.py", trained[model], "-file", tmp_path / "x.txt", "-lines=1", "-gpuid=-1")
    refused(done, "x.txt contains characters", "'Z'", "never seen")


@pytest.mark.parametrize("chunk_bytes", [1, 2, 40, 41, 1000])
def test_a_file_in_pieces_is_one_stream(chunk_bytes, trained, tmp_path, monkeypatch):
    monkeypatch.setattr("util.text.source.CHUNK_BYTES", chunk_bytes)
    monkeypatch.setattr(evaluate, "PIECE", 40)
    (tmp_path / "other.txt").write_bytes(TEXT.encode()[:200])
    checkpoint = load_checkpoint(trained["lstm"])
    task = evaluate.predict_file(checkpoint, Source(tmp_path / "other.txt"))
    batches = list(task.batches)
    x, y = (np.concatenate(parts) for parts in zip(*batches))
    assert x.shape == y.shape == (task.length, 1) == (199, 1)
    assert max(len(x) for x, _ in batches) <= 40
    assert "".join(checkpoint.vocabulary.characters[i] for i in [x[0, 0], *y[:, 0]]) == TEXT[:200]
    assert np.array_equal(x[1:], y[:-1])


# Mistakes


def test_texts_that_the_model_cannot_predict(trained, tmp_path):
    path, file = trained["lstm"], tmp_path / "x.txt"
    options = (path, "-file=x.txt")
    file.write_bytes(b"one Z two A B C D E F G")
    refused(score(*options, cwd=tmp_path), "x.txt contains characters", "'A', 'C', 'D', 'E', 'F', ...", "never seen")
    shutil.copy(file, tmp_path / "input.txt")
    done = score(path, f"-data_dir={tmp_path}", cwd=tmp_path)
    assert done.returncode == 1 and f"{tmp_path / 'input.txt'} contains characters" in done.stderr
    for content, words in ((b"one\xff", ("offset 3", "utf-8")), (b"", ("too short",)), (b"o", ("too short",))):
        file.write_bytes(content)
        refused(score(*options, cwd=tmp_path), "x.txt", *words)
    file.unlink()
    refused(score(*options, cwd=tmp_path), "there is no file x.txt", "-file")
    file.mkdir()
    refused(score(*options, cwd=tmp_path), "there is no file x.txt", "-file")


def test_flags_that_contradict_each_other(trained, tmp_path):
    for flag in ("-split=val", "-data_dir=."):
        refused(score(trained["lstm"], "-file=x.txt", flag, cwd=tmp_path), "-file", "-split", "-data_dir")
    refused(score(trained["lstm"], "-lines=1", cwd=tmp_path), "-lines", "-file")
    for words in (["-table=1"], [trained["gru"]]):
        done = score(trained["lstm"], *words, "-lines=1", "-file=x.txt", cwd=tmp_path)
        refused(done, "-lines takes one checkpoint", "-table")
    refused(score(trained["lstm"], "-novelty=x", "-table=1", cwd=tmp_path), "-novelty takes one", "-table")
    refused(score(trained["lstm"], "-split=all", cwd=tmp_path), "-split", "'all'", status=2)
    refused(score("x.pt", cwd=tmp_path), "there is no checkpoint x.pt")


def test_help_takes_no_torch():
    modules = imported("evaluate.py", "-help")
    assert "numpy" in modules and "torch" not in modules
