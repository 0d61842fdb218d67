"""New characters in an old model: what it knew stays, and the new ones can be learned."""

import re
from dataclasses import replace

import numpy as np
import pytest

from model.shapes import parameter_shapes
from tests.helpers.checkpoints import log_probs
from tests.helpers.inputs import GOLDEN, SMALL, numbers
from tests.helpers.refusals import refused_to_train
from tests.helpers.runs import finish
from tests.helpers.scripts import run_here
from util.checkpoint.content import Checkpoint, checked
from util.checkpoint.new_characters import SHARE, add_characters
from util.checkpoint.store import load_checkpoint
from util.text.vocabulary import Vocabulary


def random_checkpoint(cell, dtype="float64", scale=2.0, V=12, H=6):
    rng = np.random.default_rng(3)
    shapes = parameter_shapes(V, H, 2, cell)
    parameters = {name: rng.uniform(-scale, scale, shape).astype(dtype) for name, shape in shapes.items()}
    options = {"model": cell, "rnn_size": H, "num_layers": 2, "batch_size": 3, "seq_length": 5, "dropout": 0.0}
    return Checkpoint(options, Vocabulary("abcdefghijklmnop"[:V], "utf-8"), parameters, 0, 0.0, np.zeros(0), {}, None)


def grown_by(checkpoint, new):
    vocabulary = Vocabulary(checkpoint.vocabulary.characters + new, "utf-8")
    return checked(
        replace(checkpoint, vocabulary=vocabulary, parameters=add_characters(checkpoint.parameters, len(new), 5))
    )


@pytest.mark.parametrize(("count", "scale"), [(1, 0.05), (1000, 20.0)])
@pytest.mark.parametrize(("cell", "dtype"), [("lstm", "float32"), ("gru", "float64"), ("rnn", "float32")])
def test_new_characters_take_little_after_any_text(cell, dtype, count, scale):
    before = random_checkpoint(cell, dtype, scale)
    V, new = len(before.vocabulary), "".join(map(chr, range(0x4E00, 0x4E00 + count)))
    after = grown_by(before, new)
    assert after.dtype == dtype
    indices = np.random.default_rng(7).integers(0, V, 200)
    old, grown = log_probs(before, indices).astype(np.float64), log_probs(after, indices).astype(np.float64)
    rounding = 1e-12 if dtype == "float64" else 1e-4 if scale > 10 else 1e-5
    moved = old - grown[:, :V]
    assert moved.min() > -rounding
    assert moved.max() < np.log(1 + SHARE) + rounding
    taken = np.exp(grown[:, V:]).sum(axis=1)
    assert taken.max() <= SHARE and (taken.min() > 0.9 * SHARE or scale > 10)  # enough to be learned
    # After new characters, too.
    indices = np.random.default_rng(8).integers(0, V + count, 200)
    assert np.exp(log_probs(after, indices)[:, V:].astype(np.float64)).sum(axis=1).max() <= SHARE


def test_what_was_there_stays_where_it_was():
    before = random_checkpoint("gru").parameters
    copies = {name: array.copy() for name, array in before.items()}
    after = add_characters(before, 2, seed=5)
    V = len(before["decoder.bias"])
    for name, array in copies.items():
        assert np.array_equal(before[name], array)
        grown = name in ("layers.0.i2h_weight", "decoder.weight", "decoder.bias")
        assert np.array_equal(after[name][:V] if grown else after[name], array)
    rows, again, other = (add_characters(before, 2, seed)["layers.0.i2h_weight"][V:] for seed in (5, 5, 6))
    assert np.array_equal(rows, again) and not np.array_equal(rows, other)
    assert 0.06 < np.abs(rows).max() < 0.08 and len(np.unique(rows)) == rows.size


def test_which_are_unknown():
    before = random_checkpoint("lstm")
    assert before.vocabulary.unknown("zébra") == "rzé"
    assert before.vocabulary.unknown("cab") == "" and add_characters(before.parameters, 0, 5) == before.parameters
    assert Vocabulary("", "utf-8").named("rzé\n") == "'r', 'z', 'é', '\\n'"
    assert Vocabulary("", "bytes").named("a\xc3") == "b'a', b'\\xc3'"
    assert Vocabulary("", "utf-8").named("abcdef", most=2) == "'a', 'b', ..."


def test_a_model_of_characters_does_not_continue_with_bytes(unicode_checkpoint, small_text):
    done = run_here("train.py", *SMALL, "-data_dir", small_text, "-init_from", unicode_checkpoint, "-encoding=bytes")
    refused_to_train(done, f"{unicode_checkpoint} knows characters that are not bytes", "-encoding bytes")


@pytest.mark.parametrize("source", ["rnn.t7", "torch_rnn/lstm_2x32_dropout_bn.t7"])
def test_they_are_learned(tmp_path, source):
    """A run on a text with new characters starts where the old model stood, and ends up knowing them."""
    text = numbers(60).decode().replace("one", "øne")
    (tmp_path / "input.txt").write_bytes(text.encode())
    before = load_checkpoint(GOLDEN / source)
    characters = text if before.vocabulary.encoding == "utf-8" else text.encode().decode("latin-1")
    new = before.vocabulary.unknown(characters)
    flags = (*SMALL, f"-data_dir={tmp_path}", f"-init_from={GOLDEN / source}", "-max_epochs=8", "-seed=5")
    refused_to_train(run_here("train.py", *flags), "-new_chars add")
    done = finish(tmp_path, *flags, "-new_chars=add")
    assert done.status == 0, done.err
    assert f"added {len(new)} characters that the checkpoint does not know: " in done.out
    losses = [float(loss) for loss in re.findall("train_loss = ([0-9.]+)", done.out)]
    after = load_checkpoint(max((tmp_path / "cv").iterdir(), key=lambda path: load_checkpoint(path).iteration))
    assert after.vocabulary.characters == before.vocabulary.characters + new
    assert np.mean(losses[-10:]) < 0.7 * np.mean(losses[:10])
    assert ("batch normalization is now part of its weights" in done.out) == ("bn" in source)
    assert "batchnorm" not in after.options and after.options["dropout"] == before.options["dropout"]
