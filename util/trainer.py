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

from util.checkpoint import Checkpoint
from util.loader import CharLoader
from util.optimizer import RMSprop
from util.processes import Processes
from util.torch7_random import Torch7Random

if TYPE_CHECKING:
    from model.char_rnn import CharRNN

TRAIN, VALIDATION = 0, 1


class Trainer:
    """A model in training. `options` are the flags of train.py; only those of the optimisation are used."""

    def __init__(
        self, model: CharRNN, loader: CharLoader, random: Torch7Random, processes: Processes, options: Namespace
    ) -> None:
        self.model, self.loader, self.random, self.processes = model, loader, random, processes
        self.batch_size, self.seq_length = options.batch_size, options.seq_length
        self.dropout, self.grad_clip = options.dropout, options.grad_clip
        self.optimizer = RMSprop(model.flat, options.decay_rate)
        self.learning_rate: float = options.learning_rate
        self.iteration = 0
        self.train_losses: list[float] = []
        self.val_losses: dict[int, float] = {}
        # The state is carried from batch to batch through the whole run, from one epoch to the next as well.
        self.streams = processes.share(self.batch_size)
        self.state = model.zero_state(self.streams.stop - self.streams.start)
        self.stopping = False
        """Whether any process wished to stop in the last iteration."""

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

    def step(self, stop: bool = False) -> float:
        """Learns from the next batch. Gives the loss per character before that.

        `stop` is this process's wish to stop after it, of which all learn.
        """
        x, y = self.batch(TRAIN, self.iteration % self.loader.split_sizes[TRAIN])
        masks = self.dropout_masks() if self.dropout else None
        log_probs, self.state = self.model(x, self.state, masks)
        # The mean over the streams, summed over the steps: so the gradient's size, and grad_clip, are the reference's.
        loss = nll_loss(log_probs.flatten(0, 1), y.flatten(), reduction="sum") / self.batch_size
        self.gradient.zero_()
        loss.backward()
        if self.processes.size > 1:
            self.model.bucket[-2], self.model.bucket[-1] = loss.detach(), float(stop)
            loss, wishes = self.processes.sum(self.model.bucket)[-2:]
            self.stopping = bool(wishes)
        self.optimizer.step(self.learning_rate, self.grad_clip)
        self.iteration += 1
        self.train_losses.append(loss.item() / self.seq_length)
        return self.train_losses[-1]

    @torch.no_grad()
    def evaluate(self, split: int) -> float:
        """The loss per character on a split, from a zero state, without dropout."""
        state = torch.zeros_like(self.state)
        total = torch.zeros((), dtype=torch.float64)
        for number in range(self.loader.split_sizes[split]):
            x, y = self.batch(split, number)
            log_probs, state = self.model(x, state)
            total += nll_loss(log_probs.flatten(0, 1), y.flatten(), reduction="sum").item()
        characters = self.loader.split_sizes[split] * self.batch_size * self.seq_length
        return self.processes.sum(total).item() / characters

    def norm_ratio(self) -> float:
        """The norm of the clamped gradient over that of the parameters after the update."""
        return (self.gradient.norm() / self.model.flat.norm()).item()

    def batch(self, split: int, number: int) -> tuple[Tensor, Tensor]:
        """Inputs and targets (S, B) on the model's device."""
        device = self.model.flat.device
        x, y = self.loader.batch(split, number)
        return torch.from_numpy(x).to(device), torch.from_numpy(y).to(device)

    def dropout_masks(self) -> tuple[Tensor, ...]:
        """For the output of each layer, (S, B, H): 0 where it is dropped, else what makes up for the dropped ones.

        The reference draws step by step, and in each step layer by layer. Each process draws for all streams.
        """
        L, H, like = self.model.num_layers, self.model.rnn_size, self.model.flat
        shape = (self.seq_length, L, self.batch_size, H)
        keep = self.random.bernoulli(int(np.prod(shape)), 1 - self.dropout).reshape(shape)
        return (torch.from_numpy(keep[:, :, self.streams]).to(like) / (1 - self.dropout)).unbind(1)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Goes on where the run of a checkpoint stood; the model has its parameters already."""
        training, flat = checkpoint.training, self.model.flat
        assert training is not None
        self.iteration = checkpoint.iteration
        self.train_losses = checkpoint.train_losses.tolist()
        self.val_losses = dict(checkpoint.val_losses)
        self.state = torch.tensor(training["state"][:, :, self.streams]).to(flat)
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
                "optimizer": {name: tensor.cpu() for name, tensor in self.optimizer.state().items()},
                "state": state.cpu(),
                "random": {"key": torch.from_numpy(random["key"].astype(np.int64)), "pos": random["pos"]},
                "text_sha256": text_sha256,
                "device": self.model.flat.device.type,
            },
        )
