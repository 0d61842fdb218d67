"""What a user of train.py can get wrong: one sentence that names the thing and the way out."""

import re
from functools import partial

import pytest

from tests.helpers.folders import files
from tests.helpers.inputs import TINY
from tests.helpers.refusals import told
from tests.helpers.scripts import run


@pytest.fixture
def train(data_dir, tmp_path):
    """train(*flags): runs train.py on a small text and model; later flags overrule."""
    return partial(run, "train.py", *TINY, "-data_dir", data_dir, "-checkpoint_dir", tmp_path / "cv")


def test_what_is_no_text_is_left_alone(train, data_dir, tmp_path):
    told(train("-data_dir", tmp_path / "nowhere"), f"there is no {tmp_path / 'nowhere' / 'input.txt'}", "-data_dir")
    (data_dir / "input.txt").write_bytes(b"abc\xe9" * 100)
    told(train(), "offset 3", "-encoding latin-1 or bytes")
    told(train("-encoding", "klingon"), "'klingon' is not a text encoding", "utf-8")
    assert files(data_dir) == {"input.txt"}


def test_a_name_that_is_too_long(train):
    name = "x" * 300
    told(train("-data_dir", name), name, "file name too long")
    told(train("-init_from", name), name, "file name too long")
    told(train("-checkpoint_dir", name), name, "-checkpoint_dir")
    told(train("-savefile", name), "-savefile")
    told(train("-savefile", "../x"), "-savefile", "'../x'", "-checkpoint_dir")


def test_too_little_text_for_the_splits(train):
    """One batch, so none for training; none for validation, of many; none at all."""
    one, few = ["-batch_size=1", "-seq_length=4341"], ["-train_frac=0.5", "-val_frac=0.001"]
    for flags in (one, few, [f"-batch_size={10**18}"]):
        told(train(*flags), "batches for training", "for validation", "-batch_size", "-seq_length", "-train_frac")


def test_a_small_text_costs_a_warning(train):
    done = train("-batch_size", "40", "-train_frac", "1")
    told(done, "21 batches for training and 0 for validation")
    assert done.stderr.startswith("warning: the text is short: 4341 characters make only 21 batches of 40 x 5; ")
    # What it proposes will do.
    sizes = re.search(r"(-batch_size) (\d+) (-seq_length) (\d+) would make \d+", done.stderr).groups()
    assert "the text is short" not in train(*sizes, "-max_epochs", "1").stderr


def test_fractions_that_leave_too_little_for_a_split_cost_a_warning(train):
    done = train("-batch_size", "5", "-train_frac", "0.97", "-max_epochs", "1")
    assert re.search(r"^warning: -train_frac 0.97 and -val_frac \S+ leave \d+ batches for training", done.stderr, re.M)
    done = train("-batch_size", "5", "-max_epochs", "1", "-separator=-")
    assert done.stderr.startswith("warning: -separator has no effect without -files\n")
    assert "-train_frac" not in done.stderr


def test_a_folder_that_is_none(train, tmp_path):
    (tmp_path / "file").write_text("one two\n" * 200)
    for name in ("nowhere", "file"):
        done = train("-data_dir", tmp_path / name, "-files=*")
        told(done, f"{tmp_path / name} is no folder; -data_dir takes the one")
    (tmp_path / "loop").symlink_to("loop")
    told(train("-data_dir", tmp_path / "loop"), f"there is no {tmp_path}/loop/input.txt")
    told(train("-log_csv", tmp_path / "loop"), f"cannot write {tmp_path}/loop: ")


@pytest.mark.parametrize(
    "flags", [["-rnn_size", str(10**18)], ["-num_layers", str(10**9)], ["-rnn_size", "1", "-num_layers", str(10**7)]]
)
def test_sizes_beyond_the_machine(train, flags):
    """Many small layers, too: each takes more than its parameters."""
    told(train(*flags), "the model needs more than", "GB", "-rnn_size")


def test_a_checkpoint_that_is_missing_or_does_not_know_the_text(train, checkpoint, data_dir):
    told(train("-init_from", data_dir / "x.pt"), f"there is no checkpoint {data_dir / 'x.pt'}")
    (data_dir / "input.txt").write_text("zebra crossing, QUIZ é\n" * 100)
    told(train("-init_from", checkpoint), "',', 'I', 'Q', 'U', 'Z', ...", "never seen")


def test_a_loss_that_is_not_a_number(train, tmp_path):
    told(train("-learning_rate", "1e37"), "the loss is not a number", "no checkpoint", "-learning_rate")
    assert files(tmp_path / "cv") == set()
