"""Small things that scripts say, or do, whatever the terminal and the checkpoint are like."""

import numpy as np
import pytest

import evaluate
from tests.helpers.folders import names
from tests.helpers.refusals import refused, told
from tests.helpers.scripts import run
from util.checkpoint.store import load_checkpoint
from util.text.source import Source


@pytest.mark.parametrize(
    "script", ["train.py", "sample.py", "evaluate.py", "inspect_checkpoint.py", "convert_gpu_cpu_checkpoint.py"]
)
def test_help(script):
    """A checkpoint may be the original's, and no default is empty."""
    done = run(script, "-help")
    assert done.returncode == 0 and "(default: )" not in done.stdout
    assert script == "train.py" or ".t7" in done.stdout


def test_a_primetext_without_a_sampled_text_is_not_ignored(checkpoint):
    refused(run("evaluate.py", checkpoint, "-gpuid=-1", "-primetext=one"), "-primetext is for -novelty")


@pytest.mark.parametrize("start", [b"\xe9t\xe9", "été".encode("utf-16")])
def test_a_text_in_another_encoding_than_the_model_s_needs_to_be_converted(start, checkpoint, tmp_path):
    (tmp_path / "input.txt").write_bytes(start)
    for words in (["evaluate.py", checkpoint, "-gpuid=-1"], ["visualize.py", checkpoint, "-output=page"]):
        for which in ("-file=input.txt", "-data_dir=."):
            done = run(*words, which, cwd=tmp_path)
            told(done, "input.txt is not utf-8 text", "convert it or, for a new model, try -encoding")
    assert names(tmp_path) == {"input.txt"}


def test_pieces_of_a_file_do_not_depend_on_the_batches_of_the_run(checkpoint, tmp_path):
    """And what is predicted does not depend on the pieces."""
    model = load_checkpoint(checkpoint)
    assert (model.options["batch_size"], model.options["seq_length"]) == (5, 5)
    (tmp_path / "text").write_text("one two three\n" * 500)
    task = evaluate.predict_file(model, Source(tmp_path / "text"))
    sizes = [x.size for x, _ in task.batches]
    assert sizes == [evaluate.PIECE] * (6999 // evaluate.PIECE) + [6999 % evaluate.PIECE] * (6999 % evaluate.PIECE > 0)

    losses = []
    for piece in (7, evaluate.PIECE):
        done = run("evaluate.py", checkpoint, "-gpuid=-1", "-file", tmp_path / "text", prepare=Pieces(piece))
        losses.append(float(done.stdout.split("loss per character: ")[1].split()[0]))
    np.testing.assert_allclose(*losses, rtol=1e-6)


class Pieces:
    """To prepare evaluate.py with: pieces of so many characters."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __call__(self) -> None:
        evaluate.PIECE = self.size
