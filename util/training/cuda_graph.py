"""A training step as one CUDA graph: its hundreds of small kernels start with one call instead of one each."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import torch
from torch import Tensor

from util.cli.console import warn

WARM_UP = 3


class Graphed:
    """Calls a function on tensors of fixed shapes on a GPU: a few times as it is, from then on as a captured graph.

    The function must do the same each time but for the inputs' values, and for what `key` says: with another key it
    is captured anew. Where capturing fails, a warning says so, and it is called as it is for good.
    """

    def __init__(self, function: Callable[..., Tensor]) -> None:
        self.function = function
        self._stream = torch.cuda.Stream()
        self._inputs: list[Tensor] | None = None
        self._calls = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._key: Hashable = None
        self._result: Tensor | None = None
        self._failed = False

    def __call__(self, inputs: Sequence[Tensor], key: Hashable) -> Tensor:
        """The function's result, in memory of its own."""
        self._calls += 1
        # Capturing wants a stream of its own, and autograd remembers on which one it first ran: all calls use it.
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            if self._inputs is None:
                self._inputs = [torch.empty_like(tensor) for tensor in inputs]
            for own, given in zip(self._inputs, inputs, strict=True):
                own.copy_(given, non_blocking=True)
            if self._calls > WARM_UP and not self._failed and (self._graph is None or key != self._key):
                self._capture(key)
            if self._graph is None:
                result = self.function(*self._inputs).clone()
            else:
                self._graph.replay()
                assert self._result is not None
                result = self._result.clone()
        torch.cuda.current_stream().wait_stream(self._stream)
        return result

    def _capture(self, key: Hashable) -> None:
        assert self._inputs is not None
        self._graph, self._key = None, key
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, stream=self._stream):
                self._result = self.function(*self._inputs)
        except RuntimeError as error:
            self._failed = True
            warn(f"warning: the training step could not be captured as a CUDA graph ({error}); it runs without one")
        else:
            self._graph = graph
