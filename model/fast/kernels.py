"""The steps of lstm.py, gru.py and rnn.py once more, in the same letters, as Triton kernels for a GPU.

A program computes a tile of BB streams by BH units; h_in goes into a step and h_out comes out. All arrays are of
float32. A forward kernel finds in `gates` what the input adds to them, a_i for i, and leaves there the gates; its w is
W_h2h^T. A backward kernel begins with what the step after it adds to dh, W_h2h^T da, since that product needs the
gradients of all units; its w is W_h2h, and that step's d_gates lie behind its own. P is tl.dot's precision; for BK and
SK see `product`.
"""

import triton
import triton.language as tl
from triton.language import constexpr

BB, SK = constexpr(16), constexpr(4)


@triton.jit
def tanh(x):
    return 2 * tl.sigmoid(2 * x) - 1


@triton.jit
def tile(B, H, G, BH: constexpr):
    """Returns where this program's units are in (B, H), where their first gates are in (B, G·H), and which exist."""
    b = (tl.program_id(0) * BB + tl.arange(0, BB))[:, None]
    unit = (tl.program_id(1) * BH + tl.arange(0, BH))[None, :]
    return b * H + unit, b * (G * H) + unit, (b < B) & (unit < H)


@triton.jit
def product(x_ptr, w_ptr, width, B, H, K: constexpr, G: constexpr, BH: constexpr, BK: constexpr, P: constexpr):
    """Returns x w^T for this program's tile, (BB, BH·G): a unit's G gates lie side by side.

    Rows of x (B, K) and w (G·H, K) are `width` apart. A tile is too small to keep all warps busy, so they make SK sums
    side by side, each of every SK-th block of BK terms.
    """
    b, column = tl.program_id(0) * BB + tl.arange(0, BB), tl.arange(0, BH * G)
    unit, gate = tl.program_id(1) * BH + column // G, column % G
    total = tl.zeros((SK, BB, BH * G), tl.float32)
    for first in range(0, K, BK * SK):
        k = first + tl.arange(0, SK)[:, None] * BK + tl.arange(0, BK)[None, :]
        x_at, x_inside = b[None, :, None] * width + k[:, None, :], (b < B)[None, :, None] & (k < K)[:, None, :]
        w_at = (gate * H + unit)[None, None, :] * width + k[:, :, None]
        w_inside = (unit < H)[None, None, :] & (k < K)[:, :, None]
        x, w = tl.load(x_ptr + x_at, x_inside, 0.0), tl.load(w_ptr + w_at, w_inside, 0.0)
        total = tl.dot(x, w, total, input_precision=P)
    return tl.sum(total, 0)


@triton.jit
def lstm_forward(gates, h_in, c_in, h_out, c_out, w, B, H: constexpr, BH: constexpr, BK: constexpr, P: constexpr):
    at, i_at, inside = tile(B, H, 4, BH)
    f_at, o_at, g_at = i_at + H, i_at + 2 * H, i_at + 3 * H
    a_i, a_f = tl.load(gates + i_at, inside), tl.load(gates + f_at, inside)
    a_o, a_g = tl.load(gates + o_at, inside), tl.load(gates + g_at, inside)
    c = tl.load(c_in + at, inside)
    wh_io, wh_fg = tl.split(tl.reshape(product(h_in, w, H, B, H, H, 4, BH, BK, P), (BB, BH, 2, 2)))
    wh_i, wh_o = tl.split(wh_io)
    wh_f, wh_g = tl.split(wh_fg)
    i, f, o = tl.sigmoid(a_i + wh_i), tl.sigmoid(a_f + wh_f), tl.sigmoid(a_o + wh_o)
    g = tanh(a_g + wh_g)
    c = f * c + i * g
    tl.store(c_out + at, c, inside)
    tl.store(h_out + at, o * tanh(c), inside)
    tl.store(gates + i_at, i, inside)
    tl.store(gates + f_at, f, inside)
    tl.store(gates + o_at, o, inside)
    tl.store(gates + g_at, g, inside)


