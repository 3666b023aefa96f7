"""A network against the algorithm it is said to use: pure comparison of numbers, explained in docs/proof.md.

Right answers alone prove nothing about a network: any other way to be right gives them too. So its logits are compared
with the algorithm's scores, its second choice with the algorithm's, and for every input it is asked whether the part of
the logits that the algorithm explains is large enough to win whatever the rest does.
"""

from __future__ import annotations

import dataclasses
import functools
import statistics

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from grokstudy.circuits._applies import unless_periodic
from grokstudy.circuits._formula import Choice, Formula, FourierFormula, formula_of, proof
from grokstudy.circuits._keys import NO_KEYS, RANDOM_SETS, SATURATED
from grokstudy.circuits._network import Network, Split, network
from grokstudy.circuits._values import NO_ROWS, NOT_FINITE, unless_varied
from grokstudy.spec.draws import generator
from grokstudy.spec.measure import Subject

EPSILON = 2.0**-52
TIED = 1e-9
"""Scores closer than this share of the largest one are equal: fitted scores and characters are known up to rounding."""


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Fit:
    """The algorithm with the coefficients that fit a network best, and how far the network follows it."""

    coefficients: tuple[float, ...]
    """By least squares, in the units of the logits: one per frequency, then the zero case of mul and div."""
    logit_fve: float
    """Share of the logits' variance (global mean subtracted) that the fitted algorithm explains."""
    fve_random_keys: float
    """The same for random sets of as many frequencies, averaged over 8; equal if all frequencies are used."""
    kl: float
    """Mean over inputs of KL(softmax of the network || softmax of the fitted algorithm), in nats."""
    runner_up_agreement: float
    """Share of inputs whose second-best class is second best for the fitted algorithm too (there two always tie)."""
    certified_share: float
    """Share of inputs where the fitted algorithm's margin exceeds the range of the network's residuals."""


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Verification:
    """One network against the reference algorithm of its task."""

    algorithm: str
    frequencies: tuple[int, ...]
    """Those that the algorithm uses."""
    choice: Choice
    """Whether they are the trial's key frequencies or all there are."""
    algorithm_accuracy: float
    """Of the algorithm with all coefficients 1, on every input."""
    margin: float
    """Proved lower bound of that algorithm's (right score - any other)."""
    error_bound: float
    """Proved upper bound of the rounding error of its scores."""
    agreement_test: float | None
    """Share of test inputs with the network's and that algorithm's answer equal; None without test rows."""
    agreement_all: float | None
    """The same of all inputs; None if a logit is not finite."""
    fit: Fit | None
    reason: str | None
    """Why there is no fit."""
    n: int
    n_test: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """An input on which network and algorithm differ."""

    inputs: tuple[float, ...]
    network: int
    algorithm: int


def verify(subject: Subject) -> Verification:
    """Compares a network of a task with a known algorithm (`unless_known`) with that algorithm.

    The algorithm uses the trial's key frequencies; all frequencies if more than half of them are keys or key
    frequencies mean nothing for the task. If the trial has none, answers are still compared, with all frequencies, but
    nothing is fitted.
    """
    formula, net = formula_of(subject.spec), network(subject)
    chosen, choice, reason = frequencies_of(subject, formula)
    answers = torch.from_numpy(formula.predictions(chosen, subject.data.inputs))
    finite = bool(net.logits.isfinite().all())
    reason = (reason if finite else NOT_FINITE) or unless_varied(variance(net), float(net.logits.square().sum()))
    fit = None if reason else fitted(net, formula, chosen, subject.spec.seeds.init)
    equal = net.logits.argmax(dim=1) == answers
    margin, error = proof(formula, chosen)
    return Verification(
        algorithm=formula.name,
        frequencies=chosen,
        choice=choice,
        algorithm_accuracy=float((answers == net.answer).double().mean()),
        margin=margin,
        error_bound=error,
        agreement_test=_share(equal, net.test) if finite else None,
        agreement_all=_share(equal, net.all) if finite else None,
        fit=fit,
        reason=reason,
        n=len(net.all.rows),
        n_test=len(net.test.rows),
    )


def frequencies_of(subject: Subject, formula: Formula) -> tuple[tuple[int, ...], Choice, str | None]:
    """Frequencies of the algorithm that a network is compared with, and why nothing can be fitted if so."""
    if subject.key_freqs:
        return subject.key_freqs, "keys", None
    reason = subject.keys_reason or NO_KEYS
    undefined = reason in (SATURATED, unless_periodic(subject.spec))
    return formula.frequencies, "all", None if undefined else reason


def disagreements(subject: Subject, most: int) -> list[Disagreement]:
    """The first inputs, in the task's order, on which network and algorithm differ; none if a logit is not finite."""
    formula, net = formula_of(subject.spec), network(subject)
    if not bool(net.logits.isfinite().all()):
        return []
    answers = formula.predictions(frequencies_of(subject, formula)[0], subject.data.inputs)
    given = net.logits.argmax(dim=1).numpy()
    return [
        Disagreement(
            inputs=tuple(subject.data.inputs[row].tolist()), network=int(given[row]), algorithm=int(answers[row])
        )
        for row in np.flatnonzero(given != answers)[:most]
    ]


