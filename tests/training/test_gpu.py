"""A CUDA GPU gives what the CPU gives; skipped where there is none."""

import re
import shlex
import subprocess
import sys

import pytest
import torch

from tests.helpers.golden import RUNS
from tests.helpers.inputs import ROOT, SMALL, numbers
from tests.helpers.runs import finish

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU"),
]


def losses(folder, *flags):
    command = [sys.executable, ROOT / "train.py", *map(str, flags), "-data_dir", str(folder)]
    done = subprocess.run([*command, "-checkpoint_dir", folder / "cv"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0 and "could not be captured" not in done.stderr, done.stderr
    return [float(loss) for loss in re.findall(r"train_loss = (\S+),", done.stdout)]


@pytest.mark.parametrize("name", [name for name in RUNS if name != "lstm_init_from"])
def test_double_precision_equals_the_reference(name, tmp_path):
    (tmp_path / "input.txt").write_bytes(numbers(1500))
    run = RUNS[name]
    found = losses(tmp_path, *shlex.split(run["flags"]), "-dtype", "float64", "-gpuid", "0")
    assert max(abs(a - b) for a, b in zip(found, run["train_loss"], strict=True)) <= 2e-8


@pytest.mark.parametrize("model", ["lstm", "gru", "rnn"])
def test_single_precision_equals_the_cpu_but_for_rounding(model, tmp_path):
    (tmp_path / "input.txt").write_bytes(numbers(1500))
    flags = ["-model", model, "-max_epochs", 1, "-rnn_size", 32, "-batch_size", 20]
    gpu, cpu = losses(tmp_path, *flags, "-gpuid", 0), losses(tmp_path, *flags, "-gpuid", -1)
    assert max(abs(a - b) for a, b in zip(gpu[:20], cpu[:20], strict=True)) <= 1e-4


def test_losses_that_are_not_printed_are_not_lost(tmp_path):
    (tmp_path / "input.txt").write_bytes(numbers(140))
    flags = [*SMALL[1:], "-gpuid", 0, "-max_epochs", 1]
    often, seldom = losses(tmp_path, *flags), losses(tmp_path, *flags, "-print_every", 10)
    assert seldom == often[9::10]


def test_a_run_goes_on_from_a_gpu_on_a_cpu(tmp_path):
    (tmp_path / "input.txt").write_bytes(numbers(140))
    losses(tmp_path, *SMALL[1:], "-gpuid", 0, "-max_epochs", 1)
    run = finish(tmp_path, "-resume", "cv", "-max_epochs", 2, "-gpuid", -1, "-data_dir", ".")
    assert run.status == 0 and "this run was on cuda; on another device its last digits will differ" in run.out
