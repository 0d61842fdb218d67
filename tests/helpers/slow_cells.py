"""The three cells again, as obvious as possible: plain autograd, step by step."""

import torch


def lstm(x, state, layer):
    c, h = state
    outputs = []
    for x_t in x:
        a = x_t @ layer.i2h_weight + layer.i2h_bias + h @ layer.h2h_weight + layer.h2h_bias
        i, f, o, g = a.chunk(4, dim=1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        outputs.append(h)
    return torch.stack(outputs), torch.stack((c, h))


def gru(x, state, layer):
    (h,) = state
    outputs = []
    for x_t in x:
        from_x = (x_t @ layer.i2h_weight + layer.i2h_bias).chunk(3, dim=1)
        weights, biases = layer.h2h_weight.chunk(3, dim=1), layer.h2h_bias.chunk(3)
        z = (from_x[0] + h @ weights[0] + biases[0]).sigmoid()
        r = (from_x[1] + h @ weights[1] + biases[1]).sigmoid()
        n = (from_x[2] + (r * h) @ weights[2] + biases[2]).tanh()
        h = z * n + (1 - z) * h
        outputs.append(h)
    return torch.stack(outputs), h.unsqueeze(0)


def rnn(x, state, layer):
    (h,) = state
    outputs = []
    for x_t in x:
        h = (x_t @ layer.i2h_weight + layer.i2h_bias + h @ layer.h2h_weight + layer.h2h_bias).tanh()
        outputs.append(h)
    return torch.stack(outputs), h.unsqueeze(0)


SLOW = {"lstm": lstm, "gru": gru, "rnn": rnn}
