"""Cross entropy of softmax in the precision of the logits given, with its gradient and its collapse."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jaxtyping import Bool, Float, Int

if TYPE_CHECKING:
    from torch import Tensor


def cross_entropy(logits: Float[Tensor, "*batch outputs"], labels: Int[Tensor, " *batch"]) -> Float[Tensor, " *batch"]:
    """-log softmax at the label, in nats."""
    # One pass over the outputs; and exact to the last digits of a small loss, where logsumexp - logit cancels.
    return -logits.log_softmax(-1).gather(-1, labels[..., None]).squeeze(-1)


def softmax_minus_one_hot(
    logits: Float[Tensor, "*batch outputs"], labels: Int[Tensor, " *batch"]
) -> Float[Tensor, "*batch outputs"]:
    """d cross_entropy / d logits."""
    return subtract_one_hot(logits.softmax(-1), labels)


def subtract_one_hot(
    probabilities: Float[Tensor, "*batch outputs"], labels: Int[Tensor, " *batch"]
) -> Float[Tensor, "*batch outputs"]:
    """Takes 1 off at the label, in place."""
    import torch

    return probabilities.scatter_add_(-1, labels[..., None], -torch.ones_like(probabilities[..., :1]))


def absorbed(logits: Float[Tensor, "*batch outputs"]) -> Bool[Tensor, " *batch"]:
    """Where the largest output absorbs all others: the sum of exp(logit - largest) rounds to 1."""
    return (logits - logits.amax(-1, keepdim=True)).exp().sum(-1) == 1
