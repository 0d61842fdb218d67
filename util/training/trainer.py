"""Truncated backpropagation through time: the state of a training run, and one iteration of it.

Letters: S time steps, B streams, V characters, H units of a layer, L layers, P parameters.
"""

import math
import time
from argparse import Namespace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import nll_loss
from tqdm import tqdm

from model.char_rnn import CharRNN
from util.checkpoint.content import Checkpoint
from util.cli.console import log, shows_bars
from util.cli.signals import StopSignals
from util.errors import UserError
from util.text.batches import TRAIN, VALIDATION, Batches
from util.torch7_random import Torch7Random
from util.training.cuda_graph import Graphed
from util.training.dropout import Draws, GPUDraws
from util.training.optimizer import OPTIMIZERS, FlatParameters
from util.training.processes import Processes

ADVICE = "try a lower -learning_rate or -grad_clip"
LONG = 2.0  # a validation of more seconds than this shows its progress, and can be cut short


class Trainer:
    """A model in training. `options` are the flags of train.py."""

    def __init__(self, model: CharRNN, batches: Batches, processes: Processes, options: Namespace) -> None:
        self.model, self.batches, self.processes, self.options = model, batches, processes, options
        self.iterations = max(1, math.floor(options.max_epochs * batches.split_sizes[TRAIN]))  # of the whole run
        self.random = Torch7Random(options.seed)
        self.stop = StopSignals(silent=processes.rank > 0)
        self.flat = FlatParameters(model)
        self.device = self.flat.values.device
        self.optimizer = OPTIMIZERS[options.optim](self.flat.values, self.flat.gradient, options.decay_rate)
        self.learning_rate: float = options.learning_rate
        self.iteration = 0
        self.train_losses: list[float] = []  # per character, of each iteration before its update
        self.val_losses: dict[int, float] = {}
        # (L, states, streams, H), carried from batch to batch through the whole run, across epochs too.
        streams = range(options.batch_size)[batches.streams]  # those of this process
        self.state = model.zero_state(len(streams))
        # Of the last iteration:
        self.norm_ratio = 0.0  # the norm of the clamped gradient over that of the parameters after the update
        self.seconds = 0.0  # how long it took
        self._began = 0.0  # when it began
        self._all_stop = False  # whether all processes know that one was asked to
        compute = self._forward_and_backward
        self._compute = Graphed(compute) if self.device.type == "cuda" else compute
        self._draws: Draws | None = None
        if options.dropout:
            # The original draws step by step, and in each step layer by layer; each process draws for all streams.
            shape = options.seq_length, model.num_layers, options.batch_size, model.rnn_size
            if self.device.type == "cuda":
                self._draws = GPUDraws(self.random, shape, 1 - options.dropout, self.device, options.seed)
            else:
                self._draws = Draws(self.random, shape, 1 - options.dropout)

    @property
    def epoch(self) -> float:
        """The number of passes over the training text so far."""
        return self.iteration / self.batches.split_sizes[TRAIN]

    @property
    def stopping(self) -> bool:
        """Whether to stop now; several processes stop together, once all know that one was asked to."""
        return self._all_stop or (self.processes.size == 1 and bool(self.stop.received))

    @property
    def validated(self) -> bool:
        """Whether the model of now has a validation loss."""
        return self.iteration in self.val_losses

    @property
    def is_out_of_patience(self) -> bool:
        """Whether the last -early_stop validations have all been no better than one before them."""
        losses, patience = list(self.val_losses.values()), self.options.early_stop
        before, last = losses[:-patience], losses[-patience:]  # none is before, with a patience of 0
        return bool(before) and min(last) >= min(before)

    def step(self) -> None:
        """Learns from the next batch; on a GPU that goes on until `fetch` waits for it."""
        self._began = time.perf_counter()
        epoch, number = divmod(self.iteration, self.batches.split_sizes[TRAIN])
        inputs: list[np.ndarray | Tensor] = [*self.batches.batch(TRAIN, number, epoch)]
        if self._draws:
            inputs.append(self._draws.next(self.iteration)[:, :, self.batches.streams])
        self.iteration += 1
        self.flat.loss.copy_(self._compute(*map(self._send, inputs)))
        self.flat.stop.fill_(bool(self.stop.received))
        self.processes.sum(self.flat.summed)  # the gradient, the loss and the requests to stop at once
        self.flat.gradient.clamp_(-self.options.grad_clip, self.options.grad_clip)
        self.optimizer.step(self.iteration, self.learning_rate)

    def _forward_and_backward(self, x: Tensor, y: Tensor, spared: Tensor | None = None) -> Tensor:
        """Reads a batch, x and y (S, B), and fills the gradient; returns the loss, summed over the steps.

        `spared` (S, L, B, H) says which outputs dropout does not drop; those are scaled by 1 / (1 - dropout).
        """
        masks = None if spared is None else (spared.to(self.state.dtype) / (1 - self.options.dropout)).unbind(1)
        log_probs, state = self.model(x, self.state, masks)
        self.state.copy_(state)
        # The mean over streams, summed over steps, so that the gradient's size, and grad_clip, are the original's.
        loss = nll_loss(log_probs.flatten(0, 1), y.flatten(), reduction="sum") / self.options.batch_size
        self.flat.gradient.zero_()
        loss.backward()
        return loss.detach()

    def _send(self, values: np.ndarray | Tensor) -> Tensor:
        """Returns a tensor on the device; a GPU copies it when it gets to it."""
        tensor = torch.as_tensor(values)
        if self.device.type == "cuda" and tensor.is_cpu:
            tensor = tensor.pin_memory()
        return tensor.to(self.device, non_blocking=True)

    def fetch(self) -> None:
        """Waits for the iteration, and takes over what is known of it."""
        norm_ratio = self.flat.gradient.norm() / self.flat.values.norm()
        # One list, so that a GPU makes us wait only once.
        loss, stops, self.norm_ratio = torch.stack([self.flat.loss, self.flat.stop, norm_ratio]).tolist()
        self.seconds = time.perf_counter() - self._began
        self.train_losses.append(loss / self.options.seq_length)
        self._all_stop = bool(stops)

    def check_loss(self) -> None:
        """Raises UserError if the last loss is not a number, or more than -max_loss_ratio times the first one."""
        first, last, ratio = self.train_losses[0], self.train_losses[-1], self.options.max_loss_ratio
        if not math.isfinite(last):
            raise UserError(f"the loss is not a number any more; {ADVICE}")
        if ratio and last > ratio * first:
            what = f"the loss is exploding, from {first:.4g} to {last:.4g}"
            raise UserError(f"{what}; {ADVICE}, or allow it with a -max_loss_ratio above {ratio:g}")

    def check_finite(self) -> None:
        """Raises UserError if too large an update has made the model, or what it predicts, anything but numbers."""
        if not (math.isfinite(self.val_losses.get(self.iteration, 0.0)) and self.flat.values.isfinite().all()):
            raise UserError(f"the model is not a number any more; {ADVICE}")

    def decay_learning_rate(self) -> None:
        """Lowers the learning rate, and says so, if an epoch has ended and it is time."""
        factor = self.options.learning_rate_decay
        epoch_has_ended = self.iteration % self.batches.split_sizes[TRAIN] == 0
        if factor < 1 and epoch_has_ended and self.epoch >= self.options.learning_rate_decay_after:
            self.learning_rate *= factor
            log(f"decayed learning rate by a factor {factor} to {self.learning_rate}")

    def validate(self) -> None:
        """Adds the loss per character on the validation split, from a zero state, to `val_losses`.

        Without such a split that is the mean of the training losses over the last epoch. If it takes long, it shows its
        progress, and a request to stop ends it without a loss; but several processes go on, since all sum the loss.
        """
        per_epoch, count, _ = self.batches.split_sizes
        if not count:
            self.val_losses[self.iteration] = float(np.mean(self.train_losses[-per_epoch:]))
            return
        log("evaluating loss over split index 2")
        cut_from = time.perf_counter() + LONG if self.processes.size == 1 else math.inf
        state = torch.zeros_like(self.state)
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        for number in tqdm(range(count), "validation", leave=False, delay=LONG, disable=not shows_bars()):
            if self.stop.received and time.perf_counter() > cut_from:
                return
            x, y = map(self._send, self.batches.batch(VALIDATION, number))
            loss, state = self.model.batch_loss(x, y, state)
            total += loss
        characters = count * self.options.batch_size * self.options.seq_length
        self.val_losses[self.iteration] = self.processes.sum(total).item() / characters

    def state_dict(self, text_sha256: str) -> dict[str, Any]:
        """Returns what a `Checkpoint` holds of the run. All processes must call it, and get the same."""
        L, states, _, H = self.state.shape
        state = self.state.new_zeros(L, states, self.options.batch_size, H)  # of the streams of all processes
        state[:, :, self.batches.streams] = self.state
        random = (self._draws or self.random).state()  # draws run ahead of what has been used
        training = {
            "learning_rate": self.learning_rate,
            "optimizer": {name: tensor.numpy(force=True).copy() for name, tensor in self.optimizer.state.items()},
            "state": self.processes.sum(state).numpy(force=True),
            "random": {"key": random["key"].astype(np.int64), "pos": random["pos"]},
            "text_sha256": text_sha256,
            "device": self.device.type,
        }
        return self.model_state() | {"training": training}

    def model_state(self) -> dict[str, Any]:
        """Returns the same without what only resuming needs; this process alone has all of it."""
        return {
            "parameters": {name: tensor.numpy(force=True).copy() for name, tensor in self.model.named_parameters()},
            "iteration": self.iteration,
            "epoch": self.epoch,
            "train_losses": np.array(self.train_losses, np.float64),
            "val_losses": dict(self.val_losses),
            "training": None,
        }

    def restore(self, checkpoint: Checkpoint) -> None:
        """Goes on where the run of this checkpoint was."""
        training = checkpoint.training
        assert training
        self.model.load_arrays(checkpoint.parameters)
        self.iteration, self.learning_rate = checkpoint.iteration, training["learning_rate"]
        self.train_losses, self.val_losses = checkpoint.train_losses.tolist(), dict(checkpoint.val_losses)
        for name, tensor in self.optimizer.state.items():
            tensor.copy_(torch.tensor(training["optimizer"][name]))
        self.state.copy_(torch.tensor(training["state"][:, :, self.batches.streams]))
        self.random.restore({"key": training["random"]["key"].astype(np.uint32), "pos": training["random"]["pos"]})
