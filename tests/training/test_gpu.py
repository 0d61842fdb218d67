"""A CUDA GPU computes what the CPU computes; skipped if there is none."""

import os
import re
import shlex
import subprocess
import sys

import pytest
import torch

from model.char_rnn import CharRNN
from model.fast import launch, unrolled
from tests.helpers.checkpoints import checkpoints, same
from tests.helpers.golden import RUNS
from tests.helpers.inputs import GOLDEN, ROOT, SMALL, numbers
from util.checkpoint.store import load_checkpoint
from util.torch7_random import Torch7Random

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU"),
]


SLOWER = "warning: training will be slower than it could be: "


def train(folder, *flags, cv="cv", slower=False, **environment):
    """A run, in which the GPU was really used if it was asked for, with its kernels unless `slower`."""
    command = [sys.executable, ROOT / "train.py", *map(str, flags), "-data_dir", str(folder)]
    command += ["-checkpoint_dir", folder / cv]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=os.environ | environment)
    assert done.returncode == 0 and "could not be captured" not in done.stderr, done.stderr
    assert done.stderr.count(SLOWER) == slower, done.stderr
    newest = max((folder / cv).glob("*.pt"), key=os.path.getmtime)
    assert load_checkpoint(newest).training["device"] == ("cpu" if -1 in flags else "cuda"), done.stdout
    return done.stdout


def losses(folder, *flags):
    return [float(loss) for loss in re.findall(r"train_loss = (\S+),", train(folder, *flags))]


@pytest.mark.parametrize("name", [name for name in RUNS if name != "lstm_init_from" and "dropout" not in name])
def test_double_precision_equals_the_original(name, tmp_path):
    """Without dropout, for which a GPU draws other numbers."""
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


