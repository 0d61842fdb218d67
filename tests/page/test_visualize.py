"""visualize.py as a user runs it: which text it takes, what it says, and where it writes."""

import json
import os
import re
import shutil
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch

import visualize
from tests.helpers.folders import names
from tests.helpers.inputs import GOLDEN, ROOT, SMALL, numbers
from tests.helpers.refusals import refused
from tests.helpers.runs import finish
from tests.helpers.scripts import become_nobody, imported, run
from util.checkpoint.store import load_checkpoint
from util.page.page import in_half_precision
from util.page.reading import read_passages
from util.page.text import text_for_page

LSTM = GOLDEN / "lstm.t7"
TEXT = numbers(140).decode()


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A checkpoint whose text is where it was: 4 streams of 610 characters, the last 40 of each for validation."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "data").mkdir()
    (folder / "data" / "input.txt").write_bytes(TEXT.encode())
    assert finish(folder, *SMALL, "-max_epochs=1", f"-data_dir={folder / 'data'}").status == 0
    return next((folder / "cv").iterdir())


def content(path: Path) -> dict:
    """The data in a page."""
    return json.loads(re.search(r'id="content">(.*?)</script>', path.read_text("utf-8"), re.DOTALL)[1])


def test_the_validation_text_one_stream_s_passage_after_the_other(trained, tmp_path):
    """The page lies beside its checkpoint."""
    (tmp_path / "cv").mkdir()
    shutil.copy(trained, tmp_path / "cv" / "x.y.pt")
    done = run("visualize.py", "cv/x.y.pt", cwd=tmp_path)
    page = tmp_path / "cv" / "x.y.html"
    assert (done.stdout, done.stderr) == (
        f"wrote cv/x.y.html ({page.stat().st_size / 1e6:.1f} MB); open it in a browser\n", ""
    )  # fmt: skip
    assert (names(tmp_path), names(tmp_path / "cv")) == ({"cv"}, {"x.y.pt", "x.y.html"})
    found = content(page)
    assert found["passages"] == [TEXT[610 * b + 570 : 610 * b + 610] for b in range(4)]
    assert (found["tab"], found["source"]) == ("Validation text", "Validation text of data.")
    checkpoint = load_checkpoint(trained)
    count = sum(array.size for array in checkpoint.parameters.values())
    assert found["about"].startswith(
        f"An LSTM of 2 layers of 8 cells that predicts the next of {len(set(TEXT))} characters: {count:,} parameters, "
        f"{checkpoint.epoch:.2f} epochs, validation loss {checkpoint.val_losses[checkpoint.iteration]:.4f}."
    )


@pytest.mark.parametrize(("length", "expected"), [(600, [570, 30]), (10, [10])])
def test_another_split_and_length(length, expected, trained, tmp_path):
    run("visualize.py", trained, "-split=train", f"-length={length}", "-output=x.html", cwd=tmp_path)
    found = content(tmp_path / "x.html")
    assert found["passages"] == [TEXT[610 * b :][:count] for b, count in enumerate(expected)]
    assert found["tab"] == "Training text"


def test_a_file(trained, tmp_path):
    (tmp_path / "other.txt").write_text("one Q two\u2028\n" * 100, "utf-8")
    done = run("visualize.py", trained, "-file=other.txt", "-length=25", "-output=x.html", cwd=tmp_path)
    assert done.stderr == (
        "other.txt contains characters that the model has never seen: 'Q', '\\u2028'; the network skips them\n"
    )
    assert content(tmp_path / "x.html")["passages"] == [("one Q two\u2028\n" * 3)[:25]]


def test_a_text_that_is_gone(tmp_path):
    """The page shows what the model writes itself, which is what sample.py prints."""
    shutil.copy(LSTM, tmp_path / "x.t7")
    done = run("visualize.py", "x.t7", "-length=150", cwd=tmp_path)
    assert done.stderr.startswith("the text of x.t7 has moved") and "-file" in done.stderr
    sampled = run("sample.py", "x.t7", "-gpuid=-1", "-verbose=0", "-length=150", cwd=tmp_path).stdout
    found = content(tmp_path / "x.html")
    assert [passage + "\n" for passage in found["passages"]] == [sampled]
    assert "writes itself (seed 123, temperature 1)" in found["source"] and found["facts"]
    refused(run("visualize.py", "x.t7", "-data_dir=gone", cwd=tmp_path), "there is no gone/input.txt")
    (tmp_path / "input.txt").write_bytes(numbers(1500))
    assert run("visualize.py", "x.t7", f"-data_dir={tmp_path}", cwd=tmp_path).stderr == ""
    assert content(tmp_path / "x.html")["tab"] == "Validation text"


def test_facts_are_searched_for_in_more_than_is_shown(trained, tmp_path):
    (tmp_path / "x.txt").write_bytes(numbers(1500))
    options = Namespace(file=str(tmp_path / "x.txt"), length=50, data_dir="", split="val", checkpoint=trained)
    text = text_for_page(load_checkpoint(trained), options)
    assert list(map(len, text.passages)) == [50] and list(map(len, text.searched)) == [1000] * 30
    assert "".join(text.searched) == numbers(1500).decode()[:30_000]


def test_a_file_name_that_is_not_text(trained, tmp_path):
    path = tmp_path / os.fsdecode(b"x\xff.pt")
    shutil.copy(trained, path)
    done = run("visualize.py", path, f"-data_dir={trained.parent.parent / 'data'}", "-output=x.html", cwd=tmp_path)
    assert done.returncode == 0 and "<title>x?</title>" in (tmp_path / "x.html").read_text("utf-8")


