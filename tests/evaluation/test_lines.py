"""evaluate.py -lines: each line by itself, whatever the lines are."""

import csv
import io
import math
import re
from subprocess import CompletedProcess

import numpy as np
import pytest

from tests.helpers.evaluations import RUNS, decoded, expected_loss, rows_of
from tests.helpers.inputs import numbers
from tests.helpers.refusals import refused
from tests.helpers.scripts import run, run_here
from util.checkpoint.store import load_checkpoint
from util.evaluation.lines import line_losses
from util.sampling.writing import Writer


def rows(folder, text, *flags, checkpoint="last.pt"):
    (folder / "x.txt").write_text(text, newline="")
    done = run("evaluate.py", checkpoint, "-file=x.txt", "-lines=1", "-gpuid=-1", *flags, cwd=folder)
    assert done.returncode == 0, done.stderr
    return list(csv.DictReader(io.StringIO(done.stdout, newline=""), dialect="excel-tab")), done.stderr


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


@pytest.mark.parametrize("line", ['one\ttwo "three"', "one\rtwo"])
def test_a_tab_a_quote_or_a_return_makes_no_further_column_or_row(line, folder):
    found, _ = rows(folder, line + "\n")
    assert [row["text"].splitlines() for row in found] == [line.splitlines()] and None not in found[0]


def test_lines_without_a_character_to_predict_are_told_and_do_not_come_first_when_rows_are_sorted(folder):
    found, said = rows(folder, "one\n\no\ntwo\n")
    assert [row["line"] for row in found] == ["1", "4"] and said.startswith("2 of 4 lines have fewer than two")
    assert float(found[1]["sum"]) == pytest.approx(2 * float(found[1]["nats"]))


def test_unknown_characters_are_all_named_or_left_out(folder):
    text = "one\ntZwo\nQ one\n"
    (folder / "x.txt").write_text(text)
    flags = ("evaluate.py", "last.pt", "-file=x.txt", "-gpuid=-1")
    refused(run(*flags, "-lines=1", cwd=folder), "'Q', 'Z', first in line 2", "-unknown_chars skip")
    found, _ = rows(folder, text, "-unknown_chars=skip")
    assert [row["text"] for row in found] == ["one", "two", " one"]
    found, _ = rows(folder, "ONE\n", "-unknown_chars=nearest")
    assert [row["text"] for row in found] == ["one"]
    refused(run(*flags, "-unknown_chars=skip", cwd=folder), "-unknown_chars is for -lines")


def test_an_empty_file_and_lines_of_old_macs(folder):
    (folder / "x.txt").write_text("")
    refused(run("evaluate.py", "last.pt", "-file=x.txt", "-lines=1", "-gpuid=-1", cwd=folder), "x.txt is empty")
    (folder / "y.txt").write_text("one\rtwo\r", newline="")
    done = run("evaluate.py", "last.pt", "-file=y.txt", "-lines=1", "-unknown_chars=skip", "-gpuid=-1", cwd=folder)
    assert "carriage return alone" in done.stderr and done.returncode == 0


def test_an_empty_split_has_its_true_reason(folder):
    done = run("evaluate.py", "last.pt", "-split=test", "-gpuid=-1", cwd=folder)
    refused(done, "the test split is empty, since the run's -train_frac 0.95 and -val_frac 0.05 leave it nothing")


def test_a_line_is_a_document_to_a_model_of_documents(posts):
    """Predicted from its first character to its end, as well as in one stream with others, and empty ones too."""
    lines = (posts / "input.txt").read_text().splitlines()[-100:]
    found, _ = rows(posts, "\n".join([*lines, ""]) + "\n", checkpoint="cv")
    assert [int(row["characters"]) for row in found] == [len(line) + 1 for line in [*lines, ""]]
    (posts / "x.txt").write_text("\n".join(lines) + "\n")
    done = run("evaluate.py", "cv", "-file=x.txt", "-gpuid=-1", cwd=posts)
    stream = float(re.search(r"loss per character: (\S+) nats", done.stdout)[1])
    alone = sum(float(row["sum"]) for row in found[:-1]) / sum(int(row["characters"]) for row in found[:-1])
    assert alone == pytest.approx(stream, rel=0.05)
