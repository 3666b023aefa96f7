"""The Fourier basis over the residues, and the two concentration numbers, against their formulas."""

from __future__ import annotations

import math

import pytest
import torch

from grokstudy.circuits import _fourier
from grokstudy.spec.errors import BadInput
from tests.planted import grid, noise

torch.set_num_threads(1)

# Sums of at most p^3 = 12,167 float64 terms of size 10 err by less than 12,167 * 10 * 1.1e-16 = 1.4e-11.
EXACT = 1e-10


# --- basis ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [2, 3, 5, 12, 23, 113])
def test_the_basis_is_orthonormal_for_odd_and_even_p(p: int) -> None:
    f = _fourier.basis(p)
    assert f.shape == (p, p)
    # p products, each with an error of a few 1.1e-16 of its factors.
    torch.testing.assert_close(f @ f.T, torch.eye(p, dtype=torch.float64), atol=1e-14 * p, rtol=0)


def test_rows_are_constant_then_cos_and_sin_in_turn() -> None:
    t = torch.arange(7).double()
    f = _fourier.basis(7)
    torch.testing.assert_close(f[3], math.sqrt(2 / 7) * torch.cos(2 * math.pi * 2 * t / 7))
    torch.testing.assert_close(f[4], math.sqrt(2 / 7) * torch.sin(2 * math.pi * 2 * t / 7))
    torch.testing.assert_close(_fourier.basis(4)[3], torch.tensor([0.5, -0.5, 0.5, -0.5], dtype=torch.float64))


@pytest.mark.parametrize("p", [11, 12])
def test_parseval_in_one_and_two_dimensions(p: int) -> None:
    x = noise(p, p, 3)
    assert float((_fourier.transform_2d(x) ** 2).sum()) == pytest.approx(float((x**2).sum()), rel=1e-13)
    assert float((_fourier.transform_1d(x[:, :, 0]) ** 2).sum()) == pytest.approx(float((x[:, :, 0] ** 2).sum()))


@pytest.mark.parametrize("p", [11, 12])
def test_directions_are_orthonormal_and_are_cos_and_sin_of_the_sum(p: int) -> None:
    a, b = grid(p)
    d = torch.cat([_fourier.directions(k, (a + b) % p, p) for k in _fourier.frequencies(p)])
    torch.testing.assert_close(d @ d.T, torch.eye(p - 1, dtype=torch.float64))
    f = _fourier.basis(p)
    c1 = (torch.outer(f[1], f[1]) - torch.outer(f[2], f[2])).flatten() / math.sqrt(2)
    torch.testing.assert_close(d[0], c1)


def test_a_frequency_outside_the_range_is_refused() -> None:
    with pytest.raises(BadInput, match=r"got 6, must be in 1\.\.5"):
        _fourier.rows_of([6], 11)


# --- Gini and IPR --------------------------------------------------------------------------------------------------


def test_gini_of_one_hot_uniform_and_the_pairwise_formula() -> None:
    n = 10
    assert _fourier.gini(torch.eye(n, dtype=torch.float64)[3]) == pytest.approx(1 - 1 / n, abs=1e-15)
    assert _fourier.gini(torch.ones(n, dtype=torch.float64)) == pytest.approx(0, abs=1e-15)
    x = noise(n).abs()
    pairwise = (x[:, None] - x[None, :]).abs().mean() / (2 * x.mean())
    assert _fourier.gini(x) == pytest.approx(float(pairwise), rel=1e-13)


@pytest.mark.parametrize("p", [97, 12])
def test_ipr_of_one_cosine_is_one_and_of_a_flat_spectrum_one_over_its_bins(p: int) -> None:
    t = torch.arange(p).double()
    assert float(_fourier.ipr(torch.cos(2 * math.pi * 3 * t / p + 0.7))) == pytest.approx(1, abs=1e-12)
    delta = torch.zeros(p, dtype=torch.float64)
    delta[0] = 1
    assert float(_fourier.ipr(delta)) == pytest.approx(1 / (p // 2 + 1), abs=1e-12)
    assert math.isnan(float(_fourier.ipr(torch.zeros(p, dtype=torch.float64))))