@triton.jit
def lstm_backward(
    gates, c_in, c_out, dh_out, dc_out, dc_in, d_gates, w, B, H: constexpr, BH: constexpr, BK: constexpr, P: constexpr
):
    at, i_at, inside = tile(B, H, 4, BH)
    f_at, o_at, g_at = i_at + H, i_at + 2 * H, i_at + 3 * H
    i, f = tl.load(gates + i_at, inside), tl.load(gates + f_at, inside)
    o, g = tl.load(gates + o_at, inside), tl.load(gates + g_at, inside)
    c, tanh_c = tl.load(c_in + at, inside), tanh(tl.load(c_out + at, inside))
    dc = tl.load(dc_out + at, inside)
    dh = tl.load(dh_out + at, inside) + product(d_gates + B * 4 * H, w, 4 * H, B, H, 4 * H, 1, BH, BK, P)
    dc += dh * o * (1 - tanh_c * tanh_c)
    tl.store(d_gates + i_at, dc * g * i * (1 - i), inside)
    tl.store(d_gates + f_at, dc * c * f * (1 - f), inside)
    tl.store(d_gates + o_at, dh * tanh_c * o * (1 - o), inside)
    tl.store(d_gates + g_at, dc * i * (1 - g * g), inside)
    tl.store(dc_in + at, dc * f, inside)


@triton.jit
def gru_forward_zr(gates, h_in, rh, w, B, H: constexpr, BH: constexpr, BK: constexpr, P: constexpr):
    at, z_at, inside = tile(B, H, 3, BH)
    a_z, a_r, h = tl.load(gates + z_at, inside), tl.load(gates + z_at + H, inside), tl.load(h_in + at, inside)
    wh_z, wh_r = tl.split(tl.reshape(product(h_in, w, H, B, H, H, 2, BH, BK, P), (BB, BH, 2)))
    z, r = tl.sigmoid(a_z + wh_z), tl.sigmoid(a_r + wh_r)
    tl.store(gates + z_at, z, inside)
    tl.store(gates + z_at + H, r, inside)
    tl.store(rh + at, r * h, inside)


@triton.jit
def gru_forward_n(gates, h_in, rh, h_out, w, B, H: constexpr, BH: constexpr, BK: constexpr, P: constexpr):
    at, z_at, inside = tile(B, H, 3, BH)
    z, a_n, h = tl.load(gates + z_at, inside), tl.load(gates + z_at + 2 * H, inside), tl.load(h_in + at, inside)
    n = tanh(a_n + product(rh, w, H, B, H, H, 1, BH, BK, P))
    tl.store(gates + z_at + 2 * H, n, inside)
    tl.store(h_out + at, z * n + (1 - z) * h, inside)


@triton.jit
def gru_backward_zn(
    gates, h_in, dh_out, dh_in, d_gates, w, B, H: constexpr, BH: constexpr, BK: constexpr, P: constexpr
):
    at, z_at, inside = tile(B, H, 3, BH)
    z, n, h = tl.load(gates + z_at, inside), tl.load(gates + z_at + 2 * H, inside), tl.load(h_in + at, inside)
    dh, dh_so_far = tl.load(dh_out + at, inside), tl.load(dh_in + at, inside)
    dh += product(d_gates + B * 3 * H, w, 3 * H, B, H, 2 * H, 1, BH, BK, P)
    tl.store(d_gates + z_at, dh * (n - h) * z * (1 - z), inside)
    tl.store(d_gates + z_at + 2 * H, dh * z * (1 - n * n), inside)
    tl.store(dh_in + at, dh_so_far + dh * (1 - z), inside)


@triton.jit
def gru_backward_r(gates, h_in, dh_in, d_gates, d_n, w, B, H: constexpr, BH: constexpr, BK: constexpr, P: constexpr):
    at, z_at, inside = tile(B, H, 3, BH)
    r, h = tl.load(gates + z_at + H, inside), tl.load(h_in + at, inside)
    dh_so_far, d_rh = tl.load(dh_in + at, inside), product(d_n, w, 3 * H, B, H, H, 1, BH, BK, P)
    tl.store(d_gates + z_at + H, d_rh * h * r * (1 - r), inside)
    tl.store(dh_in + at, dh_so_far + d_rh * r, inside)


@triton.jit
def rnn_forward(gates, h_in, h_out, w, B, H: constexpr, BH: constexpr, BK: constexpr, P: constexpr):
    at, _, inside = tile(B, H, 1, BH)
    a = tl.load(gates + at, inside)
    tl.store(h_out + at, tanh(a + product(h_in, w, H, B, H, H, 1, BH, BK, P)), inside)


@triton.jit
def rnn_backward(h_out, dh_out, d_gates, w, B, H: constexpr, BH: constexpr, BK: constexpr, P: constexpr):
    at, _, inside = tile(B, H, 1, BH)
    h = tl.load(h_out + at, inside)
    dh = tl.load(dh_out + at, inside) + product(d_gates + B * H, w, H, B, H, H, 1, BH, BK, P)
    tl.store(d_gates + at, dh * (1 - h * h), inside)
