"""The cells: each one once, as its equations, for numpy and torch alike.

All that the program knows of a cell follows from its class here: what `-model` may be, the parameters and how they
start, what a checkpoint must hold, sampling (stepper.py) and training (layer.py). To add a cell, write its class and
name it in CELLS.

Letters: I inputs, H units of a layer, G gates. Arrays are (..., H): (B, H) for B streams, (H,) for a single one.
"""

from typing import Any

Shapes = dict[str, tuple[int, ...]]

INITIAL_RANGE = 0.08
"""The parameters of a new model are drawn from between minus and plus this."""


class Cell:
    """What all cells have. `step` returns the states after a step, given those before it and:

    xp, torch or stepper.py's Numpy. Both have sigmoid, tanh, and split(x, H, -1), which returns the blocks (..., H)
    that lie side by side in x.
    a (..., G·H), what the input x adds to the gates: W_i2h x + b_i2h + b_h2h. i2h is from input to hidden, h2h from
    hidden to hidden.
    p, the layer's parameters. p.h2h holds W_h2h (H, G·H) alone or, if the cell has `parts`, in these; weights are
    (inputs, outputs), so W_h2h h is h @ W. What `extra_shapes` names are attributes of p as well.
    """

    gates: tuple[str, ...]  # in the order of their blocks in a and in the weights (inputs, G·H)
    states: tuple[str, ...]  # what one step leaves to the next, (..., H) each; the output h is last
    parts: tuple[int, ...] = ()
    """How many gates each block of W_h2h is for, if a step multiplies them one by one; by default one is for all."""
    start_open: tuple[str, ...] = ()  # gates whose i2h biases start at 1
    linear_maps: tuple[tuple[str, str | None], ...] = (("i2h", None), ("h2h", None))
    """The order in which the original draws and stores the parameters: linear maps to one gate, or to all (None)."""

    @staticmethod
    def step(xp: Any, a: Any, p: Any, *states: Any) -> tuple[Any, ...]:
        raise NotImplementedError

    @staticmethod
    def extra_shapes(H: int) -> Shapes:
        """Returns the shapes of the parameters, by name, that the cell has beyond the four of every layer."""
        return {}

    @classmethod
    def widths(cls, H: int) -> list[int]:
        """Returns how many columns of W_h2h each of its parts has."""
        return [gates * H for gates in cls.parts or (len(cls.gates),)]

    @classmethod
    def shapes(cls, I: int, H: int) -> Shapes:  # noqa: E741
        """Returns the shapes of all parameters of a layer, by name."""
        GH = len(cls.gates) * H
        four = {"i2h_weight": (I, GH), "i2h_bias": (GH,), "h2h_weight": (H, GH), "h2h_bias": (GH,)}
        return four | cls.extra_shapes(H)


class LSTM(Cell):
    """Long short-term memory: Hochreiter and Schmidhuber (1997), Gers, Schmidhuber and Cummins (2000).

    i, the input gate, says how much of the candidate is written to the memory c.
    f, the forget gate, says how much of the memory is kept; it starts open, so that a new model remembers at all.
    o, the output gate, says how much of the memory is shown, to the layer above and to the next step.
    g, the candidate, is what may be written.
    """

    gates, states = ("i", "f", "o", "g"), ("c", "h")
    start_open = ("f",)

    @staticmethod
    def step(xp, a, p, c, h):
        H, (W,) = h.shape[-1], p.h2h
        a = a + h @ W
        i, f, o = xp.split(xp.sigmoid(a[..., : 3 * H]), H, -1)
        g = xp.tanh(a[..., 3 * H :])
        c = f * c + i * g
        return c, o * xp.tanh(c)


class GRU(Cell):
    """Gated recurrent unit: Cho et al. (2014), as the original has it.

    z, the update gate, says how much of the output is replaced.
    r, the reset gate, says how much of the old output the candidate is made from.
    n, the candidate, is what replaces it.

    torch.nn's differs: there r multiplies W h + b instead of h, and z says how much of the output stays.
    """

    gates, states = ("z", "r", "n"), ("h",)
    parts = (2, 1)
    linear_maps = (("i2h", "z"), ("h2h", "z"), ("i2h", "n"), ("i2h", "r"), ("h2h", "r"), ("h2h", "n"))

    @staticmethod
    def step(xp, a, p, h):
        H, (W_zr, W_n) = h.shape[-1], p.h2h
        z, r = xp.split(xp.sigmoid(a[..., : 2 * H] + h @ W_zr), H, -1)
        n = xp.tanh(a[..., 2 * H :] + (r * h) @ W_n)
        return (h + z * (n - h),)


class RNN(Cell):
    """The plain recurrent cell: Elman (1990). Its only gate is the new output itself."""

    gates, states = ("h",), ("h",)

    @staticmethod
    def step(xp, a, p, h):
        (W,) = p.h2h
        return (xp.tanh(a + h @ W),)


CELLS: dict[str, type[Cell]] = {"lstm": LSTM, "gru": GRU, "rnn": RNN}