def fitted(net: Network, formula: Formula, chosen: tuple[int, ...], seed: int) -> Fit:
    """The fit of the chosen frequencies to a network whose logits vary."""
    everything = formula.frequencies
    coefficients, power = least_squares(net, formula)
    centred = variance(net)
    always = list(range(len(everything), len(power)))  # terms that belong to every choice of frequencies
    picked = [everything.index(k) for k in chosen] + always
    control = [float(power[some + always].sum()) for some in _random_sets(seed, len(everything), len(chosen))]
    table = term_sum(formula.terms(chosen), coefficients[picked])[formula.relation()]
    scores = torch.from_numpy(table)
    residual = net.logits - scores[net.answer]
    return Fit(
        coefficients=tuple(coefficients[picked].tolist()),
        logit_fve=float(power[picked].sum()) / centred,
        fve_random_keys=statistics.fmean(control) / centred,
        kl=_divergence(net, scores, residual),
        runner_up_agreement=float(_runner_ups(scores)[net.answer, _second(net.logits)].double().mean()),
        certified_share=float(certified(net, scores, residual, rounding(net, scores)).double().mean()),
    )


def variance(net: Network) -> float:
    """Sum of squares of all logits less their mean."""
    return float((net.logits - net.logits.mean()).square().sum())


def least_squares(net: Network, formula: Formula) -> tuple[Float[np.ndarray, " terms"], Float[np.ndarray, " terms"]]:
    """Coefficient of every term, and the squared length of the logits' projection on it.

    Terms are functions of the relation, orthogonal once their mean is taken off, so each is fitted alone; the logits
    are summed over equal relations first.

    Source: Nanda et al. 2023 (arXiv 2301.05217), section 4.2.
    """
    relation, terms = formula.relation(), formula.terms(formula.frequencies)
    by_answer = torch.zeros(relation.shape, dtype=torch.float64).index_add_(0, net.answer, net.logits).numpy()
    rows = np.bincount(net.answer.numpy(), minlength=len(relation))
    size = terms.shape[1]
    counts = np.bincount(relation.ravel(), np.repeat(rows, relation.shape[1]), size)
    sums = np.bincount(relation.ravel(), by_answer.ravel(), size)
    centred = terms - (terms @ counts / counts.sum())[:, None]
    squares = centred**2 @ counts
    products = centred @ sums
    return products / squares, products**2 / squares


def term_sum(
    terms: Float[np.ndarray, "terms relations"], coefficients: Float[np.ndarray, " terms"]
) -> Float[np.ndarray, " relations"]:
    """The score at every relation; equal terms give scores that are equal to the last bit."""
    scores: Float[np.ndarray, " relations"] = (coefficients[:, None] * terms).sum(axis=0)
    return scores


def certified(
    net: Network, scores: Float[Tensor, "answers p"], residual: Float[Tensor, "rows p"], rounding: float
) -> Bool[Tensor, " rows"]:
    """Inputs on which the algorithm decides the network's answer, whichever classes the rest of the logits favours.

    Logits = scores + residual. Where (right score - any other score) > (largest residual - smallest residual), every
    logit is below that of the right class, and would be if the same residuals stood at other classes: a network that
    looks its answers up has its largest residual at the right class and is not certified.
    """
    classes = torch.arange(scores.shape[1])
    gap = scores.diagonal() - scores.masked_fill(classes[:, None] == classes, -torch.inf).amax(dim=1)
    return gap[net.answer] > residual.amax(dim=1) - residual.amin(dim=1) + rounding


def rounding(net: Network, scores: Float[Tensor, "answers p"]) -> float:
    """More than all rounding in `certified`, for logits and scores as they are.

    A subtraction errs by at most half an EPSILON of its result. With l and s the largest logit and score: the gap
    (2 s) errs by s, two residuals (l + s) by l + s, their range (2 l + 2 s) and adding this number to it by l + s each,
    all times EPSILON: 3 l + 4 s together, and less than 1 % of it for products of these errors.
    """
    return 5 * EPSILON * (float(net.logits.abs().max()) + float(scores.abs().max()))


def _divergence(net: Network, scores: Float[Tensor, "answers p"], residual: Float[Tensor, "rows p"]) -> float:
    """Mean KL(network || algorithm): sum_c P_c (log P_c - log Q_c), where log P - log Q = residual - constant."""
    own = net.logits.log_softmax(dim=1).exp_()
    constants = net.logits.logsumexp(dim=1) - scores.logsumexp(dim=1)[net.answer]
    return max(0.0, float((own.mul_(residual).sum(dim=1) - constants).mean()))


def _second(logits: Float[Tensor, "rows p"]) -> Int[Tensor, " rows"]:
    """The class of the second-largest logit."""
    best = logits.argmax(dim=1, keepdim=True)
    return logits.scatter(1, best, -torch.inf).argmax(dim=1)


def _runner_ups(scores: Float[Tensor, "answers p"]) -> Bool[Tensor, "answers p"]:
    """Every class with the second-largest score: waves are even, so an answer's neighbours on both sides tie.

    In a group conjugates tie, whose characters differ by rounding.
    """
    rest = scores.scatter(1, scores.argmax(dim=1, keepdim=True), -torch.inf)
    return rest >= rest.amax(dim=1, keepdim=True) - TIED * float(scores.abs().max())


def _share(equal: Bool[Tensor, " rows"], split: Split) -> float | None:
    return float(equal[split.rows].double().mean()) if len(split.rows) else None


@functools.lru_cache(maxsize=64)
def _random_sets(seed: int, count: int, size: int) -> list[list[int]]:
    """Places of random frequencies; the streams are those of the other random key sets."""
    return [generator(seed, "random_keys", str(i)).permutation(count)[:size].tolist() for i in range(RANDOM_SETS)]


def fitted_margin(subject: Subject, found: Verification) -> float | None:
    """Proved margin of Fourier multiplication with the fitted coefficients; negative ones may make it negative."""
    formula = formula_of(subject.spec)
    if found.fit is None or not isinstance(formula, FourierFormula):
        return None
    return formula.fitted(found.frequencies, found.fit.coefficients).margin()


def missing(found: Verification) -> str:
    """Why a number of the fit, or of the test rows, is missing."""
    return found.reason or NO_ROWS
