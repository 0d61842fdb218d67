"""Truncated backpropagation through time: the state of a training run, and one iteration of it.

Letters: S time steps, B streams, V characters, H outputs of a layer, L layers.
"""

from __future__ import annotations

import math
import time
from argparse import Namespace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import nll_loss

from util.checkpoint.content import Checkpoint
from util.text.batches import TRAIN, Batches
from util.torch7_random import Torch7Random
from util.training.cuda_graph import Graphed
from util.training.dropout import DropoutDraws
from util.training.evaluation import batch_loss
from util.training.flat import FlatParameters
from util.training.optimizer import Adam, RMSprop
from util.training.processes import Processes

if TYPE_CHECKING:
    from model.char_rnn import CharRNN


class Trainer:
    """A model in training. `options` are the flags of train.py; only those about optimization are used."""

    def __init__(
        self, model: CharRNN, batches: Batches, random: Torch7Random, processes: Processes, options: Namespace
    ) -> None:
        self.model, self.batches, self.random, self.processes = model, batches, random, processes
        self.options = options
        self.flat = FlatParameters(model)
        self.device = self.flat.values.device
        vectors = self.flat.values, self.flat.gradient
        self.optimizer = RMSprop(*vectors, options.decay_rate) if options.optim == "rmsprop" else Adam(*vectors)
        self.learning_rate: float = options.learning_rate
        self.iteration = 0
        self.train_losses: list[float] = []
        """The loss per character in each iteration, before its update, up to the last `fetch`."""
        self.val_losses: dict[int, float] = {}
        self.unsound_loss: float | None = None
        """The first of the losses fetched last that is not a number within the bound, if any."""
        self.seconds = 0.0
        """How long an iteration took, averaged over those fetched last."""
        self._outcomes: list[Tensor] = []  # of iterations not fetched yet: loss, and how many processes asked to stop
        self._began = 0.0  # when the first of those began
        self._norm_ratio: float | None = None
        self._stopping = False
        self._graph = Graphed(self._forward_and_backward, self.device) if self.device.type == "cuda" else None
        # The state is carried from batch to batch through the whole run, across epochs too.
        self.streams = processes.share(options.batch_size)
        self.state = model.zero_state(self.streams.stop - self.streams.start)
        # The original draws step by step, and in each step layer by layer; each process draws for all streams.
        shape = options.seq_length, model.num_layers, options.batch_size, model.rnn_size
        self._draws = DropoutDraws(random, shape, 1 - options.dropout) if options.dropout else None

    @property
    def size(self) -> int:
        """The number of parameters."""
        return self.flat.values.numel()

    @property
    def epoch(self) -> float:
        """The number of passes over the training text so far."""
        return self.iteration / self.batches.split_sizes[TRAIN]

    @property
    def runs_ahead(self) -> bool:
        """Whether an iteration may start before the outcome of the last one is known, as on a GPU."""
        return self.device.type != "cpu" and not self.options.accurate_gpu_timing

    @property
    def loss_bound(self) -> float:
        """The loss above which the run has gone wrong; infinite until the first loss is known."""
        ratio = self.options.max_loss_ratio
        return ratio * self.train_losses[0] if ratio and self.train_losses else math.inf

    def finite(self) -> bool:
        """Whether all parameters are finite. After too large an update they may not be, though the loss before was."""
        return bool(self.flat.values.isfinite().all())

    def stops(self, received: Any) -> bool:
        """Whether to stop: after a signal that this process `received`, or, with several, once all know of one."""
        return self._stopping if self.processes.size > 1 else bool(received)

    def fetch(self, with_norms: bool = False) -> None:
        """Waits for the iterations that were started, and reads their losses and requests to stop.

        `with_norms` also reads what `norm_ratio` returns, since reading from a GPU twice would mean waiting twice.
        """
        if not self._outcomes:
            return
        count = len(self._outcomes)
        figures = torch.cat([*self._outcomes, *([self._norms()] if with_norms else [])]).tolist()
        self.seconds = (time.perf_counter() - self._began) / count
        self._outcomes.clear()
        self.train_losses += [loss / self.options.seq_length for loss in figures[: 2 * count : 2]]
        self.unsound_loss = next((x for x in self.train_losses[-count:] if not x <= self.loss_bound), None)
        self._stopping = any(figures[1 : 2 * count : 2])
        if with_norms:
            self._norm_ratio = figures[-1]

    def norm_ratio(self) -> float:
        """Returns the norm of the clamped gradient over that of the parameters after the update."""
        return self._norms().item() if self._norm_ratio is None else self._norm_ratio

    def _norms(self) -> Tensor:
        return (self.flat.gradient.norm() / self.flat.values.norm())[None]

    def decay_learning_rate(self) -> bool:
        """Lowers the learning rate if an epoch has ended and it is time; returns whether it did."""
        o = self.options
        ends_epoch = self.iteration % self.batches.split_sizes[TRAIN] == 0
        due = ends_epoch and o.learning_rate_decay < 1 and self.epoch >= o.learning_rate_decay_after
        if due:
            self.learning_rate *= o.learning_rate_decay
        return due

    def step(self, stop: Any = False) -> None:
        """Learns from the next batch. If `stop` is true, this process asks all processes to stop soon."""
        if not self._outcomes:
            self._began = time.perf_counter()
        epoch, number = divmod(self.iteration, self.batches.split_sizes[TRAIN])
        inputs = [*self.batches.batch(TRAIN, number, epoch)]
        if self._draws:
            inputs.append(self._draws.next()[:, :, self.streams])
        self.iteration += 1
        self._norm_ratio = None
        tensors = [self._sendable(array) for array in inputs]
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

    def next_gradient(self) -> Tensor:
        """Returns the gradient of the next batch, without dropout; the run does not notice."""
        state = self.state.clone()
        x, y = map(torch.from_numpy, self.batches.batch(TRAIN, self.iteration % self.batches.split_sizes[TRAIN]))
        self._forward_and_backward(x.to(self.device), y.to(self.device))
        self.state.copy_(state)
        return self.flat.gradient.clone()

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

    def evaluate(self, split: int) -> float:
        """Returns the loss per character on a split, from a zero state, without dropout."""
        state = torch.zeros_like(self.state)
        total = torch.zeros((), dtype=torch.float64, device=state.device)
        for number in range(self.batches.split_sizes[split]):
            x, y = (self._sendable(array).to(self.device) for array in self.batches.batch(split, number))
            loss, _, state = batch_loss(self.model, x, y, state)
            total += loss
        characters = self.batches.split_sizes[split] * self.options.batch_size * self.options.seq_length
        return self.processes.sum(total).item() / characters

    def _sendable(self, array: np.ndarray) -> Tensor:
        """Returns an array as a CPU tensor that a GPU can copy asynchronously."""
        tensor = torch.from_numpy(array)
        return tensor.pin_memory() if self.device.type == "cuda" else tensor

    def restore(self, checkpoint: Checkpoint) -> None:
        """Restores a run from a checkpoint, except for the model's parameters, which are loaded already."""
        training = checkpoint.training
        assert training
        self.iteration = checkpoint.iteration
        self.train_losses = checkpoint.train_losses.tolist()
        self.val_losses = dict(checkpoint.val_losses)
        self.state.copy_(torch.tensor(training["state"][:, :, self.streams]))
        random = training["random"]
        self.random.restore({"key": random["key"].astype(np.uint32), "pos": random["pos"]})
        self.optimizer.restore({name: torch.tensor(array) for name, array in training["optimizer"].items()})
        self.learning_rate = training["learning_rate"]

    def snapshot(self, text_sha256: str) -> dict[str, Any]:
        """Returns the fields of a `Checkpoint` that are training's. All processes must call it, and get the same."""
        random = (self._draws or self.random).state()
        L, num_states, _, H = self.state.shape
        state = self.state.new_zeros(L, num_states, self.options.batch_size, H)
        state[:, :, self.streams] = self.state
        self.processes.sum(state)
        return {
            "parameters": {name: as_array(tensor) for name, tensor in self.model.named_parameters()},
            "iteration": self.iteration,
            "epoch": self.epoch,
            "train_losses": np.array(self.train_losses, np.float64),
            "val_losses": dict(self.val_losses),
            "training": {
                "learning_rate": self.learning_rate,
                "optimizer": {name: as_array(tensor) for name, tensor in self.optimizer.state.items()},
                "state": as_array(state),
                "random": {"key": random["key"].astype(np.int64), "pos": random["pos"]},
                "text_sha256": text_sha256,
                "device": self.device.type,
            },
        }


def as_array(tensor: Tensor) -> np.ndarray:
    """Returns a copy on the CPU."""
    return tensor.detach().cpu().numpy().copy()
