"""evaluate.py -lines: each line by itself, whatever the lines are."""

import math

import numpy as np
import pytest

from tests.helpers.checkpoints import rewrite
from tests.helpers.evaluations import RUNS, decoded, expected_loss, rows_of, score
from tests.helpers.inputs import numbers
from tests.helpers.refusals import refused
from util.checkpoint.store import load_checkpoint
from util.evaluation.lines import line_losses
from util.sampling.writing import Writer


def lines_of(checkpoint, text, folder, *flags):
    """What -lines says of a text."""
    (folder / "x.txt").write_text(text, "utf-8", newline="")
    return score(checkpoint, "-file=x.txt", "-lines=1", *flags, cwd=folder)


@pytest.mark.parametrize("model", RUNS)
def test_a_row_for_each_line_of_a_file(model, trained, tmp_path, monkeypatch):
    """But for those without a character to predict, which are counted, and whatever is in a line."""
    monkeypatch.setattr("util.evaluation.lines.SIDE_BY_SIDE", 7)
    path = trained[model]
    lines = ["one", "für Bücher - 道", "", "t", 'one\ttwo "m"', "one\rtwo", *numbers(20).decode().splitlines()]
    done = lines_of(path, "\r\n".join(lines) + "\n", tmp_path)
    rows = rows_of(done, "2 of 26 lines have fewer than two ")
    numbered = [(number, line) for number, line in enumerate(lines, 1) if len(line.encode()) > 1]
    assert [(int(row["line"]), row["text"]) for row in rows] == numbered
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

        def counted(indices):
            computed.append(texts)
            return step(indices)

        return counted, log_probs

    monkeypatch.setattr(writer, "read", counting)
    passages = [np.arange(length) % 7 for length in (16, 300, 16, 2, 0, 16, 200, 1) * 3]
    found = line_losses(writer, passages)
    assert found == pytest.approx([line_losses(writer, [passage])[0] for passage in passages], rel=1e-6)
    assert sum(computed[: -sum(map(len, passages))]) < 2 * sum(map(len, passages))


def test_unknown_characters_are_all_named_or_left_out(trained, tmp_path):
    text = "one\ntZwo\nQ one\n"
    refused(lines_of(trained["lstm"], text, tmp_path), "'Q', 'Z', first in line 2", "-unknown_chars skip")
    for unknown, second, said in (("skip", "two", ""), ("nearest", "tzwo", "warning: x.txt is read without 'Q'")):
        done = lines_of(trained["lstm"], text, tmp_path, f"-unknown_chars={unknown}")
        assert [row["text"] for row in rows_of(done, said)] == ["one", second, " one"]
    refused(score(trained["lstm"], "-file=x.txt", "-unknown_chars=skip", cwd=tmp_path), "-unknown_chars is for -lines")


def test_an_empty_file_and_lines_of_old_macs(trained, tmp_path):
    refused(lines_of(trained["lstm"], "", tmp_path), "x.txt is empty")
    done = lines_of(trained["lstm"], "one\rtwo\0\r", tmp_path, "-unknown_chars=skip")
    assert len(rows_of(done, "warning: x.txt: its lines end with a carriage return alone")) == 1


def test_a_line_is_a_document_to_a_model_of_documents(trained, tmp_path):
    """Predicted from its first character, after others, to its end, and an empty one too."""
    options = load_checkpoint(trained["lstm"]).options | {"document_end": r"o\n"}
    path = rewrite(trained["lstm"], tmp_path / "x.pt", options=options)
    writer = Writer(load_checkpoint(path))
    lines = ["one", "", "twenty-two"]
    for line, row in zip(lines, rows_of(lines_of(path, "\n".join(lines) + "\n", tmp_path)), strict=True):
        (step, log_probs), nats = writer.read([]), 0.0
        for index in writer.vocabulary.encode(line + "o\n"):
            nats -= log_probs[0, index]
            log_probs = step(np.array([index]))
        assert (float(row["sum"]), int(row["characters"])) == (pytest.approx(nats), len(line) + 2)
