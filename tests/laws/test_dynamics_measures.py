"""Norms, gradients, curvature, kernels and degeneracy against exact answers and the engine's own numbers."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from grokstudy.circuits import alignment, ntk
from grokstudy.circuits._gradients import Landscape, TrainLoss, flat
from grokstudy.circuits.alignment import Alignment
from grokstudy.circuits.cross_entropy import CrossEntropy as CrossEntropyMeasure
from grokstudy.circuits.curvature import Curvature, curvature
from grokstudy.circuits.llc import LLC, learning_coefficient, sgld
from grokstudy.circuits.norms import Norms
from grokstudy.circuits.ntk import NTK, centred_labels, tangent_kernel
from grokstudy.circuits.sharpness import Sharpness, random_box, sharpness
from grokstudy.circuits.softmax_collapse import SoftmaxCollapse
from grokstudy.engine.evaluate import COLUMNS
from grokstudy.losses.ce16 import CrossEntropy16
from grokstudy.losses.ce32 import CrossEntropy32
from grokstudy.losses.ce64 import CrossEntropy64
from grokstudy.losses.hinge import Hinge
from grokstudy.losses.mse_onehot import MSEOneHot
from grokstudy.models.mlp import MLP
from grokstudy.models.quad_mlp import QuadMLP
from grokstudy.optimizers.adamw import AdamW
from grokstudy.spec.interfaces import Loss, Model, Task
from grokstudy.spec.measure import Measure, Subject
from grokstudy.spec.rows import MeasureValue
from grokstudy.spec.trial import TrialSpec
from grokstudy.tasks.modular import Modular
from grokstudy.tasks.sparse_parity import SparseParity
from tests.packs import run
from tests.planted import Table
from tests.trials import tiny, trial

torch.set_num_threads(1)

EXACT = 1e-10
"""Sums of at most 1e4 float64 terms of size 1 err by less than 1e4 * 1.1e-16 = 1.1e-12; ratios by little more."""


def table(logits: Tensor, loss: Loss, p: int = 5, frac_train: float = 0.6, **settings: Any) -> Subject:
    """The network with these logits on the rows of a + b mod p."""
    return subject(Modular(op="add", p=p, frac_train=frac_train), Table(**settings), loss, {"logits": logits.double()})


def subject(task: Task, model: Model, loss: Loss, params: Mapping[str, Tensor] | None = None) -> Subject:
    spec = TrialSpec(task=task, model=model, optimizer=AdamW(), loss=loss)
    start = model.init(task.shape(), spec.seeds.init)
    return Subject(
        spec=spec, data=task.data(spec.seeds), params=start if params is None else params, key_freqs=None, start=start
    )


def quad(p: int = 7, width: int = 12, loss: Loss | None = None) -> Subject:
    return subject(Modular(op="add", p=p, frac_train=0.5), QuadMLP(width=width), loss or CrossEntropy64())


def parity(loss: Loss | None = None) -> Subject:
    return subject(SparseParity(n=6, k=2, train=30, test=20), MLP(depth=2, width=7), loss or CrossEntropy64())


def numbers(measure: Measure, given: Subject) -> dict[str, float | None]:
    return {value.measure: value.value for value in measure.measure(given)}


def reasons(measure: Measure, given: Subject) -> dict[str, str | None]:
    return {value.measure: value.reason for value in measure.measure(given)}


def number(measure: Measure, given: Subject, name: str) -> float:
    value = numbers(measure, given)[name]
    assert value is not None
    return value


def noise(*size: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=size))


class TestNorms:
    def test_every_tensor_counts_once_and_its_own_sum_is_kept(self) -> None:
        params = {"layers.0.W": torch.full((6, 7), 2.0), "layers.0.b": torch.ones(7), "layers.1.W": torch.ones(7, 2)}
        params |= {"layers.1.b": torch.zeros(2)}
        given = dataclasses.replace(parity(), params=params)
        total = Norms().measure(given)[0]
        assert total.values == (168.0, 7.0, 14.0, 0.0)
        assert total.value == 189.0
        assert number(Norms(), given, "norm.last_layer") == math.sqrt(14)

    def test_a_network_at_its_start_has_not_moved_and_a_doubled_one_moved_by_its_own_length(self) -> None:
        given = quad()
        still = numbers(Norms(), given)
        assert (still["norm.ratio_to_start"], still["norm.movement"]) == (1.0, 0.0)
        doubled = numbers(Norms(), scaled(given, 2.0))
        assert (doubled["norm.ratio_to_start"], doubled["norm.movement"]) == (2.0, 1.0)
        back = numbers(Norms(), scaled(given, -1.0))
        assert (back["norm.ratio_to_start"], back["norm.movement"]) == (1.0, 2.0)

    def test_without_a_start_or_with_one_of_zeros_there_is_no_ratio(self) -> None:
        given = quad()
        unknown = reasons(Norms(), dataclasses.replace(given, start=None))
        assert unknown["norm.movement"] == unknown["norm.ratio_to_start"] == "no_start"
        zeros = {name: torch.zeros_like(tensor) for name, tensor in given.params.items()}
        assert reasons(Norms(), dataclasses.replace(given, start=zeros))["norm.movement"] == "not_finite"


def scaled(given: Subject, factor: float) -> Subject:
    return dataclasses.replace(given, params={name: factor * tensor for name, tensor in given.params.items()})


SETTINGS: dict[str, Mapping[str, Any]] = {
    "quad23": {},
    "kumar2024": {"model.output_scale": 2.0},
    "parity30": {"task.train": 100, "task.test": 50},
    "sort": {"task.train": 60, "task.test": 20, "batch_size": None, "task.length": 4, "task.values": 9},
    "tms5": {"task.train": 100, "task.test": 50},
}
"""Losses of classes and of real numbers, scaled and shifted outputs, several answers in a row, unequal weights."""


@pytest.mark.parametrize("preset", SETTINGS)
def test_the_loss_and_the_norms_are_those_of_the_curves(preset: str) -> None:
    spec = trial(preset, {**SETTINGS[preset], "engine.dtype": "float64"})
    given, columns = after(spec, 3)
    loss, _ = TrainLoss.of(given).loss_and_gradient(flat(given.params))
    # The same float64 sums in another order.
    assert loss == pytest.approx(columns["train_loss"], rel=1e-9)
    assert number(Norms(), given, "norm.last_layer") == pytest.approx(columns["last_layer_norm"], rel=EXACT)
    assert number(Norms(), given, "sum_sq_weights") == pytest.approx(columns["sum_sq_weights"], rel=EXACT)
    found = numbers(SoftmaxCollapse(), given)
    assert found["zero_terms"] == columns["zero_loss"]
    assert found["softmax_collapse"] == (None if math.isnan(columns["softmax_collapse"]) else 0)


@pytest.mark.parametrize("preset", ["quad23", "kumar2024"])
def test_the_accuracies_are_those_of_the_curves(preset: str) -> None:
    """kumar2024 answers with its logits less those at the start."""
    given, columns = after(trial(preset, {"engine.dtype": "float64"}), 30)
    found = numbers(CrossEntropyMeasure(), given)
    assert (found["acc_train"], found["acc_test"]) == pytest.approx((columns["train_acc"], columns["test_acc"]))
    unknown = dataclasses.replace(given, start=None)
    assert (numbers(CrossEntropyMeasure(), unknown)["acc_test"] is None) == (preset == "kumar2024")


def after(spec: TrialSpec, steps: int) -> tuple[Subject, dict[str, float]]:
    """The engine's network after so many updates, and its evaluation there."""
    trained = run([spec], steps).trials[0]
    first, last = trained.checkpoints[0], trained.checkpoints[steps]
    given = Subject(
        spec=spec, data=spec.task.data(spec.seeds), params=doubles(last), key_freqs=None, start=doubles(first)
    )
    at = int(np.flatnonzero(trained.steps == steps)[0])
    return given, dict(zip(COLUMNS, trained.columns[at].tolist(), strict=False))


