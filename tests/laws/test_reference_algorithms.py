"""Reference algorithms: right on every input where the proof says so, wrong where it says that classes tie."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from grokstudy.circuits.reference import margins
from grokstudy.circuits.reference.clock_pizza import clock_error, clock_scores, pizza_margin, pizza_scores
from grokstudy.circuits.reference.fourier import (
    OPERATIONS_PER_SCORE,
    FourierMultiplication,
    Operation,
    discrete_log,
    frequencies,
    response,
)
from grokstudy.circuits.reference.parity import Parity
from grokstudy.spec.errors import BadInput

KEYS = (3, 14, 20, 33, 50)


def grid(p: int, first: int = 0) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.meshgrid(np.arange(p), np.arange(first, p), indexing="ij")
    return a.ravel(), b.ravel()


def truth(op: Operation, p: int, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if op == "div":
        return a * np.array([pow(int(x), -1, p) for x in b]) % p
    return {"add": a + b, "sub": a - b, "mul": a * b}[op] % p


@pytest.mark.parametrize("module", ["fourier", "clock_pizza", "parity", "margins"])
def test_a_reference_algorithm_needs_no_torch(module: str) -> None:
    code = f"import sys, grokstudy.circuits.reference.{module}; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


# --- rigorous bounds ----------------------------------------------------------------------------------------------


def test_the_digits_of_pi_enclose_machins_pi() -> None:
    def arctan_of_inverse(n: int) -> tuple[Fraction, Fraction]:
        terms = [Fraction((-1) ** i, (2 * i + 1) * n ** (2 * i + 1)) for i in range(60)]
        even = sum(terms)  # the last term is negative: below; without it: above
        return even, even - terms[-1]

    (low5, high5), (low239, high239) = arctan_of_inverse(5), arctan_of_inverse(239)
    low, high = 16 * low5 - 4 * high239, 16 * high5 - 4 * low239
    # 60 terms of arctan(1/5) leave 5^-119, so both bounds agree to 80 digits.
    assert Fraction(margins.PI_DIGITS, margins.PI_SCALE) < low
    assert high < Fraction(margins.PI_DIGITS + 1, margins.PI_SCALE)


@pytest.mark.parametrize("n", [1, 2, 5, 12, 113])
def test_a_cosine_is_enclosed_and_the_enclosure_is_narrow(n: int) -> None:
    for j in range(n):
        low, high = margins.cosine(j, n)
        assert 0 <= high - low < 2**10, "a few units of 2^-160 per term of the series"
        assert low / margins.SCALE == pytest.approx(math.cos(2 * math.pi * j / n), abs=4e-16 + 1e-15 * n)
        # cos(2x) = 2 cos(x)^2 - 1: the enclosures on both sides overlap.
        double = margins.cosine(2 * j, n)
        squares = sorted(end * end for end in (low, high))
        unit = margins.SCALE
        assert 2 * squares[0] - unit**2 <= double[1] * unit
        assert double[0] * unit <= 2 * squares[1] - unit**2


def test_exact_cosines_are_inside() -> None:
    for j, n, exact in ((1, 6, Fraction(1, 2)), (1, 4, Fraction(0)), (1, 2, Fraction(-1)), (1, 3, Fraction(-1, 2))):
        low, high = margins.cosine(j, n)
        assert low <= exact * margins.SCALE <= high
    assert margins.cosine(24, 12) == (margins.SCALE, margins.SCALE)


def test_one_frequency_of_113_leaves_the_known_margin() -> None:
    margin = FourierMultiplication(p=113, key_freqs=(1,)).margin()
    assert margin == pytest.approx(1 - math.cos(2 * math.pi / 113), rel=1e-12)  # cancellation of 1e-16 / 1.5e-3
    assert round(margin, 4) == 0.0015
    assert {FourierMultiplication(p=113, key_freqs=(k,)).margin() for k in frequencies(113)} == {margin}


@pytest.mark.parametrize(("p", "keys"), [(113, KEYS), (97, (1,)), (12, (3, 4)), (23, frequencies(23))])
def test_the_margin_is_below_the_smallest_gap_and_next_to_it(p: int, keys: tuple[int, ...]) -> None:
    margin = FourierMultiplication(p=p, key_freqs=keys).margin()
    exact = min(margins.gaps(p, keys, (1.0,) * len(keys)))
    d = np.arange(1, p)
    brute = (1 - np.cos(2 * np.pi / p * (np.array(keys)[:, None] * d % p))).sum(0).min()
    assert Fraction(margin) <= exact
    assert margin == pytest.approx(brute, abs=1e-13)  # 50 cosines with errors of 1e-15


def test_the_error_bound_holds_for_the_computed_scores() -> None:
    algorithm = FourierMultiplication(p=113, key_freqs=KEYS, coefficients=(0.3, 7.0, 2.5, 1.1, 4.0))
    bound = algorithm.error_bound()
    assert 0 < bound < 1e-13
    waves = algorithm.by_relation()
    waves[5] += 10 * bound
    assert margins.distance(waves, KEYS, algorithm.alphas) > 8 * Fraction(bound)


def test_floats_are_rounded_outwards() -> None:
    for x in (Fraction(1, 3), Fraction(-1, 3), Fraction(10**30 + 1, 10**29)):
        assert Fraction(margins.float_below(x)) < x < Fraction(margins.float_above(x))
    assert margins.float_below(Fraction(0)) == 0.0 == margins.float_above(Fraction(0))


# --- Fourier multiplication ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", ["add", "sub", "mul", "div"])
@pytest.mark.parametrize("p", [3, 5, 7, 11])
def test_every_key_set_is_right_on_every_input_exactly_if_it_is_proved(op: Operation, p: int) -> None:
    a, b = grid(p, first=1 if op == "div" else 0)
    every = frequencies(p, op)
    proved = 0
    for size in range(1, len(every) + 1):
        for keys in itertools.combinations(every, size):
            algorithm = FourierMultiplication(p=p, key_freqs=keys, op=op)
            assert algorithm.is_proved() == (math.gcd(algorithm.period, *keys) == 1)
            assert algorithm.is_proved() == bool((algorithm.predict(a, b) == truth(op, p, a, b)).all())
            proved += algorithm.is_proved()
    assert proved
    assert (proved == 2 ** len(every) - 1) or op in ("mul", "div"), "for a prime p every non-empty set is right"


@pytest.mark.parametrize("op", ["add", "sub", "mul", "div"])
def test_five_keys_are_right_on_all_inputs_of_113(op: Operation) -> None:
    a, b = grid(113, first=1 if op == "div" else 0)
    algorithm = FourierMultiplication(p=113, key_freqs=KEYS, op=op)
    assert algorithm.is_proved()
    assert (algorithm.predict(a, b) == truth(op, 113, a, b)).all()


@pytest.mark.parametrize(("p", "keys", "divisor"), [(12, (2, 4), 2), (12, (3,), 3), (9, (3,), 3), (100, (20, 50), 10)])
def test_a_common_divisor_with_a_composite_p_fails_the_proof(p: int, keys: tuple[int, ...], divisor: int) -> None:
    algorithm = FourierMultiplication(p=p, key_freqs=keys)
    a, b = grid(p)
    assert algorithm.margin() == 0.0
    assert not algorithm.is_proved()
    assert (algorithm.predict(a, b) == (a + b) % p).mean() == pytest.approx(1 / divisor)


def test_frequencies_that_share_no_divisor_are_right_together() -> None:
    algorithm = FourierMultiplication(p=12, key_freqs=(3, 4))
    a, b = grid(12)
    assert algorithm.is_proved()
    assert (algorithm.predict(a, b) == (a + b) % 12).all()


def test_a_negative_coefficient_can_lose_the_margin() -> None:
    algorithm = FourierMultiplication(p=11, key_freqs=(1, 2), coefficients=(1.0, -3.0))
    a, b = grid(11)
    assert algorithm.margin() < 0
    assert not algorithm.is_proved()
    assert (algorithm.predict(a, b) != (a + b) % 11).any()


def test_without_frequencies_nothing_is_proved() -> None:
    assert FourierMultiplication(p=7, key_freqs=()).margin() == 0
    assert not FourierMultiplication(p=7, key_freqs=()).is_proved()


def test_the_response_is_even_to_the_last_bit() -> None:
    waves = response(113, KEYS, (0.1, 0.7, 0.3, 0.9, 0.2))
    assert (waves[1:] == waves[:0:-1]).all()


@pytest.mark.parametrize("p", [3, 5, 23, 113])
def test_a_discrete_logarithm_turns_products_into_sums(p: int) -> None:
    log = discrete_log(p)
    a, b = (x[(grid(p)[0] > 0) & (grid(p)[1] > 0)] for x in grid(p))
    assert sorted(log[1:]) == list(range(p - 1))
    assert (log[a * b % p] == (log[a] + log[b]) % (p - 1)).all()


def test_a_product_with_zero_is_a_case_of_its_own() -> None:
    scores = FourierMultiplication(p=5, key_freqs=(1,), op="mul").scores(np.array([0, 3]), np.array([2, 4]))
    assert scores[0].tolist() == [1, 0, 0, 0, 0]
    assert scores[1, 0] == 0
    assert scores[1].argmax() == 12 % 5


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"p": 11, "key_freqs": (6,)}, r"1\.\.5"),
        ({"p": 11, "key_freqs": (0,)}, r"1\.\.5"),
        ({"p": 11, "key_freqs": (1, 1)}, "different"),
        ({"p": 12, "key_freqs": (1,), "op": "mul"}, "prime"),
        ({"p": 11, "key_freqs": (1,), "op": "mull"}, "did you mean 'mul'"),
        ({"p": 11, "key_freqs": (1,), "coefficients": (1.0, 2.0)}, "2 of them for 1"),
    ],
)
def test_what_is_no_algorithm_is_refused(settings: dict[str, Any], what: str) -> None:
    with pytest.raises(BadInput, match=what):
        FourierMultiplication(**settings)


class Counted(np.ndarray):
    """An array that counts the elements of everything computed from it."""

    operations = 0

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **settings: Any) -> Any:
        plain = [x.view(np.ndarray) if isinstance(x, Counted) else x for x in inputs]
        result = getattr(ufunc, method)(*plain, **settings)
        Counted.operations += result.size
        return result.view(Counted)


@pytest.mark.parametrize("op", ["add", "sub", "mul", "div"])
def test_it_ends_after_a_bounded_number_of_operations_on_any_input(op: Operation) -> None:
    algorithm = FourierMultiplication(p=23, key_freqs=(1, 2, 7), op=op)
    counts = []
    for a, b in zip(*grid(23), strict=True):
        Counted.operations = 0
        scores = algorithm.scores(np.array([a]).view(Counted), np.array([b]).view(Counted))
        assert scores.shape == (1, 23)
        assert np.isfinite(scores).all()
        counts.append(Counted.operations)
    assert len(set(counts)) == 1, "the work does not depend on the input"
    assert 23 < counts[0] <= OPERATIONS_PER_SCORE * 23


# --- clock and pizza ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [11, 12, 113])
def test_the_clock_is_fourier_multiplication(p: int) -> None:
    keys = tuple(k for k in (1, 4, 5) if k <= p // 2)
    alphas = (0.5, 2.0, 1.0)[: len(keys)]
    a, b = grid(p)
    exact = FourierMultiplication(p=p, key_freqs=keys, coefficients=alphas)
    error = np.abs(clock_scores(a, b, p, keys, alphas) - exact.scores(a, b)).max()
    assert error <= clock_error(keys, alphas) + exact.error_bound()
    assert clock_error(keys, alphas) < 1e-12


def test_the_clock_is_proved_right_on_all_inputs_of_113() -> None:
    a, b = grid(113)
    alphas = (1.0,) * 5
    assert FourierMultiplication(p=113, key_freqs=KEYS).margin() > 2 * clock_error(KEYS, alphas)
    assert (clock_scores(a, b, 113, KEYS, alphas).argmax(1) == (a + b) % 113).all()


@pytest.mark.parametrize("p", [11, 12, 31])
def test_the_pizza_is_its_formula(p: int) -> None:
    keys, alphas = (1, 3, 5), (1.0, 0.5, 2.0)
    a, b = grid(p)
    w = 2 * np.pi * np.array(keys)[:, None, None] / p
    factor = np.abs(np.cos(w * (a - b)[:, None] / 2))
    waves = factor * np.cos(w * ((a + b)[:, None] - np.arange(p)))
    expected = (np.array(alphas)[:, None, None] * waves).sum(0)
    # A short sum loses digits: errors of 1e-15 over lengths of at least 3 / p.
    np.testing.assert_allclose(pizza_scores(a, b, p, keys, alphas), expected, atol=1e-12)


@pytest.mark.parametrize("p", [3, 7, 31])
def test_the_pizza_is_right_for_an_odd_prime(p: int) -> None:
    a, b = grid(p)
    for k in frequencies(p):
        assert pizza_margin(p, (k,), (1.0,)) > 1e-6
        assert (pizza_scores(a, b, p, (k,), (1.0,)).argmax(1) == (a + b) % p).all()


def test_the_pizzas_margin_is_the_smallest_gap_of_its_scores() -> None:
    a, b = grid(11)
    scores = pizza_scores(a, b, 11, (2, 3), (1.0, 1.0))
    own = scores[np.arange(121), (a + b) % 11].copy()
    scores[np.arange(121), (a + b) % 11] = -np.inf
    assert pizza_margin(11, (2, 3), (1.0, 1.0)) == pytest.approx((own - scores.max(1)).min(), abs=1e-12)


def test_the_pizza_ties_where_opposite_points_cancel() -> None:
    scores = pizza_scores(np.array([6]), np.array([0]), 12, (1, 5), (1.0, 1.0))
    assert np.ptp(scores) == 0, "both sums of points vanish: no class is preferred"
    assert pizza_margin(12, (1, 5), (1.0, 1.0)) == 0.0
    assert FourierMultiplication(p=12, key_freqs=(1, 5)).is_proved(), "the clock has no such inputs"


# --- parity -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 2, 5])
def test_parity_counts_the_relevant_bits_in_either_encoding(k: int) -> None:
    bits = np.array(list(itertools.product((0, 1), repeat=7)))
    algorithm = Parity(relevant=tuple(range(k)))
    odd = bits[:, :k].sum(1) % 2
    assert (algorithm.predict(bits) == odd).all()
    assert (algorithm.predict(2.0 * bits - 1) == odd).all()
    assert (algorithm.predict_by_patterns(bits) == odd).all()
    assert len(algorithm.patterns()) == 2 ** (k - 1)
    scores = algorithm.scores(bits)
    own = scores[np.arange(128), odd]
    assert (own - scores[np.arange(128), 1 - odd]).min() == algorithm.margin() == 2


def test_bits_that_do_not_count_change_nothing() -> None:
    one, other = np.array([[1, 0, 1, 0, 0]]), np.array([[1, 1, 1, 1, 0]])
    assert Parity(relevant=(0, 2)).predict(one) == Parity(relevant=(0, 2)).predict(other) == 0
    with pytest.raises(BadInput, match="different positions"):
        Parity(relevant=(1, 1))
