"""Texts and a checkpoint that many tests need."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy and torch read it: the workers share the cores already

import numpy as np
import pytest

from tests.helpers.inputs import TINY, numbers
from tests.helpers.scripts import run
from util.checkpoint.content import Checkpoint
from util.checkpoint.store import save_checkpoint
from util.text.vocabulary import Vocabulary

# A shell without job control starts what runs in the background with Ctrl-C ignored, and nohup with a hangup ignored,
# which the scripts would inherit.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session")
def corpus() -> bytes:
    """The names of the first 200 numbers: 4341 bytes of ASCII, 32 different characters."""
    return numbers(200)


@pytest.fixture
def data_dir(tmp_path: Path, corpus: bytes) -> Path:
    """A folder of its own with the corpus in it."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "input.txt").write_bytes(corpus)
    return folder


@pytest.fixture(scope="session")
def small_text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the text that the flags SMALL are for, for all runs that change nothing there."""
    folder = tmp_path_factory.mktemp("small_text")
    (folder / "input.txt").write_bytes(numbers(140))
    return folder


@pytest.fixture(scope="session")
def long_text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the text of the golden runs, for all runs that change nothing there."""
    folder = tmp_path_factory.mktemp("long_text")
    (folder / "input.txt").write_bytes(numbers(1500))
    return folder


@pytest.fixture(scope="session")
def checkpoint(corpus: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that train.py wrote, of a TINY model of the corpus, after 164 iterations."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "input.txt").write_bytes(corpus)
    done = run("train.py", *TINY, "-max_epochs=1", "-data_dir", folder, "-checkpoint_dir", folder / "cv")
    assert done.returncode == 0, done.stderr
    (path,) = (folder / "cv").iterdir()
    return path


@pytest.fixture(scope="session")
def unicode_checkpoint(tmp_path_factory) -> Path:
    """A model of characters, not bytes, untrained: it draws all sorts of them."""
    from model.char_rnn import CharRNN

    vocabulary = Vocabulary("\n aeAéß道😀\u05d0\u0301", "utf-8")
    network = CharRNN(len(vocabulary), 3, 1, "gru")
    path = tmp_path_factory.mktemp("unicode") / "x.pt"
    options = {"model": "gru", "rnn_size": 3, "num_layers": 1, "batch_size": 1, "seq_length": 1, "dropout": 0.0}
    parameters = {name: parameter.detach().numpy() for name, parameter in network.named_parameters()}
    save_checkpoint(Checkpoint(options, vocabulary, parameters, 0, 0.0, np.zeros(0), {}, None), path)
    return path


@pytest.fixture
def read_only_dir(corpus: bytes) -> Iterator[Path]:
    """A folder with the corpus in it that everybody can read and nobody but root can write to."""
    # Not in tmp_path, whose parents only their owner can enter.
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "input.txt").write_bytes(corpus)
        folder.chmod(0o555)
        yield folder
        folder.chmod(0o755)


@pytest.fixture
def matplotlib():
    """The package, without which a test of pictures is left out."""
    return pytest.importorskip("matplotlib")
