"""Measures of the geometry of representations against their definitions: planted circles, lines, clocks and pizzas."""

from __future__ import annotations

import dataclasses
import itertools
import math
import random
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from grokstudy.circuits import _geometry, _parallelograms
from grokstudy.circuits._embedding import with_more_tokens
from grokstudy.circuits._measure import measure_network
from grokstudy.circuits._network import Network, network
from grokstudy.circuits.circle_isolation import with_components
from grokstudy.circuits.circularity import circles, step_frequency
from grokstudy.circuits.clock_pizza import fits, paper_fve
from grokstudy.circuits.distance_irrelevance import distance_irrelevance
from grokstudy.circuits.gradient_symmetricity import SHUFFLED, drawn, input_gradients, mean_cosine, shuffled
from grokstudy.circuits.representation import effective_dimension, trained_pairs
from grokstudy.losses.ce64 import CrossEntropy64
from grokstudy.models.embed_mlp import EmbedMLP
from grokstudy.models.onehot_mlp import OneHotMLP
from grokstudy.models.quad_mlp import QuadMLP
from grokstudy.models.transformer import Transformer
from grokstudy.optimizers.adamw import AdamW
from grokstudy.spec.interfaces import Model, Task
from grokstudy.spec.measure import Subject
from grokstudy.spec.rows import MeasureValue
from grokstudy.spec.trial import TrialSpec
from grokstudy.tasks._modular_ops import Operation
from grokstudy.tasks.max_of_k import MaxOfK
from grokstudy.tasks.modular import Modular

torch.set_num_threads(1)

# Sums of at most p^3 = 30,000 float64 terms of size 10 err by less than 30,000 * 10 * 1.1e-16 = 4e-11.
EXACT = 1e-9


def subject(
    model: Model, task: Task, params: Mapping[str, Tensor] | None = None, keys: Sequence[int] | None = None
) -> Subject:
    spec = TrialSpec(task=task, model=model, optimizer=AdamW(), loss=CrossEntropy64())
    return Subject(
        spec=spec,
        data=task.data(spec.seeds),
        params=model.init(task.shape(), 0) if params is None else params,
        key_freqs=None if keys is None else tuple(keys),
        keys_reason="no_keys" if keys is None else None,
    )


def values(one: Subject, *measures: str) -> dict[str, MeasureValue]:
    return {value.measure: value for value in measure_network(one, only=measures)}


def number(found: Mapping[str, MeasureValue], name: str) -> float:
    value = found[name].value
    assert value is not None, found[name]
    return value


def noise(*size: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=size))


def rotation(width: int, seed: int = 0) -> Tensor:
    turned: Tensor = torch.linalg.qr(noise(width, width, seed=seed)).Q
    return turned


def turns(p: int, k: int) -> Tensor:
    return 2 * math.pi / p * k * torch.arange(p).double()


def circle(p: int, *keys: int) -> Tensor:
    """Embedding [2 per key, p]: one circle per key."""
    return torch.cat([torch.stack([turns(p, k).cos(), turns(p, k).sin()]) for k in keys])


def pizza(p: int, keys: Sequence[int], neurons: int = 64) -> dict[str, Tensor]:
    """E_a + E_b = 2 cos(w d / 2) (cos, sin)(w s / 2), ReLU along evenly spread directions u, read out by cos(2u - w c).

    The sum over u picks the second harmonic of |cos|, hence logits |cos(w d / 2)| cos(w (s - c)); the next harmonics
    that `neurons` directions confuse with it, 62 and 66 of 64, are smaller by 3 / 62^2 = 8e-4.
    """
    u = 2 * math.pi / neurons * torch.arange(neurons).double()
    read = [torch.cos(2 * u[:, None] - turns(p, k)[None, :]) for k in keys]
    directions = torch.stack([u.cos(), u.sin()])
    return {
        "W_E": circle(p, *keys).T[None].contiguous(),
        "W_in": torch.block_diag(*[directions] * len(keys)),
        "W_U": torch.cat(read),
    }


