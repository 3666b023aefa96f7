"""Comparing a network with an algorithm: planted networks give the planted answers, and a certificate never lies."""

from __future__ import annotations

import dataclasses
import math
import runpy
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from grokstudy.circuits._decompile import decompile
from grokstudy.circuits._formula import formula_of, unless_known
from grokstudy.circuits._network import Network, network
from grokstudy.circuits._verification import certified, disagreements, fitted_margin, least_squares, rounding, verify
from grokstudy.circuits.algorithm import Algorithm
from grokstudy.losses.ce64 import CrossEntropy64
from grokstudy.optimizers.adamw import AdamW
from grokstudy.spec.interfaces import Model, ReadMatrices, Shape, Task
from grokstudy.spec.measure import Subject
from grokstudy.spec.trial import TrialSpec
from grokstudy.tasks.group import FiniteGroup
from grokstudy.tasks.modular import Modular
from grokstudy.tasks.sparse_parity import SparseParity

torch.set_num_threads(1)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Table(Model):
    """A network that is nothing but its logits, row by row, so that any function can be verified."""

    def check(self, shape: Shape) -> None: ...

    def init(self, shape: Shape, seed: int) -> dict[str, Tensor]:
        raise NotImplementedError

    def apply(
        self,
        params: Mapping[str, Tensor],
        inputs: Tensor,
        keep: Mapping[str, Tensor] | None = None,
        *,
        answers: int = 0,
    ) -> Tensor:
        """Rows are known by their inputs, whichever are asked for."""
        same = (inputs[:, None].double() == params["inputs"][None]).all(dim=2)
        return params["logits"][same.double().argmax(dim=1)]

    def activations(self, params: Mapping[str, Tensor], inputs: Tensor, *, answers: int = 0) -> dict[str, Tensor]:
        logits = self.apply(params, inputs)
        return {"neurons": logits, "logits": logits}

    def matrices(self, params: Mapping[str, Tensor], shape: Shape) -> ReadMatrices:
        return ReadMatrices(W_E=torch.zeros(1, max(shape.vocab, 1)), W_L=torch.zeros(shape.classes, 1))

    def last_layer(self) -> str:
        return "logits"


def subject(task: Task, logits: np.ndarray, keys: Sequence[int] | None, reason: str | None = None) -> Subject:
    """A network with these logits."""
    spec = TrialSpec(task=task, model=Table(), optimizer=AdamW(), loss=CrossEntropy64())
    data = task.data(spec.seeds)
    params = {"inputs": torch.from_numpy(data.inputs).double(), "logits": torch.from_numpy(logits)}
    chosen = None if keys is None else tuple(keys)
    return Subject(spec=spec, data=data, params=params, key_freqs=chosen, keys_reason=reason)


def residues(p: int) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.divmod(np.arange(p * p), p)
    return a, b


def waves(p: int, alphas: Mapping[int, float]) -> np.ndarray:
    """sum_k alpha_k cos(w_k (a + b - c)), straight from the formula."""
    a, b = residues(p)
    angle = 2 * math.pi / p * ((a + b)[:, None] - np.arange(p))
    return np.sum([alpha * np.cos(k * angle) for k, alpha in alphas.items()], axis=0)


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


ALPHAS = {2: 3.0, 5: 1.5}
ADD11 = Modular(p=11)


# --- planted networks ---------------------------------------------------------------------------------------------


def test_a_planted_algorithm_is_found_to_the_last_digit() -> None:
    found = verify(subject(ADD11, waves(11, ALPHAS) + 7.0, [2, 5]))
    fit = found.fit
    assert fit is not None
    assert fit.coefficients == pytest.approx((3.0, 1.5), abs=1e-13)
    assert fit.logit_fve == pytest.approx(1, abs=1e-13)
    assert fit.kl == pytest.approx(0, abs=1e-13)
    assert fit.fve_random_keys < 0.9
    assert found.algorithm_accuracy == found.agreement_test == found.agreement_all == 1
    assert fit.runner_up_agreement == fit.certified_share == 1
    assert found.margin > 2 * found.error_bound
    assert (found.algorithm, found.frequencies, found.choice, found.n) == (
        "fourier_multiplication",
        (2, 5),
        "keys",
        121,
    )


def test_the_constant_of_a_row_and_of_a_class_do_not_change_the_coefficients() -> None:
    shifted = waves(11, ALPHAS) + noise(121, 1) + noise(1, 11)
    fit = verify(subject(ADD11, shifted, [2, 5])).fit
    assert fit is not None
    assert fit.coefficients == pytest.approx((3.0, 1.5), abs=1e-13)
    assert fit.logit_fve < 0.9