@pytest.mark.parametrize("model", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize(("rnn_size", "batch_size"), [(128, 50), (130, 17), (512, 1), (1030, 50)])
def test_the_kernels_compute_what_the_plain_cells_compute(model, rnn_size, batch_size, monkeypatch):
    device = torch.device("cuda:0")
    assert not launch.why_not(device)
    generator = torch.Generator(device).manual_seed(1)
    x = torch.randint(0, 65, (7, batch_size), generator=generator, device=device)
    found = []
    for kernel_steps in (unrolled.kernel_steps, lambda *_: None):
        monkeypatch.setattr(unrolled, "kernel_steps", kernel_steps)
        network = CharRNN(65, rnn_size, 2, model).to(device)
        network.initialize(Torch7Random(1).uniform)
        log_probs, state = network(x, network.zero_state(batch_size))
        assert network.layers[0]._learning.all_steps.in_kernels == (not found)
        (log_probs[..., 3].sum() / batch_size).backward()
        found.append([log_probs.detach().clone(), state, *(p.grad.clone() for p in network.parameters())])
    for ours, plain in zip(*found, strict=True):
        assert ((ours - plain).norm() / plain.norm()).item() < 1e-5


def test_without_a_compiler_a_warning_says_so_and_the_plain_operations_run(tmp_path):
    (tmp_path / "input.txt").write_bytes(numbers(140))
    flags = [*SMALL[1:], "-gpuid", 0, "-max_epochs", 1, "-seed", 3]
    with_kernels = train(tmp_path, *flags, cv="a")
    hidden = {"PATH": str(tmp_path), "CC": str(tmp_path / "cc"), "TRITON_CACHE_DIR": str(tmp_path / "cache")}
    without = train(tmp_path, *flags, cv="b", slower=True, **hidden)
    a, b = (re.findall(r"train_loss = (\S+),", out) for out in (with_kernels, without))
    assert len(a) == 57 and max(abs(float(x) - float(y)) for x, y in zip(a, b, strict=True)) < 1e-3


def test_a_model_that_the_gpu_has_no_memory_for_is_refused(tmp_path):
    (tmp_path / "input.txt").write_bytes(numbers(1500))
    size = int((torch.cuda.get_device_properties(0).total_memory / 8 / 12) ** 0.5) + 1000  # 12 H² parameters, and more
    command = [sys.executable, ROOT / "train.py", "-rnn_size", str(size), "-data_dir", "."]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1 and "the model needs more than" in done.stderr and "-rnn_size" in done.stderr


def test_a_run_moves_between_the_devices(tmp_path):
    (tmp_path / "input.txt").write_bytes(numbers(140))
    train(tmp_path, *SMALL[1:], "-max_epochs", 1, "-dropout", 0.3, "-gpuid", -1)
    train(tmp_path, "-resume", tmp_path / "cv", "-max_epochs", 2, "-gpuid", 0)
    train(tmp_path, "-resume", tmp_path / "cv", "-max_epochs", 3, "-gpuid", -1)


@pytest.mark.parametrize(
    ("model", "vocabulary"), [("lstm", "small"), ("gru", "small"), ("rnn", "small"), ("lstm", "large")]
)
def test_the_same_run_twice_is_the_same_run_and_so_is_a_resumed_one(model, vocabulary, tmp_path):
    text = numbers(140).decode() if vocabulary == "small" else "".join(chr(0x4E00 + i * i % 2111) for i in range(2471))
    (tmp_path / "input.txt").write_text(text, "utf-8")
    flags = [*SMALL[1:], "-gpuid", 0, "-model", model, "-dropout", 0.3, "-eval_val_every", 30, "-seed", 5]
    for cv in ("one", "two"):
        train(tmp_path, *flags, "-max_epochs", 2, cv=cv)
    train(tmp_path, *flags, "-max_epochs", 1, cv="three")
    train(tmp_path, "-resume", tmp_path / "three", "-max_epochs", 2, cv="three")
    found = [checkpoints(tmp_path / cv) for cv in ("one", "two", "three")]
    for name, checkpoint in found[0].items():
        assert same(checkpoint, found[1][name])
    last = max(found[0], key=lambda name: found[0][name].iteration)
    assert same(found[0][last].parameters, found[2][last].parameters)
    assert same(found[0][last].train_losses, found[2][last].train_losses)


@pytest.mark.parametrize("flags", [["-num_samples=1"], ["-num_samples=3"]])
def test_sampling_gives_the_text_of_the_cpu(flags):
    command = [sys.executable, ROOT / "sample.py", GOLDEN / "lstm.t7", "-length=300", "-verbose=1", *flags]
    gpu, cpu = (subprocess.run([*command, f"-gpuid={n}"], capture_output=True, check=True) for n in (0, -1))
    assert gpu.stdout == cpu.stdout and b"continuing on the CPU" not in gpu.stderr


def test_evaluating_gives_the_loss_of_the_cpu(tmp_path):
    (tmp_path / "input.txt").write_bytes(numbers(200))
    command = [sys.executable, ROOT / "evaluate.py", GOLDEN / "gru.t7", "-file", tmp_path / "input.txt"]
    runs = [subprocess.run([*command, f"-gpuid={n}"], capture_output=True, text=True, check=True) for n in (0, -1)]
    assert "continuing on the CPU" not in runs[0].stderr
    gpu, cpu = (float(re.findall(r"loss per \w+: (\S+) nats", run.stdout)[0]) for run in runs)
    assert abs(gpu - cpu) < 1e-9


def test_memory_does_not_grow_over_learning_rate_decays():
    from tests.helpers.fake_gpu import trainer  # any trainer; nothing is imitated here

    torch.cuda.set_device(0)
    found = trainer("lstm", device="cuda")
    reserved = []
    for step in range(200):
        found.step()
        if step % 10 == 9:
            found.learning_rate *= 0.9
            reserved.append(torch.cuda.memory_reserved())
    assert found._compute._graph is not None and reserved[1:] == reserved[1:2] * 19
