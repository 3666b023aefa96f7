"""Measures of networks on groups: planted irreps and cosets, definitions by brute force, cyclic groups as Fourier."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from grokstudy.circuits import _fourier
from grokstudy.circuits._network import cross_entropy, network
from grokstudy.circuits.coset import Coset
from grokstudy.circuits.fourier_losses import FourierLosses
from grokstudy.circuits.fve import FVE
from grokstudy.circuits.group_irreps import GroupIrreps
from grokstudy.circuits.group_losses import GroupLosses, random_irreps
from grokstudy.circuits.reference.irreps import irreps
from grokstudy.losses.ce64 import CrossEntropy64
from grokstudy.models.embed_mlp import EmbedMLP
from grokstudy.models.onehot_mlp import OneHotMLP
from grokstudy.models.quad_mlp import QuadMLP
from grokstudy.models.transformer import Transformer
from grokstudy.optimizers.adamw import AdamW
from grokstudy.spec.interfaces import Model
from grokstudy.spec.measure import Measure, Subject
from grokstudy.spec.trial import TrialSpec
from grokstudy.tasks.group import FiniteGroup
from grokstudy.tasks.modular import Modular
from tests.group_subjects import EXACT, measured, number, numbers, place, planted, subject, untrained

torch.set_num_threads(1)

MEASURES: tuple[Measure, ...] = (GroupIrreps(), GroupLosses(), Coset())
MODELS: tuple[Model, ...] = (
    QuadMLP(width=16),
    OneHotMLP(width=16),
    EmbedMLP(d_embed=16, width=16),
    Transformer(d_model=16, n_heads=2, d_mlp=24),
)


PLANTED = (
    ("S3", {"standard": 2.0}),
    ("S3", {"sign": 1.0, "standard": 2.0}),
    ("S4", {"standard": 1.0}),
    ("S4", {"sign": 3.0, "standard_sign": 1.0}),
    ("S4", {"(2,2)": 1.0, "standard": 0.5, "sign": 2.0}),
    ("A4", {"2d": 1.0, "3d": 1.0}),
)
every_planted = pytest.mark.parametrize(("group", "strengths"), PLANTED)


# --- planted irreps ------------------------------------------------------------------------------------------------


@every_planted
def test_planted_irreps_are_found_with_their_strengths(group: str, strengths: dict[str, float]) -> None:
    """Traces are orthogonal and of squared length n^3 * commutant, so a similarity is a share of the strengths."""
    found = irreps(FiniteGroup(group=group).elements())[1:]
    weights = np.array([strengths.get(irrep.name, 0.0) * math.sqrt(irrep.commutant) for irrep in found])
    values = measured(GroupIrreps(), planted(group, strengths))
    np.testing.assert_allclose(
        numbers(values, "irrep_similarity"), weights / np.linalg.norm(weights), rtol=0, atol=EXACT
    )
    assert number(values, "irrep_logits_explained") == pytest.approx(1, abs=EXACT)
    keys = tuple(sorted(place(group, name) + 1 for name in strengths))
    assert numbers(values, "key_irreps") == keys
    assert number(values, "key_irreps") == len(keys)


@every_planted
def test_embeddings_lie_in_the_planted_blocks(group: str, strengths: dict[str, float]) -> None:
    """2 d^3 neurons read the entry of an irrep, each entry with squares n / d in all: 2 d^2 n at each input.
    They write with strength / 4 of it."""
    found = irreps(FiniteGroup(group=group).elements())[1:]
    squares = np.array([irrep.dimension**2 * (irrep.name in strengths) for irrep in found], dtype=float)
    written = squares * np.array([strengths.get(irrep.name, 0.0) for irrep in found]) ** 2
    values = measured(GroupIrreps(), planted(group, strengths))
    # The entries of an irrep of complex type (A4's 2d) are orthogonal in pairs only, but their squares add up alike.
    np.testing.assert_allclose(numbers(values, "irrep_embedding"), squares / squares.sum(), rtol=0, atol=EXACT)
    np.testing.assert_allclose(numbers(values, "irrep_unembedding"), written / written.sum(), rtol=0, atol=EXACT)


@every_planted
def test_planted_irreps_are_all_there_is_to_the_loss(group: str, strengths: dict[str, float]) -> None:
    """Restricted to the keys nothing is lost; without them nothing is left; ratio of equal distributions 1."""
    of = planted(group, strengths)
    net, values = network(of), measured(GroupLosses(), of)
    n = net.p
    assert number(values, "irrep_restricted_loss.all") == pytest.approx(cross_entropy(net.logits, net.all), abs=EXACT)
    assert number(values, "irrep_excluded_loss.train") == pytest.approx(math.log(n), abs=EXACT)
    # Every row of such logits has the same loss: it is a function of a b c^-1.
    assert number(values, "irrep_test_restricted_ratio") == pytest.approx(1, abs=EXACT)
    assert number(values, "irrep_embedding.keys") == pytest.approx(1, abs=EXACT)
    assert number(values, "irrep_unembedding.keys") == pytest.approx(1, abs=EXACT)


def test_the_loss_of_a_single_key_is_that_of_its_own_logits() -> None:
    strengths = {"sign": 1.0, "standard": 2.0}
    values = measured(GroupLosses(), planted("S3", strengths))
    alone = [network(planted("S3", {name: strength})) for name, strength in strengths.items()]
    own = [cross_entropy(net.logits, net.all) for net in alone]
    np.testing.assert_allclose(numbers(values, "irrep_restricted_loss.all"), own, rtol=0, atol=EXACT)
    np.testing.assert_allclose(numbers(values, "irrep_excluded_loss.train"), own[::-1], rtol=0, atol=EXACT)


def test_all_irreps_of_a_group_are_its_random_keys() -> None:
    """A set of both irreps of S3 has but one random set of equal size: itself."""
    values = measured(GroupLosses(), planted("S3", {"sign": 1.0, "standard": 2.0}))
    for name in ("irrep_restricted_loss{}.all", "irrep_excluded_loss{}.train"):
        assert number(values, name.format("_random_keys")) == pytest.approx(number(values, name.format("")), abs=EXACT)


def test_random_keys_explain_nothing_of_a_single_planted_irrep() -> None:
    of = planted("S5", {"sign": 4.0})
    others = [some for some in random_irreps(of.spec.seeds.init, 6, 1) if some != (place("S5", "sign"),)]
    values = measured(GroupLosses(), of)
    share = len(others) / 8
    expected = share * math.log(120) + (1 - share) * number(values, "irrep_restricted_loss.all")
    assert number(values, "irrep_restricted_loss_random_keys.all") == pytest.approx(expected, abs=EXACT)


def test_random_keys_are_nested() -> None:
    for small, large in zip(random_irreps(3, 10, 2), random_irreps(3, 10, 5), strict=True):
        assert set(small) < set(large)


def test_keys_are_those_of_the_final_network() -> None:
    of = planted("S4", {"standard": 1.0})
    other = planted("S4", {"standard_sign": 1.0})
    values = measured(GroupLosses(), dataclasses.replace(of, final=other.params))
    assert number(values, "irrep_restricted_loss.all") == pytest.approx(math.log(24), abs=EXACT)
    assert number(values, "irrep_embedding.keys") == pytest.approx(0, abs=EXACT)


@pytest.mark.parametrize("group", ["S4", "S5", "C23"])
def test_untrained_networks_have_no_keys(group: str) -> None:
    """Over n^3 >= 12,000 entries a random similarity has a standard deviation below 0.01."""
    for model in (MODELS[1], MODELS[2]):
        for seed in range(3):
            assert number(measured(GroupIrreps(), untrained(model, group, seed), "0.05"), "key_irreps") == 0


# --- definitions by brute force -------------------------------------------------------------------------------------

PLANTED_IN_NOISE = {"S3": {"standard": 1.0}, "S4": {"standard": 1.0, "(2,2)": 1.0}, "A4": {"2d": 1.0}}
every_noisy = pytest.mark.parametrize("group", PLANTED_IN_NOISE)


def noisy(group: str) -> Subject:
    """Planted irreps with noise in all weights, so that nothing is exact; the final network is the planted one."""
    of = planted(group, PLANTED_IN_NOISE[group])
    rng = np.random.default_rng(0)
    params = {k: x + 0.3 * torch.from_numpy(rng.normal(size=tuple(x.shape))) for k, x in of.params.items()}
    return dataclasses.replace(of, params=params)


def orthonormal(entries: np.ndarray) -> np.ndarray:
    """Orthonormal columns with the same span."""
    u, s, _ = np.linalg.svd(entries, full_matrices=False)
    return u[:, s > 1e-8 * s[0]]


def entries_of(group: str, index: np.ndarray) -> list[np.ndarray]:
    """For each nontrivial irrep orthonormal functions of the rows: the entries of rho at `index`."""
    n = FiniteGroup(group=group).order()
    found = irreps(FiniteGroup(group=group).elements())[1:]
    return [orthonormal(irrep.matrices.reshape(n, -1)[index]) for irrep in found]


def rows_of(group: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """a, b and a b of every row."""
    elements = FiniteGroup(group=group).elements()
    a, b = np.divmod(np.arange(elements.order**2), elements.order)
    return a, b, elements.table[a, b]


@every_noisy
def test_similarity_is_the_cosine_with_the_cube_of_traces(group: str) -> None:
    of = noisy(group)
    elements, L = FiniteGroup(group=group).elements(), network(of).logits.numpy()
    n = elements.order
    centred = (L - L.mean(axis=1, keepdims=True)).reshape(n, n, n)
    cosines = []
    for irrep in irreps(elements)[1:]:
        R = irrep.matrices
        T = np.einsum("aij,bjk,cki->abc", R, R, R[elements.inverses])
        cosines.append((centred * T).sum() / np.linalg.norm(centred) / np.linalg.norm(T))
    found = numbers(measured(GroupIrreps(), of), "irrep_similarity")
    np.testing.assert_allclose(found, cosines, rtol=0, atol=EXACT)


@every_noisy
def test_shares_of_the_neurons_are_projections_on_entries_of_rho(group: str) -> None:
    of = noisy(group)
    U, V = (of.params[name].numpy() for name in ("U", "V"))
    a, b, ab = rows_of(group)
    H = (U[a] + V[b]) ** 2
    centred = H - H.mean(axis=0)
    values = measured(GroupLosses(), of)
    total = 0.0
    for side, index in (("x", a), ("y", b), ("xy", ab)):
        parts = [((B.T @ centred) ** 2).sum() for B in entries_of(group, index)]
        shares = np.array(parts) / (centred**2).sum()
        np.testing.assert_allclose(numbers(values, f"irrep_hidden.{side}"), shares, rtol=0, atol=EXACT)
        keys = [place(group, name) for name in PLANTED_IN_NOISE[group]]
        assert number(values, f"irrep_hidden.{side}") == pytest.approx(shares[keys].sum(), abs=EXACT)
        total += shares[keys].sum()
    assert number(values, "irrep_hidden") == pytest.approx(total, abs=EXACT)
    assert 0 < total < 1


@every_noisy
def test_losses_are_those_of_projected_neurons(group: str) -> None:
    of = noisy(group)
    U, V, W = (of.params[name].numpy() for name in ("U", "V", "W"))
    a, b, ab = rows_of(group)
    H = (U[a] + V[b]) ** 2
    spans = entries_of(group, ab)
    B = np.concatenate([spans[place(group, name)] for name in PLANTED_IN_NOISE[group]], axis=1)
    H_xy = B @ (B.T @ H)
    net = network(of)
    restricted = cross_entropy(torch.from_numpy(H_xy @ W), net.all)
    excluded = cross_entropy(torch.from_numpy((H - H_xy) @ W), net.train)
    values = measured(GroupLosses(), of)
    assert number(values, "irrep_restricted_loss.all") == pytest.approx(restricted, abs=EXACT)
    assert number(values, "irrep_excluded_loss.train") == pytest.approx(excluded, abs=EXACT)
    ratio = cross_entropy(net.logits, net.test) / restricted
    assert number(values, "irrep_test_restricted_ratio") == pytest.approx(ratio, abs=EXACT)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_all_models_on_tokens_can_be_measured(model: Model) -> None:
    of = untrained(model, "S4")
    of = dataclasses.replace(of, final=of.params)
    values = measured(GroupIrreps(), of)
    # All blocks together are everything but the mean over the elements.
    for name, matrix in (("irrep_embedding", network(of).W_E.T), ("irrep_unembedding", network(of).W_L)):
        varying = (matrix - matrix.mean(dim=0)).square().sum() / matrix.square().sum()
        assert sum(numbers(values, name)) == pytest.approx(float(varying), abs=EXACT)


# --- cyclic groups are Fourier ---------------------------------------------------------------------------------------


def as_cyclic_and_modular(p: int, keys: Sequence[int]) -> tuple[Subject, Subject]:
    """The same network, noise with planted keys, on the cyclic group and on addition modulo p."""
    of = planted(f"C{p}", {f"k{k}": 1.0 for k in keys})
    rng = np.random.default_rng(1)
    params = {k: x + 0.1 * torch.from_numpy(rng.normal(size=tuple(x.shape))) for k, x in of.params.items()}
    task = Modular(op="add", p=p, frac_train=0.5)
    modular = dataclasses.replace(subject(of.spec.model, params, task), key_freqs=tuple(keys))
    return dataclasses.replace(of, params=params), modular


@pytest.mark.parametrize("p", [7, 12])
def test_traces_explain_what_waves_explain(p: int) -> None:
    cyclic, modular = as_cyclic_and_modular(p, (1, 3))
    found = measured(GroupIrreps(), cyclic)
    similarity = dict(
        zip(
            [irrep.name for irrep in irreps(FiniteGroup(group=f"C{p}").elements())][1:],
            numbers(found, "irrep_similarity"),
            strict=True,
        )
    )
    fve = number(measured(FVE(), modular), "fve.per_input")
    assert similarity["k1"] ** 2 + similarity["k3"] ** 2 == pytest.approx(fve, abs=EXACT)
    everything = dataclasses.replace(modular, key_freqs=tuple(_fourier.frequencies(p)))
    explained = number(measured(FVE(), everything), "fve.per_input")
    assert number(found, "irrep_logits_explained") == pytest.approx(explained, abs=EXACT)


@pytest.mark.parametrize("p", [7, 12])
def test_losses_without_the_key_irreps_are_those_without_the_key_frequencies(p: int) -> None:
    cyclic, modular = as_cyclic_and_modular(p, (1, 3))
    assert (cyclic.data.train == modular.data.train).all()
    values, fourier = measured(GroupLosses(), cyclic), measured(FourierLosses(), modular)
    assert number(values, "irrep_excluded_loss.train") == pytest.approx(
        number(fourier, "excluded_loss.train"), abs=EXACT
    )
    # The Fourier measure adds each class's mean logit to the restricted ones, the group measure does not.
    net = network(modular)
    restricted = cross_entropy(_fourier.project(net.logits, net.answer, (1, 3), p), net.all)
    assert number(values, "irrep_restricted_loss.all") == pytest.approx(restricted, abs=EXACT)


# --- undefined -------------------------------------------------------------------------------------------------------


def filled(of: Subject, value: float) -> Subject:
    params = {name: torch.full_like(x, value) for name, x in of.params.items()}
    return dataclasses.replace(of, params=params, final=params)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
@pytest.mark.parametrize("value", [0.0, math.nan, math.inf])
@pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: type(measure).__name__)
def test_a_broken_network_has_no_values_and_the_same_columns(measure: Measure, value: float, model: Model) -> None:
    whole, broken = untrained(model, "S4"), filled(untrained(model, "S4"), value)
    values = measure.measure(broken)
    assert [(x.measure, x.protocol) for x in values] == [(x.measure, x.protocol) for x in measure.measure(whole)]
    assert all(x.value is None and x.reason for x in values)


@pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: type(measure).__name__)
def test_columns_are_the_declared_ones_and_depend_on_no_keys(measure: Measure) -> None:
    of = planted("S4", {"standard": 1.0})
    columns = [(x.measure, x.protocol) for x in measure.measure(of)]
    assert {name for name, _ in columns} == set(measure.names)
    assert len(set(columns)) == len(columns)
    for other in (untrained(QuadMLP(width=8), "S4"), untrained(QuadMLP(width=8), "C23")):
        assert [(x.measure, x.protocol) for x in measure.measure(other)] == columns


def test_a_broken_network_with_known_keys_has_no_values_either() -> None:
    of = planted("S4", {"standard": 1.0})
    broken = dataclasses.replace(of, params=filled(of, math.nan).params)
    assert {value.reason for value in GroupLosses().measure(broken)} == {"not_finite"}


def test_reasons_say_why_there_are_no_keys() -> None:
    of = planted("S4", {"standard": 1.0})
    cases = {
        "never_generalised": dataclasses.replace(of, keys_reason="never_generalised"),
        "no_final_weights": dataclasses.replace(of, final=None),
        "no_keys": dataclasses.replace(of, final=filled(of, 0.0).params),
    }
    for reason, case in cases.items():
        assert {value.reason for value in GroupLosses().measure(case)} == {reason}


def test_without_test_rows_only_their_ratio_is_undefined() -> None:
    of = planted("S3", {"standard": 1.0})
    values = GroupLosses().measure(subject(of.spec.model, of.params, FiniteGroup(group="S3", frac_train=1.0)))
    assert [(x.measure, x.reason) for x in values if x.value is None] == [("irrep_test_restricted_ratio", "no_rows")]


def test_a_group_of_two_elements_is_measured() -> None:
    values = measured(GroupIrreps(), planted("C2", {"sign": 1.0}))
    assert numbers(values, "irrep_similarity") == pytest.approx((1.0,), abs=EXACT)


@pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: type(measure).__name__)
def test_other_tasks_are_refused_with_what_must_hold(measure: Measure) -> None:
    def reason(task: FiniteGroup | Modular) -> str:
        spec = TrialSpec(task=task, model=QuadMLP(width=8), optimizer=AdamW(), loss=CrossEntropy64())
        return measure.applies(spec) or ""

    assert reason(FiniteGroup(group="S5")) == ""
    assert "task=modular" in reason(Modular(p=7))
    assert "conj" in reason(FiniteGroup(group="S4", op="conj"))
    assert "at most 200 elements, this one has 720" in reason(FiniteGroup(group="S6"))