def test_a_lookup_table_is_right_everywhere_and_certified_nowhere() -> None:
    a, b = residues(23)
    table = 10.0 * np.eye(23)[(a + b) % 23]
    found = verify(subject(Modular(p=23), table, [1, 2]))
    assert found.fit is not None
    assert found.agreement_all == 1
    # 10 * one-hot is the sum of all 11 waves with equal coefficients: two of them explain two elevenths.
    assert found.fit.logit_fve == pytest.approx(2 / 11)
    assert found.fit.certified_share == 0


def test_all_frequencies_cannot_tell_a_lookup_table_from_waves() -> None:
    """Why the choice of frequencies stands beside every number."""
    a, b = residues(23)
    table = 10.0 * np.eye(23)[(a + b) % 23]
    found = verify(subject(Modular(p=23), table, None, "keys_saturated"))
    assert found.choice == "all"
    assert found.fit is not None
    assert found.fit.certified_share == 1
    assert found.fit.fve_random_keys == pytest.approx(found.fit.logit_fve)


def test_rows_that_are_only_memorised_are_not_certified() -> None:
    a, b = residues(11)
    logits = waves(11, {2: 0.1, 5: 0.1}) + 50.0 * np.eye(11)[(a + b) % 11] * (a < 5)[:, None]
    found = verify(subject(ADD11, logits, [2, 5]))
    assert found.fit is not None
    assert found.agreement_all == 1
    assert found.fit.certified_share == 0


def test_both_neighbours_of_the_answer_count_as_runner_up() -> None:
    a, b = residues(11)
    logits = waves(11, {1: 5.0})
    for side in (1, -1):
        nudged = logits + 1e-6 * np.eye(11)[(a + b + side) % 11]
        fit = verify(subject(ADD11, nudged, [1])).fit
        assert fit is not None
        assert fit.runner_up_agreement == 1
    fit = verify(subject(ADD11, logits + 3.0 * np.eye(11)[(a + b + 2) % 11], [1])).fit
    assert fit is not None
    assert fit.runner_up_agreement == 0


@pytest.mark.parametrize("group", ["S4", "D6", "C12"])
def test_any_conjugate_counts_as_runner_up_in_a_group(group: str) -> None:
    """Characters of conjugates are equal, but for the rounding in which they are known."""
    task = FiniteGroup(group=group)
    formula = formula_of(subject(task, np.zeros((task.order() ** 2, task.order())), None).spec)
    scores = (formula.terms(formula.frequencies)[::-1].T @ np.linspace(1, 2, len(formula.frequencies)))[
        formula.relation()
    ]
    answers = task.elements().table.ravel()
    nudged = scores[answers] + 1e-6 * noise(len(answers), task.order())
    fit = verify(subject(task, nudged, list(formula.frequencies))).fit
    assert fit is not None
    assert fit.runner_up_agreement == 1


def test_disagreements_are_listed_with_both_answers() -> None:
    logits = waves(11, ALPHAS)
    logits[3 * 11 + 4] = np.eye(11)[9] * 100
    wrong = subject(ADD11, logits, [2, 5])
    (only,) = disagreements(wrong, 10)
    assert (only.inputs, only.network, only.algorithm) == ((3, 4), 9, 7)
    assert verify(wrong).agreement_all == pytest.approx(120 / 121)
    assert disagreements(subject(ADD11, -waves(11, ALPHAS), [2, 5]), 5)[4].inputs == (0, 4)


# --- the certificate ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0.3, 1.0, 3.0])
def test_a_certified_answer_survives_any_exchange_of_residuals(size: float) -> None:
    net = network(subject(ADD11, waves(11, ALPHAS) + size * noise(121, 11), [2, 5]))
    scores = torch.from_numpy(waves(11, ALPHAS)[:11].copy())  # a = 0, b = answer
    residual = net.logits - scores[net.answer]
    sure = certified(net, scores, residual, 0.0)
    assert size != 1.0 or 0 < sure.double().mean() < 1
    for seed in range(50):
        order = torch.from_numpy(np.random.default_rng(seed).permutation(11))
        exchanged = scores[net.answer] + residual[:, order]
        assert bool((exchanged.argmax(dim=1) == net.answer)[sure].all())


@pytest.mark.parametrize(("share", "expected"), [(0.999, 1.0), (1.001, 0.0)])
def test_a_certificate_needs_a_margin_above_the_range_of_the_residuals(share: float, expected: float) -> None:
    scores = torch.from_numpy(waves(11, ALPHAS)[:11].copy())
    gap = float(scores[0, 0] - scores[0, 1:].max())
    a, b = residues(11)
    logits = waves(11, ALPHAS) - share * gap * np.eye(11)[(a + b) % 11]
    net = network(subject(ADD11, logits, [2, 5]))
    sure = certified(net, scores, net.logits - scores[net.answer], 1e-12)
    assert float(sure.double().mean()) == expected
    assert float((net.logits.argmax(dim=1) == net.answer).double().mean()) == expected, "here the bound is tight"


