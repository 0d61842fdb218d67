"""visualize.py as a user runs it: which text it takes, what it says, and where it writes."""

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.checkpoints import rewrite, with_weights
from tests.helpers.folders import names
from tests.helpers.inputs import GOLDEN, ROOT, SMALL, numbers
from tests.helpers.refusals import refused
from tests.helpers.runs import finish
from tests.helpers.scripts import run, run_here
from util.checkpoint.store import load_checkpoint
from util.page.reading import SHOWN, read_passages

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
    shutil.copy(trained, tmp_path / "x.y.pt")
    done = run_here("visualize.py", tmp_path / "x.y.pt")
    page = tmp_path / "x.y.html"
    assert f"wrote {page} ({page.stat().st_size / 1e6:.1f} MB)" in done.stdout.decode()
    assert names(tmp_path) == {"x.y.pt", "x.y.html"} and done.stderr == b""
    found = content(page)
    assert found["passages"] == [TEXT[610 * b + 570 : 610 * b + 610] for b in range(4)]
    assert (found["tab"], found["source"]) == ("Validation text", "Validation text of data.")
    checkpoint = load_checkpoint(trained)
    assert f"2 layers of 8 cells that predicts the next of {len(set(TEXT))} characters" in found["about"]
    assert f"{checkpoint.val_losses[checkpoint.iteration]:.4f}" in found["about"]


@pytest.mark.parametrize(("length", "passages"), [(600, [TEXT[:570], TEXT[610:640]]), (10, [TEXT[:10]])])
def test_another_split_and_length(length, passages, trained, tmp_path):
    run_here("visualize.py", trained, "-split=train", f"-length={length}", f"-output={tmp_path / 'x.html'}")
    found = content(tmp_path / "x.html")
    assert (found["passages"], found["tab"]) == (passages, "Training text")


def test_a_file(trained, tmp_path):
    """Facts are searched for in more of it than the page shows."""
    (tmp_path / "other.txt").write_text("one Q two\u2028\n" * 9000, "utf-8")
    done = run("visualize.py", trained, "-file=other.txt", "-length=25", "-output=x.html", cwd=tmp_path)
    assert "never seen: 'Q', '\\u2028'" in done.stderr
    found = content(tmp_path / "x.html")
    assert found["passages"] == [("one Q two\u2028\n" * 3)[:25]] and found["searched"] == 24_546  # of 30,000


def test_a_text_that_is_gone(tmp_path):
    """The page shows what the model writes itself, which is what sample.py prints."""
    shutil.copy(LSTM, tmp_path / "x.t7")
    done = run("visualize.py", "x.t7", "-length=1150", cwd=tmp_path)
    assert done.stderr.endswith(
        "since the text of x.t7 is unknown; give its folder with -data_dir, or another text with -file\n"
    )
    sampled = [run_here("sample.py", LSTM, "-verbose=0", "-length=1000", f"-seed={seed}").stdout for seed in (123, 124)]
    found = content(tmp_path / "x.html")
    assert found["passages"] == [sampled[0].decode()[:-1], sampled[1].decode()[:150]]
    assert "writes itself (seed 123, temperature 1)" in found["source"] and found["facts"]
    (tmp_path / "input.txt").write_bytes(numbers(1500))
    assert run("visualize.py", "x.t7", "-data_dir=.", cwd=tmp_path).stderr == ""
    assert content(tmp_path / "x.html")["tab"] == "Validation text"


def test_a_file_that_only_a_checkpoint_names_is_not_read(trained, tmp_path):
    """Nor is anything written beside it, whether the checkpoint has a digest or not."""
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "passwd").write_bytes(TEXT.encode())
    options = load_checkpoint(trained).options | {"data_dir": str(secret), "files": "passwd"}
    for changes in ({"training": None}, {}):
        rewrite(trained, tmp_path / "x.pt", options=options, **changes)
        done = run("visualize.py", "x.pt", "-output=x.html", cwd=tmp_path)
        assert done.returncode == 0 and "give its folder with -data_dir" in done.stderr
        assert content(tmp_path / "x.html")["tab"] == "A sample"
        refused(run("evaluate.py", "x.pt", "-gpuid=-1", cwd=tmp_path), "the text of x.pt", "-data_dir", "-file")
        assert names(secret) == {"passwd"}
    assert run("evaluate.py", "x.pt", "-data_dir=secret", "-gpuid=-1", cwd=tmp_path).returncode == 0


