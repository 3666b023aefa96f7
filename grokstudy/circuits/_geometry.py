"""Geometry of matrices and of embedded residues: principal components, ranks, and the distance of two inputs."""

from __future__ import annotations

import dataclasses
import itertools

import torch
from jaxtyping import Float, Int
from torch import Tensor

from grokstudy.circuits._fourier import frequency_power, transform_1d
from grokstudy.circuits._network import Network

NO_VARIANCE = 1e-10
"""A singular value below this share of the largest is rounding."""
TIED = 1e-9
"""Singular values closer than this share of the largest are equal: their components are known up to rotation only."""


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Components:
    """Embedded tokens = mean + scores @ axes."""

    mean: Float[Tensor, " width"]
    scores: Float[Tensor, "tokens components"]
    """Of falling variance, those without variance left out."""
    axes: Float[Tensor, "components width"]
    """Orthonormal."""


def principal_components(W_E: Float[Tensor, "width tokens"]) -> Components:
    """Principal components of the tokens' embeddings.

    Equally strong components are known only up to a rotation of their space. Of all rotations the one is taken that
    makes the scores eigenvectors of the step t -> t + 1 within that space: two circles of equal size come out as
    circles and not as a mixture, whatever the basis of the width.
    """
    mean = W_E.mean(dim=1)
    U, size, axes = torch.linalg.svd(W_E.T - mean, full_matrices=False)
    has_variance = size > NO_VARIANCE * size.max()
    U, size, axes = U[:, has_variance], size[has_variance], axes[has_variance]
    for first, last in _ties(size):
        rotation = _by_frequency(U[:, first:last])
        axes[first:last] = rotation.T @ axes[first:last]
    return Components(mean=mean, scores=(W_E.T - mean) @ axes.T, axes=axes)


def _ties(falling: Float[Tensor, " n"]) -> list[tuple[int, int]]:
    """First and last + 1 of every run of more than two equal numbers; a pair is one circle however it is turned."""
    if len(falling) == 0:
        return []
    jumps = torch.nonzero(falling[:-1] - falling[1:] > TIED * falling[0])[:, 0] + 1
    ends = [0, *jumps.tolist(), len(falling)]
    return [(first, last) for first, last in itertools.pairwise(ends) if last - first > 2]


def _by_frequency(scores: Float[Tensor, "tokens tied"]) -> Float[Tensor, "tied tied"]:
    """The rotation after which orthonormal scores are ordered by the frequency of their waves, lowest first."""
    step = scores.T @ scores.roll(1, dims=0)
    rotation: Tensor = torch.linalg.eigh((step + step.T) / 2).eigenvectors
    return rotation.flip(1)


def wave_shares(
    scores: Float[Tensor, "p components"],
) -> tuple[Float[Tensor, " components"], Int[Tensor, " components"]]:
    """Each component's best frequency's share of its variance, and that frequency."""
    power = frequency_power(transform_1d(scores.T).T)
    share, best = (power / (scores**2).sum(dim=0)).max(dim=0)
    return share, best + 1


def distance(net: Network) -> Int[Tensor, " rows"]:
    """What the answer of a sum leaves open, a - b mod p; of a difference, a + b."""
    return (2 * net.a - net.answer) % net.p


def entropy_rank(weights: Float[Tensor, " n"]) -> float:
    """exp of the entropy (nats) of non-negative weights, normalised to sum 1: n if all are equal, NaN if all are 0."""
    shares = weights / weights.sum()
    return float(torch.special.entr(shares).sum().exp())


def stable_rank(singular: Float[Tensor, " n"]) -> float:
    """Squared Frobenius over squared spectral norm, from the singular values. NaN if all are 0."""
    return float((singular**2).sum() / singular.max() ** 2)
