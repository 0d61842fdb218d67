"""evaluate.py: the trainer's own loss to the last digit, and an independent model's loss for every character."""

import csv
import io
import math
import re
import shutil
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest

from tests.helpers.checkpoints import log_probs, rewrite
from tests.helpers.folders import names
from tests.helpers.inputs import GOLDEN, SMALL, numbers
from tests.helpers.refusals import refused
from tests.helpers.runs import finish
from tests.helpers.scripts import imported, run, run_here
from util.checkpoint.store import load_checkpoint
from util.checkpoint.text_of_checkpoint import find_text_of
from util.evaluation.lines import line_losses
from util.evaluation.loss import figures, predict_file
from util.sampling.writing import Writer
from util.text.batches import SPLITS, split_sizes
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


def measured(done: CompletedProcess) -> float:
    """Returns the loss that the script printed; its other figures must follow from it."""
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    pattern = r"loss per (\w+): (.*) nats\n(?:its run stored: .*\n)?bits per \1: (.*)\n(?:bits per character: .*\n)?"
    pattern += r"perplexity: +(.*)\n"
    loss, bits, perplexity = map(float, re.search(pattern, done.stdout).groups()[1:])
    assert bits == pytest.approx(loss / math.log(2), abs=1e-6) and perplexity == pytest.approx(math.exp(loss), rel=1e-6)
    return loss


def expected_loss(path: Path, passages: list[str]) -> float:
    """The mean loss in nats on the characters of passages after each one's first, from the model written in numpy."""
    checkpoint, losses = load_checkpoint(path), []
    for passage in passages:
        indices = [checkpoint.vocabulary.index[c] for c in passage]
        losses += [-after[index] for after, index in zip(log_probs(checkpoint, indices[:-1]), indices[1:])]
    return float(np.mean(losses, dtype=float))


def decoded(path: Path, content: bytes) -> str:
    """What a model reads of bytes: characters or, as their numbers, bytes."""
    encoding = load_checkpoint(path).vocabulary.encoding
    return content.decode("latin-1" if encoding == "bytes" else encoding)


# Splits of the text


@pytest.mark.parametrize("model", RUNS)
def test_the_validation_loss_is_the_trainer_s_to_the_last_digit(model, trained, tmp_path):
    paths = list(trained[model].parent.iterdir())
    assert len(paths) > 1
    for path in paths:
        checkpoint, done = load_checkpoint(path), score(path, cwd=tmp_path)
        assert measured(done) == checkpoint.val_losses[checkpoint.iteration] and "stored" not in done.stdout


@pytest.mark.parametrize("name", ["lstm", "gru", "rnn", "lstm_dropout"])
def test_the_reference_s_own_validation_loss(name, tmp_path):
    (tmp_path / "input.txt").write_bytes(numbers(1500))
    checkpoint = load_checkpoint(GOLDEN / f"{name}.t7")
    done = score(GOLDEN / f"{name}.t7", "-data_dir=.", cwd=tmp_path)
    stored = checkpoint.val_losses[checkpoint.iteration]
    assert (
        measured(done) == pytest.approx(stored, rel=1e-13) and f"nats\nits run stored: {stored} nats\n" in done.stdout
    )
    assert "stored" not in score(GOLDEN / f"{name}.t7", "-data_dir=.", "-split=train", cwd=tmp_path).stdout


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("model", RUNS)
def test_every_character_of_a_split_in_the_order_of_the_text(model, split, trained, tmp_path):
    path, options = trained[model], load_checkpoint(trained[model]).options
    characters = decoded(path, TEXT.encode())
    B, S = options["batch_size"], options["seq_length"]
    count = len(characters) // (B * S)
    ends = np.cumsum([0, *split_sizes(count, options["train_frac"], options["val_frac"])]) * S
    start, stop = ends[SPLITS.index(split) :][:2]
    done = score(path, f"-split={split}", cwd=tmp_path)
    if start == stop:
        refused(done, "the test split is empty", "-train_frac", "leave it nothing", "-split", "-file")
        return
    # After a stream's last character comes the next one's first, and after the last stream's the text's first.
    around = characters[: count * B * S] + characters[0]
    passages = [around[b * count * S + start : b * count * S + stop + 1] for b in range(B)]
    assert measured(done) == pytest.approx(expected_loss(path, passages), rel=1e-5)


