"""Fourier measures against their definitions: logits with exact answers, planted networks, brute-force oracles."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
import torch

from grokstudy.circuits import _fourier, _keys, _neurons
from grokstudy.circuits._json import as_json
from grokstudy.circuits._measure import measure_network
from grokstudy.circuits._network import network
from grokstudy.circuits.fourier_losses import FourierLosses, Terms
from grokstudy.models.quad_mlp import QuadMLP
from grokstudy.models.transformer import Transformer
from grokstudy.spec.errors import BadInput
from grokstudy.spec.interfaces import Model, Shape
from grokstudy.tasks.modular import Operation
from tests.planted import Table, by_name, grid, gromov, noise, number, subject, table, waves

torch.set_num_threads(1)

# Sums of at most p^3 = 12,167 float64 terms of size 10 err by less than 12,167 * 10 * 1.1e-16 = 1.4e-11.
EXACT = 1e-10


FOURIER = ("fourier_losses", "fourier_variants", "fve", "ipr", "key_freqs", "neuron_freqs", "w_l_rank")


# --- exact values on synthetic logits ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("p", "op", "amplitudes"),
    [
        (23, "add", {2: 3.0, 5: 1.5, 9: 2.0}),
        (23, "sub", {2: 3.0, 5: 1.5, 9: 2.0}),
        (12, "add", {1: 2.0, 6: 3.0}),
        (12, "sub", {6: 1.0, 4: 3.0}),
    ],
)
@pytest.mark.parametrize("terms", [2, 4, 8])
def test_logits_made_of_the_keys_are_kept_whole_and_removed_whole(
    p: int, op: Operation, amplitudes: dict[int, float], terms: Terms
) -> None:
    planted = table(waves(p, amplitudes, op), sorted(amplitudes), op)
    values = measure_network(planted)
    for name in ("fve", "fve.per_input", "fve.double"):
        assert number(values, name) == pytest.approx(1, abs=EXACT)
    losses = FourierLosses(terms=terms).measure(planted)
    for split in ("train", "test", "all"):
        assert number(losses, f"restricted_loss.{split}") == pytest.approx(number(values, f"ce_{split}"), abs=EXACT)
        assert number(losses, f"excluded_loss.{split}") == pytest.approx(math.log(p), abs=EXACT)


def test_the_wrong_diagonal_explains_nothing() -> None:
    """Addition logits judged as subtraction: a label permutation destroys the circuit."""
    values = measure_network(table(waves(23, {2: 3.0, 5: 3.0}), (2, 5), "sub"))
    assert number(values, "fve") == pytest.approx(0, abs=EXACT)
    assert number(values, "restricted_loss.all") == pytest.approx(math.log(23), abs=EXACT)
    assert number(values, "excluded_loss.all") == pytest.approx(number(values, "ce_all"), abs=EXACT)


def test_equal_amplitudes_of_all_frequencies_are_the_identity() -> None:
    p, alpha = 113, 0.4
    a, b = grid(p)
    correct = torch.nn.functional.one_hot((a + b) % p, p)
    expected = alpha * (p * correct - 1) / 2
    torch.testing.assert_close(waves(p, dict.fromkeys(_fourier.frequencies(p), alpha)), expected.double())


def test_each_key_removed_alone_leaves_the_others() -> None:
    p, amplitudes = 23, {2: 3.0, 5: 1.5}
    single = by_name(measure_network(table(waves(p, amplitudes), (2, 5))))["excluded_loss_by_freq"]
    rest = [number(measure_network(table(waves(p, {k: amplitudes[k]}), (k,))), "ce_train") for k in (5, 2)]
    assert single.values == pytest.approx(tuple(rest), abs=EXACT)
    assert single.value == pytest.approx(max(rest), abs=EXACT)


def test_class_means_are_kept_by_restriction_and_by_exclusion() -> None:
    bias = noise(23)
    values = measure_network(table(waves(23, {2: 3.0}) + bias, (2,)))
    assert number(values, "restricted_loss.all") == pytest.approx(number(values, "ce_all"), abs=EXACT)
    only_bias = measure_network(table(bias.expand(23 * 23, 23), (2,)))
    assert number(values, "excluded_loss.all") == pytest.approx(number(only_bias, "ce_all"), abs=EXACT)


def test_centring_removes_what_it_says() -> None:
    signal, row, column = waves(23, {2: 1.0}), noise(23 * 23, 1), noise(1, 23, seed=1)
    rows_only = measure_network(table(signal + row, (2,)))
    assert number(rows_only, "fve.per_input") == pytest.approx(1, abs=EXACT)
    assert number(rows_only, "fve") < 0.9
    both = measure_network(table(signal + row + column, (2,)))
    assert number(both, "fve.double") == pytest.approx(1, abs=EXACT)
    assert number(both, "fve.per_input") < 0.9


# --- oracles -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [11, 12])
@pytest.mark.parametrize("op", ["add", "sub"])
def test_fve_is_the_least_squares_share(p: int, op: Operation) -> None:
    keys = (1, 3, p // 2)
    logits = noise(p * p, p) + waves(p, {1: 0.5, 3: 0.5, p // 2: 0.5}, op)
    regressors = torch.stack([waves(p, {k: 1.0}, op).flatten() for k in keys], dim=1)
    centred = (logits - logits.mean()).flatten()
    fitted = regressors @ torch.linalg.lstsq(regressors, centred[:, None]).solution[:, 0]
    expected = 1 - float(((centred - fitted) ** 2).sum() / (centred**2).sum())
    assert number(measure_network(table(logits, keys, op)), "fve") == pytest.approx(expected, abs=EXACT)


@pytest.mark.parametrize("p", [11, 12])
@pytest.mark.parametrize(("terms", "constant"), [(4, False), (8, True)])
def test_more_terms_are_the_blocks_of_the_two_dimensional_transform(p: int, terms: Terms, constant: bool) -> None:
    keys = (2, p // 2)
    logits = noise(p * p, p)
    kept = torch.zeros(p, p, p, dtype=torch.float64)
    coefs = _fourier.transform_2d(logits.reshape(p, p, p))
    for k in keys:
        block = [0] * constant + _fourier.rows_of([k], p)
        index = torch.tensor(block)
        kept[index[:, None], index[None, :]] = coefs[index[:, None], index[None, :]]
    kept[0, 0] = 0
    f = _fourier.basis(p)
    part = torch.einsum("fgz,fx,gy->xyz", kept, f, f).reshape(p * p, p)
    values = FourierLosses(terms=terms).measure(table(logits, keys))
    expected = measure_network(table(logits - part, keys), ["cross_entropy"])
    assert number(values, "excluded_loss.all") == pytest.approx(number(expected, "ce_all"), abs=EXACT)


@pytest.mark.parametrize("p", [11, 12])
def test_neuron_fractions_are_the_three_by_three_blocks(p: int) -> None:
    neurons = noise(p * p, 6)
    a, b = grid(p)
    neurons[:, 0] += 3 * torch.cos(2 * math.pi * (p // 2) / p * (a + b).double())
    found = _neurons.neuron_frequencies(network(table(torch.zeros(p * p, p), None, neurons=neurons)))
    centred = (neurons - neurons.mean(dim=0)).reshape(p, p, 6)
    power = _fourier.transform_2d(centred) ** 2
    shares = []
    for k in _fourier.frequencies(p):
        block = torch.tensor([0, *_fourier.rows_of([k], p)])
        shares.append(power[block[:, None], block[None, :]].sum(dim=(0, 1)) / power.sum(dim=(0, 1)))
    expected, best = torch.stack(shares).max(dim=0)
    torch.testing.assert_close(found.fraction, expected)
    assert found.frequency.tolist() == (best + 1).tolist()


# --- planted networks ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", ["add", "sub"])
def test_the_analytic_solution_is_perfect_and_every_rule_finds_its_keys(op: Operation) -> None:
    p, keys = 23, (2, 5, 9)
    found = subject(QuadMLP(width=27), gromov(p, keys, op), p, keys, op)
    for rule in _keys.RULES:
        assert _keys.keys_of(found, rule) == (keys, None)
    values = measure_network(found)
    assert number(values, "acc_all") == 1.0
    assert number(values, "ipr") == pytest.approx(1, abs=EXACT)
    assert number(values, "fve") == pytest.approx(1, abs=EXACT)
    assert number(values, "neuron_freq_fraction") == 1.0
    assert number(values, "restricted_loss.all") == pytest.approx(number(values, "ce_all"), abs=EXACT)
    assert number(values, "excluded_loss.train") == pytest.approx(math.log(p), abs=EXACT)
    # 6 equal of 22 components: 1 - 6/22; 3 equal of 11 frequencies: 1 - 3/11.
    assert number(values, "gini_W_E") == pytest.approx(1 - 6 / 22, abs=1e-9)
    assert number(values, "gini_W_L.merged") == pytest.approx(1 - 3 / 11, abs=1e-9)
    # 9 neurons per key, each contributing cos / 2 to the logits.
    torch.testing.assert_close(network(found).logits, waves(p, dict.fromkeys(keys, 4.5), op))


def test_random_phases_also_solve_the_task() -> None:
    p, width = 23, 2000
    rng = np.random.default_rng(0)
    t = 2 * math.pi / p * torch.arange(p).double()
    k = torch.from_numpy(rng.integers(1, p // 2 + 1, width)).double()
    f, g = torch.from_numpy(rng.uniform(0, 2 * math.pi, (2, width)))
    params = {"U": torch.cos(t[:, None] * k + f), "V": torch.cos(t[:, None] * k + g)}
    params["W"] = torch.cos(t[:, None] * k + f + g).T.contiguous()
    values = measure_network(subject(QuadMLP(width=width), params, p, None))
    assert number(values, "acc_all") == 1.0
    saturated = by_name(values, "keys=neuron")["keys_saturated"]
    assert saturated.value == 1.0
    key_freqs = by_name(values, "keys=neuron")["key_freqs"]
    assert (key_freqs.value, key_freqs.values, key_freqs.reason) == (None, None, "keys_saturated")


def test_saturated_keys_are_not_keys() -> None:
    p, keys = 11, (1, 2, 3)  # 3 of 5 frequencies: more than half
    assert _keys.keys_of(subject(QuadMLP(width=27), gromov(p, keys), p, None)) == (None, "keys_saturated")
    p, keys = 13, (1, 2, 3)  # 3 of 6: exactly half
    assert _keys.keys_of(subject(QuadMLP(width=27), gromov(p, keys), p, None)) == (keys, None)


def test_dead_neurons_are_counted_and_change_no_key() -> None:
    p, keys = 23, (2, 5)
    alive = gromov(p, keys)
    dead = {name: x.clone() for name, x in alive.items()}
    dead["U"] = torch.cat([dead["U"], torch.zeros(p, 5), 1e-8 * noise(p, 1)], dim=1)
    dead["V"] = torch.cat([dead["V"], torch.zeros(p, 5), 1e-8 * noise(p, 1, seed=1)], dim=1)
    dead["W"] = torch.cat([dead["W"], torch.zeros(6, p)])
    values = measure_network(subject(QuadMLP(width=24), dead, p, keys))
    assert number(values, "dead_neurons") == 6
    assert number(values, "neuron_freqs") == 18
    assert by_name(values)["neuron_freqs"].values == tuple(9.0 if k in keys else 0.0 for k in range(1, 12))
    assert number(values, "ipr") == pytest.approx(1, abs=EXACT)
    assert _keys.keys_of(subject(QuadMLP(width=24), dead, p, None)) == (keys, None)


def test_an_all_zero_network_has_reasons_and_no_numbers() -> None:
    zero = {"U": torch.zeros(11, 4), "V": torch.zeros(11, 4), "W": torch.zeros(4, 11)}
    values = by_name(measure_network(subject(QuadMLP(width=4), zero, 11, (2,))))
    assert values["ipr"].reason == values["neuron_freq_fraction"].reason == "no_live_neurons"
    assert values["gini_W_E"].reason == "zero_matrix"
    assert values["fve"].reason == "constant_logits"
    assert values["sum_sq_weights"].value == 0
    assert values["ce_all"].value == pytest.approx(math.log(11))


def test_each_weight_rule_reads_its_own_matrix_above_a_quarter_of_the_peak() -> None:
    p = 23
    t = 2 * math.pi / p * torch.arange(p).double()
    embedding = torch.stack([torch.cos(4 * t), 0.3 * torch.sin(6 * t), 0.2 * torch.cos(8 * t), torch.full((p,), 9.0)])
    unembedding = torch.stack([torch.cos(7 * t + 1), torch.full((p,), 9.0)], dim=1)
    net = network(table(torch.zeros(p * p, p), None, W_E=embedding, W_L=unembedding))
    assert _keys.key_freqs(net, "w_e") == (4, 6)
    assert _keys.key_freqs(net, "w_l") == (7,)


def test_one_stray_neuron_in_two_hundred_is_not_a_key() -> None:
    p = 23
    many = gromov(p, (2, 5), phases=10)
    stray = gromov(p, (9,), phases=1)
    params = {name: torch.cat([many[name], stray[name]], dim=0 if name == "W" else 1) for name in many}
    assert _keys.keys_of(subject(QuadMLP(width=201), params, p, None)) == ((2, 5), None)


def test_neurons_of_one_frequency_give_its_key_unless_they_are_squares() -> None:
    p, silent = 23, torch.zeros(23 * 23, 23)
    a, b = (x.double() * 2 * math.pi / p for x in grid(p))
    single = torch.stack([torch.cos(k * (a + b)) + torch.cos(k * a) for k in (3, 3, 7)], dim=1)
    assert _keys.keys_of(table(silent, None, neurons=single)) == ((3, 7), None)
    # A pure quadratic neuron has variance 5/4: 1 in the block of its own frequency and 1/4 in its double's. That is why
    # the quadratic MLP is read before its square.
    squares = torch.stack([(torch.cos(k * a) + torch.cos(k * b)) ** 2 for k in (3, 3, 7)], dim=1)
    found = table(silent, None, neurons=squares)
    expected = torch.full((3,), 0.8, dtype=torch.float64)
    torch.testing.assert_close(_neurons.neuron_frequencies(network(found)).fraction, expected)
    assert _keys.keys_of(found) == (None, "no_keys")


# --- invariances ---------------------------------------------------------------------------------------------------


def test_fourier_concentration_does_not_see_a_rotation_of_the_width() -> None:
    p, width = 23, 16
    peak = torch.cos(2 * math.pi * 4 * torch.arange(p).double() / p)
    embedding = noise(width, p) + 5 * torch.outer(noise(width, seed=1), peak)
    rotated = torch.linalg.qr(noise(width, width, seed=2)).Q @ embedding
    before, after = (table(torch.zeros(p * p, p), None, W_E=e) for e in (embedding, rotated))
    for name in ("gini_W_E", "gini_W_E.merged"):
        assert number(measure_network(after), name) == pytest.approx(number(measure_network(before), name), abs=1e-12)
    for read in (before, after):
        assert _keys.key_freqs(network(read), "w_e") == (4,)


def test_key_rules_do_not_see_a_shift_of_the_residues() -> None:
    """r -> r + 1 on both inputs, and answers moved by 2, is the same network under other names."""
    p, keys = 23, (2, 5, 9)
    params = gromov(p, keys)
    moved = {"U": params["U"].roll(1, 0), "V": params["V"].roll(1, 0), "W": params["W"].roll(2, 1)}
    before, after = (measure_network(subject(QuadMLP(width=27), x, p, keys)) for x in (params, moved))
    for rule in _keys.RULES:
        assert _keys.keys_of(subject(QuadMLP(width=27), moved, p, None), rule) == (keys, None)
    for name in ("fve", "gini_W_E.merged", "restricted_loss.all", "excluded_loss.all", "ce_all"):
        assert number(after, name) == pytest.approx(number(before, name), abs=1e-9)


def test_the_output_beyond_the_answers_is_dropped() -> None:
    logits = waves(23, {2: 3.0})
    extra = torch.cat([logits, torch.full((23 * 23, 1), 100.0, dtype=torch.float64)], dim=1)
    wide = subject(
        Table(),
        {"logits": extra, "neurons": torch.ones(1, 1), "W_E": torch.ones(1, 23), "W_L": torch.ones(23, 1)},
        23,
        (2,),
    )
    only = ["cross_entropy", "fourier_losses", "fve"]
    assert measure_network(wide, only) == measure_network(table(logits, (2,)), only)


# --- controls ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [QuadMLP(width=64), Transformer(d_model=32, d_mlp=64)])
def test_keys_mean_nothing_in_an_untrained_network(model: Model) -> None:
    p = 23
    params = model.init(Shape(positions=2, vocab=p, classes=p), 0)
    values = measure_network(subject(model, params, p, (2, 5, 9)))
    # Even if all variance lay in functions of the answer, 3 of 11 frequencies would hold 3/11 of it; each has 2p = 46
    # directions (cos or sin of the answer, times any class pattern) of which the regressor is one: 3/11/46 = 0.006.
    assert number(values, "fve") < 0.01
    assert number(values, "fve_random_keys") < 0.01
    assert abs(number(values, "restricted_loss_random_keys.all") - math.log(p)) < 1


def test_random_keys_do_worse_than_the_keys() -> None:
    p, keys = 113, (14, 35, 41, 42, 52)
    values = measure_network(table(waves(p, dict.fromkeys(keys, 5.0)), keys))
    # A random set of 5 of 56 shares 5 * 5 / 56 = 0.45 keys on average, so it explains 0.09 of the variance; eight sets
    # have a standard error below 0.05.
    assert number(values, "fve_random_keys") < 0.3
    assert number(values, "restricted_loss_random_keys.all") > 1000 * number(values, "restricted_loss.all")
    assert number(values, "excluded_loss_random_keys.train") < number(values, "excluded_loss.train")


def test_random_key_sets_depend_on_the_seed_and_are_nested_in_size() -> None:
    small, large = _keys.random_key_sets(0, 113, 3), _keys.random_key_sets(0, 113, 6)
    assert len(small) == _keys.RANDOM_SETS
    assert all(set(s) < set(m) and len(s) == 3 for s, m in zip(small, large, strict=True))
    assert all(1 <= k <= 56 for keys in large for k in keys)
    assert _keys.random_key_sets(1, 113, 3) != small


# --- labels, splits, domains ---------------------------------------------------------------------------------------


def test_train_numbers_use_the_labels_trained_on_and_the_others_clean_ones() -> None:
    p, keys = 23, (2, 5, 9)
    noisy = subject(QuadMLP(width=27), gromov(p, keys), p, keys, label_noise=0.4)
    corrupted = float((noisy.data.train_labels != noisy.data.labels[noisy.data.train]).mean())
    values = measure_network(noisy)
    assert number(values, "acc_train") == pytest.approx(1 - corrupted)
    assert number(values, "acc_test") == number(values, "acc_all") == 1.0
    assert 0.3 < corrupted < 0.4


def test_without_test_rows_the_test_numbers_are_null() -> None:
    values = by_name(measure_network(subject(QuadMLP(width=27), gromov(23, (2,)), 23, (2,), frac_train=1.0)))
    for name in ("ce_test", "acc_test", "restricted_loss.test", "excluded_loss.test"):
        assert (values[name].value, values[name].reason) == (None, "no_rows")
    assert values["ce_train"].value == pytest.approx(values["ce_all"].value)


def test_operations_that_are_not_periodic_have_no_fourier_measures() -> None:
    squares = subject(QuadMLP(width=27), gromov(23, (2,)), 23, None, "x2plusy2")
    values = by_name(measure_network(squares, [*FOURIER, "cross_entropy"]))
    for name in FOURIER:
        assert values[name].value is None
        assert "add, sub, mul or div" in str(values[name].reason)
    assert values["ce_all"].value is not None
    keys, reason = _keys.keys_of(squares)
    assert keys is None
    assert "x2plusy2" in str(reason)


def test_names_and_rules_that_do_not_exist_are_refused_with_the_nearest() -> None:
    found = table(waves(11, {2: 1.0}), (2,))
    with pytest.raises(BadInput, match="did you mean 'gini'"):
        measure_network(found, ["ginni"])
    with pytest.raises(BadInput, match="did you mean 'neuron'"):
        measure_network(found, rule="neurons")
    assert {value.measure for value in measure_network(found, ["ipr"])} == {"ipr", "ipr_W_E"}


def test_the_json_document_has_the_promised_keys() -> None:
    p, keys = 23, (2, 5, 9)
    values = measure_network(subject(QuadMLP(width=27), gromov(p, keys), p, keys), rule="w_l")
    document = as_json(values, keys, "w_l")
    promised = (
        "key_freqs key_freq_rule restricted_loss excluded_loss excluded_loss_by_freq fve gini_W_E gini_W_L "
        "sum_sq_weights neuron_freq_fraction ce_train ce_test acc_train acc_test keys_saturated protocol"
    )
    assert set(document) == set(promised.split())
    assert json.loads(json.dumps(document)) == document
    assert document["key_freqs"] == [2, 5, 9]
    assert document["keys_saturated"] is False
    restricted, single, protocol = document["restricted_loss"], document["excluded_loss_by_freq"], document["protocol"]
    assert isinstance(restricted, dict)
    assert set(restricted) == {"train", "test", "all"}
    assert isinstance(single, list)
    assert len(single) == 3
    assert isinstance(protocol, dict)
    assert protocol["restricted_loss.all"] == "keys=w_l;terms=2;mean=class"
    assert protocol["key_freqs"] == "keys=w_l"
    assert "fve_random_keys" in protocol
    without = dataclasses.replace(subject(QuadMLP(width=27), gromov(p, keys), p, None), keys_reason="keys_saturated")
    assert as_json(measure_network(without), None, "neuron")["keys_saturated"] is True