def pizza_model(keys: int, neurons: int = 64) -> EmbedMLP:
    return EmbedMLP(d_embed=2 * keys, width=neurons * keys, embedding="shared", combine="sum")


def planted_pizza(p: int, *keys: int) -> Subject:
    return subject(pizza_model(len(keys)), Modular(p=p), pizza(p, keys), keys)


def planted_clock(p: int, *keys: int) -> Subject:
    """Gromov's solution with phases on a 3 x 3 lattice: logits are exactly sum_k cos(w_k (s - c)), up to a factor."""
    thirds = [2 * math.pi * n / 3 for n in range(3)]
    columns = [
        ((turns(p, k) + f).cos(), (turns(p, k) + g).cos(), (turns(p, k) + f + g).cos())
        for k, f, g in itertools.product(keys, thirds, thirds)
    ]
    U, V, W = (torch.stack(parts) for parts in zip(*columns, strict=True))
    return subject(
        QuadMLP(width=len(columns)), Modular(p=p), {"U": U.T.contiguous(), "V": V.T.contiguous(), "W": W}, keys
    )


def logits_only(logits: Tensor, op: Operation = "add") -> Network:
    """A network that is nothing but its logits, so that any function can be measured."""
    task = Modular(op=op, p=logits.shape[1])
    return dataclasses.replace(network(subject(QuadMLP(width=1), task)), logits=logits.double())


# --- distance irrelevance ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [2, 6, 7, 23])
def test_what_the_distance_alone_decides_has_no_irrelevance(p: int) -> None:
    net = logits_only(torch.zeros(p * p, p))
    d = _geometry.distance(net)
    assert distance_irrelevance(noise(p)[d], d) == pytest.approx(0, abs=EXACT)


@pytest.mark.parametrize("p", [7, 23])
@pytest.mark.parametrize("op", ["add", "sub"])
def test_what_the_answer_alone_decides_has_irrelevance_one(p: int, op: Operation) -> None:
    """For odd p every distance meets every answer once."""
    net = logits_only(torch.zeros(p * p, p), op)
    assert distance_irrelevance(noise(p)[net.answer], _geometry.distance(net)) == pytest.approx(1, abs=EXACT)


def test_equal_correct_logits_have_no_irrelevance_instead_of_zero_by_zero() -> None:
    d = _geometry.distance(logits_only(torch.zeros(49, 7)))
    assert distance_irrelevance(torch.full((49,), 0.1).double(), d) == 0


@pytest.mark.parametrize("p", [5, 13])
def test_distance_irrelevance_is_that_of_the_matrix_by_answer_and_distance(p: int) -> None:
    given = noise(p * p)
    matrix = np.zeros((p, p))
    for a, b in itertools.product(range(p), repeat=2):
        matrix[(a + b) % p, (a - b) % p] = given[a * p + b]
    d = _geometry.distance(logits_only(torch.zeros(p * p, p)))
    assert distance_irrelevance(given, d) == pytest.approx(matrix.std(axis=0).mean() / matrix.std(), abs=EXACT)


def test_distance_irrelevance_sees_no_scale_and_no_offset() -> None:
    d, given = _geometry.distance(logits_only(torch.zeros(121, 11))), noise(121)
    assert distance_irrelevance(3 * given - 5, d) == pytest.approx(distance_irrelevance(given, d), abs=EXACT)


# --- circularity ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("p", "keys"), [(23, (3, 7)), (13, (1, 6)), (12, (1, 5)), (23, (2, 5, 9))])
def test_circles_of_equal_power_are_circular_in_every_basis_of_the_width(
    p: int, keys: tuple[int, ...], seed: int
) -> None:
    W_E = rotation(16, seed)[:, : 2 * len(keys)] @ circle(p, *keys) + noise(16, 1, seed=seed)
    found = _geometry.principal_components(W_E)
    assert found.scores.shape == (p, 2 * len(keys))
    torch.testing.assert_close(found.mean + found.scores @ found.axes, W_E.T)
    assert _geometry.wave_shares(found.scores)[0].min() == pytest.approx(1, abs=EXACT)
    assert sorted(k for _, k in circles(found)) == sorted(keys)


