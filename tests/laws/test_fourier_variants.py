"""Variants of the Fourier measures: other projections, logarithms for products, ranks, ratios; exact or by brute
force."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from grokstudy.circuits import _keys, _neurons, _periodic, furuta
from grokstudy.circuits._answer import by_cube, cube_length, parts
from grokstudy.circuits._measure import measure_network
from grokstudy.circuits._network import network
from grokstudy.models.quad_mlp import QuadMLP
from grokstudy.models.transformer import Transformer
from grokstudy.spec.interfaces import Shape
from grokstudy.spec.rows import MeasureValue
from grokstudy.tasks.modular import Operation
from tests.planted import by_name, grid, gromov, noise, number, subject, table, waves

torch.set_num_threads(1)

# Sums of at most 23^3 = 12,167 float64 terms of size 10 err by less than 12,167 * 10 * 1.1e-16 = 1.4e-11.
EXACT = 1e-10


# --- the formula alone ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("p", "amplitudes"), [(23, {2: 3.0, 5: -1.5}), (12, {1: 2.0, 6: 3.0})])
@pytest.mark.parametrize("op", ["add", "sub"])
def test_alphas_are_the_planted_amplitudes_at_every_frequency(
    p: int, amplitudes: dict[int, float], op: Operation
) -> None:
    values = by_name(measure_network(table(waves(p, amplitudes, op) + noise(p), (1,), op), ["fve"]))
    planted = [amplitudes.get(k, 0.0) for k in range(1, p // 2 + 1)]
    assert values["logit_alphas"].values == pytest.approx(planted, abs=EXACT)
    assert values["logit_alphas"].value == pytest.approx(3.0)
    lengths = [math.sqrt(p**3 / (1 if 2 * k == p else 2)) for k in range(1, p // 2 + 1)]
    unit = [alpha * length for alpha, length in zip(planted, lengths, strict=True)]
    assert values["logit_alphas.unit"].values == pytest.approx(unit, abs=100 * EXACT)


def test_the_length_of_the_formula_is_the_square_root_of_half_the_cube() -> None:
    assert float(cube_length(113)[0]) == pytest.approx(849.38, abs=0.005)


def test_alphas_need_no_keys_and_the_losses_of_the_formula_do() -> None:
    values = by_name(measure_network(table(waves(11, {2: 1.0}), None), ["fve"]))
    assert values["logit_alphas"].value == pytest.approx(1)
    assert values["ols_loss.all"].reason == "no_keys"


def test_the_loss_of_the_formula_drops_all_that_is_no_key() -> None:
    p = 23
    dirty = waves(p, {2: 3.0, 7: 1.0}) + noise(p) + noise(p * p, 1, seed=1)
    clean = measure_network(table(waves(p, {2: 3.0}), (2,)), ["cross_entropy"])
    values = measure_network(table(dirty, (2,)), ["fve"])
    for split in ("train", "test", "all"):
        assert number(values, f"ols_loss.{split}") == pytest.approx(number(clean, f"ce_{split}"), abs=EXACT)


# --- variants ------------------------------------------------------------------------------------------------------


def test_without_the_formula_planted_logits_are_flat() -> None:
    values = measure_network(table(waves(23, {2: 3.0, 5: 1.5}), (2, 5)), ["fourier_variants"])
    for name in ("excluded_loss_cube.all", "excluded_loss_terms4.all", "excluded_loss_terms8.train"):
        assert number(values, name) == pytest.approx(math.log(23), abs=EXACT)


@pytest.mark.parametrize("p", [11, 12])
def test_the_cube_is_the_least_squares_fit_of_the_formula_alone(p: int) -> None:
    keys = (2, p // 2)
    logits = noise(p * p, p)
    regressors = torch.stack([waves(p, {k: 1.0}).flatten() for k in keys], dim=1)
    fitted = (regressors @ torch.linalg.lstsq(regressors, logits.flatten()[:, None]).solution).reshape(p * p, p)
    net = network(table(logits, keys))
    torch.testing.assert_close(parts([by_cube(net)], [keys])[0].at(), fitted)
    expected = measure_network(table(logits - fitted, keys), ["cross_entropy"])
    values = measure_network(table(logits, keys), ["fourier_variants", "fourier_losses"])
    assert number(values, "excluded_loss_cube.test") == pytest.approx(number(expected, "ce_test"), abs=EXACT)


def test_the_cube_leaves_other_patterns_over_the_classes_and_two_directions_do_not() -> None:
    p, a_plus_b = 23, sum(grid(23))
    pattern = noise(p)
    pattern -= pattern @ _wave(p, 2) * _wave(p, 2) * 2 / p
    logits = torch.outer(torch.cos(2 * math.pi * 2 / p * a_plus_b.double()), pattern)
    values = measure_network(table(logits, (2,)), ["fourier_variants", "fourier_losses", "cross_entropy"])
    assert number(values, "excluded_loss_cube.all") == pytest.approx(number(values, "ce_all"), abs=EXACT)
    assert number(values, "excluded_loss.all") == pytest.approx(math.log(p), abs=EXACT)


def _wave(p: int, k: int) -> Tensor:
    return torch.cos(2 * math.pi * k / p * torch.arange(p).double())


def test_projected_neurons_are_those_of_a_loop_over_frequencies() -> None:
    """As the notebook has it: neurons projected one direction at a time, then mapped to the logits."""
    p, keys = 11, (2, 5)
    model = Transformer(d_model=16, n_heads=2, d_mlp=24)
    params = model.init(Shape(positions=2, vocab=p, classes=p), 0)
    found = subject(model, params, p, keys)
    seen = model.activations(params, torch.from_numpy(found.data.inputs).long())
    neurons, logits = seen["neurons"], seen["logits"][:, :p]
    to_logits = params["blocks.0.mlp.W_out"] @ params["unembed.W_U"][:, :p]
    projected = torch.zeros_like(neurons)
    a, b = grid(p)
    for k in keys:
        for wave in (torch.cos, torch.sin):
            direction = wave(2 * math.pi * k / p * (a + b).double())
            direction /= direction.norm()
            projected += torch.outer(direction, direction @ neurons)
    restricted = (projected + neurons.mean(dim=0)) @ to_logits
    restricted += logits.mean(dim=0) - restricted.mean(dim=0)
    excluded = (neurons - projected) @ params["blocks.0.mlp.W_out"] + seen["blocks.0.hook_resid_mid"]
    excluded += params["blocks.0.mlp.b_out"]
    values = measure_network(found, ["fourier_variants"])
    for name, expected in (("restricted", restricted), ("excluded", excluded @ params["unembed.W_U"][:, :p])):
        loss = measure_network(table(expected, keys), ["cross_entropy"])
        assert number(values, f"{name}_loss_mlp.all") == pytest.approx(number(loss, "ce_all"), abs=EXACT)


def test_projected_neurons_need_a_transformer_that_is_linear_behind_them() -> None:
    quad = by_name(measure_network(subject(QuadMLP(width=9), gromov(11, (2,)), 11, (2,)), ["fourier_variants"]))
    assert quad["restricted_loss_mlp.test"].reason == "defined for model=transformer"
    model = Transformer(d_model=16, n_heads=2, d_mlp=24, norm_site="final")
    normed = subject(model, model.init(Shape(positions=2, vocab=11, classes=11), 0), 11, (2,))
    reason = by_name(measure_network(normed, ["fourier_variants"]))["excluded_loss_mlp.train"].reason
    assert "norm_site is final" in str(reason)


def test_restricted_accuracy_is_that_of_the_keys_and_excluded_accuracy_that_of_the_rest() -> None:
    """The keys answer right, another frequency answers one too high: which of them is asked decides."""
    p = 23
    wrong = waves(p, {5: 0.5}).roll(1, dims=1)
    values = measure_network(table(waves(p, {2: 3.0}) + wrong, (2,)), ["fourier_losses"])
    for split in ("train", "test", "all"):
        assert number(values, f"restricted_acc.{split}") == 1.0
        assert number(values, f"excluded_acc.{split}") == 0.0


def test_a_trained_solution_needs_its_keys() -> None:
    p, keys = 23, (2, 5, 9)
    params = gromov(p, keys)
    params["W"] += 0.01 * noise(*params["W"].shape)
    values = measure_network(subject(QuadMLP(width=27), params, p, keys), ["fourier_losses"])
    assert number(values, "restricted_acc.test") == 1.0
    # Of 264 test rows, 1/23 are right by chance: 11 with a standard deviation of 3.3, so below .1 by 4 of them.
    assert number(values, "excluded_acc.test") < 0.1


# --- logarithms ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [3, 5, 7, 23, 113])
def test_logarithms_turn_products_into_sums(p: int) -> None:
    power, log = _periodic.powers(p), _periodic.logarithms(p)
    assert sorted(power.tolist()) == list(range(1, p))
    a, b = (x.flatten() for x in torch.meshgrid(torch.arange(1, p), torch.arange(1, p), indexing="ij"))
    assert torch.equal(log[a * b % p], (log[a] + log[b]) % (p - 1))
    assert int(log[0]) == -1


def in_powers(logits: Tensor, p: int) -> Tensor:
    """Logits of sums or differences modulo p - 1 as those of products or quotients; noise in all that is about 0."""
    power = _periodic.powers(p)
    whole = 5 * noise(p, p, p)
    whole[power[:, None, None], power[None, :, None], power[None, None, :]] = logits.unflatten(0, (p - 1, p - 1))
    return whole.flatten(0, 1)


@pytest.mark.parametrize(("op", "twin"), [("mul", "add"), ("div", "sub")])
def test_a_product_is_measured_as_the_sum_of_its_logarithms(op: Operation, twin: Operation) -> None:
    p, period, keys = 23, 22, (3, 4, 11)
    logits = waves(period, {3: 2.0, 4: 1.0, 11: 1.5}, twin) + noise(period * period, period, seed=3)
    weights = noise(6, period, seed=4)
    in_order = torch.cat([noise(6, 1, seed=5), weights[:, _periodic.logarithms(p)[1:]]], dim=1)
    product = table(in_powers(logits, p), keys, op, W_E=in_order, W_L=in_order.T)
    total = table(logits, keys, twin, W_E=weights, W_L=weights.T)
    only = ["fourier_losses", "fourier_variants", "fve", "furuta", "gini", "ipr", "key_freqs", "neuron_freqs"]
    found, expected = (_of_all_rows(measure_network(x, only)) for x in (product, total))
    assert found.keys() == expected.keys()
    assert len(found) > 30
    for name, value in expected.items():
        assert found[name].reason == value.reason, name
        assert found[name].value == pytest.approx(value.value, abs=EXACT), name


def _of_all_rows(values: list[MeasureValue]) -> dict[str, MeasureValue]:
    """But those of a split, which differs: p (p - 1) rows, or p^2, are split instead of (p - 1)^2."""
    drawn = (".train", ".test", "by_freq")
    return {f"{x.measure} {x.protocol}": x for x in values if not x.measure.endswith(drawn)}


@pytest.mark.parametrize(("op", "twin"), [("mul", "add"), ("div", "sub")])
@pytest.mark.parametrize("rule", _keys.RULES)
def test_every_rule_finds_the_keys_of_a_planted_product(op: Operation, twin: Operation, rule: _keys.Rule) -> None:
    p, keys, log = 23, (2, 5, 9), _periodic.logarithms(23)[1:]
    solution = gromov(p - 1, keys, twin)
    zero = torch.zeros(1, 27, dtype=torch.float64)
    params = {name: torch.cat([zero, solution[name][log]]) for name in ("U", "V")}
    params["W"] = torch.cat([torch.full_like(zero, -9.0).T, solution["W"][:, log]], dim=1)
    found = subject(QuadMLP(width=27), params, p, keys, op, label_noise=0.3)
    assert _keys.keys_of(found, rule) == (keys, None)
    values = measure_network(found, ["fourier_losses", "fve", "ipr"])
    for name in ("fve", "ipr", "ipr_W_E", "restricted_acc.test", "restricted_acc.all"):
        assert number(values, name) == pytest.approx(1, abs=EXACT)


def test_rows_about_zero_and_labels_of_zero_are_left_out_of_every_split() -> None:
    p = 23
    quad = subject(QuadMLP(width=27), gromov(p, (2, 5)), p, None, "mul", label_noise=0.5, frac_train=0.6)
    net, data = _periodic.periodic(quad), quad.data
    pairs = set(map(tuple, data.inputs[data.train][(data.inputs[data.train] > 0).all(1) & (data.train_labels > 0)]))
    power = _periodic.powers(p)
    assert {tuple(power[net.inputs[row]].tolist()) for row in net.train.rows} == pairs
    own = {tuple(data.inputs[row]): int(label) for row, label in zip(data.train, data.train_labels, strict=True)}
    for row, label in zip(net.train.rows, net.train.labels, strict=True):
        assert own[tuple(power[net.inputs[row]].tolist())] == int(power[label])
    assert (len(net.all.rows), net.p) == (22**2, 22)


def test_products_without_logarithms_have_no_frequencies() -> None:
    for p in (2, 12):
        keys, reason = _keys.keys_of(subject(QuadMLP(width=9), gromov(p, (1,)), p, None, "mul"))
        assert keys is None
        assert "odd prime" in str(reason)


# --- ranks and ratios ----------------------------------------------------------------------------------------------


def test_a_planted_map_holds_its_keys_alone_and_reads_them_perfectly() -> None:
    p, keys = 23, (2, 5, 9)
    found = subject(QuadMLP(width=27), gromov(p, keys), p, keys)
    values = by_name(measure_network(found, ["w_l_rank"]))
    assert values["w_l_outside_keys"].value == pytest.approx(0, abs=1e-14)
    assert values["w_l_direction_fve"].values == pytest.approx([1.0] * 6, abs=EXACT)


def test_what_is_outside_the_keys_is_a_share_of_the_norm() -> None:
    p = 23
    W_L = torch.stack([3 * math.sqrt(2) * _wave(p, 4), torch.full((p,), 4.0, dtype=torch.float64)], dim=1)
    found = table(noise(p * p, p), (4,), W_L=W_L, neurons=noise(p * p, 2))
    assert number(measure_network(found, ["w_l_rank"]), "w_l_outside_keys") == pytest.approx(4 / 5, abs=1e-13)


def test_a_direction_reads_as_much_as_a_regression_on_it_explains() -> None:
    p, k = 11, 3
    W_L, neurons, (a, b) = noise(p, 6), noise(p * p, 6, seed=1), grid(p)
    found = by_name(measure_network(table(noise(p * p, p), (k,), W_L=W_L, neurons=neurons), ["w_l_rank"]))
    expected = []
    for wave in (torch.cos, torch.sin):
        read = neurons @ (wave(2 * math.pi * k / p * torch.arange(p).double()) @ W_L)
        regressor = wave(2 * math.pi * k / p * (a + b).double())
        expected.append(float(np.corrcoef(read, regressor)[0, 1] ** 2))
    assert found["w_l_direction_fve"].values == pytest.approx(expected, abs=EXACT)


@pytest.mark.parametrize("p", [23, 12])
def test_density_and_ratio_of_circles_and_of_single_waves(p: int) -> None:
    t = 2 * math.pi / p * torch.arange(p).double()
    circles = torch.stack([f(k * t) for k in (2, 5) for f in (torch.cos, torch.sin)])
    cosines, sines = furuta.families(circles)
    assert furuta.density(cosines, sines) == 4 / (p - 1)
    assert furuta.cosine_sine_ratio(cosines, sines) == pytest.approx(1, abs=EXACT)
    assert furuta.cosine_sine_ratio(*furuta.families(torch.cos(3 * t)[None])) == 0
    ellipse = torch.stack([torch.cos(3 * t), 0.25 * torch.sin(3 * t)])
    assert furuta.cosine_sine_ratio(*furuta.families(ellipse)) == pytest.approx(0.25, abs=EXACT)
    white = torch.eye(p, dtype=torch.float64)
    assert furuta.density(*furuta.families(white)) == 1
    half = torch.stack([torch.cos(t), 0.49 * torch.cos(2 * t), 0.51 * torch.cos(3 * t)])
    assert furuta.density(*furuta.families(half)) == 2 / (p - 1)


def test_rules_that_differ_are_counted_with_their_frequencies() -> None:
    p = 23
    a, b = (x.double() * 2 * math.pi / p for x in grid(p))
    neurons = torch.stack([torch.cos(3 * (a + b)), torch.cos(7 * (a + b))], dim=1)
    embedding = torch.stack([_wave(p, 3), _wave(p, 8)])
    found = table(torch.zeros(p * p, p), None, neurons=neurons, W_E=embedding)
    value = by_name(measure_network(found, ["key_freqs"]))["key_rules_disagree"]
    assert (value.value, value.values) == (2, (7, 8))


def test_embeddings_of_single_waves_have_participation_one() -> None:
    p = 23
    found = table(noise(p * p, p), None, W_E=torch.stack([_wave(p, 3), 2 * _wave(p, 8), torch.zeros(p)]))
    values = by_name(measure_network(found, ["ipr"]))
    assert values["ipr_W_E"].value == pytest.approx(1, abs=EXACT)
    assert "quad_mlp only" in str(values["ipr"].reason)


# --- blocks of rows ------------------------------------------------------------------------------------------------


def test_neurons_read_block_by_block_have_the_same_frequencies(monkeypatch: pytest.MonkeyPatch) -> None:
    p = 11
    neurons = noise(p * p, 5) + 100 * noise(5, seed=1)
    whole = _neurons.frequencies_of(neurons, p)
    for size in (1, 4 * p * 5):  # one value of a at a time; four, four and three
        monkeypatch.setattr(_neurons, "BLOCK", size)
        found = _neurons.frequencies_of(neurons, p)
        torch.testing.assert_close(found.fraction, whole.fraction)
        assert torch.equal(found.frequency, whole.frequency)


def test_inputs_evaluated_chunk_by_chunk_are_the_network() -> None:
    p = 37  # 1,369 inputs: a chunk and a part of one
    model = Transformer(d_model=16, n_heads=2, d_mlp=24)
    params = model.init(Shape(positions=2, vocab=p, classes=p), 0)
    found = subject(model, params, p, None)
    net, seen = network(found), model.activations(params, torch.from_numpy(found.data.inputs).long())
    torch.testing.assert_close(net.logits, seen["logits"][:, :p])
    torch.testing.assert_close(net.neurons, seen["neurons"])
    torch.testing.assert_close(net.pattern, seen["blocks.0.attn.hook_pattern"])


# --- reasons -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("last", "reasons"),
    [
        (
            1e200,
            {"fve": "not_finite", "clock.r2": "not_finite", "ffd_W_L": "not_finite", "w_l_outside_keys": "not_finite"},
        ),
        (1e200, {"distance_irrelevance": "not_finite", "w_l_direction_fve": "not_finite"}),
        (0.0, {"fve": "constant_logits", "clock.r2": "constant_logits", "ffd_W_L": "zero_matrix"}),
        (0.0, {"w_l_outside_keys": "zero_matrix", "w_l_direction_fve": "silent_direction"}),
        (0.0, {"nlm_alignment.last_layer": "zero_weights"}),
    ],
)
def test_squares_that_are_no_numbers_are_told_from_zeros(last: float, reasons: dict[str, str]) -> None:
    """Logits of 1e200 are finite and vary; it is their squares that are not."""
    p = 11
    model = QuadMLP(width=16)
    params = model.init(Shape(positions=2, vocab=p, classes=p), 0)
    found = subject(model, {**params, "W": last * params["W"]}, p, [2])
    names = ("fve", "clock_pizza", "furuta", "w_l_rank", "distance_irrelevance", "alignment")
    values = {value.measure: value for value in measure_network(found, names)}
    assert {name: values[name].reason for name in reasons} == reasons


def test_a_gradient_of_nan_is_not_called_zero() -> None:
    p = 7
    model = Transformer(d_model=8, n_heads=2, d_mlp=12)
    params = model.init(Shape(positions=2, vocab=p, classes=p), 0)
    broken = {name: torch.full_like(tensor, math.nan) for name, tensor in params.items()}
    (value,) = measure_network(subject(model, broken, p, None), ["gradient_symmetricity"])
    assert value.reason == "not_finite"
