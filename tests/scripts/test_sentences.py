"""Small things that scripts say, or do, whatever the terminal and the checkpoint are like."""

import os
import subprocess

import numpy as np
import pytest

import evaluate
from tests.helpers.folders import names
from tests.helpers.refusals import refused, told
from tests.helpers.scripts import command, environment, run
from util.checkpoint.store import load_checkpoint


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_a_primetext_is_named_as_it_was_typed(locale, checkpoint):
    """Without coercion, the C locale of a terminal garbles what is not ASCII."""
    plain = environment(LC_ALL=locale, PYTHONCOERCECLOCALE="0", PYTHONUTF8="0", PYTHONIOENCODING="utf-8")
    words = [os.fsencode(word) for word in command("sample.py", checkpoint, "-verbose=0", "-primetext")]
    for typed, shown in (("é".encode(), "'é'"), (b"\xe9", r"\udce9")):
        done = subprocess.run([*words, typed], capture_output=True, env=plain)
        told(subprocess.CompletedProcess([], done.returncode, "", done.stderr.decode()), shown, "-unknown_chars")


def test_a_primetext_without_a_sampled_text_is_not_ignored(checkpoint):
    refused(run("evaluate.py", checkpoint, "-gpuid=-1", "-primetext=one"), "-primetext is for -novelty")


def test_a_text_in_another_encoding_is_not_answered_with_a_flag_of_another_script(checkpoint, tmp_path):
    """The encoding of a trained model cannot be chosen."""
    (tmp_path / "input.txt").write_bytes(b"\xe9t\xe9")
    for words in (["evaluate.py", checkpoint, "-gpuid=-1"], ["visualize.py", checkpoint, "-output=page"]):
        for which in ("-file=input.txt", "-data_dir=."):
            done = run(*words, which, cwd=tmp_path)
            told(done, "input.txt is not utf-8 text", "which is what the model was trained on; convert it")
            assert "-encoding" not in done.stderr
    assert names(tmp_path) == {"input.txt"}


def test_pieces_of_a_file_do_not_depend_on_the_batches_of_the_run(checkpoint, tmp_path):
    """And what is predicted does not depend on the pieces."""
    model = load_checkpoint(checkpoint)
    assert (model.options["batch_size"], model.options["seq_length"]) == (5, 5)
    (tmp_path / "text").write_text("one two three\n" * 500)
    task = evaluate.predict_file(model, tmp_path / "text")
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