def test_another_text_costs_a_warning(trained, tmp_path):
    (tmp_path / "input.txt").write_bytes(TEXT.encode()[50:])
    done = score(trained["lstm"], "-data_dir", tmp_path, cwd=tmp_path)
    assert done.stderr.startswith(f"warning: {tmp_path / 'input.txt'} is not the text that the checkpoint was trained")
    assert done.returncode == 0 and "loss per character" in done.stdout


def test_the_text_is_looked_for_here_and_beside_the_script(trained, tmp_path, monkeypatch):
    monkeypatch.setattr("util.checkpoint.text_of_checkpoint.ROOT", tmp_path / "program")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    checkpoint = load_checkpoint(trained["lstm"])
    checkpoint.options["data_dir"] = "x"
    for place in (tmp_path / "program/x", Path("x")):
        place.mkdir(parents=True)
        (place / "input.txt").touch()
        assert find_text_of(checkpoint, "").files == (place / "input.txt",)


def test_a_text_that_is_gone_or_was_split_nobody_knows_how(trained, tmp_path):
    options = load_checkpoint(trained["lstm"]).options
    for folder in (str(tmp_path / "gone"), ""):
        rewrite(trained["lstm"], tmp_path / "x.pt", options=options | {"data_dir": folder})
        refused(score("x.pt", cwd=tmp_path), "the text of x.pt", repr(folder), "-data_dir", "-file")
    refused(score("x.pt", "-data_dir=y", cwd=tmp_path), "there is no y/input.txt", "-data_dir")
    rewrite(trained["lstm"], tmp_path / "x.pt", options=options | {"val_frac": math.nan})
    refused(score("x.pt", cwd=tmp_path), "x.pt does not say", "-file")


def test_a_checkpoint_of_torch_rnn_does_not_say_how_its_text_was_split(tmp_path):
    """For a loss -file works, for -novelty -data_dir does."""
    path, other = GOLDEN / "torch_rnn" / "rnn_2x32.t7", tmp_path / "other.txt"
    other.write_text(load_checkpoint(path).vocabulary.characters)
    refused(score(path, cwd=tmp_path), "is unknown; give a text with -file")
    assert score(path, "-file", other, cwd=tmp_path).returncode == 0
    refused(score(path, "-novelty", other, cwd=tmp_path), "give its folder with -data_dir")


# A file of one's own


@pytest.mark.parametrize("model", RUNS)
def test_every_character_of_a_file_after_the_first(model, trained, tmp_path):
    content = "für twenty-one 道\r\n".encode() * 9
    (tmp_path / "other.txt").write_bytes(content)
    done = score(trained[model], "-file=other.txt", cwd=tmp_path)
    characters = decoded(trained[model], content)
    assert done.stdout.startswith(f"other.txt: {len(characters) - 1} {'bytes' if model == 'gru' else 'characters'}\n")
    assert measured(done) == pytest.approx(expected_loss(trained[model], [characters]), rel=1e-5)
    assert names(tmp_path) == {"other.txt"}


def test_bytes_that_are_characters(trained, tmp_path):
    content = "für 道 one\n".encode() * 9
    (tmp_path / "other.txt").write_bytes(content)
    done, count = score(trained["gru"], "-file=other.txt", cwd=tmp_path), len(content.decode()) - 1
    bits = measured(done) / math.log(2) * (len(content) - 1) / count
    assert f"\nbits per character: {bits:.6f} ({count} characters, if the bytes are UTF-8)\n" in done.stdout


