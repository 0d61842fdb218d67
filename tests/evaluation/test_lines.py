"""evaluate.py -lines: each line by itself, whatever the lines are."""

import csv
import io
import re
import time

import pytest

from tests.helpers.inputs import GOLDEN, SMALL, numbers
from tests.helpers.refusals import refused
from tests.helpers.runs import finish
from tests.helpers.scripts import run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a model, in cv, of a text with tabs and quotes in it, and without a test split."""
    folder = tmp_path_factory.mktemp("lines")
    (folder / "input.txt").write_bytes(numbers(140) + b'one\ttwo "three"\n\rtwo\n' * 20)
    assert finish(folder, *SMALL, "-data_dir", ".", "-max_epochs", 1, "-eval_val_every", 20).status == 0
    (folder / "last.pt").write_bytes(max((folder / "cv").glob("lm_*")).read_bytes())
    return folder


def rows(folder, text, *flags, checkpoint="last.pt"):
    (folder / "x.txt").write_text(text, newline="")
    done = run("evaluate.py", checkpoint, "-file=x.txt", "-lines=1", "-gpuid=-1", *flags, cwd=folder)
    assert done.returncode == 0, done.stderr
    return list(csv.DictReader(io.StringIO(done.stdout, newline=""), dialect="excel-tab")), done.stderr


def test_a_few_long_lines_among_many_short_ones_cost_what_they_are(folder):
    lines = ["one two three"] * 1000
    lines[100] = lines[500] = "one two " * 1200
    began = time.perf_counter()
    found, _ = rows(folder, "\n".join(lines))
    assert time.perf_counter() - began < 8  # half a minute if each short line takes as long as the long ones
    assert [row["text"] for row in found] == lines
    assert float(found[0]["nats"]) == pytest.approx(float(found[-1]["nats"]), rel=1e-6)  # side by side with others


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


def test_a_table_goes_on_after_a_checkpoint_that_does_not_fit(folder):
    """It is named; the rows of a run come in the order of its iterations, whatever the files' times."""
    (folder / "x.txt").write_text("one two three")
    for age, path in enumerate(sorted((folder / "cv").iterdir())):
        path.touch()  # the earlier the later
        assert age < 10
    other = GOLDEN / "torch_rnn" / "rnn_2x32.t7"
    done = run("evaluate.py", "cv", other, "-file=x.txt", "-table=1", "-gpuid=-1", cwd=folder)
    found = list(csv.DictReader(done.stdout.splitlines(), dialect="excel-tab"))
    epochs = [float(row["epochs"]) for row in found if row["epochs"]]
    assert epochs == sorted(epochs) and len(epochs) > 1
    (folder / "x.txt").write_text('one\ttwo "three"')
    done = run("evaluate.py", other, "cv", "-file=x.txt", "-table=1", "-gpuid=-1", cwd=folder)
    assert f"warning: {other} has no row" in done.stderr and done.returncode == 0
    assert len(done.stdout.splitlines()) == 1 + len(epochs)


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
