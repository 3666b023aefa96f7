"""Detectors against networks built by hand, and their guards against networks that only look the part."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from grokstudy.circuits._labels import LABELS
from grokstudy.circuits._network import network
from grokstudy.circuits.detector_scores import DetectorScores, label
from grokstudy.circuits.detectors import fourier, induction_head
from grokstudy.circuits.detectors._averaging import averaging, fading_share
from grokstudy.circuits.detectors._detector import detectors
from grokstudy.circuits.detectors._guards import above, weakest
from grokstudy.circuits.detectors._held_out import held_out_fve
from grokstudy.circuits.reference.irreps import irreps
from grokstudy.losses.ce64 import CrossEntropy64
from grokstudy.models.embed_mlp import EmbedMLP
from grokstudy.models.quad_mlp import QuadMLP
from grokstudy.optimizers.adamw import AdamW
from grokstudy.spec.interfaces import Model, ReadMatrices, Shape, Task
from grokstudy.spec.measure import Subject
from grokstudy.spec.trial import Seeds, TrialSpec
from grokstudy.tasks.group import FiniteGroup
from grokstudy.tasks.induction import Induction
from grokstudy.tasks.modular import Modular, Operation
from grokstudy.tasks.sparse_parity import SparseParity
from tests.planted import Table

torch.set_num_threads(1)

P, KEYS = 23, (2, 5, 9)
# Scores are ratios of sums of at most P^3 = 12,167 float64 terms of similar size.
EXACT = 1e-10


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Parity(Model):
    """Answers with the parity of its first `bits` inputs, which are 0 or 1; has no weights."""

    bits: int = 3

    def check(self, shape: Shape) -> None: ...

    def init(self, shape: Shape, seed: int) -> dict[str, Tensor]:
        return {}

    def apply(self, params: Mapping[str, Tensor], inputs: Tensor, *_: Any, **__: Any) -> Tensor:
        odd = inputs[:, : self.bits].sum(dim=1) % 2
        return torch.stack([1 - odd, odd], dim=1)

    def activations(self, params: Mapping[str, Tensor], inputs: Tensor, *_: Any, **__: Any) -> dict[str, Tensor]:
        return {"neurons": inputs, "logits": self.apply(params, inputs)}

    def matrices(self, params: Mapping[str, Tensor], shape: Shape) -> ReadMatrices:
        return ReadMatrices(W_E=torch.zeros(1, 1), W_L=torch.zeros(2, 1))

    def last_layer(self) -> str:
        return ""


def subject(task: Task, model: Model, params: Mapping[str, Tensor]) -> Subject:
    spec = TrialSpec(task=task, model=model, optimizer=AdamW(), loss=CrossEntropy64())
    return Subject(spec=spec, data=task.data(spec.seeds), params=params, key_freqs=None, keys_reason="not_asked")


def table(logits: Tensor, neurons: Tensor, task: Task | None = None) -> Subject:
    task = task or Modular(op="add", p=logits.shape[1], frac_train=0.5)
    unread = {"W_E": torch.zeros(1, logits.shape[1]), "W_L": torch.zeros(logits.shape[1], 1)}
    return subject(task, Table(), {"logits": logits.double(), "neurons": neurons.double(), **unread})


def noise(*size: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=size))


def grid(p: int) -> tuple[Tensor, Tensor]:
    rows = torch.arange(p * p)
    return rows // p, rows % p


def waves(p: int = P, fade: float = 0.0) -> Tensor:
    """sum_k ((1 - fade) + fade |cos(w_k (a - b) / 2)|) cos(w_k (a + b - c)) over KEYS."""
    a, b = (x.double() for x in grid(p))
    t = 2 * math.pi / p
    phase = t * (a + b)[:, None] - t * torch.arange(p)
    faded = [((1 - fade) + fade * torch.cos(k * t * (a - b) / 2).abs())[:, None] for k in KEYS]
    return torch.stack([x * torch.cos(k * phase) for k, x in zip(KEYS, faded, strict=True)]).sum(0).double()


def periodic_neurons(p: int = P) -> Tensor:
    a, b = grid(p)
    return torch.stack([torch.cos(2 * math.pi / p * k * x) for k in KEYS for x in (a, b)], dim=1).double()


def scores(one: Subject) -> dict[str, float]:
    values = {value.measure: value.value for value in DetectorScores().measure(one)}
    return {name: x for name in detectors() if (x := values[f"detector.{name}"]) is not None}


def named(one: Subject) -> str:
    (value,) = [value.value for value in DetectorScores().measure(one) if value.measure == "algorithm_label"]
    assert value is not None
    return LABELS[int(value)]


# --- registry and labels -------------------------------------------------------------------------------------------


def test_every_detector_has_a_label_and_every_label_a_detector() -> None:
    assert {"unknown", *detectors()} == set(LABELS)
    assert LABELS[0] == "unknown"


@pytest.mark.parametrize("name", detectors())
def test_a_detector_says_what_it_looks_for_and_where_that_comes_from(name: str) -> None:
    text = type(detectors()[name]).__doc__ or ""
    assert "Source:" in text
    assert detectors()[name].evidence
    refined = detectors()[name].refines
    assert refined is None or refined in detectors()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "unknown"),
        ({"fourier": 0.5}, "unknown"),
        ({"fourier": 0.9, "lookup_table": 0.1}, "fourier"),
        ({"fourier": 0.9, "clock": 0.6, "pizza": 0.4}, "clock"),
        ({"fourier": 0.9, "clock": 0.4, "pizza": 0.5}, "fourier"),
        ({"lookup_table": 0.8, "fourier": 0.6}, "lookup_table"),
    ],
)
def test_the_label_is_the_largest_score_above_a_half_and_a_kind_goes_first(
    given: dict[str, float], expected: str
) -> None:
    assert label(given) == expected


def test_evidence_is_as_strong_as_its_weakest_piece_and_nan_is_never_swallowed() -> None:
    assert weakest(0.9, 0.3, 2.0) == 0.3
    assert weakest(-1.0, 0.3) == 0.0
    assert weakest(3.0, 2.0) == 1.0
    assert math.isnan(weakest(0.0, math.nan))
    assert above(0.75, 0.5) == 0.5
    assert above(0.4, 0.5) == 0.0
    assert above(1.0, 1.0) == 0.0


def test_without_test_rows_nothing_is_said() -> None:
    everything = Modular(op="add", p=P, frac_train=1.0)
    values = DetectorScores().measure(table(waves(), periodic_neurons(), everything))
    assert {(value.value, value.reason) for value in values} == {(None, "no_rows")}


# --- Fourier -------------------------------------------------------------------------------------------------------


def gromov(op: Operation = "add") -> Subject:
    """Gromov's analytic solution with phases on a 3 x 3 lattice per key: every unwanted term cancels exactly."""
    t, third = 2 * math.pi / P * torch.arange(P).double(), 2 * math.pi / 3
    sign = 1 if op == "add" else -1
    lattice = [(k, i * third, j * third) for k in KEYS for i in range(3) for j in range(3)]
    params = {
        "U": torch.stack([torch.cos(k * t + f) for k, f, _ in lattice], dim=1),
        "V": torch.stack([torch.cos(sign * k * t + g) for k, _, g in lattice], dim=1),
        "W": torch.stack([torch.cos(k * t + f + g) for k, f, g in lattice]),
    }
    return subject(Modular(op=op, p=P, frac_train=0.5), QuadMLP(width=len(lattice)), params)