def test_half_precision_and_what_it_costs(trained, tmp_path):
    for half in (0, 1):
        done = run("visualize.py", trained, "-split=train", f"-half={half}", f"-output={half}.html", cwd=tmp_path)
    count, before, after = re.findall(r"[\d,]+ characters|\d+\.\d{5}", done.stderr)
    checkpoint, passages = load_checkpoint(trained), [TEXT[610 * b :][:570] for b in range(4)]
    rounded = in_half_precision(checkpoint.parameters)
    assert count == "2,280 characters"
    for said, parameters in ((before, checkpoint.parameters), (after, rounded)):
        assert float(said) == pytest.approx(read_passages(checkpoint, parameters, passages)[0], abs=1e-5)
    saved = (tmp_path / "0.html").stat().st_size - (tmp_path / "1.html").stat().st_size
    size = sum(array.size for array in checkpoint.parameters.values())
    assert abs(saved - size * 2 * 4 / 3) < 200
    assert in_half_precision({"x": np.array([1e9, -1e9, 0.1])})["x"].tolist() == [65504, -65504, np.float16(0.1)]


def test_the_loss_of_passages_side_by_side(trained):
    """Of all characters but the first of each; passages may have any lengths."""
    checkpoint = load_checkpoint(trained)
    passages = ["one two", "t", "three four five", "one two"]
    loss, cells = read_passages(checkpoint, checkpoint.parameters, passages)
    alone = [read_passages(checkpoint, checkpoint.parameters, [passage]) for passage in passages]
    counts = [len(passage) - 1 for passage in passages]
    assert loss == pytest.approx(np.average([one for one, _ in alone], weights=counts), rel=1e-6)
    assert np.allclose(cells, np.concatenate([one for _, one in alone]), atol=1e-6) and cells.shape == (30, 16)


def test_a_large_page_says_so(trained, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(visualize, "LARGE", 100)
    monkeypatch.chdir(tmp_path)
    for flags, said in (([], "; -half 1 makes it smaller"), (["-half", "1"], "")):
        monkeypatch.setattr("sys.argv", ["visualize.py", str(trained), *flags])
        visualize.main()
        assert capsys.readouterr().err.startswith(f"the page will be 0 MB{said}\n")


# Mistakes


def test_places_that_the_page_cannot_go_to(trained, tmp_path, read_only_dir):
    shutil.copy(trained, tmp_path / "x.pt")
    shutil.copy(trained, tmp_path / "y.html")
    (tmp_path / "z.html").write_bytes(b"one two three")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    for arguments, words in (
        (("x.pt", "-output=x.pt"), ("cannot write x.pt", "reads it", "-output")),
        (("y.html",), ("cannot write y.html", "reads it", "-output")),
        (("x.pt", "-file=z.html", "-output=z.html"), ("cannot write z.html", "reads it", "-output")),
        (("x.pt", "-output=y.html"), ("cannot write y.html", "checkpoint", "-output")),
        (("x.pt", "-output=z.html"), ("cannot write z.html", "not a page", "-output")),
        (("x.pt", "-output=no/x.html"), ("cannot write no/x.html", "-output")),
        (("x.pt", "-output=."), ("folder", "-output")),
    ):
        refused(run("visualize.py", *arguments, cwd=tmp_path), *words)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    read_only_dir.chmod(0o755)
    shutil.copyfile(trained, read_only_dir / "x.pt")
    read_only_dir.chmod(0o555)
    arguments = ("x.pt", "-file=input.txt")
    refused(run("visualize.py", *arguments, cwd=read_only_dir, prepare=become_nobody), "cannot write x.html", "denied")


def test_flags_and_texts_that_make_no_sense(trained, tmp_path):
    for flag in ("-split=val", "-data_dir=."):
        refused(run("visualize.py", trained, "-file=x.txt", flag, cwd=tmp_path), "-file", "-split", "-data_dir")
    refused(run("visualize.py", trained, "-file=x.txt", cwd=tmp_path), "there is no file x.txt")
    (tmp_path / "x.txt").touch()
    refused(run("visualize.py", trained, "-file=x.txt", cwd=tmp_path), "x.txt is empty")
    (tmp_path / "x.txt").write_bytes(b"one\xff")
    refused(run("visualize.py", trained, "-file=x.txt", cwd=tmp_path), "x.txt is not utf-8 text")
    refused(run("visualize.py", trained, "-split=test", cwd=tmp_path), "the test split is empty")
    for length in (0, 100_001):
        refused(run("visualize.py", trained, f"-length={length}", cwd=tmp_path), "-length", "1 to 100000", status=2)
    refused(run("visualize.py", "x.pt", cwd=tmp_path), "there is no checkpoint x.pt")
    assert names(tmp_path) == {"x.txt"}


def test_a_checkpoint_that_does_not_say_how_its_text_was_split(trained, tmp_path):
    found = torch.load(trained, weights_only=True)
    del found["options"]["val_frac"]
    torch.save(found, tmp_path / "x.pt")
    refused(run("visualize.py", "x.pt", cwd=tmp_path), "x.pt does not say", "-file")


def test_it_takes_no_torch(tmp_path, trained):
    modules = imported("visualize.py", trained, "-output", tmp_path / "x.html")
    assert "numpy" in modules and "torch" not in modules


def test_what_the_docs_show():
    """docs/shakespeare.html shows 5,000 characters, and is small enough to be sent to somebody."""
    path = ROOT / "docs" / "shakespeare.html"
    found = content(path)
    assert (
        path.stat().st_size < 1_500_000 and len(found["vocabulary"]) == 65 and sum(map(len, found["passages"])) == 5000
    )