def test_half_precision_and_what_it_costs(trained, tmp_path):
    exact, half = (tmp_path / name for name in ("exact.html", "half.html"))
    run_here("visualize.py", trained, "-split=train", f"-output={exact}")
    done = run_here("visualize.py", trained, "-split=train", "-half=1", f"-output={half}")
    count, *said = re.findall(r"[\d,]+ characters|\d+\.\d{5}", done.stderr.decode())
    checkpoint, passages = load_checkpoint(trained), [TEXT[610 * b :][:570] for b in range(4)]
    assert count == "2,280 characters"
    for loss, dtype in zip(said, (np.float32, np.float16), strict=True):
        parameters = {name: array.astype(dtype) for name, array in checkpoint.parameters.items()}
        assert float(loss) == pytest.approx(read_passages(checkpoint, parameters, passages)[0], abs=1e-5)
    assert abs(exact.stat().st_size - half.stat().st_size - checkpoint.size * 2 * 4 / 3) < 200


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_weights_that_a_page_cannot_compute_with(trained, tmp_path):
    path = with_weights(1e5, trained, tmp_path / "x.pt")
    flags = "-data_dir", trained.parent.parent / "data"
    refused(run_here("visualize.py", path, "-half=1", *flags), "weights that 16 bits cannot hold", "leave out -half")
    assert run_here("visualize.py", path, *flags).returncode == 0
    path = with_weights(3e38, trained, tmp_path / "y.pt")
    refused(run_here("visualize.py", path, *flags), "weights are so large")
    assert names(tmp_path) == {"x.pt", "x.html", "y.pt"}


def test_the_loss_of_passages_side_by_side(trained):
    checkpoint = load_checkpoint(trained)
    passages = ["one two", "t", "three four five", "one two"]
    loss, cells = read_passages(checkpoint, checkpoint.parameters, passages)
    alone = [read_passages(checkpoint, checkpoint.parameters, [passage]) for passage in passages]
    counts = [len(passage) - 1 for passage in passages]
    assert loss == pytest.approx(np.average([one for one, _ in alone], weights=counts), rel=1e-6)
    assert np.allclose(cells, np.concatenate([one for _, one in alone]), atol=1e-6) and cells.shape == (30, 16)


def test_a_file_name_that_is_not_text(trained, tmp_path):
    path = tmp_path / os.fsdecode(b"x\xff.pt")
    shutil.copy(trained, path)
    assert run_here("visualize.py", path, f"-output={tmp_path / 'x.html'}").returncode == 0
    assert "<title>x?</title>" in (tmp_path / "x.html").read_text("utf-8")


# Mistakes


def test_places_that_the_page_cannot_go_to(trained, tmp_path):
    shutil.copy(trained, tmp_path / "x.pt")
    shutil.copy(trained, tmp_path / "y.html")
    (tmp_path / "z.html").write_bytes(b"one two three")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    for arguments, words in (
        (("y.html",), ("cannot write y.html", "reads it")),
        (("x.pt", "-file=z.html", "-output=z.html"), ("cannot write z.html", "reads it")),
        (("x.pt", "-output=y.html"), ("cannot write y.html", "checkpoint")),
        (("x.pt", "-output=z.html"), ("cannot write z.html", "not a page")),
        (("x.pt", "-output=no/x.html"), ("cannot write no/x.html",)),
    ):
        refused(run("visualize.py", *arguments, cwd=tmp_path), "-output", *words)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_flags_and_texts_that_make_no_sense(trained, tmp_path):
    empty, broken = tmp_path / "empty.txt", tmp_path / "broken.txt"
    empty.touch()
    broken.write_bytes(b"one\xff")
    for flags, words, status in (
        ([f"-file={empty}", "-split=val"], ("-file", "-split", "-data_dir"), 1),
        (["-file=gone.txt"], ("there is no file gone.txt",), 1),
        ([f"-file={empty}"], ("empty.txt is empty",), 1),
        ([f"-file={broken}"], ("broken.txt is not utf-8 text",), 1),
        (["-split=test"], ("the test split is empty",), 1),
        (["-length=0"], ("-length", "1 to 100000"), 2),
    ):
        done = run_here("visualize.py", trained, f"-output={tmp_path / 'x.html'}", *flags)
        refused(done, *words, status=status)
    # A checkpoint that does not say how its text was split.
    options = load_checkpoint(trained).options
    rewrite(trained, tmp_path / "x.pt", options={name: options[name] for name in options if name != "val_frac"})
    refused(run_here("visualize.py", tmp_path / "x.pt"), "x.pt does not say", "-file")
    assert names(tmp_path) == {"empty.txt", "broken.txt", "x.pt"}


def test_a_cell_that_the_page_does_not_have(tmp_path, monkeypatch):
    monkeypatch.delitem(SHOWN, "gru")
    (tmp_path / "x.txt").write_text("one")
    done = run_here("visualize.py", GOLDEN / "gru.t7", f"-file={tmp_path / 'x.txt'}", f"-output={tmp_path / 'x.html'}")
    refused(done, "cannot compute", "'gru'", "lstm, rnn", "model.js")
    assert names(tmp_path) == {"x.txt"}


def test_what_the_docs_show():
    path = ROOT / "docs" / "shakespeare.html"
    found = content(path)
    assert path.stat().st_size < 1_500_000
    assert len(found["vocabulary"]) == 65 and sum(map(len, found["passages"])) == 5000