@pytest.mark.parametrize("allowed", [True, False])
def test_no_rounding_makes_a_certificate_wrong(allowed: bool) -> None:
    """In exact fractions a certified margin exceeds the range of the residuals, even where both are nearly equal."""
    table = torch.from_numpy(waves(11, ALPHAS)[:11].copy())
    gap = float(table[0, 0] - table[0, 1:].max())
    false = 0
    for seed in range(20):
        draw = np.random.default_rng(seed)
        rest = draw.permuted(np.tile(np.linspace(0, gap, 11), (121, 1)), axis=1) + 1e4 * draw.uniform(size=(121, 1))
        a, b = residues(11)
        net = network(subject(ADD11, table.numpy()[(a + b) % 11] + rest, [2, 5]))
        size = rounding(net, table) if allowed else 0.0
        sure = certified(net, table, net.logits - table[net.answer], size)
        false += sum(not exactly_certified(net, table, row) for row in torch.nonzero(sure)[:, 0].tolist())
    assert (false == 0) == allowed


def exactly_certified(net: Network, table: Tensor, row: int) -> bool:
    scores = [Fraction(x) for x in table[net.answer[row]].tolist()]
    rest = [Fraction(x) - score for x, score in zip(net.logits[row].tolist(), scores, strict=True)]
    right = scores.pop(int(net.answer[row]))
    return right - max(scores) > max(rest) - min(rest)


def test_numbers_agree_with_their_definitions() -> None:
    planted = subject(ADD11, waves(11, ALPHAS) + noise(121, 11), [2, 5])
    net, fit = network(planted), verify(planted).fit
    assert fit is not None
    logits = net.logits
    fitted = torch.from_numpy(waves(11, dict(zip((2, 5), fit.coefficients, strict=True))))
    kl = (logits.softmax(1) * (logits.log_softmax(1) - fitted.log_softmax(1))).sum(1).mean()
    assert fit.kl == pytest.approx(float(kl), rel=1e-12)
    assert fit.logit_fve == pytest.approx(float(fitted.square().sum() / (logits - logits.mean()).square().sum()))


# --- least squares ------------------------------------------------------------------------------------------------

TASKS = [
    Modular(p=7),
    Modular(p=6),
    Modular(p=7, op="sub"),
    Modular(p=7, op="mul"),
    Modular(p=7, op="div"),
    FiniteGroup(group="S3"),
    SparseParity(n=6, k=3, train=30, test=20),
]


@pytest.mark.parametrize("task", TASKS, ids=str)
def test_coefficients_are_those_of_least_squares_on_all_logits(task: Task) -> None:
    shape = task.shape()
    planted = subject(task, noise(task.rows(), shape.classes, seed=3), None)
    formula, net = formula_of(planted.spec), network(planted)
    coefficients, power = least_squares(net, formula)
    columns = formula.terms(formula.frequencies)[:, formula.relation()[net.answer.numpy()]].reshape(len(power), -1)
    design = np.stack([*columns, np.ones(columns.shape[1])], axis=1)
    target = net.logits.numpy().ravel()
    expected, *_ = np.linalg.lstsq(design, target, rcond=None)
    np.testing.assert_allclose(coefficients, expected[:-1], atol=1e-12)
    explained = ((design @ expected - target.mean()) ** 2).sum()
    assert power.sum() == pytest.approx(explained)


@pytest.mark.parametrize("task", TASKS, ids=str)
def test_the_algorithm_of_every_known_task_is_right_and_proved(task: Task) -> None:
    found = verify(subject(task, noise(task.rows(), task.shape().classes), None, "keys_saturated"))
    assert found.algorithm_accuracy == 1
    assert found.margin > 2 * found.error_bound
    assert found.agreement_all is not None
    assert found.agreement_all < 0.8


def test_a_composite_modulus_with_a_common_divisor_is_not_proved() -> None:
    found = verify(subject(Modular(p=12), waves(12, {2: 1.0, 4: 1.0}), [2, 4]))
    assert found.margin == 0
    assert found.algorithm_accuracy == 0.5


# --- what is not defined ------------------------------------------------------------------------------------------


def test_a_trial_that_never_generalised_is_compared_but_not_fitted() -> None:
    found = verify(subject(ADD11, noise(121, 11), None, "never_generalised"))
    assert found.fit is None
    assert found.reason == "never_generalised"
    assert (found.choice, found.algorithm_accuracy) == ("all", 1)
    assert found.agreement_test is not None