@pytest.mark.parametrize("op", ["add", "sub"])
def test_the_analytic_solution_has_score_one_and_is_called_fourier(op: Operation) -> None:
    assert scores(gromov(op))["fourier"] == pytest.approx(1, abs=EXACT)
    assert named(gromov(op)) == "fourier"


def test_renamed_residues_are_no_fourier_network_though_the_neurons_are_as_they_were() -> None:
    renamed = fourier.renamed(periodic_neurons(), P, seed=1)
    assert scores(table(waves(), periodic_neurons()))["fourier"] == pytest.approx(1, abs=EXACT)
    assert scores(table(waves(), renamed))["fourier"] < 0.3


def test_right_answers_of_neurons_without_a_period_are_no_fourier_network() -> None:
    assert scores(table(waves(), noise(P * P, 32)))["fourier"] < 0.1


def memory(logits: Tensor) -> Tensor:
    """The logits of train rows; 0 elsewhere."""
    rows = torch.from_numpy(Modular(op="add", p=P, frac_train=0.5).data(Seeds()).train)
    return torch.zeros_like(logits).index_copy_(0, rows, logits[rows])


def test_memorised_answers_are_a_lookup_table_even_with_periodic_neurons() -> None:
    remembered = table(memory(waves()), periodic_neurons())
    # All test logits are equal: class 0 is answered, at best as often as the most common label.
    assert scores(remembered)["lookup_table"] == 1
    assert scores(remembered)["fourier"] == 0
    assert named(remembered) == "lookup_table"