def test_circles_of_unequal_power_come_strongest_first() -> None:
    sizes = torch.tensor([1.0, 1, 3, 3, 2, 2]).double()[:, None]
    found = _geometry.principal_components(rotation(8)[:, :6] @ (sizes * circle(23, 4, 9, 2)))
    assert circles(found) == [(0, 9), (2, 2), (4, 4)]


def test_an_ellipse_has_two_waves_and_noise_has_none() -> None:
    stretched = torch.tensor([1.0, 4.0]).double()[:, None] * circle(23, 5)
    assert circles(_geometry.principal_components(stretched)) == [(0, 5)]
    assert circles(_geometry.principal_components(noise(16, 23))) == []


@pytest.mark.parametrize(("times", "plus"), [(1, 4), (3, 0), (22, 7)])
def test_circularity_does_not_depend_on_the_names_of_the_residues(times: int, plus: int) -> None:
    """r -> times * r + plus moves frequencies among each other (prime p) and no variance."""
    W_E = noise(16, 23) + 3 * rotation(16)[:, :4] @ circle(23, 2, 5)
    renamed = W_E[:, (times * torch.arange(23) + plus) % 23]
    shares = [_geometry.wave_shares(_geometry.principal_components(x).scores)[0] for x in (W_E, renamed)]
    torch.testing.assert_close(shares[0], shares[1])


