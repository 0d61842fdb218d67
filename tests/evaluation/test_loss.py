"""The loss of an independent model for every character; that of the trainer is in test_tables.py."""

import math
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.checkpoints import rewrite, with_weights
from tests.helpers.evaluations import RUNS, TEXT, decoded, expected_loss, measured, score
from tests.helpers.folders import names
from tests.helpers.inputs import GOLDEN, numbers
from tests.helpers.refusals import refused
from tests.helpers.scripts import run_here
from util.checkpoint.store import load_checkpoint
from util.checkpoint.text_of_checkpoint import text_of_run
from util.evaluation.loss import figures
from util.text.batches import SPLITS, split_sizes


@pytest.mark.parametrize("name", ["lstm", "gru", "rnn"])
def test_the_original_s_own_validation_loss(name, tmp_path):
    (tmp_path / "input.txt").write_bytes(numbers(1500))
    checkpoint = load_checkpoint(GOLDEN / f"{name}.t7")
    done = score(GOLDEN / f"{name}.t7", "-data_dir=.", cwd=tmp_path)
    stored = checkpoint.val_losses[checkpoint.iteration]
    assert measured(done) == pytest.approx(stored, rel=1e-13)
    assert f"nats\nits run stored: {stored} nats\n" in done.stdout
    (tmp_path / "input.txt").write_bytes(numbers(300))
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
        fractions = "-train_frac {train_frac:g} and -val_frac {val_frac:g}".format(**options)
        refused(done, f"the test split is empty, since the run's {fractions} leave it nothing", "-split", "-file")
        return
    # After a stream's last character comes the next one's first, and after the last stream's the text's first.
    around = characters[: count * B * S] + characters[0]
    passages = [around[b * count * S + start : b * count * S + stop + 1] for b in range(B)]
    assert measured(done) == pytest.approx(expected_loss(path, passages), rel=1e-5)
    assert "stored" not in done.stdout


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
        assert text_of_run(checkpoint.options, checkpoint.text_sha256).files == (place / "input.txt",)


def test_a_text_that_is_gone_or_was_split_nobody_knows_how(trained, tmp_path):
    options = load_checkpoint(trained["lstm"]).options
    for folder in (str(tmp_path / "gone"), ""):
        rewrite(trained["lstm"], tmp_path / "x.pt", options=options | {"data_dir": folder})
        refused(score("x.pt", cwd=tmp_path), "the text of x.pt", repr(folder), "-data_dir", "-file")
    refused(score("x.pt", "-data_dir=y", cwd=tmp_path), "there is no y/input.txt", "-data_dir")
    rewrite(trained["lstm"], tmp_path / "x.pt", options=options | {"val_frac": math.nan})
    refused(score("x.pt", cwd=tmp_path), "x.pt does not say", "-file")
    other = GOLDEN / "torch_rnn/rnn_2x32.t7"
    refused(score(other, cwd=tmp_path), "is unknown; give a text with -file")
    (tmp_path / "x.txt").write_text(load_checkpoint(other).vocabulary.characters)
    assert measured(score(other, "-file=x.txt", cwd=tmp_path)) > 0


@pytest.mark.parametrize("model", RUNS)
def test_every_character_of_a_file_after_the_first(model, trained, tmp_path, monkeypatch):
    """In one stream, of however many pieces."""
    monkeypatch.setattr("util.text.source.CHUNK_BYTES", 41)
    monkeypatch.setattr("util.evaluation.loss.PIECE", 40)
    content = "für twenty-one 道\r\n".encode() * 9
    (tmp_path / "other.txt").write_bytes(content)
    done = score(trained[model], "-file=other.txt", cwd=tmp_path)
    characters, count = decoded(trained[model], content), len(content.decode()) - 1
    assert done.stdout.startswith(f"other.txt: {len(characters) - 1} {'bytes' if model == 'gru' else 'characters'}\n")
    assert measured(done) == pytest.approx(expected_loss(trained[model], [characters]), rel=1e-5)
    bits = measured(done) / math.log(2) * (len(content) - 1) / count
    said = f"\nbits per character: {bits:.6f} ({count} characters, if the bytes are UTF-8)\n"
    assert (said in done.stdout) == (model == "gru")
    assert names(tmp_path) == {"other.txt"}


def test_the_perplexity_of_any_loss_can_be_printed():
    assert figures(1000.0) == ("1000.0", "1442.695041", "inf")


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_weights_that_predict_no_probabilities_have_no_loss(trained, text, tmp_path):
    path = with_weights(3e38, trained["lstm"], tmp_path / "x.pt")
    for flags in (["-data_dir", text], ["-file", text / "input.txt"], ["-file", text / "input.txt", "-lines=1"]):
        refused(run_here("evaluate.py", path, "-gpuid=-1", *flags), "weights are so large")
    table = run_here("evaluate.py", path, trained["lstm"], "-gpuid=-1", "-data_dir", text)
    assert (table.returncode, table.stdout.count(b"\n")) == (0, 2)
    assert f"warning: {path} has no row: the model's weights are so large" in table.stderr.decode()


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
    refused(score(path, "-file=.", cwd=tmp_path), ". is a folder", "-file")