def test_the_perplexity_of_any_loss_can_be_printed():
    assert figures(1000.0) == ("1000.0", "1442.695041", "inf")


# Tables


def rows_of(done: CompletedProcess) -> list[dict[str, str]]:
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return list(csv.DictReader(io.StringIO(done.stdout, newline=""), dialect="excel-tab"))


def test_a_row_for_each_checkpoint(trained, tmp_path):
    (tmp_path / "x.txt").write_bytes(b"one two three")
    rows = rows_of(score(*trained.values(), "-file=x.txt", cwd=tmp_path))
    for (model, path), row in zip(trained.items(), rows, strict=True):
        checkpoint, alone = load_checkpoint(path), score(path, "-file=x.txt", cwd=tmp_path)
        dropout = {"lstm": "0.2"}.get(model, "0")
        about = [str(path), model, "2", "8", dropout, "123", str(checkpoint.size), f"{checkpoint.epoch:.2f}"]
        about += [str(checkpoint.iteration), "x.txt", "", "12"]
        assert [*row.values()][: len(about)] == about
        assert float(row["nats"]) == measured(alone) and row["perplexity"] in alone.stdout


def test_a_row_for_each_checkpoint_of_a_folder(trained, tmp_path):
    folder = trained["lstm"].parent
    rows = rows_of(score(folder, "-table=1", cwd=tmp_path))
    assert {row["file"] for row in rows} == {str(path) for path in folder.iterdir()} and len(rows) > 1
    for row in rows:
        checkpoint = load_checkpoint(row["file"])
        assert float(row["nats"]) == checkpoint.val_losses[checkpoint.iteration]
        assert (row["text"], row["split"]) == (f"{checkpoint.options['data_dir']}/input.txt", "val")
    refused(score(tmp_path, "-table=1", cwd=tmp_path), f"there is no checkpoint in {tmp_path}")


def test_a_folder_of_folders_gives_the_checkpoints_in_all_of_them(trained, tmp_path):
    for model in ("rnn", "gru"):
        shutil.copytree(trained[model].parent, tmp_path / model)
    (tmp_path / ".hidden").mkdir()
    shutil.copy(trained["lstm"], tmp_path / ".hidden")
    shutil.copy(trained["lstm"], tmp_path / "x.pt")
    done = score(".", "-table=1", "-split=train", cwd=tmp_path)
    expected = [
        "x.pt",
        *sorted(f"{model}/{path.name}" for model in ("gru", "rnn") for path in (tmp_path / model).iterdir()),
    ]
    assert [row["file"] for row in rows_of(done)] == expected


@pytest.mark.parametrize("model", RUNS)
def test_a_row_for_each_line_of_a_file(model, trained, tmp_path, monkeypatch):
    path, file = trained[model], tmp_path / "x.txt"
    lines = ["one", "für Bücher - 道", "", "t", *numbers(20).decode().splitlines()]
    file.write_text("\r\n".join(lines) + "\n", "utf-8", newline="")
    monkeypatch.setattr("util.evaluation.lines.SIDE_BY_SIDE", 7)
    done = run_here("evaluate.py", path, "-file", file, "-lines=1", "-gpuid=-1")
    assert done.stderr.decode().startswith("2 of 24 lines have fewer than two ")
    rows = rows_of(CompletedProcess([], done.returncode, done.stdout.decode(), ""))
    numbered = [(number, line) for number, line in enumerate(lines, 1) if len(line.encode()) > 1]
    assert [(row["line"], row["text"]) for row in rows] == [(str(number), line) for number, line in numbered]
    for (_, line), row in zip(numbered, rows):
        symbols = decoded(path, line.encode())
        nats, unit = expected_loss(path, [symbols]), load_checkpoint(path).vocabulary.unit
        found = [float(row[name]) for name in (f"{unit}s", "nats", "bits", "perplexity", "sum")]
        count = len(symbols) - 1
        assert found == pytest.approx([count, nats, nats / math.log(2), math.exp(nats), count * nats], rel=1e-4)
    for text, words in (("one\nZ\nQ\n", ("never seen: ", "'Q', ", "'Z', first in line 2")), ("", ("x.txt is empty",))):
        file.write_text(text)
        refused(run_here("evaluate.py", path, "-file", file, "-lines=1", "-gpuid=-1"), "x.txt", *words)


