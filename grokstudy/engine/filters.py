"""Gradient filters: what is done to the loss's gradient before the optimizer sees it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from grokstudy.spec.interfaces import Optimizer

TINY = 1e-30
"""Added to the squared norm of a tensor's weights, which may be zero."""


def filter_state(optimizer: Optimizer) -> tuple[str, ...]:
    """Names of the filter's state tensors, each of the shape of the parameters and zero at the start."""
    if optimizer.filter == "grokfast_ema":
        return ("filter_ema",)
    if optimizer.filter == "grokfast_ma":
        return ("filter_sum", *(_slot(i) for i in range(optimizer.filter_window)))
    return ()


def filter_gradient(
    optimizer: Optimizer,
    params: Float[Tensor, "members size"],
    grads: Float[Tensor, "members size"],
    state: Mapping[str, Tensor],
    number: int,
    shapes: Sequence[tuple[str, tuple[int, ...]]],
) -> None:
    """Filters `grads` in place; `number` counts the updates made before."""
    if optimizer.filter == "orthograd":
        _orthogonal(params, grads, [math.prod(shape) for _, shape in shapes])
    elif optimizer.filter == "grokfast_ema":
        _add_slow_average(grads, state["filter_ema"], optimizer, number)
    elif optimizer.filter == "grokfast_ma":
        _add_window_mean(grads, state, optimizer, number)


def _orthogonal(params: Tensor, grads: Tensor, sizes: Sequence[int]) -> None:
    """Per tensor: the part of g orthogonal to w, rescaled to the length of g.

    One member at a time and in memory of its own: libraries choose kernels of a dot product by alignment.
    Source: Prieto et al. 2025 (arXiv 2501.04697), equation 9; the rescaling is in the authors' code only.
    """
    for lane in range(len(params)):
        weights, own = params[lane].clone(), grads[lane].clone()
        for w, g in zip(weights.split(list(sizes)), own.split(list(sizes)), strict=True):
            length = torch.dot(g, g).sqrt()
            g.sub_(w * (torch.dot(w, g) / (torch.dot(w, w) + TINY)))
            g.mul_(length / (torch.dot(g, g).sqrt() + TINY))
        grads[lane] = own


def _add_slow_average(grads: Tensor, ema: Tensor, optimizer: Optimizer, number: int) -> None:
    """g + lamb * ema, the average starting at the first gradient.

    Source: Lee et al. 2024, Grokfast (arXiv 2405.20233), algorithm 2.
    """
    if number == 0:
        ema.copy_(grads)
    else:
        ema.mul_(optimizer.filter_alpha).add_(grads * (1 - optimizer.filter_alpha))
    grads.add_(ema * optimizer.filter_lamb)


def _add_window_mean(grads: Tensor, state: Mapping[str, Tensor], optimizer: Optimizer, number: int) -> None:
    """g + lamb * mean of the last `window` gradients, from the update on at which the window is full.

    The sum is kept running and made anew once per window, so that rounding cannot pile up.
    Source: Lee et al. 2024, Grokfast (arXiv 2405.20233), algorithm 1.
    """
    window, total = optimizer.filter_window, state["filter_sum"]
    slot = state[_slot(number % window)]
    total.add_(grads).sub_(slot)
    slot.copy_(grads)
    if number % window == window - 1:
        total.copy_(state[_slot(0)])
        for i in range(1, window):
            total.add_(state[_slot(i)])
    if number >= window - 1:
        grads.add_(total * (optimizer.filter_lamb / window))


def _slot(i: int) -> str:
    return f"filter_window_{i:03d}"