def test_what_is_memorised_explains_nothing_of_other_rows() -> None:
    """Test logits are noise: the fit to the train rows adds its own square to the residual, so the share is 0."""
    remembered = network(table(memory(waves()) + 0.1 * noise(P * P, P), periodic_neurons()))
    assert held_out_fve(remembered, fourier.distance_cells(remembered)) == 0


def test_noise_lowers_the_share_explained_to_that_of_the_signal() -> None:
    """Signal variance 3/2 against noise 1.5^2 gives 0.4; noise of P^3 / 2 = 6,083 numbers is known to 2 % (1 sd)."""
    noisy = network(table(waves() + 1.5 * noise(P * P, P), periodic_neurons()))
    assert held_out_fve(noisy, fourier.distance_cells(noisy)) == pytest.approx(1.5 / (1.5 + 1.5**2), abs=0.04)


def test_constant_logits_and_dead_neurons_have_score_zero() -> None:
    assert set(scores(table(torch.zeros(P * P, P), torch.zeros(P * P, 3))).values()) == {0.0}


# --- clock and pizza -----------------------------------------------------------------------------------------------


def circles(combine: str, phases: int = 12) -> Subject:
    """An embed_mlp with one circle per key whose ReLUs are turned by all phases: what they add up to is exact but for
    harmonics that `phases` does not resolve.

    `sum`: every neuron reads one direction of E_a + E_b, so its second harmonic is a pizza. `concat`: every pair of
    directions of E_a and E_b has a neuron, so the fading averages out and a clock is left.
    """
    t = 2 * math.pi / P * torch.arange(P).double()
    W_E = torch.cat([torch.stack([torch.cos(k * t), torch.sin(k * t)], dim=1) for k in KEYS], dim=1)
    turns = 2 * math.pi / phases * torch.arange(phases).double()
    pairs = [(f, f) for f in turns] if combine == "sum" else [(f, g) for f in turns for g in turns]
    W_in, W_U = [], []
    for i, k in enumerate(KEYS):
        for f, g in pairs:
            blocks = torch.zeros(2, len(KEYS), 2, dtype=torch.float64)
            blocks[0, i] = torch.stack([f.cos(), f.sin()])
            blocks[1, i] = torch.stack([g.cos(), g.sin()])
            W_in.append(blocks[:1].flatten() if combine == "sum" else blocks.flatten())
            W_U.append(torch.cos(k * t - f - g))
    model = EmbedMLP(d_embed=2 * len(KEYS), width=len(W_in), embedding="shared", combine=combine)  # type: ignore[arg-type]
    params = {"W_E": W_E[None], "W_in": torch.stack(W_in, dim=1), "W_U": torch.stack(W_U)}
    return subject(Modular(op="add", p=P, frac_train=0.5), model, params)


def test_a_planted_pizza_is_no_clock() -> None:
    pizza = circles("sum")
    assert averaging(pizza) == pytest.approx(1, abs=EXACT)
    found = scores(pizza)
    assert found["clock"] < 0.01
    assert found["pizza"] == found["fourier"] > 0.6
    assert named(pizza) == "pizza"


