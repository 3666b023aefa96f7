"""Matrix products: how many operations an update's ones have, and how many a second this machine can make."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

from grokstudy.models._products import product
from grokstudy.spec.settings import has_onednn

SIZES = (1024, 2048)
"""Squares whose product is timed: larger than the caches, and small enough to take less than a second."""
QUICK_SIZES = (512,)
REPEATS = 3


def product_flops(step: Callable[[], object]) -> int:
    """Floating-point operations of all matrix products in one call.

    Every product [m, k] @ [k, n] that torch dispatches has 2 m k n of them, counted from the shapes as they pass; a
    batch of b products has b times as many. Products of a matrix and a vector are not counted, nor is anything else.
    The quadratic MLP thus has 6 R N p (R train rows, three products), and the one-layer transformer's gradient by hand
    6 R (w m + w v + m v) that grow with the rows (w = heads d_head, m = d_mlp, v = p + 1), the rest being products of
    weights.
    """
    # torch knows the formula for its own products, but not for oneDNN's, which is handed `b` transposed: [n, k].
    onednn = {torch.ops.mkldnn._linear_pointwise: _linear_flops} if has_onednn() else {}
    with FlopCounterMode(display=False, custom_mapping=onednn) as counter:
        step()
    return int(counter.get_total_flops())


def _linear_flops(a: tuple[int, int], *others: object, **_: object) -> int:
    # The form that adds a matrix has it in between: (a, plus, b), else (a, b).
    b = others[1] if _is_shape(others[1]) else others[0]
    assert isinstance(b, (tuple, torch.Size))
    return 2 * a[0] * a[1] * b[0]


def _is_shape(x: object) -> bool:
    return isinstance(x, (tuple, torch.Size)) and len(x) == 2


def sgemm_peak(sizes: tuple[int, ...]) -> float:
    """Float32 operations per second of the fastest square product seen, torch's own or oneDNN's, with the threads set.

    The fastest, not the median: a peak is what the machine can do when nothing disturbs it.
    """
    best = 0.0
    for size in sizes:
        a, b = torch.randn(size, size), torch.randn(size, size)
        for multiply in (torch.mm, product):
            for _ in range(REPEATS):
                start = time.perf_counter()
                multiply(a, b)
                best = max(best, 2 * size**3 / (time.perf_counter() - start))
    return best
