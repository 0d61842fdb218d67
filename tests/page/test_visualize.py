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
from tests.helpers.inputs import GOLDEN, ROOT, numbers
from tests.helpers.pages import LSTM
from tests.helpers.refusals import refused
from tests.helpers.scripts import run_here
from util.checkpoint.store import load_checkpoint
from util.page.reading import SHOWN, read_passages

TEXT = numbers(200).decode()
STREAMS = range(0, 5 * 865, 865)  # where they begin in it; the last 45 characters of each are for validation


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def copied(checkpoint, here) -> str:
    """A copy of the checkpoint, whose text is where it was, in the working folder."""
    return shutil.copy(checkpoint, "x.pt")


def content(path: str | Path) -> dict:
    """The data in a page."""
    return json.loads(re.search(r'id="content">(.*?)</script>', Path(path).read_text("utf-8"), re.DOTALL)[1])


def test_the_validation_text_one_stream_s_passage_after_the_other(checkpoint, here):
    """The page lies beside its checkpoint."""
    shutil.copy(checkpoint, "x.y.pt")
    done = run_here("visualize.py", here / "x.y.pt")
    page = here / "x.y.html"
    assert f"wrote {page} ({page.stat().st_size / 1e6:.1f} MB)" in done.stdout.decode()
    assert names(here) == {"x.y.pt", "x.y.html"} and done.stderr == b""
    found, trained = content(page), load_checkpoint(checkpoint)
    assert found["passages"] == [TEXT[start + 820 : start + 865] for start in STREAMS]
    assert (found["tab"], found["source"]) == ("Validation text", f"Validation text of {checkpoint.parents[1].name}.")
    assert "An LSTM of 1 layer of 4 cells that predicts the next of 32 characters: " in found["about"]
    assert f", validation loss {trained.val_losses[trained.iteration]:.4f}." in found["about"]


def test_another_split_and_length(copied):
    for length, passages in ((900, [TEXT[:820], TEXT[865:945]]), (10, [TEXT[:10]])):
        run_here("visualize.py", copied, "-split=train", f"-length={length}")
        found = content("x.html")
        assert (found["passages"], found["tab"]) == (passages, "Training text")


def test_a_file(copied):
    """Facts are searched for in more of it than the page shows."""
    Path("other.txt").write_text("one Q two\u2028\n" * 9000, "utf-8")
    done = run_here("visualize.py", copied, "-file=other.txt", "-length=25")
    assert b"never seen: 'Q', '\\u2028'" in done.stderr
    found = content("x.html")
    assert found["passages"] == [("one Q two\u2028\n" * 3)[:25]] and found["searched"] == 24_546  # of 30,000


def test_a_text_that_is_gone():
    """The page shows what the model writes itself, which is what sample.py prints."""
    shutil.copy(LSTM, "x.t7")
    done = run_here("visualize.py", "x.t7", "-length=1150")
    assert done.stderr.endswith(
        b"since the text of x.t7 is unknown; give its folder with -data_dir, or another text with -file\n"
    )
    sampled = [run_here("sample.py", LSTM, "-verbose=0", "-length=1000", f"-seed={seed}").stdout for seed in (123, 124)]
    found = content("x.html")
    assert found["passages"] == [sampled[0].decode()[:-1], sampled[1].decode()[:150]]
    assert "writes itself (seed 123, temperature 1)" in found["source"] and found["facts"]
    Path("input.txt").write_bytes(numbers(1500))
    assert run_here("visualize.py", "x.t7", "-data_dir=.").stderr == b""
    assert content("x.html")["tab"] == "Validation text"


