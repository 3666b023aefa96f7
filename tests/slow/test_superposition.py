"""Toy models of superposition: dense features compete for places, sparse ones share them."""

from __future__ import annotations

import numpy as np
import pytest
from jaxtyping import Float

from grokstudy.spec.compose import compose_study
from grokstudy.spec.decode import decode_trial
from tests.packs import run

pytestmark = pytest.mark.slow


def directions(sparsity: float) -> list[Float[np.ndarray, "hidden features"]]:
    """W of two seeds after training without weight decay: five features in two numbers."""
    words = ["task=tms", "model=tms", "loss=mse", "regularization=none", "optimizer.lr=0.01"]
    studies = [compose_study([*words, f"task.sparsity={sparsity}", f"seed={seed}"]) for seed in range(2)]
    trials = run([decode_trial(dict(study.base)) for study in studies], 2000).trials
    return [trained.params[:10].reshape(2, 5).double().numpy() for trained in trials]


def test_dense_features_leave_room_for_the_two_that_matter_most() -> None:
    """Measured norms: .92 to 1.00 of the first two, at most .39 of the others; orthogonal to each other."""
    for W in directions(0.0):
        norms = np.linalg.norm(W, axis=0)
        assert (np.abs(norms[:2] - 1) < 0.15).all()
        assert (norms[2:] < 0.5).all()
        assert abs(W[:, 0] @ W[:, 1]) < 0.15


def test_sparse_features_are_all_represented_as_a_pentagon() -> None:
    """Measured norms: 1.07 to 1.16. Neighbours of a regular pentagon stand 72 degrees apart."""
    for W in directions(0.95):
        assert (np.abs(np.linalg.norm(W, axis=0) - 1) < 0.25).all()
        angles = np.sort(np.degrees(np.arctan2(W[1], W[0])))
        gaps = np.diff([*angles, angles[0] + 360])
        assert (np.abs(gaps - 72) < 15).all()
