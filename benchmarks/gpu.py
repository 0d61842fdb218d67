"""Times a training step on a GPU: ours as train.py runs it, and torch.nn's layers, eager and captured as one graph.

    python benchmarks/gpu.py

Each with float32 products and with TF32, ours also with dropout; counts our kernels, and times the start of a default
run. torch.nn gets its batch for nothing, since it is on the GPU already; ours reads it from the text.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import nll_loss
from train_step import TorchModel

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from model.char_rnn import CharRNN
from model.fast.launch import why_not
from train import flags
from util.text.batches import Batches
from util.torch7_random import Torch7Random
from util.training.processes import Processes
from util.training.trainer import Trainer

VOCABULARY, LAYERS = 65, 2
PRECISIONS = {"float32": "highest", "TF32": "medium"}


def main() -> None:
    parser = argparse.ArgumentParser(description="Times a training step on a GPU.")
    parser.add_argument("-model", nargs="+", default=["lstm", "gru", "rnn"], choices=("lstm", "gru", "rnn"))
    parser.add_argument("-rnn_size", type=int, nargs="+", default=[128, 512, 1024])
    parser.add_argument("-batch_size", type=int, default=50)
    parser.add_argument("-seq_length", type=int, default=50)
    parser.add_argument("-seconds", type=float, default=0.4, help="how long each step is repeated")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("this benchmark needs a CUDA GPU, and torch finds none here")
    device = torch.device("cuda", torch.cuda.current_device())
    print(f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}; ms a step, and kernels in one of ours")
    print(f"our kernels are used{f' not: {why_not(device)}' if why_not(device) else ''}\n")
    columns = ("ours", "kernels", "-dropout 0.5", "torch.nn", "in a graph")
    for precision, switch in PRECISIONS.items():
        torch.set_float32_matmul_precision(switch)
        torch.backends.cudnn.allow_tf32 = switch == "medium"
        print(f"{precision:14} " + " ".join(f"{column:>12}" for column in columns))
        for model in options.model:
            for rnn_size in options.rnn_size:
                figures = measure(model, rnn_size, options)
                title = f"{model} {LAYERS}x{rnn_size}"
                print(f"{title:14} " + " ".join(f"{figure:>12}" for figure in figures), flush=True)
    print(f"\nfrom the command to iteration 100 of a default run: {seconds_to_iteration(100):.1f} s")


def measure(model: str, rnn_size: int, options: Namespace) -> list[str]:
    """Returns one line of the table."""
    ours = trainer(model, rnn_size, 0.0, options)
    plain = milliseconds(ours.step, options.seconds)
    kernels = count_kernels(ours.step)
    dropout = milliseconds(trainer(model, rnn_size, 0.5, options).step, options.seconds)
    # A model each, since autograd remembers the stream that a model first ran on.
    eager, graph = torch_step(model, rnn_size, options), captured(torch_step(model, rnn_size, options))
    times = [milliseconds(step, options.seconds) for step in (eager, graph)]
    return [f"{plain:.2f}", str(kernels), f"{dropout:.2f}", *(f"{time:.2f}" for time in times)]


def milliseconds(step: Callable[[], object], seconds: float) -> float:
    """Returns how long a step takes, when the GPU never waits for one to start: the best of three rounds."""
    for _ in range(5):  # among which are compiling and capturing
        step()
    count, best = 10, float("inf")
    for _ in range(4):
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(count):
            step()
        torch.cuda.synchronize()
        best = min(best, (time.perf_counter() - start) / count)
        count = max(5, round(seconds / 3 / best))
    return 1000 * best


def count_kernels(step: Callable[[], object]) -> int:
    """Returns how many kernels a step launches, those of its graph included."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA], acc_events=True) as profile:
        step()
        torch.cuda.synchronize()
    on_gpu = [event.name for event in profile.events() if event.device_type == torch.autograd.DeviceType.CUDA]
    return sum(not name.startswith(("Memcpy", "Memset")) for name in on_gpu)


def trainer(model: str, rnn_size: int, dropout: float, given: Namespace) -> Trainer:
    """Returns one of the default flags, on a text of random characters."""
    options = flags().parse(["-batch_size", str(given.batch_size), "-seq_length", str(given.seq_length)])
    options.dropout = dropout
    indices = np.random.default_rng(1).integers(0, VOCABULARY, 1_000_000).astype(np.uint8)
    batches = Batches(indices, options.batch_size, options.seq_length, options.train_frac, options.val_frac)
    network = CharRNN(VOCABULARY, rnn_size, LAYERS, model).cuda()
    network.initialize(Torch7Random(1).uniform)
    return Trainer(network, batches, Processes(), options)


def torch_step(model: str, rnn_size: int, options: Namespace) -> Callable[[], None]:
    """Returns a step of torch.nn's layers on a batch that stays on the GPU."""
    network = TorchModel(VOCABULARY, rnn_size, LAYERS, model).cuda()
    optimizer = torch.optim.RMSprop(network.parameters(), 2e-3, alpha=0.95, eps=1e-8, capturable=True)
    B = options.batch_size
    x, y = torch.randint(0, VOCABULARY, (2, options.seq_length, B), device="cuda").unbind()
    states = [torch.zeros(LAYERS, B, rnn_size, device="cuda") for _ in range(2 if model == "lstm" else 1)]

    def step() -> None:
        log_probs, last = network(x, tuple(states) if model == "lstm" else states[0])
        loss = nll_loss(log_probs.flatten(0, 1), y.flatten(), reduction="sum") / B
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_value_(network.parameters(), 5)
        optimizer.step()
        for state, new in zip(states, [last] if isinstance(last, Tensor) else last):  # type: ignore[call-overload]
            state.copy_(new.detach())

    return step


def captured(step: Callable[[], None]) -> Callable[[], None]:
    """Returns the step as one CUDA graph."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        step()

    def replay(step: Callable[[], None] = step) -> None:  # which holds the tensors that the graph uses
        graph.replay()

    return replay


def seconds_to_iteration(number: int) -> float:
    """Returns how long `python train.py` takes until it prints the line of an iteration."""
    with tempfile.TemporaryDirectory() as folder:
        text = np.random.default_rng(1).integers(32, 32 + VOCABULARY, 1_000_000).astype(np.uint8)
        (Path(folder) / "input.txt").write_bytes(text.tobytes())
        command = [sys.executable, str(ROOT / "train.py"), "-data_dir", folder, "-checkpoint_dir", folder]
        start = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            assert process.stdout
            reached = any(line.startswith(f"{number}/") for line in process.stdout)
            seconds = time.perf_counter() - start
            process.kill()
    return seconds if reached else float("nan")


if __name__ == "__main__":
    main()
