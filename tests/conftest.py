"""What several test files need: a small corpus, a checkpoint trained on it, and the scripts run as a user does."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.helpers.inputs import ROOT

TINY_MODEL = ["-gpuid=-1", "-rnn_size=4", "-num_layers=1", "-batch_size=5", "-seq_length=5", "-max_epochs=1"]
Run = Callable[..., subprocess.CompletedProcess]


def command(script: str, *arguments: object) -> list[str]:
    return [sys.executable, str(ROOT / script), *map(str, arguments)]


def environment() -> dict[str, str]:
    """Of the scripts: one thread, since the models are too small for a second to help."""
    return os.environ | {"OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="session")
def run_script() -> Run:
    """run_script(script, *arguments, **options of subprocess.run): what the finished process wrote and its status."""

    def run(script: str, *arguments: object, **options: object) -> subprocess.CompletedProcess:
        settings = {"capture_output": True, "text": True, "timeout": 60, "env": environment()}
        return subprocess.run(command(script, *arguments), **settings | options)

    return run


@pytest.fixture(scope="session")
def corpus() -> bytes:
    """The names of the first 200 numbers: 4341 bytes of ASCII, 27 characters."""
    script = ROOT / "tests" / "golden" / "numbers_corpus.py"
    return subprocess.run([sys.executable, script, "200"], capture_output=True, check=True).stdout


@pytest.fixture
def data_dir(tmp_path: Path, corpus: bytes) -> Path:
    """A folder of its own with the corpus in it."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "input.txt").write_bytes(corpus)
    return folder


@pytest.fixture(scope="session")
def checkpoint(run_script: Run, corpus: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that train.py wrote."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "input.txt").write_bytes(corpus)
    done = run_script("train.py", *TINY_MODEL, "-data_dir", folder, "-checkpoint_dir", folder / "cv")
    assert done.returncode == 0, done.stderr
    (path,) = (folder / "cv").iterdir()
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
