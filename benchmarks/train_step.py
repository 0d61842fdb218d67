"""Times a training step: ours, torch.nn's layers, a plain autograd loop, and the bare matrix products.

    python benchmarks/train_step.py -model lstm gru rnn -rnn_size 128 512
    python benchmarks/train_step.py -dtype bfloat16 -rnn_size 512       torch.nn under autocast

All alternate step by step in one process, so that noise on the machine affects them alike. The bare products are a
floor: no implementation of the model can do without them.
"""

import argparse
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import nll_loss, one_hot

sys.path.insert(0, str(Path(__file__).parent.parent))

from model.cells import CELLS
from model.char_rnn import CharRNN
from util.torch7_random import Torch7Random
from util.training.optimizer import FlatParameters, RMSprop

Step = Callable[[Tensor, Tensor], None]


def main() -> None:
    parser = argparse.ArgumentParser(description="Times a training step.")
    parser.add_argument("-model", nargs="+", default=list(CELLS), choices=CELLS)
    parser.add_argument("-rnn_size", type=int, nargs="+", default=[128, 512])
    parser.add_argument("-num_layers", type=int, default=2)
    parser.add_argument("-vocab_size", type=int, default=65)
    parser.add_argument("-batch_size", type=int, default=50)
    parser.add_argument("-seq_length", type=int, default=50)
    parser.add_argument("-steps", type=int, default=60)
    parser.add_argument("-threads", type=int, default=torch.get_num_threads())
    parser.add_argument("-dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("-plain", action="store_true", help="also time the plain autograd loop")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"{platform.processor() or platform.machine()}, torch {torch.__version__}, {options.threads} threads")
    shape = f"batch_size {options.batch_size}, seq_length {options.seq_length}"
    print(f"{shape}, {options.dtype}; medians (10th percentiles), ms\n")
    print(f"{'':16} {'ours':>16} {'torch.nn':>16} {'plain loop':>16} {'products':>16}   ours / torch.nn")
    for model in options.model:
        for rnn_size in options.rnn_size:
            compare(model, rnn_size, options)


def compare(model: str, rnn_size: int, options: argparse.Namespace) -> None:
    """Prints one line of the table."""
    sizes = options.vocab_size, rnn_size, options.num_layers
    rough = options.dtype == "bfloat16"
    steps: dict[str, Step] = {"ours": ours(*sizes, model, options.batch_size, options.dtype)}
    steps["torch.nn"] = theirs(TorchModel(*sizes, model), autocast=rough)
    if options.plain:
        steps["plain"] = theirs(PlainModel(*sizes, model), autocast=rough)
    if not rough:
        steps["products"] = bare_products(*sizes, model, options.batch_size, options.seq_length)
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(options.steps):
        x, y = torch.randint(0, options.vocab_size, (2, options.seq_length, options.batch_size)).unbind()
        for name, step in steps.items():
            start = time.perf_counter()
            step(x, y)
            times[name].append(1000 * (time.perf_counter() - start))
    warm = {name: values[len(values) // 6 :] for name, values in times.items()}
    columns = [
        f"{np.median(warm[name]):8.1f} ({np.percentile(warm[name], 10):5.1f})" if name in warm else ""
        for name in ("ours", "torch.nn", "plain", "products")
    ]
    medians = np.median(warm["ours"]) / np.median(warm["torch.nn"])
    tenths = np.percentile(warm["ours"], 10) / np.percentile(warm["torch.nn"], 10)
    title = f"{model} {options.num_layers}x{rnn_size}"
    print(f"{title:16} " + " ".join(f"{c:>16}" for c in columns) + f"   {medians:.2f} ({tenths:.2f})", flush=True)


def ours(vocab_size: int, rnn_size: int, num_layers: int, model: str, batch_size: int, dtype: str) -> Step:
    """Returns a step like that of util.training.trainer, without reading the text."""
    network = CharRNN(vocab_size, rnn_size, num_layers, model)
    network.initialize(Torch7Random(1).uniform)
    flat = FlatParameters(network)
    optimizer = RMSprop(flat.values, flat.gradient, 0.95)
    state = network.zero_state(batch_size)

    def step(x: Tensor, y: Tensor) -> None:
        nonlocal state
        torch.set_float32_matmul_precision("medium" if dtype == "bfloat16" else "highest")
        log_probs, state = network(x, state)
        loss = nll_loss(log_probs.flatten(0, 1), y.flatten(), reduction="sum") / batch_size
        flat.gradient.zero_()
        loss.backward()
        flat.gradient.clamp_(-5, 5)
        optimizer.step(1, 2e-3)
        loss.item()
        torch.set_float32_matmul_precision("highest")

    return step


class TorchModel(nn.Module):
    """The same model built from torch.nn's layers."""

    def __init__(self, vocab_size: int, rnn_size: int, num_layers: int, model: str) -> None:
        super().__init__()
        kind = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}[model]
        self.layers = kind(vocab_size, rnn_size, num_layers)
        self.decoder = nn.Linear(rnn_size, vocab_size)
        self.vocab_size = vocab_size

    def forward(self, x: Tensor, state: object) -> tuple[Tensor, object]:
        h, state = self.layers(one_hot(x, self.vocab_size).float(), state)
        return torch.log_softmax(self.decoder(h), -1), state


class PlainModel(nn.Module):
    """The same model as a loop over torch.nn's cells, left to autograd."""

    def __init__(self, vocab_size: int, rnn_size: int, num_layers: int, model: str) -> None:
        super().__init__()
        kind = {"lstm": nn.LSTMCell, "gru": nn.GRUCell, "rnn": nn.RNNCell}[model]
        self.cells = nn.ModuleList(kind(rnn_size if layer else vocab_size, rnn_size) for layer in range(num_layers))
        self.decoder = nn.Linear(rnn_size, vocab_size)
        self.vocab_size = vocab_size

    def forward(self, x: Tensor, state: object) -> tuple[Tensor, object]:
        states = list(state) if state else [None] * len(self.cells)
        outputs = []
        for h in one_hot(x, self.vocab_size).float():
            for layer, cell in enumerate(self.cells):
                states[layer] = cell(h, states[layer])
                h = states[layer][0] if isinstance(states[layer], tuple) else states[layer]
            outputs.append(h)
        return torch.log_softmax(self.decoder(torch.stack(outputs)), -1), states


def theirs(network: nn.Module, autocast: bool = False) -> Step:
    """Returns a step of a model with separate parameters, with the same loss and optimizer."""
    optimizer = torch.optim.RMSprop(network.parameters(), 2e-3, alpha=0.95, eps=1e-8)
    state = None

    def step(x: Tensor, y: Tensor) -> None:
        nonlocal state
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            log_probs, state = network(x, state)
        state = detached(state)
        loss = nll_loss(log_probs.float().flatten(0, 1), y.flatten(), reduction="sum") / x.shape[1]
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_value_(network.parameters(), 5)
        optimizer.step()
        loss.item()

    return step


def detached(state: object) -> object:
    if isinstance(state, Tensor):
        return state.detach()
    return type(state)(map(detached, state))  # type: ignore[call-overload]


def bare_products(V: int, H: int, L: int, model: str, B: int, S: int) -> Step:
    """Returns only the matrix products of a step, forward and backward, over all time steps at once if possible."""
    width = len(CELLS[model].gates) * H
    h, gates, weight = torch.randn(S * B, H), torch.randn(S * B, width), torch.randn(H, width)
    out_h, out_gates, out_weight = torch.empty_like(h), torch.empty_like(gates), torch.empty_like(weight)
    logits, decoder = torch.randn(S * B, V), torch.randn(H, V)
    h_t, gates_t = h[:B], gates[:B]
    out_h_t, out_gates_t = out_h[:B], out_gates[:B]

    def step(x: Tensor, y: Tensor) -> None:
        for layer in range(L):
            for _ in range(S):
                torch.mm(h_t, weight, out=out_gates_t)
                torch.mm(gates_t, weight.t(), out=out_h_t)
            torch.mm(h.t(), gates, out=out_weight)
            if layer:
                torch.mm(h, weight, out=out_gates)
                torch.mm(h.t(), gates, out=out_weight)
                torch.mm(gates, weight.t(), out=out_h)
        torch.mm(h, decoder, out=logits)
        torch.mm(logits, decoder.t(), out=out_h)
        torch.mm(h.t(), logits, out=decoder)

    return step


if __name__ == "__main__":
    main()
