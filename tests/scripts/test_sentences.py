"""Small things that scripts say, or do, whatever the terminal and the checkpoint are like."""

import os
import subprocess

import numpy as np
import pytest

import evaluate
from tests.helpers.folders import names
from tests.helpers.refusals import refused
from tests.helpers.scripts import command, environment, run_here
from util.checkpoint.store import load_checkpoint


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_a_primetext_is_named_as_it_was_typed(locale, checkpoint):
    """Without coercion, the C locale of a terminal garbles what is not ASCII."""
    plain = environment(LC_ALL=locale, PYTHONCOERCECLOCALE="0", PYTHONUTF8="0", PYTHONIOENCODING="utf-8")
    words = [os.fsencode(word) for word in command("sample.py", checkpoint, "-verbose=0", "-primetext")]
    for typed, shown in (("é".encode(), "'é'"), (b"\xe9", r"\udce9")):
        done = subprocess.run([*words, typed], capture_output=True, env=plain)
        refused(done, shown, "-unknown_chars")


def test_a_primetext_without_a_sampled_text_is_not_ignored(checkpoint):
    refused(run_here("evaluate.py", checkpoint, "-gpuid=-1", "-primetext=one"), "-primetext is for -novelty")


def test_a_text_in_another_encoding_is_not_answered_with_a_flag_of_another_script(checkpoint, tmp_path):
    """The encoding of a trained model cannot be chosen."""
    (tmp_path / "input.txt").write_bytes(b"\xe9t\xe9")
    for script in ("evaluate.py", "visualize.py"):
        for which in (["-file", tmp_path / "input.txt"], ["-data_dir", tmp_path]):
            done = run_here(script, checkpoint, "-gpuid=-1", *which)
            refused(done, "input.txt is not utf-8 text", "which is what the model was trained on; convert it")
            assert b"-encoding" not in done.stderr
    assert names(tmp_path) == {"input.txt"}


def test_pieces_of_a_file_do_not_depend_on_the_batches_of_the_run(checkpoint, tmp_path, monkeypatch):
    """And what is predicted does not depend on the pieces."""
    model = load_checkpoint(checkpoint)
    assert (model.options["batch_size"], model.options["seq_length"]) == (5, 5)
    (tmp_path / "text").write_text("one two three\n" * 500)
    task = evaluate.predict_file(model, tmp_path / "text")
    sizes = [x.size for x, _ in task.batches]
    assert sizes == [evaluate.PIECE] * (6999 // evaluate.PIECE) + [6999 % evaluate.PIECE] * (6999 % evaluate.PIECE > 0)

    losses = []
    for piece in (evaluate.PIECE, 7):
        monkeypatch.setattr(evaluate, "PIECE", piece)
        done = run_here("evaluate.py", checkpoint, "-gpuid=-1", "-file", tmp_path / "text")
        losses.append(float(done.stdout.split(b"loss per character: ")[1].split()[0]))
    np.testing.assert_allclose(*losses, rtol=1e-6)
