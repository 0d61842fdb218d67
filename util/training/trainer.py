"""Training by truncated backpropagation through time: what changes with each iteration, and one iteration.

Letters: S time steps, B streams, V characters, H outputs of a layer, L layers.
"""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import nll_loss

from util.checkpoint.content import Checkpoint
from util.text.batches import Batches
from util.torch7_random import Torch7Random
from util.training.cuda_graph import Graphed
from util.training.evaluation import batch_loss
from util.training.optimizer import Adam, RMSprop
from util.training.processes import Processes

if TYPE_CHECKING:
    from model.char_rnn import CharRNN

TRAIN, VALIDATION = 0, 1


class Trainer:
    """A model in training. `options` are the flags of train.py; only those of the optimisation are used."""

    def __init__(
        self, model: CharRNN, loader: Batches, random: Torch7Random, processes: Processes, options: Namespace
    ) -> None:
        self.model, self.loader, self.random, self.processes = model, loader, random, processes
        self.batch_size, self.seq_length = options.batch_size, options.seq_length
        self.dropout, self.grad_clip = options.dropout, options.grad_clip
        self.optimizer = RMSprop(model.flat, options.decay_rate) if options.optim == "rmsprop" else Adam(model.flat)
        self.learning_rate: float = options.learning_rate
        self.iteration = 0
        self.val_losses: dict[int, float] = {}
        self._train_losses: list[float] = []
        self._outcomes: list[Tensor] = []  # of the last iterations, not looked at yet
        on_gpu = model.flat.is_cuda and processes.size == 1
        self._graph = Graphed(self._learn) if on_gpu and options.optim == "rmsprop" else None
        # The state is carried from batch to batch through the whole run, from one epoch to the next as well.
        self.streams = processes.share(self.batch_size)
        self.state = model.zero_state(self.streams.stop - self.streams.start)
        self.stopping = False
        """Whether any process wished to stop, of the iterations whose losses were asked for last."""

    @property
    def epoch(self) -> float:
        """Passes over the training text so far."""
        return self.iteration / self.loader.split_sizes[TRAIN]

    @property
    def ends_epoch(self) -> bool:
        return self.iteration % self.loader.split_sizes[TRAIN] == 0

    @property
    def finite(self) -> bool:
        """Whether all parameters are numbers. After too large an update they are not, though the loss before it was."""
        return bool(self.model.flat.isfinite().all())

    @property
    def gradient(self) -> Tensor:
        """The gradients of all parameters."""
        assert self.model.flat.grad is not None
        return self.model.flat.grad

    @property
    def train_losses(self) -> list[float]:
        """Loss per character of each iteration, before it learned. To ask is to wait for the GPU."""
        if self._outcomes:
            outcomes = torch.stack(self._outcomes).tolist()
            self._outcomes.clear()
            self._train_losses += [loss / self.seq_length for loss, _ in outcomes]
            self.stopping = any(wishes for _, wishes in outcomes)
        return self._train_losses

    def step(self, stop: bool = False) -> None:
        """Learns from the next batch. `stop` is this process's wish to stop soon, of which all learn."""
        x, y = self.batch(TRAIN, self.iteration % self.loader.split_sizes[TRAIN])
        inputs = [x, y, self.on_device(torch.tensor(float(stop)))]
        if self.dropout:
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
        loss = nll_loss(log_probs.flatten(0, 1), y.flatten(), reduction="sum") / self.batch_size
        self.gradient.zero_()
        loss.backward()
        outcome = self.model.bucket[-2:]
        outcome[0], outcome[1] = loss.detach(), stop
        self.processes.sum(self.model.bucket)
        self.optimizer.step(self.iteration, self.learning_rate, self.grad_clip)
        return outcome

    def evaluate(self, split: int) -> float:
        """The loss per character on a split, from a zero state, without dropout."""
        state = torch.zeros_like(self.state)
        total = torch.zeros((), dtype=torch.float64, device=state.device)
        for number in range(self.loader.split_sizes[split]):
            x, y = self.batch(split, number)
            loss, _, state = batch_loss(self.model, x, y, state)
            total += loss
        characters = self.loader.split_sizes[split] * self.batch_size * self.seq_length
        return self.processes.sum(total).item() / characters

    def norm_ratio(self) -> float:
        """The norm of the clamped gradient over that of the parameters after the update."""
        return (self.gradient.norm() / self.model.flat.norm()).item()

    def batch(self, split: int, number: int) -> tuple[Tensor, Tensor]:
        """Inputs and targets (S, B) on the model's device."""
        x, y = self.loader.batch(split, number)
        return self.on_device(torch.from_numpy(x)), self.on_device(torch.from_numpy(y))

    def on_device(self, tensor: Tensor) -> Tensor:
        """The tensor on the model's device; a GPU copies it while the CPU goes on."""
        device = self.model.flat.device
        return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)

    def dropout_masks(self) -> Tensor:
        """Factors for the outputs, (S, L, B, H): 0 where one is dropped, else what makes up for the dropped ones.

        The reference draws step by step, and in each step layer by layer. Each process draws for all streams.
        """
        L, H = self.model.num_layers, self.model.rnn_size
        shape = (self.seq_length, L, self.batch_size, H)
        keep = self.random.bernoulli(int(np.prod(shape)), 1 - self.dropout).reshape(shape)
        return self.on_device(torch.from_numpy(keep[:, :, self.streams])).to(self.state.dtype) / (1 - self.dropout)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Goes on where the run of a checkpoint stood; the model has its parameters already."""
        training = checkpoint.training
        assert training is not None
        self.iteration = checkpoint.iteration
        self._train_losses = checkpoint.train_losses.tolist()
        self.val_losses = dict(checkpoint.val_losses)
        self.state.copy_(torch.tensor(training["state"][:, :, self.streams]))
        self.random.restore({"key": training["random"]["key"].astype(np.uint32), "pos": training["random"]["pos"]})
        self.optimizer.restore({name: torch.tensor(array) for name, array in training["optimizer"].items()})
        self.learning_rate = training["learning_rate"]

    def checkpoint(self, options: dict, vocabulary: str, encoding: str, text_sha256: str) -> Checkpoint:
        """The run as it stands, to be saved before the next step: on a CPU the tensors are the model's own.

        All processes must call it, and get the same.
        """
        random = self.random.state()
        L, num_states, _, H = self.state.shape
        state = self.state.new_zeros(L, num_states, self.batch_size, H)
        state[:, :, self.streams] = self.state
        self.processes.sum(state)
        return Checkpoint(
            options=options,
            vocabulary=vocabulary,
            encoding=encoding,
            parameters={name: tensor.detach().cpu() for name, tensor in self.model.named_parameters()},
            iteration=self.iteration,
            epoch=self.epoch,
            train_losses=torch.tensor(self.train_losses, dtype=torch.float64),
            val_losses=dict(self.val_losses),
            training={
                "learning_rate": self.learning_rate,
                "optimizer": {name: tensor.cpu() for name, tensor in self.optimizer.state.items()},
                "state": state.cpu(),
                "random": {"key": torch.from_numpy(random["key"].astype(np.int64)), "pos": random["pos"]},
                "text_sha256": text_sha256,
                "device": self.model.flat.device.type,
            },
        )
