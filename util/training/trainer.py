"""Training by truncated backpropagation through time: what changes with each iteration, and one iteration.

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

from util.checkpoint.content import Checkpoint, Training
from util.text.batches import TRAIN, Batches
from util.torch7_random import Torch7Random
from util.training.cuda_graph import Graphed
from util.training.evaluation import batch_loss
from util.training.flat import FlatParameters
from util.training.optimizer import Adam, RMSprop
from util.training.processes import Processes

if TYPE_CHECKING:
    from model.char_rnn import CharRNN


class Trainer:
    """A model in training. `options` are the flags of train.py; only those of the optimization are used."""

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
        """Loss per character of each iteration, before it learned, up to the last `fetch`."""
        self.val_losses: dict[int, float] = {}
        self.seconds = 0.0
        """What an iteration took, of those that were fetched last."""
        self._outcomes: list[Tensor] = []  # of the iterations since the last fetch: the loss, and the wishes to stop
        self._began = 0.0  # when the first of them began
        self._stopping = False
        on_gpu = self.device.type == "cuda" and processes.size == 1
        self._graph = Graphed(self._learn) if on_gpu and options.optim == "rmsprop" else None
        # The state is carried from batch to batch through the whole run, from one epoch to the next as well.
        self.streams = processes.share(options.batch_size)
        self.state = model.zero_state(self.streams.stop - self.streams.start)

    @property
    def size(self) -> int:
        """The number of parameters."""
        return self.flat.values.numel()

    @property
    def epoch(self) -> float:
        """Passes over the training text so far."""
        return self.iteration / self.batches.split_sizes[TRAIN]

    @property
    def runs_ahead(self) -> bool:
        """Whether iterations may be begun before the outcome of the last one is known, as on a GPU."""
        return self.device.type != "cpu" and not self.options.accurate_gpu_timing

    @property
    def loss_bound(self) -> float:
        """The loss above which the run has gone wrong; there is none before the first loss is known."""
        ratio = self.options.max_loss_ratio
        return ratio * self.train_losses[0] if ratio and self.train_losses else math.inf

    @property
    def sound(self) -> bool:
        """Whether the last loss that is known is a number, and not beyond the bound."""
        return not self.train_losses or self.train_losses[-1] <= self.loss_bound

    def finite(self) -> bool:
        """Whether all parameters are numbers. After too large an update they are not, though the loss before it was."""
        return bool(self.flat.values.isfinite().all())

    def stops(self, received: Any) -> bool:
        """Whether to stop: at once by a signal that this process has `received`, or when all of several know of one."""
        return self._stopping if self.processes.size > 1 else bool(received)

    def fetch(self) -> None:
        """Waits for the iterations that were begun, and takes in their losses and wishes to stop."""
        if not self._outcomes:
            return
        outcomes = torch.stack(self._outcomes).tolist()
        self.seconds = (time.perf_counter() - self._began) / len(outcomes)
        self._outcomes.clear()
        self.train_losses += [loss / self.options.seq_length for loss, _ in outcomes]
        self._stopping = any(wishes for _, wishes in outcomes)

    def decay_learning_rate(self) -> bool:
        """Lowers the learning rate if an epoch has ended and it is time; returns whether it did."""
        o = self.options
        ends_epoch = self.iteration % self.batches.split_sizes[TRAIN] == 0
        due = ends_epoch and o.learning_rate_decay < 1 and self.epoch >= o.learning_rate_decay_after
        if due:
            self.learning_rate *= o.learning_rate_decay
        return due

    def step(self, stop: Any = False) -> None:
        """Learns from the next batch. `stop`, if true, is this process's wish to stop soon, of which all learn."""
        if not self._outcomes:
            self._began = time.perf_counter()
        x, y = self.batch(TRAIN, self.iteration % self.batches.split_sizes[TRAIN])
        inputs = [x, y, self.on_device(torch.tensor(float(bool(stop))))]
        if self.options.dropout:
            inputs.append(self.dropout_masks())
        self.iteration += 1
        if self._graph:
            self._outcomes.append(self._graph(inputs, key=self.learning_rate))
        else:
            self._outcomes.append(self._learn(*inputs).clone())

    def _learn(self, x: Tensor, y: Tensor, stop: Tensor, masks: Tensor | None = None) -> Tensor:
        """One iteration on a batch; gives the loss, and how many processes wish to stop."""
        log_probs, state = self.model(x, self.state, masks.unbind(1) if masks is not None else None)
        self.state.copy_(state)
        # The mean over the streams, summed over the steps: so the gradient's size, and grad_clip, are the reference's.
        loss = nll_loss(log_probs.flatten(0, 1), y.flatten(), reduction="sum") / self.options.batch_size
        self.flat.gradient.zero_()
        loss.backward()
        outcome = self.flat.extra
        outcome[0], outcome[1] = loss.detach(), stop
        self.processes.sum(self.flat.bucket)
        self.optimizer.step(self.iteration, self.learning_rate, self.options.grad_clip)
        return outcome

    def evaluate(self, split: int) -> float:
        """The loss per character on a split, from a zero state, without dropout."""
        state = torch.zeros_like(self.state)
        total = torch.zeros((), dtype=torch.float64, device=state.device)
        for number in range(self.batches.split_sizes[split]):
            x, y = self.batch(split, number)
            loss, _, state = batch_loss(self.model, x, y, state)
            total += loss
        characters = self.batches.split_sizes[split] * self.options.batch_size * self.options.seq_length
        return self.processes.sum(total).item() / characters

    def norm_ratio(self) -> float:
        """The norm of the clamped gradient over that of the parameters after the update."""
        return (self.flat.gradient.norm() / self.flat.values.norm()).item()

    def batch(self, split: int, number: int) -> tuple[Tensor, Tensor]:
        """Inputs and targets (S, B) on the model's device."""
        x, y = self.batches.batch(split, number)
        return self.on_device(torch.from_numpy(x)), self.on_device(torch.from_numpy(y))

    def on_device(self, tensor: Tensor) -> Tensor:
        """The tensor on the model's device; a GPU copies it while the CPU goes on."""
        on_gpu = self.device.type == "cuda"
        return tensor.pin_memory().to(self.device, non_blocking=True) if on_gpu else tensor.to(self.device)

    def dropout_masks(self) -> Tensor:
        """Factors for the outputs, (S, L, B, H): 0 where one is dropped, else what makes up for the dropped ones.

        The reference draws step by step, and in each step layer by layer. Each process draws for all streams.
        """
        L, H = self.model.num_layers, self.model.rnn_size
        shape = (self.options.seq_length, L, self.options.batch_size, H)
        keep = self.random.bernoulli(int(np.prod(shape)), 1 - self.options.dropout).reshape(shape)
        return self.on_device(torch.from_numpy(keep[:, :, self.streams])).to(self.state.dtype) / (
            1 - self.options.dropout
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        """Continues where the run of a checkpoint stood; the model has its parameters already."""
        training = checkpoint.training
        assert training
        self.iteration = checkpoint.iteration
        self.train_losses = checkpoint.train_losses.tolist()
        self.val_losses = dict(checkpoint.val_losses)
        self.state.copy_(torch.tensor(training.state[:, :, self.streams]))
        self.random.restore({"key": training.random["key"].astype(np.uint32), "pos": training.random["pos"]})
        self.optimizer.restore({name: torch.tensor(array) for name, array in training.optimizer.items()})
        self.learning_rate = training.learning_rate

    def snapshot(self, text_sha256: str) -> dict[str, Any]:
        """Returns the fields of a `Checkpoint` that are training's. All processes must call it, and get the same."""
        random = self.random.state()
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
            "training": Training(
                learning_rate=self.learning_rate,
                optimizer={name: as_array(tensor) for name, tensor in self.optimizer.state.items()},
                state=as_array(state),
                random={"key": random["key"].astype(np.int64), "pos": random["pos"]},
                text_sha256=text_sha256,
                device=self.device.type,
            ),
        }


def as_array(tensor: Tensor) -> np.ndarray:
    """Returns a copy on the CPU."""
    return tensor.detach().cpu().numpy().copy()