@pytest.mark.parametrize("p", [2, 3, 5, 23])
def test_the_paper_s_step_finds_the_frequency_of_a_circle(p: int) -> None:
    for k in range(1, p // 2 + 1):
        assert step_frequency((rotation(2, k) @ circle(p, k)).T) == k


def test_a_planted_embedding_has_its_circles_and_their_frequencies() -> None:
    found = values(planted_pizza(23, 3, 8), "circularity")
    assert number(found, "circularity") == pytest.approx(1, abs=EXACT)
    assert found["circularity.circles"].value == 2
    for name in ("circularity.circles", "circularity.delta"):
        assert sorted(found[name].values or ()) == [3, 8]


def test_one_circle_alone_is_half_of_the_four_components() -> None:
    found = values(planted_pizza(23, 3), "circularity")
    assert number(found, "circularity") == pytest.approx(0.5, abs=EXACT)
    assert found["circularity.delta"].reason == "fewer_than_4_components"


def test_the_paper_s_step_needs_a_prime_modulus() -> None:
    one = subject(Transformer(d_model=16, n_heads=2, d_mlp=24), Modular(p=12, frac_train=0.5))
    assert values(one, "circularity")["circularity.delta"].reason == "p_not_prime"


# --- clock and pizza -----------------------------------------------------------------------------------------------


def by_formula(p: int, amplitudes: Mapping[int, float], op: Operation, kind: str) -> Tensor:
    net = logits_only(torch.zeros(p * p, p), op)
    a, b = net.a, net.b
    d = (a - b if op == "add" else a + b).double()
    phase = 2 * math.pi / p * (net.answer[:, None] - torch.arange(p)[None, :]).double()
    logits = torch.zeros(p * p, p).double()
    for k, amplitude in amplitudes.items():
        factor = torch.cos(math.pi / p * k * d).abs() if kind == "pizza" else torch.ones(p * p).double()
        logits += amplitude * factor[:, None] * torch.cos(k * phase)
    return logits


@pytest.mark.parametrize("op", ["add", "sub"])
@pytest.mark.parametrize("p", [12, 23])
def test_each_formula_fits_itself_exactly_and_the_other_as_far_as_they_agree(p: int, op: Operation) -> None:
    keys = [2, 5]
    for kind, own, other in (("clock", 0, 1), ("pizza", 1, 0)):
        net = logits_only(by_formula(p, {2: 1.5, 5: 0.7}, op, kind) + 3, op)
        found = fits(net, keys)
        torch.testing.assert_close(found[own].correlation, torch.ones(2).double())
        total = ((net.logits - net.logits.mean()) ** 2).sum()
        torch.testing.assert_close((found[own].length ** 2).sum(), total)
        # cos(angle) = mean |cos| / root mean square of |cos|, over distances: 0.9003 for large p.
        g = torch.cos(math.pi / p * torch.tensor(keys)[:, None] * torch.arange(p).double()).abs()
        torch.testing.assert_close(found[other].correlation, g.mean(dim=1) / (g**2).mean(dim=1).sqrt())


def test_the_paper_s_number_is_twice_the_correlation_less_one() -> None:
    x, y = noise(500), noise(500, seed=1)
    y = y + x
    standard = [(z - z.mean()) / z.std(correction=0) for z in (x, y)]
    explained = 1 - (standard[0] - standard[1]).var(correction=0) / standard[0].var(correction=0)
    r = (standard[0] * standard[1]).mean()
    torch.testing.assert_close(paper_fve(r[None])[0], explained)


@pytest.mark.parametrize("op", ["add", "sub", "mul", "div"])
def test_the_clock_s_share_of_the_variance_is_fve(op: Operation) -> None:
    """Of products and quotients both are read over discrete logarithms."""
    one = subject(QuadMLP(width=16), Modular(op=op, p=13), keys=(2, 5))
    found = values(one, "fve", "clock_pizza")
    assert number(found, "clock.r2") == pytest.approx(number(found, "fve"), abs=EXACT)


def test_a_planted_pizza_is_no_clock() -> None:
    found = values(planted_pizza(31, 3, 8), "clock_pizza", "distance_irrelevance", "gradient_symmetricity")
    # The planted logits differ from the formula by 2 * 8e-4 of their size: 1 - r is half of its square, 1e-6.
    assert number(found, "pizza.fve") == pytest.approx(1, abs=1e-5)
    assert found["pizza.by_key"].values == pytest.approx((1, 1), abs=1e-5)
    assert number(found, "clock.r2") == pytest.approx(8 / math.pi**2, abs=0.01)
    assert number(found, "clock.fve") == pytest.approx(0.80, abs=0.01)
    assert number(found, "pizza_minus_clock") == pytest.approx(1 - 8 / math.pi**2, abs=0.01)
    assert number(found, "distance_irrelevance") < 0.01
    assert number(found, "gradient_symmetricity") == pytest.approx(1, abs=EXACT)


def test_a_planted_clock_is_no_pizza() -> None:
    found = values(planted_clock(31, 3, 8), "clock_pizza")
    assert number(found, "clock.fve") == pytest.approx(1, abs=EXACT)
    assert number(found, "pizza_minus_clock") == pytest.approx(8 / math.pi**2 - 1, abs=0.01)


def test_without_keys_the_formulas_have_no_frequency() -> None:
    one = dataclasses.replace(planted_clock(7, 1), key_freqs=None, keys_reason="never_generalised")
    assert {value.reason for value in values(one, "clock_pizza").values()} == {"never_generalised"}


# --- gradient symmetricity -----------------------------------------------------------------------------------------

TRANSFORMERS = [
    Transformer(d_model=16, n_heads=2, d_mlp=24),
    Transformer(d_model=16, n_heads=2, d_mlp=24, n_layers=2, tied=True, norm_site="pre"),
    Transformer(d_model=16, n_heads=2, d_mlp=24, read="last", attn_rate=0.5),
]


@pytest.mark.parametrize("model", TRANSFORMERS)
def test_a_token_s_gradient_is_that_of_what_is_added_at_its_position(model: Transformer) -> None:
    """A learned position vector is added to the embedding, so both have the same gradient."""
    one = subject(model, Modular(p=7))
    inputs, classes = torch.tensor([[2, 5], [3, 3]]), torch.tensor([6, 0])
    found = input_gradients(one.spec, one.params, one.data.shape, inputs, classes)
    for row in range(2):
        at = one.params["pos_embed.W_pos"].clone().requires_grad_()
        params = {**one.params, "pos_embed.W_pos": at}
        model.apply(params, inputs[row : row + 1])[0, classes[row]].backward()
        assert at.grad is not None
        torch.testing.assert_close(found[row], at.grad[:2])


def test_functions_of_the_sum_and_of_the_difference_have_symmetricity_plus_and_minus_one() -> None:
    model = EmbedMLP(d_embed=8, width=12, embedding="shared")
    one = subject(model, Modular(p=11))
    block = one.params["W_in"][:8]
    for sign in (1, -1):
        signed = dataclasses.replace(one, params={**one.params, "W_in": torch.cat([block, sign * block])})
        found = values(signed, "gradient_symmetricity")
        assert number(found, "gradient_symmetricity") == pytest.approx(sign, abs=EXACT)


def test_networks_with_a_table_per_position_have_no_symmetricity() -> None:
    for model in (QuadMLP(width=8), OneHotMLP(width=8), EmbedMLP(d_embed=4, width=8)):
        found = values(subject(model, Modular(p=5)), "gradient_symmetricity")
        assert "one embedding shared by all positions" in (found["gradient_symmetricity"].reason or "")


def test_a_network_of_zeros_has_no_direction() -> None:
    one = subject(TRANSFORMERS[0], Modular(p=5))
    flat = dataclasses.replace(one, params={name: torch.zeros_like(x) for name, x in one.params.items()})
    assert values(flat, "gradient_symmetricity")["gradient_symmetricity"].reason == "zero_gradient"
    rows = torch.tensor([[0.0, 0], [1, 1]]).double()
    assert mean_cosine(rows, rows) == pytest.approx(1)


def test_triples_are_in_the_paper_s_order() -> None:
    """All (a, b, c), lexicographic, shuffled by Python's generator with seed 42."""
    p = 13
    triples = list(itertools.product(range(p), repeat=3))
    random.Random(42).shuffle(triples)
    assert [(int(t) // p // p, int(t) // p % p, int(t) % p) for t in shuffled(p**3)] == triples[:100]
    assert sorted(shuffled(8).tolist()) == list(range(8))


def test_too_many_triples_to_shuffle_are_drawn() -> None:
    chosen = drawn(SHUFFLED + 1)
    assert len(set(chosen.tolist())) == 100
    assert torch.equal(chosen, drawn(SHUFFLED + 1))


# --- embedding anew, and circles in isolation ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "model",
    [
        *TRANSFORMERS,
        QuadMLP(width=8),
        OneHotMLP(width=8),
        EmbedMLP(d_embed=4, width=8),
        EmbedMLP(d_embed=4, width=8, embedding="tied", combine="sum"),
    ],
)
def test_a_token_embedded_as_another_is_that_token(model: Model) -> None:
    one = subject(model, Modular(p=5))
    inputs = torch.from_numpy(one.data.inputs)
    W_E = model.matrices(one.params, one.data.shape).W_E
    longer = with_more_tokens(one.spec, one.params, W_E.T, one.data.shape)
    expected = model.apply(one.params, inputs)[:, :5]
    for shift in (0, 5):
        torch.testing.assert_close(model.apply(longer, inputs + shift)[:, :5], expected)


@pytest.mark.parametrize("model", [*TRANSFORMERS, QuadMLP(width=8)])
def test_all_components_together_are_the_network(model: Model) -> None:
    one = subject(model, Modular(p=7))
    net = network(one)
    found = _geometry.principal_components(net.W_E)
    whole = with_components(one, net, found, range(found.scores.shape[1]))
    torch.testing.assert_close(whole.logits, net.logits)


def test_every_circle_of_a_planted_pizza_is_a_pizza_of_its_own() -> None:
    found = values(planted_pizza(23, 3, 8, 9), "circle_isolation")
    assert sorted(found["circle_isolation.frequency"].values or ()) == [3, 8, 9]
    assert found["circle_isolation.pizza"].values == pytest.approx((1, 1, 1), abs=1e-5)
    assert found["circle_isolation.accuracy"].values == (1, 1, 1)


def test_an_isolated_circle_is_the_network_without_the_others() -> None:
    whole = planted_pizza(23, 3, 8)
    net = network(whole)
    found = _geometry.principal_components(net.W_E)
    assert circles(found) == [(0, 3), (2, 8)]
    for first, k in circles(found):
        alone = with_components(whole, net, found, [first, first + 1]).logits
        torch.testing.assert_close(alone, network(planted_pizza(23, k)).logits)


# --- parallelograms ------------------------------------------------------------------------------------------------


def brute_force(p: int) -> list[tuple[int, int, int, int]]:
    """(i, n, j, m) with i < j <= m < n and i + n = j + m."""
    numbers = range(p)
    return [(i, n, j, i + n - j) for i, j, n in itertools.product(numbers, repeat=3) if i < j <= i + n - j < n]


@pytest.mark.parametrize(("p", "count"), [(2, 0), (3, 1), (10, 70)])
def test_numbers_on_a_line_obey_all_parallelograms(p: int, count: int) -> None:
    assert len(brute_force(p)) == count
    holds = _parallelograms.holding(torch.arange(p).double()[:, None])
    assert len(holds) == int(holds.sum()) == count


@pytest.mark.parametrize("seed", range(3))
def test_parallelograms_are_counted_and_followed_as_defined(seed: int) -> None:
    p = 9
    E = torch.arange(p).double()[:, None] + 0.15 * noise(p, 3, seed=seed)
    trained = (noise(p, p, seed=seed) > 0).triu()
    normal = (E - E.mean(dim=0)) / E.std(dim=0)
    linked, held, losses = set(), 0, []
    for i, n, j, m in brute_force(p):
        holds = float(((normal[i] + normal[n] - normal[j] - normal[m]) ** 2).mean()) < 0.01
        held += holds
        for one, other in (((i, n), (j, m)), ((j, m), (i, n))):
            if holds and trained[other] and not trained[one]:
                linked.add(one)
        if trained[i, n] and trained[j, m]:
            losses.append(float(((E[i] + E[n] - E[j] - E[m]) ** 2).sum()))
    holds_all = _parallelograms.holding(E)
    assert 0 < held == int(holds_all.sum()) < len(holds_all)
    found = _parallelograms.reached(holds_all, trained)
    assert {tuple(pair) for pair in torch.nonzero(found).tolist()} == linked
    expected = float(np.mean(losses)) / float((E**2).sum())
    assert _parallelograms.effective_loss(E, trained) == pytest.approx(expected, abs=EXACT)


def test_rqi_sees_neither_scales_nor_offsets_nor_the_direction_of_counting() -> None:
    E = torch.arange(12).double()[:, None] + 0.15 * noise(12, 3)
    moved = (E * torch.tensor([2.0, -0.5, 7]) + torch.tensor([1.0, 2, 3])).flip(0)
    held = [int(_parallelograms.holding(x).sum()) for x in (E, moved)]
    assert 0 < held[0] == held[1] < len(brute_force(12))


def embedded(E: Tensor, frac_train: float = 0.5) -> Subject:
    p, width = E.shape
    model = EmbedMLP(d_embed=width, width=4, embedding="shared")
    task = Modular(p=p, frac_train=frac_train)
    return subject(model, task, {**model.init(task.shape(), 0), "W_E": E[None]})


def test_a_line_predicts_whatever_shares_a_sum_with_what_was_trained() -> None:
    p = 10
    one = embedded(torch.arange(p).double()[:, None], frac_train=0.3)
    found = values(one, "representation")
    assert (found["rqi"].value, found["rqi.parallelograms"].value) == (1, 70)
    trained = {tuple(sorted(pair)) for pair in one.data.inputs[one.data.train].tolist()}
    sums = {i + j for i, j in trained}
    pairs = list(itertools.combinations_with_replacement(range(p), 2))
    predicted = sum(i + j in sums for i, j in pairs)
    assert predicted < len(pairs) == 55
    assert found["predicted_accuracy.all"].value == pytest.approx(predicted / 55)
    test = (predicted - len(trained)) / (55 - len(trained))
    assert found["predicted_accuracy.test"].value == pytest.approx(test)
    assert found["effective_loss"].value == pytest.approx(0, abs=EXACT)
    assert int(trained_pairs(one.data).sum()) == len(trained)


def test_circles_are_no_lines_and_have_two_dimensions() -> None:
    found = values(embedded(circle(23, 5).T.contiguous()), "representation")
    assert number(found, "rqi") < 0.2
    assert number(found, "effective_dimension") == pytest.approx(2, abs=EXACT)
    assert effective_dimension(torch.arange(5).double()[:, None] * noise(1, 3)) == pytest.approx(1, abs=EXACT)


def test_predictions_are_for_sums_and_for_what_was_not_trained() -> None:
    names = ("predicted_accuracy.all", "predicted_accuracy.test", "effective_loss")
    other = subject(TRANSFORMERS[0], MaxOfK(vocab=6))
    found = values(other, "representation")
    assert {found[name].reason for name in names} == {"answers_are_no_sums"}
    assert found["rqi"].value is not None
    everything = values(embedded(noise(6, 3), frac_train=1.0), "representation")
    assert everything["predicted_accuracy.all"].value == 1
    assert everything["predicted_accuracy.test"].reason == "no_rows"


def test_more_numbers_than_fit_have_a_dimension_only() -> None:
    p = _parallelograms.MOST_NUMBERS + 1
    found = values(subject(EmbedMLP(d_embed=2, width=1, embedding="shared"), MaxOfK(vocab=p)), "representation")
    assert found["rqi"].reason == found["effective_loss"].reason == "too_many_parallelograms"
    assert 1 < number(found, "effective_dimension") <= 2


# --- ranks ---------------------------------------------------------------------------------------------------------


def ranks(matrix: Tensor) -> tuple[float, float]:
    singular = torch.linalg.svdvals(matrix)
    return _geometry.entropy_rank(singular), _geometry.stable_rank(singular)


def test_ranks_of_known_matrices() -> None:
    assert ranks(torch.eye(6).double()) == pytest.approx((6, 6))
    assert ranks(noise(5, 1) @ noise(1, 4)) == pytest.approx((1, 1))
    # p = 1/2, 1/4, 1/4: entropy 1.5 ln 2.
    assert ranks(torch.diag(torch.tensor([2.0, 1, 1]).double())) == pytest.approx((2**1.5, 6 / 4))


@pytest.mark.parametrize("seed", range(3))
def test_ranks_see_neither_scale_nor_rotations_and_lie_between_one_and_the_rank(seed: int) -> None:
    matrix = noise(7, 3, seed=seed) @ noise(3, 5, seed=seed + 9)
    found = ranks(matrix)
    assert ranks(4 * rotation(7, seed) @ matrix @ rotation(5, seed)) == pytest.approx(found)
    assert 1 < found[1] < found[0] < 3


def test_ranks_of_a_network_are_those_of_its_matrices() -> None:
    one = planted_pizza(23, 3, 8)
    found, net = values(one, "effective_rank", "neuron_rank"), network(one)
    # Two circles of equal size: four equal singular values.
    assert number(found, "effective_rank.W_E") == pytest.approx(4, abs=EXACT)
    assert (number(found, "effective_rank.neurons"), number(found, "stable_rank.neurons")) == ranks(net.neurons)
