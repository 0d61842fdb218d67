"""Runs a function on a GPU as one CUDA graph: one launch instead of one for each of hundreds of small kernels."""

from collections.abc import Callable

import torch
from torch import Tensor

from util.cli.console import tell
from util.errors import is_out_of_memory

WARM_UP = 3  # how often to call the function directly before capturing it


class Graphed:
    """Calls a function on inputs of fixed shapes: a few times directly, from then on as a captured graph.

    Apart from the inputs' values, the function must do the same every time, on memory that stays in place. If
    capturing fails, warns and calls the function directly from then on.
    """

    def __init__(self, function: Callable[..., Tensor]) -> None:
        self._function = function
        # Capturing needs a stream of its own, and autograd remembers the stream it first ran on, so all calls use this.
        self._stream = torch.cuda.Stream()
        self._inputs: list[Tensor] = []
        self._graph: torch.cuda.CUDAGraph | None = None
        self._result: Tensor | None = None
        self._calls_until_capture = WARM_UP

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Copies the inputs to the graph's own; returns the result, which the next call overwrites."""
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            self._inputs = self._inputs or [torch.empty_like(tensor) for tensor in inputs]
            for own, given in zip(self._inputs, inputs, strict=True):
                own.copy_(given)
            if self._calls_until_capture == 0:
                self._capture()
            self._calls_until_capture -= 1
            if self._graph:
                self._graph.replay()
            else:
                self._result = self._function(*self._inputs)
        torch.cuda.current_stream().wait_stream(self._stream)
        assert self._result is not None
        return self._result

    def _capture(self) -> None:
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, stream=self._stream):
                self._result = self._function(*self._inputs)
            self._graph = graph
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            why = str(error).splitlines()[0]
            tell(f"warning: the training step could not be captured as a CUDA graph ({why}); continuing without one")
