"""Truncated backpropagation through time: the state of a training run, and one iteration of it.

Letters: S time steps, B streams, V characters, H units of a layer, L layers.
"""

from __future__ import annotations

import math
import time
from argparse import Namespace
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import nll_loss
from tqdm import tqdm

from util.cli.console import log, shows_bars
from util.text.batches import TRAIN, VALIDATION, Batches
from util.torch7_random import Torch7Random
from util.training.cuda_graph import Graphed
from util.training.dropout import DropoutDraws, GPUDraws
from util.training.evaluation import batch_loss
from util.training.flat import FlatParameters
from util.training.optimizer import OPTIMIZERS
from util.training.processes import Processes
from util.training.record import Record, WrongLoss

if TYPE_CHECKING:
    from model.char_rnn import CharRNN

ADVICE = "try a lower -learning_rate or -grad_clip"
AHEAD = 10
"""How many iterations a GPU may be ahead of what is known of them."""
LONG = 2.0
"""A validation of more seconds than this shows its progress, and can be cut short."""


class Trainer:
    """A model in training. `options` are the flags of train.py; only those about optimization are used."""

    def __init__(
        self, model: CharRNN, batches: Batches, random: Torch7Random, processes: Processes, options: Namespace
    ) -> None:
        self.model, self.batches, self.random, self.processes = model, batches, random, processes
        self.options = options
        self.flat = FlatParameters(model)
        self.device = self.flat.values.device
        self.optimizer = OPTIMIZERS[options.optim](self.flat.values, self.flat.gradient, options.decay_rate)
        self.learning_rate: float = options.learning_rate
        self.iteration = 0
        self.train_losses: list[float] = []
        """The loss per character in each iteration, before its update, up to the last `fetch`."""
        self.val_losses: dict[int, float] = {}
        self._outcomes: list[Tensor] = []  # of iterations not fetched yet: loss, and how many processes asked to stop
        self._began = 0.0  # when the first of those began
        self._graph = Graphed(self._forward_and_backward, self.device) if self.device.type == "cuda" else None
        # The state is carried from batch to batch through the whole run, across epochs too.
        self.streams = processes.share(options.batch_size)
        self.state = model.zero_state(self.streams.stop - self.streams.start)
        # The original draws step by step, and in each step layer by layer; each process draws for all streams.
        shape = options.seq_length, model.num_layers, options.batch_size, model.rnn_size
        self._draws: DropoutDraws | GPUDraws | None = None
        if options.dropout and self.device.type == "cuda":
            self._draws = GPUDraws(self.device, options.seed, shape, 1 - options.dropout)
        elif options.dropout:
            self._draws = DropoutDraws(random, shape, 1 - options.dropout)

    @property
    def size(self) -> int:
        """The number of parameters."""
        return self.flat.values.numel()

    @property
    def epoch(self) -> float:
        """The number of passes over the training text so far."""
        return self.iteration / self.batches.split_sizes[TRAIN]

    @property
    def may_run_ahead(self) -> bool:
        """Whether the next iteration may start before the outcome of the last one is known, as on a GPU."""
        waits = self.device.type == "cpu" or self.options.accurate_gpu_timing
        return not waits and len(self._outcomes) < AHEAD

    def step(self, stop: object = None) -> None:
        """Starts to learn from the next batch. If `stop` is true, this process asks all processes to stop soon."""
        if not self._outcomes:
            self._began = time.perf_counter()
        epoch, number = divmod(self.iteration, self.batches.split_sizes[TRAIN])
        inputs: list[np.ndarray | Tensor] = [*self.batches.batch(TRAIN, number, epoch)]
        if self._draws:
            inputs.append(self._draws.next(self.iteration)[:, :, self.streams])
        self.iteration += 1
        tensors = [self._sendable(values) for values in inputs]
        if self._graph:
            loss = self._graph(tensors)
        else:
            loss = self._forward_and_backward(*(tensor.to(self.device) for tensor in tensors))
        outcome = self.flat.extra
        outcome[0] = loss
        outcome[1].fill_(bool(stop))
        self.processes.sum(self.flat.bucket)
        self.optimizer.step(self.iteration, self.learning_rate, self.options.grad_clip)
        self._outcomes.append(outcome.clone())

    def fetch(self) -> Record:
        """Waits for the iterations that were started, and returns what is known of them.

        Raises WrongLoss at a loss that is not a number, or more than -max_loss_ratio times the first one.
        """
        count, o = len(self._outcomes), self.options
        norm_ratio = self.flat.gradient.norm() / self.flat.values.norm()
        numbers = torch.cat([*self._outcomes, norm_ratio[None]]).tolist()  # a GPU makes us wait only once
        seconds = (time.perf_counter() - self._began) / count
        self._outcomes.clear()
        self.train_losses += [loss / o.seq_length for loss in numbers[: 2 * count : 2]]
        record = Record(self.train_losses[-1], numbers[-1], seconds, any(numbers[1 : 2 * count : 2]))
        bound = o.max_loss_ratio * self.train_losses[0] if o.max_loss_ratio else math.inf
        for loss in self.train_losses[-count:]:
            if not loss < math.inf:
                raise WrongLoss(f"the loss is not a number any more; {ADVICE}", record)
            if loss > bound:
                allow = f"allow it with a -max_loss_ratio above {o.max_loss_ratio:g}"
                raise WrongLoss(f"the loss is exploding; {ADVICE}, or {allow}", record)
        return record

    def decay_learning_rate(self) -> bool:
        """Lowers the learning rate if an epoch has ended and it is time; returns whether it did."""
        o = self.options
        ends_epoch = self.iteration % self.batches.split_sizes[TRAIN] == 0
        due = ends_epoch and o.learning_rate_decay < 1 and self.epoch >= o.learning_rate_decay_after
        if due:
            self.learning_rate *= o.learning_rate_decay
        return due

    def validate(self, stopped: Callable[[], object] = bool) -> None:
        """Adds the loss on the validation split to `val_losses`, unless it takes long and `stopped()` becomes true.

        Without such a split it is the mean of the training losses over the last epoch. Raises WrongLoss if the model is
        broken.
        """
        train, validation, _ = self.batches.split_sizes
        if validation:
            log("evaluating loss over split index 2")
        val_loss = self.evaluate(VALIDATION, stopped) if validation else float(np.mean(self.train_losses[-train:]))
        if val_loss is not None:
            self._check_model(val_loss)
            self.val_losses[self.iteration] = val_loss

    def evaluate(self, split: int, stopped: Callable[[], object] = bool) -> float | None:
        """Returns the loss per character on a split, from a zero state, without dropout.

        Once this takes long, it shows its progress, and returns None if `stopped()`; several processes go on together.
        """
        state, count, began = torch.zeros_like(self.state), self.batches.split_sizes[split], time.perf_counter()
        total = torch.zeros((), dtype=torch.float64, device=state.device)
        for number in tqdm(range(count), "validation", leave=False, delay=LONG, disable=not shows_bars()):
            if self.processes.size == 1 and time.perf_counter() - began > LONG and stopped():
                return None
            x, y = (self._sendable(array).to(self.device) for array in self.batches.batch(split, number))
            loss, state = batch_loss(self.model, x, y, state)
            total += loss
        return self.processes.sum(total).item() / (count * self.options.batch_size * self.options.seq_length)

    def _check_model(self, loss: float = 0.0) -> None:
        """Raises WrongLoss if a loss or a parameter is not finite: after too large an update they may not be."""
        if not (math.isfinite(loss) and self.flat.values.isfinite().all()):
            raise WrongLoss(f"the model is not a number any more; {ADVICE}")

    def _forward_and_backward(self, x: Tensor, y: Tensor, kept: Tensor | None = None) -> Tensor:
        """Reads a batch, x and y (S, B), and fills the gradient; returns the loss, summed over the steps.

        `kept` (S, L, B, H) says which outputs dropout keeps; those are scaled by 1 / (1 - dropout).
        """
        masks = None if kept is None else (kept.to(self.state.dtype) / (1 - self.options.dropout)).unbind(1)
        log_probs, state = self.model(x, self.state, masks)
        self.state.copy_(state)
        # The mean over streams, summed over steps, so that the gradient's size, and grad_clip, are the original's.
        loss = nll_loss(log_probs.flatten(0, 1), y.flatten(), reduction="sum") / self.options.batch_size
        self.flat.gradient.zero_()
        loss.backward()
        return loss.detach()

    def _sendable(self, values: np.ndarray | Tensor) -> Tensor:
        """Returns a tensor that a GPU can copy asynchronously."""
        tensor = torch.as_tensor(values)
        return tensor.pin_memory() if self.device.type == "cuda" and tensor.is_cpu else tensor

    def state_dict(self, text_sha256: str) -> dict[str, Any]:
        """Returns what a `Checkpoint` holds of the run. All processes must call it, and get the same.

        Raises WrongLoss if the model is broken.
        """
        if self._outcomes:
            self.fetch()
        self._check_model()
        random = (self._draws if isinstance(self._draws, DropoutDraws) else self.random).state()
        L, num_states, _, H = self.state.shape
        state = self.state.new_zeros(L, num_states, self.options.batch_size, H)
        state[:, :, self.streams] = self.state
        return {
            "parameters": {name: as_array(tensor) for name, tensor in self.model.named_parameters()},
            "iteration": self.iteration,
            "epoch": self.epoch,
            "train_losses": np.array(self.train_losses, np.float64),
            "val_losses": dict(self.val_losses),
            "training": {
                "learning_rate": self.learning_rate,
                "optimizer": {name: as_array(tensor) for name, tensor in self.optimizer.state.items()},
                "state": as_array(self.processes.sum(state)),
                "random": {"key": random["key"].astype(np.int64), "pos": random["pos"]},
                "text_sha256": text_sha256,
                "device": self.device.type,
            },
        }

    def load_state_dict(self, content: dict[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        training = content["training"]
        self.model.load_arrays(content["parameters"])
        self.iteration = content["iteration"]
        self.train_losses, self.val_losses = content["train_losses"].tolist(), dict(content["val_losses"])
        self.learning_rate = training["learning_rate"]
        for name, tensor in self.optimizer.state.items():
            tensor.copy_(torch.tensor(training["optimizer"][name]))
        self.state.copy_(torch.tensor(training["state"][:, :, self.streams]))
        self.random.restore({"key": training["random"]["key"].astype(np.uint32), "pos": training["random"]["pos"]})


def as_array(tensor: Tensor) -> np.ndarray:
    """Returns a copy on the CPU."""
    return tensor.detach().cpu().numpy().copy()