def test_a_planted_clock_is_no_pizza() -> None:
    clock = circles("concat")
    assert averaging(clock) < 0.1
    found = scores(clock)
    assert found["pizza"] < 0.1
    assert found["clock"] > 0.6
    assert named(clock) == "clock"


@pytest.mark.parametrize("fade", [0.0, 0.3, 1.0])
def test_the_fading_share_is_that_of_the_formula(fade: float) -> None:
    """The mean of |cos(w_k d / 2)| over d is the same for every k that is prime to p."""
    mean = float(torch.cos(math.pi / P * torch.arange(P).double()).abs().mean())
    expected = fade * mean / ((1 - fade) + fade * mean)
    assert fading_share(network(table(waves(fade=fade), periodic_neurons()))) == pytest.approx(expected, abs=EXACT)


def test_a_quadratic_mlp_multiplies_by_design_and_is_not_asked() -> None:
    assert {"clock", "pizza"}.isdisjoint(scores(gromov()))


# --- groups --------------------------------------------------------------------------------------------------------


def composition(name: str, neurons: Tensor | None = None) -> Subject:
    """Logits tr rho(a b c^-1) of a faithful irrep; neurons in its block unless given."""
    task = FiniteGroup(group=name, frac_train=0.5)
    group = task.elements()
    rho = max(irreps(group), key=lambda irrep: irrep.dimension)
    n = group.order
    product = group.table[np.arange(n)[:, None], np.arange(n)].ravel()
    logits = torch.tensor(rho.character[group.table[product][:, group.inverses]])
    block = torch.tensor(rho.block)
    a, b = grid(n)
    return table(logits, torch.cat([block[a], block[b]], dim=1) if neurons is None else neurons, task)


@pytest.mark.parametrize("name", ["S4", "D12", "A5"])
def test_planted_characters_are_an_irrep_network(name: str) -> None:
    planted = composition(name)
    assert scores(planted)["irrep"] == pytest.approx(1, abs=EXACT)
    assert named(planted) == "irrep"


def test_right_products_of_unstructured_neurons_are_no_irrep_network() -> None:
    assert scores(composition("S4", noise(576, 32)))["irrep"] < 0.1


# --- sparse inputs -------------------------------------------------------------------------------------------------


def test_a_parity_of_three_bits_reads_three_inputs() -> None:
    """m is 3 but for how often a row's partner differs in a bit: .5 +- .011 over 2,000 rows, second order in m."""
    found = scores(subject(SparseParity(n=30, k=3), Parity(bits=3), {}))
    assert found["sparse_input"] == pytest.approx(1 - 2 * 2 / 29, abs=0.002)


def test_a_parity_of_all_bits_is_not_sparse_though_it_is_right() -> None:
    assert scores(subject(SparseParity(n=12, k=12, train=1000, test=1000), Parity(bits=12), {}))["sparse_input"] == 0


def test_the_wrong_bits_know_nothing() -> None:
    """Test accuracy of the wrong parity is .5 +- .011, so the guard stays below 2 (.533 - .5)."""
    assert scores(subject(SparseParity(n=30, k=3), Parity(bits=4), {}))["sparse_input"] < 0.07


# --- induction heads -----------------------------------------------------------------------------------------------


def test_the_place_after_the_earlier_copy_holds_the_answer() -> None:
    task = Induction(tokens=16, length=12, block=4, train=64, test=64)
    data = task.data(Seeds())
    inputs = torch.from_numpy(data.inputs)
    place = induction_head.after_earlier_copy(inputs, data.shape.answers)
    assert torch.equal(inputs.gather(1, place), torch.from_numpy(data.labels))


def test_attention_is_read_per_head_at_the_places_given() -> None:
    place = torch.tensor([[1, 2], [0, 1]])
    pattern = torch.zeros(2, 2, 2, 4, dtype=torch.float64)
    pattern[:, 0].scatter_(2, place[:, :, None], 1.0)  # head 0 attends to them, head 1 spreads evenly
    pattern[:, 1] = 0.25
    assert induction_head.attention_to(pattern, place).tolist() == [1.0, 0.25]
