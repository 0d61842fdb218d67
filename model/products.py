"""Matrix products of the layers: torch.mm, or for large layers on a CPU the faster kernels of oneDNN; or bfloat16.

FULL is the precision of the matrices. torch.mm multiplies float32 with MKL. From SIZE on, oneDNN takes 0.5 to 0.7 of
its time for the product of a step, once the weight is laid out as its kernel reads it, and 0.8 to 0.9 for a product
over all steps. At half that size it gains nothing. Which one multiplies follows from the shapes alone and never from a
clock, so that the same flags give the same figures; the last digits of the two differ. Other precisions, GPUs, other
processors than those measured, and versions of torch without the operators, which are not part of its documented
interface, stay with torch.mm.

BFLOAT16 rounds both matrices to the upper half of a float32, and the product again, but not the sums in between.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

SIZE = 256
"""oneDNN multiplies if its matrices have this many rows and columns, and this many results for each term of a sum."""
ROWS = 16
"""With fewer rows than this a product waits for memory either way, so no weight is packed for it."""


class Products(NamedTuple):
    """The functions that multiply, and what prepares a matrix for several products: `rounded`, or `packed` for many."""

    rounded: Callable[[Tensor], Tensor]
    packed: Callable[..., Tensor]
    mm: Callable[..., Tensor]
    addmm: Callable[..., Tensor]


def as_it_is(matrix: Tensor) -> Tensor:
    return matrix


def packed(weight: Tensor, rows: int, out: Tensor | None = None) -> Tensor:
    """Returns a weight (K, M) for many products with matrices (rows, K): packed, or copied to out if that is given."""
    if rows < ROWS or min(weight.shape) < SIZE or not has_onednn(weight):
        return weight if out is None else out.copy_(weight)
    return torch.ops.mkldnn._reorder_linear_weight(weight.t(), rows)


def mm(a: Tensor, b: Tensor, out: Tensor) -> Tensor:
    """Fills out with a b and returns it; b may come from `packed`."""
    return out.copy_(onednn(a, b)) if goes_to_onednn(a, b) else torch.mm(a, b, out=out)


def addmm(bias: Tensor, a: Tensor, b: Tensor, out: Tensor) -> Tensor:
    """Fills out with bias + a b and returns it; b may come from `packed`."""
    return torch.add(bias, onednn(a, b), out=out) if goes_to_onednn(a, b) else torch.addmm(bias, a, b, out=out)


def packed_bfloat16(weight: Tensor, rows: int, out: Tensor | None = None) -> Tensor:
    """Returns a weight (K, M), rounded, for many products with matrices (rows, K)."""
    if weight.device.type == "cpu" and onednn_works() and has_bfloat16():
        return torch.ops.mkldnn._reorder_linear_weight(weight.t().bfloat16(), rows)
    return weight.bfloat16()


def mm_bfloat16(a: Tensor, b: Tensor, out: Tensor) -> Tensor:
    """Fills out with a b, rounded, and returns it; b may come from `packed_bfloat16`."""
    return out.copy_(bfloat16_product(a, b))


def addmm_bfloat16(bias: Tensor, a: Tensor, b: Tensor, out: Tensor) -> Tensor:
    """Fills out with bias + a b, of which a b is rounded, and returns it; b may come from `packed_bfloat16`."""
    return torch.add(bias, bfloat16_product(a, b), out=out)


def bfloat16_product(a: Tensor, b: Tensor) -> Tensor:
    return onednn(a.bfloat16(), b) if b.is_mkldnn else torch.mm(a.bfloat16(), b.bfloat16())


FULL = Products(as_it_is, packed, mm, addmm)
BFLOAT16 = Products(Tensor.bfloat16, packed_bfloat16, mm_bfloat16, addmm_bfloat16)


def has_bfloat16() -> bool:
    """Whether the CPU multiplies in bfloat16; others go through float32, which is slower than float32 alone."""
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def goes_to_onednn(a: Tensor, b: Tensor) -> bool:
    if b.is_mkldnn:
        return True
    (rows, inner), columns = a.shape, b.shape[1]
    if min(rows, inner, columns) < SIZE or rows * columns < SIZE * inner:  # torch.mm is better at few, long sums
        return False
    return has_onednn(b) and is_dense(a) and is_dense(b)


def is_dense(matrix: Tensor) -> bool:
    """Whether a matrix or its transpose fills its memory; for others oneDNN has no kernel but a very slow one."""
    return matrix.is_contiguous() or matrix.t().is_contiguous()


def onednn(a: Tensor, b: Tensor) -> Tensor:
    """Returns a b in new memory."""
    return torch.ops.mkldnn._linear_pointwise(a, b if b.is_mkldnn else b.t(), None, "none", [], "")


def has_onednn(weight: Tensor) -> bool:
    """Whether oneDNN has a fast kernel for matrices of this kind, if they are large enough."""
    return weight.dtype == torch.float32 and weight.device.type == "cpu" and onednn_works()


@cache
def onednn_works() -> bool:
    """Tries the operators, on a processor of the kind on which they were measured."""
    if torch.backends.cpu.get_cpu_capability() != "AVX512":
        return False
    try:
        a, b = torch.ones(2, 3), torch.ones(3, 4)
        expected = torch.full((2, 4), 3.0)
        weights = b, torch.ops.mkldnn._reorder_linear_weight(b.t(), 2)
        return all(torch.equal(onednn(a, weight), expected) for weight in weights)
    except (AttributeError, RuntimeError, TypeError):
        return False