def doubles(params: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.double() for name, tensor in params.items()}


def test_the_gradient_is_the_one_trained_with() -> None:
    """A step of plain gradient descent is -lr g; here of a scaled network that subtracts its start (lr / alpha^2)."""
    spec = trial("kumar2024", {"model.output_scale": 2.0, "engine.dtype": "float64"})
    (before, _), (behind, _) = after(spec, 2), after(spec, 3)
    _, gradient = TrainLoss.of(before).loss_and_gradient(flat(before.params))
    step = (flat(behind.params) - flat(before.params)) / -(spec.lr / 4)
    torch.testing.assert_close(gradient, step, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("loss", [CrossEntropy64(), MSEOneHot(), Hinge()])
def test_the_gradient_is_the_slope_of_the_loss(loss: Loss) -> None:
    given = quad(loss=loss)
    problem, w = TrainLoss.of(given), flat(given.params)
    u, h = noise(len(w)), 1e-6
    slope = (problem.loss_and_gradient(w + h * u)[0] - problem.loss_and_gradient(w - h * u)[0]) / (2 * h)
    # Rounding of the difference is 1e-16 / h = 1e-10, the cubic term h^2 = 1e-12 times third derivatives below 100.
    assert float(problem.loss_and_gradient(w)[1] @ u) == pytest.approx(slope, abs=1e-8)


class TestSoftmaxCollapse:
    @pytest.mark.parametrize(("loss", "bits"), [(CrossEntropy16(), 11), (CrossEntropy32(), 24), (CrossEntropy64(), 53)])
    def test_it_sets_in_where_the_other_of_two_outputs_falls_below_half_an_ulp(self, loss: Loss, bits: int) -> None:
        """1 + exp(-gap) rounds to 1 if exp(-gap) <= 2^-bits, half an ulp of 1 (ties go to even). Float16 keeps 10 bits
        of a gap of 7.6: steps of 1/256."""
        for gap, share in ((bits * math.log(2) - 0.05, 0.0), (bits * math.log(2) + 0.05, 1.0)):
            found = numbers(SoftmaxCollapse(), self.two_classes(loss, gap))
            assert found["softmax_collapse"] == share
            assert found["zero_terms"] == share

    def test_an_answer_that_is_surely_wrong_is_collapsed_but_not_zero(self) -> None:
        found = numbers(SoftmaxCollapse(), self.two_classes(CrossEntropy32(), -17.0))
        assert found == {"softmax_collapse": 1.0, "zero_terms": 0.0}

    def test_the_loss_reads_the_scaled_output(self) -> None:
        given = self.two_classes(CrossEntropy32(), 10.0)
        assert numbers(SoftmaxCollapse(), given)["softmax_collapse"] == 0
        louder = dataclasses.replace(given, spec=dataclasses.replace(given.spec, model=Table(output_scale=2.0)))
        assert numbers(SoftmaxCollapse(), louder)["softmax_collapse"] == 1

    def test_shares_count_train_rows_alone(self) -> None:
        given = self.two_classes(CrossEntropy32(), 30.0)
        logits = given.params["logits"].clone()
        logits[torch.from_numpy(given.data.test)] = 0
        logits[torch.from_numpy(given.data.train[:1])] = 0
        found = numbers(SoftmaxCollapse(), dataclasses.replace(given, params={"logits": logits}))
        assert found["softmax_collapse"] == found["zero_terms"] == 1 - 1 / len(given.data.train)

    def test_a_loss_without_a_softmax_has_none_but_may_have_zeros(self) -> None:
        given = self.two_classes(Hinge(), 1.0)
        assert numbers(SoftmaxCollapse(), given)["zero_terms"] == 1
        assert reasons(SoftmaxCollapse(), given)["softmax_collapse"] == "no_softmax"

    def test_what_is_subtracted_and_was_not_kept_leaves_null(self) -> None:
        given = self.two_classes(CrossEntropy32(), 1.0)
        spec = dataclasses.replace(given.spec, model=Table(subtract_start=True))
        for measure in (SoftmaxCollapse(), Alignment(), Curvature(), LLC(), Sharpness()):
            assert set(reasons(measure, dataclasses.replace(given, spec=spec, start=None)).values()) == {"no_start"}

    def two_classes(self, loss: Loss, gap: float) -> Subject:
        """Labels of a + b mod 2, the right logit ahead by `gap`."""
        right = (torch.arange(4) // 2 + torch.arange(4) % 2) % 2
        return table(gap * torch.nn.functional.one_hot(right, 2), loss, p=2, frac_train=0.5)


class TestAlignment:
    def test_it_is_one_where_descent_only_scales_the_weights(self) -> None:
        """Logits c (one-hot - 1/p) on the train rows: -g is (one-hot - softmax) / n, a multiple of the same vector."""
        for factor, cosine in ((0.7, 1.0), (-0.7, -1.0)):
            given = self.separated(factor)
            found = numbers(Alignment(), given)
            assert found["nlm_alignment"] == pytest.approx(cosine, abs=EXACT)
            assert found["nlm_alignment.last_layer"] == pytest.approx(cosine, abs=EXACT)

    def test_the_gradients_norm_is_known_where_the_softmax_is(self) -> None:
        """At logits of zero each of n train rows has the slope (1/p - one-hot) / n, of squared length
        (1 - 1/p) / n^2.
        """
        given = table(torch.zeros(25, 5), CrossEntropy64())
        n = len(given.data.train)
        assert number(Alignment(), given, "gradient_norm") == pytest.approx(math.sqrt(0.8 / n), rel=EXACT)

    def test_a_homogeneous_network_obeys_eulers_theorem(self) -> None:
        """The quadratic MLP has degree 3: <grad L, w> = 3 sum of (slope at the logits) * (logits)."""
        given = quad()
        problem, w = TrainLoss.of(given), flat(given.params)
        logits = problem.seen(given.params)
        slope = problem.loss.logit_gradient(logits, problem.labels) * problem.weights[:, None]
        found = numbers(Alignment(), given)
        assert found["nlm_alignment"] is not None
        assert found["gradient_norm"] is not None
        inner = -found["nlm_alignment"] * found["gradient_norm"] * float(w.norm())
        assert inner == pytest.approx(3 * float((slope * logits).sum()), rel=1e-9)

    def test_without_a_gradient_there_is_no_direction(self) -> None:
        given = table(torch.zeros(25, 5), Hinge())
        right = torch.from_numpy(given.data.labels)
        done = dataclasses.replace(given, params={"logits": 2.0 * torch.nn.functional.one_hot(right, 5).double()})
        assert numbers(Alignment(), done)["gradient_norm"] == 0
        assert reasons(Alignment(), done)["nlm_alignment"] == "no_gradient"
        assert reasons(Curvature(), done)["curvature.gradient"] == "no_gradient"

    def test_a_gradient_too_small_to_be_squared_still_has_a_direction(self) -> None:
        x, y = noise(20), noise(20, seed=1)
        oracle = float(torch.nn.functional.cosine_similarity(x, y, dim=0))
        assert alignment.cosine(1e-200 * x, y) == pytest.approx(oracle, rel=EXACT)

    def separated(self, factor: float) -> Subject:
        given = table(torch.zeros(25, 5), CrossEntropy64())
        logits = torch.zeros(25, 5).double()
        train = torch.from_numpy(given.data.train)
        logits[train] = factor * centred_labels(torch.from_numpy(given.data.train_labels), 5)
        return dataclasses.replace(given, params={"logits": logits})


class TestCurvature:
    def test_of_a_table_under_squared_error_it_is_one_over_the_rows(self) -> None:
        """L = sum over train rows of |z - y|^2 / (2 n): the Hessian is 1/n there and 0 elsewhere."""
        given = table(noise(25, 5), MSEOneHot(reduction="half_sum"))
        found = number(Curvature(), given, "curvature.gradient")
        assert found == pytest.approx(1 / len(given.data.train), rel=EXACT)

    @pytest.mark.parametrize("changes", [{}, {"model.norm_site": "pre"}])
    def test_of_a_transformer_it_is_the_slope_of_the_gradient(self, changes: Mapping[str, Any]) -> None:
        spec = tiny(changes)
        given = subject(spec.task, spec.model, CrossEntropy64())
        problem, w = TrainLoss.of(given), flat(given.params)
        _, gradient = problem.loss_and_gradient(w)
        u, h = gradient / gradient.norm(), 1e-5
        ahead, behind = (problem.loss_and_gradient(w + sign * h * u)[1] for sign in (1, -1))
        slope = float((ahead - behind) @ u) / (2 * h)
        # Rounding of the difference is 1e-16 / h = 1e-11, the cubic term h^2 = 1e-10 times derivatives of order 1-1e3.
        assert curvature(problem, w, 3.0 * gradient) == pytest.approx(slope, rel=1e-6, abs=1e-8)

    def test_a_loss_that_is_linear_in_the_weights_has_none(self) -> None:
        """The hinge loss of a table is linear around any network that is wrong everywhere."""
        given = table(noise(25, 5), Hinge())
        assert number(Curvature(), given, "curvature.gradient") == 0


@dataclasses.dataclass(frozen=True, eq=False)
class Powers(Landscape):
    """sum_i h_i w_i^degree / degree."""

    h: Float[Tensor, " size"]
    degree: int = 2

    def loss_and_gradient(self, w: Float[Tensor, " size"]) -> tuple[float, Float[Tensor, " size"]]:
        return float((self.h * w**self.degree).sum()) / self.degree, self.h * w ** (self.degree - 1)


@dataclasses.dataclass(frozen=True, eq=False)
class Plane(Landscape):
    """c . w + offset."""

    c: Float[Tensor, " size"]
    offset: float

    def loss_and_gradient(self, w: Float[Tensor, " size"]) -> tuple[float, Float[Tensor, " size"]]:
        return float(self.c @ w) + self.offset, self.c


class TestLLC:
    def estimate(self, problem: Landscape, size: int, **settings: float) -> float:
        given: dict[str, Any] = {"epsilon": 0.01, "gamma": 0.0, "nbeta": 1.0, **settings}
        losses = sgld(problem, torch.zeros(size).double(), np.random.default_rng(0), steps=2200, **given)
        return learning_coefficient(losses, 0.0, nbeta=given["nbeta"], burn_in=200)

    def test_of_a_regular_minimum_it_is_half_the_number_of_parameters(self) -> None:
        """With a = epsilon nbeta h / 2 = 0.05 its exact value is d / 2 / (1 - a / 2) = 1.026 d / 2. Relative error of
        the mean of chi-squared numbers with autocorrelation (1 - a)^2: sqrt(2 / (2000 * 400) * 20) = 0.7 %."""
        found = self.estimate(Powers(torch.full((400,), 10.0).double()), 400)
        assert found == pytest.approx(200 / 0.975, rel=0.035)

    def test_on_a_quadratic_the_pull_counts_as_its_formula_says(self) -> None:
        """gamma = nbeta h halves it; a = epsilon (nbeta h + gamma) / 2 = 0.1."""
        found = self.estimate(Powers(torch.full((400,), 10.0).double()), 400, gamma=10.0)
        assert found == pytest.approx(100 / 0.95, rel=0.03)

    def test_directions_that_change_nothing_do_not_count(self) -> None:
        h = torch.zeros(400).double()
        h[:100] = 10.0
        assert self.estimate(Powers(h), 400, gamma=1e-3) == pytest.approx(50 / 0.975, rel=0.07)

    def test_of_a_degenerate_minimum_it_is_less(self) -> None:
        """w^4 / 4 has learning coefficient 1/4. Stationarity of w^2 under a step gives E[w^4] = 1 + epsilon E[w^6] / 4
        (h = nbeta = 1), and E[w^6] = 4^(3/2) Gamma(7/4) / Gamma(1/4) = 2.03: 0.25 (1 + 0.005)."""
        found = self.estimate(Powers(torch.ones(1000).double(), degree=4), 1000) / 1000
        assert found == pytest.approx(0.25 * 1.005, rel=0.03)

    def test_it_repeats_by_its_seed_and_says_what_chains_it_ran(self) -> None:
        short = LLC(burn_in=5, draws=20, chains=3)
        first, again = short.measure(parity()), short.measure(parity())
        assert first == again
        assert first[0].values is not None
        assert first[0].value == pytest.approx(sum(first[0].values) / 3, rel=EXACT)
        spread = float(np.std(first[0].values, ddof=1)) / math.sqrt(3)
        assert first[1].value == pytest.approx(spread, rel=1e-9)
        assert len(set(first[0].values)) == 3
        assert first[0].protocol == "epsilon=0.003;gamma=5;nbeta=2;burn_in=5;draws=20;chains=3;batch=full"

    def test_one_chain_has_no_error_and_a_chain_that_blows_up_no_value(self) -> None:
        assert reasons(LLC(burn_in=1, draws=3, chains=1), parity())["llc.standard_error"] is not None
        wild = LLC(epsilon=1e150, burn_in=1, draws=30, chains=2)
        assert set(reasons(wild, quad(loss=MSEOneHot())).values()) == {"not_finite"}


class TestSharpness:
    def test_a_plane_rises_to_the_corner_of_the_box(self) -> None:
        w, plane = noise(40), Plane(noise(40, seed=1), 3.0)
        box = random_box(w, np.random.default_rng(2), dimensions=10, epsilon=1e-3)
        centre = plane.loss_and_gradient(w)[0]
        rise = float((box.T @ plane.c).abs().sum())
        found = sharpness(plane, w, box, np.random.default_rng(3), iterations=10)
        assert found == pytest.approx(100 * rise / (1 + centre), rel=1e-9)

    def test_a_bowl_rises_to_a_corner_even_from_its_bottom(self) -> None:
        """A convex function has its maximum over a box in a corner; opposite ones are equal here."""
        bowl, w = Powers(torch.tensor([1.0, 5.0]).double()), torch.zeros(2).double()
        box = torch.diag(torch.tensor([0.1, 0.2]).double())
        corners = [torch.tensor(signs).double() for signs in itertools.product((-1.0, 1.0), repeat=2)]
        highest = max(bowl.loss_and_gradient(box @ corner)[0] for corner in corners)
        found = sharpness(bowl, w, box, np.random.default_rng(0), iterations=10)
        assert found == pytest.approx(100 * highest, rel=1e-9)

    def test_the_box_is_as_wide_as_its_definition(self) -> None:
        """A+ takes w + A y back to A+ w + y: column i of the box moves coordinate i by epsilon (|(A+ w)_i| + 1)."""
        w = noise(30)
        box = random_box(w, np.random.default_rng(4), dimensions=5, epsilon=0.01)
        rows = torch.from_numpy(np.random.default_rng(4).uniform(-1, 1, (5, 30)))
        rows /= rows.norm(dim=1, keepdim=True)
        torch.testing.assert_close(rows @ box, torch.diag(0.01 * ((rows @ w).abs() + 1)), rtol=0, atol=EXACT)

    def test_it_repeats_and_is_never_negative(self) -> None:
        first, again = (number(Sharpness(), parity(), "sharpness") for _ in range(2))
        assert first == again > 0
        level, box = Plane(torch.zeros(8).double(), 1.0), torch.eye(8).double()
        assert sharpness(level, noise(8), box, np.random.default_rng(0), iterations=10) == 0


class TestNTK:
    def test_the_kernel_is_the_sum_of_products_of_jacobians(self) -> None:
        given = parity()
        inputs = torch.from_numpy(given.data.inputs)[:9]
        jacobians = torch.func.jacrev(lambda params: given.spec.model.apply(params, inputs))(dict(given.params))
        stacked = torch.cat([each.flatten(2) for each in jacobians.values()], dim=2)
        oracle = torch.einsum("ncw,mcw->nm", stacked, stacked)
        kernel = tangent_kernel(given.spec.model, given.params, inputs, chosen=torch.arange(2))
        torch.testing.assert_close(kernel, oracle, rtol=1e-10, atol=1e-12)

    def test_a_rows_several_answers_are_rows_of_the_kernel(self) -> None:
        spec = trial("sort", SETTINGS["sort"])
        given = subject(spec.task, spec.model, CrossEntropy64())
        inputs = torch.from_numpy(given.data.inputs)[:3]
        classes = torch.arange(given.data.shape.classes)
        kernel = tangent_kernel(spec.model, given.params, inputs, chosen=classes, answers=4)
        assert kernel.shape == (12, 12)
        torch.testing.assert_close(kernel, kernel.T, rtol=0, atol=EXACT * float(kernel.abs().max()))
        assert float(torch.linalg.eigvalsh(kernel).min()) > -EXACT * float(kernel.trace())
        assert number(NTK(rows=8), given, "ntk.distance") == pytest.approx(0, abs=EXACT)

    def test_a_table_has_the_identity_for_a_kernel(self) -> None:
        """Every row has its own weights: K = p 1. With n rows, <1, Y Y^T> = n (1 - 1/p)."""
        given = table(noise(25, 5), CrossEntropy64())
        found = numbers(NTK(), given)
        n, labels = len(given.data.test), given.data.labels[given.data.test]
        same = (labels[:, None] == labels[None, :]) - 1 / 5
        oracle = n * 0.8 / (math.sqrt(n) * float(np.linalg.norm(same)))
        assert found["ntk.alignment"] == pytest.approx(oracle, rel=EXACT)
        assert found["ntk.distance"] == pytest.approx(0, abs=EXACT)  # linear in its weights: training is lazy

    def test_with_two_classes_it_is_the_formula_of_the_paper(self) -> None:
        given = parity()
        rows = torch.from_numpy(np.sort(given.data.test))
        kernel = tangent_kernel(
            given.spec.model, given.params, torch.from_numpy(given.data.inputs)[rows], chosen=torch.arange(2)
        )
        y = 2.0 * torch.from_numpy(given.data.labels)[rows].double() - 1
        oracle = float(y @ kernel @ y / (kernel.norm() * (y @ y)))
        assert number(NTK(), given, "ntk.alignment") == pytest.approx(oracle, rel=1e-9)

    def test_a_kernel_made_of_the_labels_is_aligned(self) -> None:
        labels = centred_labels(torch.tensor([0, 1, 2, 0, 1]), 3)
        assert ntk.cosine(labels @ labels.T, labels @ labels.T) == pytest.approx(1, abs=EXACT)
        torch.testing.assert_close(labels.sum(dim=1), torch.zeros(5).double(), rtol=0, atol=EXACT)

    def test_only_a_network_whose_features_change_leaves_its_kernel(self) -> None:
        """Scaling all weights of a homogeneous network scales its kernel; other weights make another kernel."""
        given = quad()
        assert number(NTK(), scaled(given, 3.0), "ntk.distance") == pytest.approx(0, abs=EXACT)
        moved = {name: tensor + 0.3 * noise(*tensor.shape) for name, tensor in given.params.items()}
        assert number(NTK(), dataclasses.replace(given, params=moved), "ntk.distance") > 0.01

    def test_without_start_or_test_rows_it_says_so(self) -> None:
        given = quad()
        alone = reasons(NTK(), dataclasses.replace(given, start=None))
        assert alone == {"ntk.alignment": None, "ntk.distance": "no_start"}
        trained_on_all = subject(Modular(op="add", p=5, frac_train=1.0), QuadMLP(width=4), CrossEntropy64())
        assert set(reasons(NTK(), trained_on_all).values()) == {"no_rows"}

    def test_no_more_rows_are_looked_at_than_asked_for(self) -> None:
        few, all_of_them = (number(NTK(rows=rows), quad(), "ntk.alignment") for rows in (8, 256))
        assert few != all_of_them

    def test_classes_of_a_kernel_are_summed(self) -> None:
        given = quad()
        inputs, classes = torch.from_numpy(given.data.inputs)[:6], given.data.shape.classes
        whole, *each = (
            tangent_kernel(given.spec.model, given.params, inputs, chosen=chosen)
            for chosen in (torch.arange(classes), *torch.arange(classes).split(2))
        )
        torch.testing.assert_close(torch.stack(each).sum(dim=0), whole, rtol=1e-10, atol=1e-12)
        few, all_of_them = (number(NTK(classes=count), given, "ntk.alignment") for count in (1, classes))
        assert few != all_of_them
        assert number(NTK(classes=classes + 1), given, "ntk.alignment") == pytest.approx(all_of_them, rel=EXACT)


ALL: tuple[Measure, ...] = (
    Norms(),
    SoftmaxCollapse(),
    Alignment(),
    Curvature(),
    Sharpness(),
    LLC(burn_in=2, draws=3),
    NTK(rows=8),
)


@pytest.mark.parametrize("measure", ALL, ids=lambda measure: type(measure).__name__)
def test_every_task_leaves_the_same_columns_in_the_same_order(measure: Measure) -> None:
    """Real targets, several answers, two classes: whatever applies has the same names and protocols."""
    columns: set[tuple[tuple[str, str], ...]] = set()
    for preset, changes in SETTINGS.items():
        spec = trial(preset, changes)
        given = subject(spec.task, spec.model, spec.loss)
        if measure.applies(spec) is None:
            values: list[MeasureValue] = measure.measure(given)
            assert all((value.value is None) == bool(value.reason) for value in values)
            columns.add(tuple((value.measure, value.protocol) for value in values))
    assert [name for name, _ in next(iter(columns))] == list(type(measure).names)
    assert len(columns) == 1


def test_kernels_are_of_classes() -> None:
    assert NTK().applies(trial("tms5")) is not None
