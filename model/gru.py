"""Gated recurrent unit.

    z  = sigmoid(W_xz x + b_xz + W_hz h + b_hz)
    r  = sigmoid(W_xr x + b_xr + W_hr h + b_hr)
    n  = tanh(W_xn x + b_xn + W_hn (r h) + b_hn)
    h' = z n + (1 - z) h

Cho et al. (2014), as char-rnn has it. torch.nn.GRU is another cell: there r multiplies W_hn h + b, and z weighs h.
The way back is the chain rule through these lines. For the letters and the loop over time see layer.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from model.layer import Layer, Step


class GRU(Layer):
    """A layer of GRU cells; its state is (h,)."""

    cell = "gru"
    kept = ("rh", "d_rh", "dh_dh")
    blocks = {"zr": 2}

    def h2h_parts(self, weight: Tensor, axis: int) -> Sequence[Tensor]:
        return weight.tensor_split([2 * self.rnn_size], axis)  # W_hz and W_hr; W_hn

    def forward_step(self, s: Step, w_zr: Tensor, w_n: Tensor) -> None:  # type: ignore[override]
        s.zr.addmm_(s.h_prev, w_zr).sigmoid_()  # z, r = sigmoid(W x + b + W_h h)
        torch.mul(s.r, s.h_prev, out=s.rh)
        s.n.addmm_(s.rh, w_n).tanh_()  # n = tanh(W_xn x + b + W_hn (r h))
        torch.lerp(s.h_prev, s.n, s.z, out=s.h)  # h' = z n + (1 - z) h

    def slopes(self, s: Step) -> None:
        torch.addcmul(s.gates, s.gates, s.gates, value=-1, out=s.d_gates)  # sigmoid' = s (1 - s); n follows below
        s.d_z.mul_(torch.sub(s.n, s.h_prev, out=s.dh_dh))  # dh'/da_z = (n - h) z (1 - z)
        s.d_r.mul_(s.h_prev)  # d(rh)/da_r = h r (1 - r)
        torch.addcmul(s.z, torch.mul(s.z, s.n, out=s.d_n), s.n, value=-1, out=s.d_n)  # dh'/da_n = z (1 - n²)
        torch.neg(s.z, out=s.dh_dh).add_(1)  # dh'/dh = 1 - z, with z and n held

    def backward_step(self, s: Step, w_zr_t: Tensor, w_n_t: Tensor) -> None:  # type: ignore[override]
        s.d_z.mul_(s.dh)  # da_z = dh' dh'/da_z
        s.d_n.mul_(s.dh)  # da_n = dh' dh'/da_n
        torch.mm(s.d_n, w_n_t, out=s.d_rh)  # d(rh) = W_hn^T da_n
        s.d_r.mul_(s.d_rh)  # da_r = d(rh) d(rh)/da_r
        s.dh_prev.addcmul_(s.dh, s.dh_dh).addcmul_(s.d_rh, s.r)  # dh += dh' dh'/dh + d(rh) r
        s.dh_prev.addmm_(s.d_zr, w_zr_t)  # + W_hz^T da_z + W_hr^T da_r

    def h2h_gradient(self, s: Step, out: Tensor) -> None:
        d_weight_zr, d_weight_n = out.tensor_split([2 * self.rnn_size], dim=1)
        torch.mm(s.h_prev.flatten(0, 1).t(), s.d_zr.flatten(0, 1), out=d_weight_zr)
        torch.mm(s.rh.flatten(0, 1).t(), s.d_n.flatten(0, 1), out=d_weight_n)

    def torch7_parameters(self) -> Iterator[Tensor]:
        """Yields views of the parameters in the flat order of the reference: W_xz, W_hz, W_xn, W_xr, W_hr, W_hn."""
        z, r, n = (slice(gate * self.rnn_size, (gate + 1) * self.rnn_size) for gate in range(3))
        i2h, h2h = (self.i2h_weight, self.i2h_bias), (self.h2h_weight, self.h2h_bias)
        for (weight, bias), gate in ((i2h, z), (h2h, z), (i2h, n), (i2h, r), (h2h, r), (h2h, n)):
            yield weight[:, gate].t()
            yield bias[gate]