@pytest.mark.parametrize(
    ("logits", "reason"), [(np.nan, "not_finite"), (np.inf, "not_finite"), (2.0, "constant_logits")]
)
def test_broken_networks_have_a_reason(logits: float, reason: str) -> None:
    found = verify(subject(ADD11, np.full((121, 11), logits), [2, 5]))
    assert found.fit is None
    assert found.reason == reason
    assert (found.agreement_all is None) == (reason == "not_finite")


def test_logits_whose_squares_are_no_numbers_are_not_called_constant() -> None:
    found = verify(subject(ADD11, 1e200 * waves(11, ALPHAS), [2, 5]))
    assert (found.fit, found.reason, found.agreement_all) == (None, "not_finite", 1)


def test_a_network_of_nan_answers_nothing_that_could_disagree() -> None:
    assert disagreements(subject(ADD11, np.full((121, 11), np.nan), [2, 5]), 10) == []


@pytest.mark.parametrize("logits", [2.0, np.nan])
def test_missing_test_rows_are_the_reason_whatever_else_is_missing(logits: float) -> None:
    values = Algorithm().measure(subject(Modular(p=11, frac_train=1.0), np.full((121, 11), logits), [2, 5]))
    (only,) = (value for value in values if value.measure == "algorithm_agreement.test")
    assert (only.value, only.reason) == (None, "no_rows")


def test_without_test_rows_the_agreement_on_them_is_missing() -> None:
    found = verify(subject(Modular(p=11, frac_train=1.0), waves(11, ALPHAS), [2, 5]))
    assert (found.agreement_test, found.agreement_all, found.n_test) == (None, 1.0, 0)


def test_a_task_without_a_known_algorithm_says_so_and_which_there_are() -> None:
    for task in (Modular(p=11, op="random"), Modular(p=12, op="mul"), FiniteGroup(group="S3", op="conj")):
        reason = unless_known(TrialSpec(task=task, model=Table(), optimizer=AdamW(), loss=CrossEntropy64()))
        assert reason is not None
        assert "no reference algorithm is known for task.op=" in reason
        assert "known are task=modular" in reason


@pytest.mark.parametrize("p", [2, 6])
def test_even_moduli_have_finite_values(p: int) -> None:
    values = Algorithm().measure(subject(Modular(p=p, frac_train=0.5), noise(p * p, p), [p // 2]))
    assert {value.measure for value in values} == set(Algorithm.names)
    assert all(value.value is not None and math.isfinite(value.value) for value in values)


# --- margins of fits, programs ------------------------------------------------------------------------------------


def test_the_fitted_margin_is_proved_for_the_fitted_coefficients() -> None:
    planted = subject(ADD11, waves(11, ALPHAS), [2, 5])
    gap = waves(11, ALPHAS)[0, 0] - waves(11, ALPHAS)[0, 1:].max()
    assert fitted_margin(planted, verify(planted)) == pytest.approx(gap)
    upside_down = subject(ADD11, -waves(11, ALPHAS), [2, 5])
    assert (fitted_margin(upside_down, verify(upside_down)) or 0) < 0


def test_class_means_enter_a_program_only_where_they_help() -> None:
    plain = subject(ADD11, waves(11, ALPHAS), [2, 5])
    program = decompile(plain, verify(plain), "a test")
    assert (program.same, program.right, program.inputs) == (121, 121, 121)
    assert "CLASS_MEANS" not in program.text
    leaning = subject(ADD11, waves(11, ALPHAS) + 20.0 * np.eye(11)[4], [2, 5])
    program = decompile(leaning, verify(leaning), "a test")
    assert "CLASS_MEANS" in program.text
    assert program.same == 121
    assert program.right == 11, "the network says 4, always, and so does the program"


@pytest.mark.parametrize(("p", "keys"), [(12, (2, 4)), (6, (2,)), (11, (1, 2, 3, 4, 5))])
def test_a_program_is_right_where_the_fit_is_even_if_classes_tie(p: int, keys: tuple[int, ...], tmp_path: Path) -> None:
    planted = subject(Modular(p=p), waves(p, {k: 1 / k for k in keys}) + 0.1 * noise(p * p, p), keys)
    program = decompile(planted, verify(planted), "a test")
    (tmp_path / "algorithm.py").write_text(program.text)
    right, inputs, margin = runpy.run_path(str(tmp_path / "algorithm.py"))["check"]()
    assert (right, inputs) == (program.right, p * p)
    assert (margin > 0) == (p == 11)