def test_half_precision_and_what_it_costs(copied):
    run_here("visualize.py", copied, "-split=train", "-output=exact.html")
    done = run_here("visualize.py", copied, "-split=train", "-half=1", "-output=half.html")
    count, *said = re.findall(r"[\d,]+ characters|\d+\.\d{5}", done.stderr.decode())
    checkpoint, passages = load_checkpoint(Path(copied)), [TEXT[start:][:820] for start in STREAMS]
    assert count == "4,100 characters"
    for loss, dtype in zip(said, (np.float32, np.float16), strict=True):
        parameters = {name: array.astype(dtype) for name, array in checkpoint.parameters.items()}
        assert float(loss) == pytest.approx(read_passages(checkpoint, parameters, passages)[0], abs=1e-5)
    exact, half = (Path(name).stat().st_size for name in ("exact.html", "half.html"))
    assert abs(exact - half - checkpoint.size * 2 * 4 / 3) < 200


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_weights_that_a_page_cannot_compute_with(checkpoint, here):
    flags = "-data_dir", load_checkpoint(checkpoint).options["data_dir"]
    path = with_weights(1e5, checkpoint, here / "x.pt")
    refused(run_here("visualize.py", path, "-half=1", *flags), "weights that 16 bits cannot hold", "leave out -half")
    assert run_here("visualize.py", path, *flags).returncode == 0
    path = with_weights(3e38, checkpoint, here / "y.pt")
    refused(run_here("visualize.py", path, *flags), "weights are so large")
    assert names(here) == {"x.pt", "x.html", "y.pt"}


def test_the_loss_of_passages_side_by_side(checkpoint):
    trained = load_checkpoint(checkpoint)
    passages = ["one two", "t", "three four five", "one two"]
    loss, cells = read_passages(trained, trained.parameters, passages)
    alone = [read_passages(trained, trained.parameters, [passage]) for passage in passages]
    counts = [len(passage) - 1 for passage in passages]
    assert loss == pytest.approx(np.average([one for one, _ in alone], weights=counts), rel=1e-6)
    assert np.allclose(cells, np.concatenate([one for _, one in alone]), atol=1e-6) and cells.shape == (30, 4)


def test_a_file_name_that_is_not_text(checkpoint):
    path = os.fsdecode(b"x\xff.pt")
    shutil.copy(checkpoint, path)
    assert run_here("visualize.py", path, "-output=x.html").returncode == 0
    assert "<title>x?</title>" in Path("x.html").read_text("utf-8")


def test_places_that_the_page_cannot_go_to(copied, here):
    shutil.copy(copied, "y.html")
    Path("z.html").write_bytes(b"one two three")
    before = {path: path.read_bytes() for path in here.iterdir()}
    for arguments, words in (
        (("y.html",), ("cannot write y.html", "reads it")),
        (("x.pt", "-file=z.html", "-output=z.html"), ("cannot write z.html", "reads it")),
        (("x.pt", "-output=y.html"), ("cannot write y.html", "not a page")),
        (("x.pt", "-output=z.html"), ("cannot write z.html", "not a page")),
        (("x.pt", "-output=no/x.html"), ("cannot write no/x.html",)),
    ):
        refused(run_here("visualize.py", *arguments), "-output", *words)
    assert {path: path.read_bytes() for path in here.iterdir()} == before


def test_flags_texts_and_cells_that_make_no_page(copied, here, monkeypatch):
    Path("empty.txt").touch()
    Path("one.txt").write_text("one")
    options = load_checkpoint(Path(copied)).options
    rewrite(Path(copied), Path("y.pt"), options={name: options[name] for name in options if name != "val_frac"})
    monkeypatch.delitem(SHOWN, "gru")
    for arguments, words, status in (
        (["x.pt", "-file=empty.txt", "-split=val"], ("-file", "-split", "-data_dir"), 1),
        (["x.pt", "-file=gone.txt"], ("there is no file gone.txt",), 1),
        (["x.pt", "-file=empty.txt"], ("empty.txt is empty",), 1),
        (["x.pt", "-split=test"], ("the test split is empty",), 1),
        (["x.pt", "-length=0"], ("-length", "1 to 100000"), 2),
        (["y.pt"], ("y.pt does not say how its text was split", "-file"), 1),
        ([GOLDEN / "gru.t7", "-file=one.txt"], ("cannot compute a 'gru', only lstm, rnn", "model.js"), 1),
    ):
        refused(run_here("visualize.py", *arguments, "-output=x.html"), *words, status=status)
    assert names(here) == {"empty.txt", "one.txt", "x.pt", "y.pt"}


def test_what_the_docs_show():
    path = ROOT / "docs" / "shakespeare.html"
    found = content(path)
    assert path.stat().st_size < 1_500_000
    assert len(found["vocabulary"]) == 65 and sum(map(len, found["passages"])) == 5000