def test_a_long_line_is_not_computed_for_the_short_ones(trained, monkeypatch):
    computed, writer = [], Writer(load_checkpoint(trained["rnn"]))
    read = writer.read

    def counting(indices, texts):
        step, log_probs = read(indices, texts)
        return (lambda indices: (computed.append(texts), step(indices))[1]), log_probs

    monkeypatch.setattr(writer, "read", counting)
    passages = [np.arange(length) % 7 for length in (16, 300, 16, 2, 0, 16, 200, 1) * 3]
    found = line_losses(writer, passages)
    assert found == pytest.approx([line_losses(writer, [passage])[0] for passage in passages], rel=1e-6)
    assert sum(computed[: -sum(map(len, passages))]) < 2 * sum(map(len, passages))


def test_a_file_in_pieces_is_one_stream(trained, tmp_path, monkeypatch):
    monkeypatch.setattr("util.text.source.CHUNK_BYTES", 41)
    monkeypatch.setattr("util.evaluation.loss.PIECE", 40)
    (tmp_path / "other.txt").write_bytes(TEXT.encode()[:200])
    checkpoint = load_checkpoint(trained["lstm"])
    task = predict_file(checkpoint, Source(tmp_path / "other.txt"))
    pieces = list(task.batches)
    x, y = (np.concatenate(parts)[:, 0] for parts in zip(*pieces))
    assert task.length == 199 and [len(x) for x, _ in pieces] == [40, 40, 40, 40, 39]
    assert "".join(checkpoint.vocabulary.characters[i] for i in [x[0], *y]) == TEXT[:200]
    assert np.array_equal(x[1:], y[:-1])


# Mistakes


def test_texts_that_the_model_cannot_predict(trained, tmp_path):
    path, file = trained["lstm"], tmp_path / "x.txt"
    file.write_bytes(b"one Z two A B C D E F G")
    shutil.copy(file, tmp_path / "input.txt")
    for flag, name in (("-file=x.txt", "x.txt"), ("-data_dir=.", "input.txt")):
        done = score(path, flag, cwd=tmp_path)
        assert done.returncode == 1 and f"{name} contains characters" in done.stderr and "never seen" in done.stderr
    for content, words in ((b"one\xff", ("offset 3", "utf-8")), (b"o", ("too short",))):
        file.write_bytes(content)
        refused(score(path, "-file=x.txt", cwd=tmp_path), "x.txt", *words)
    refused(score(path, "-file=y.txt", cwd=tmp_path), "there is no file y.txt", "-file")


def test_flags_that_contradict_each_other(trained, tmp_path):
    path = trained["lstm"]
    for flags, words, status in (
        (["-file=x.txt", "-split=val"], ("-file", "-split", "-data_dir"), 1),
        (["-file=x.txt", "-data_dir=."], ("-file", "-split", "-data_dir"), 1),
        (["-lines=1"], ("-lines", "-file"), 1),
        (["-lines=1", "-file=x.txt", "-table=1"], ("-lines takes one checkpoint", "-table"), 1),
        *(
            (["-novelty=x", more], ("-novelty takes one", "-table"), 1)
            for more in ("-table=1", "-file=y", "-split=val")
        ),
        (["-split=all"], ("-split", "'all'"), 2),
    ):
        refused(score(path, *flags, cwd=tmp_path), *words, status=status)


def test_help_takes_no_torch():
    modules = imported("evaluate.py", "-help")
    assert "numpy" in modules and "torch" not in modules
