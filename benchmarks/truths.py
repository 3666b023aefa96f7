"""Synthetic phase diagrams whose boundaries are known: what samplers are compared on.

A truth gives, at any point of its unit cube, the median t_mem and t_gen over seeds (in dex: log10 of steps). A trial's
own times differ from them by seed noise, drawn from (seed, point) and nothing else, so that a trial has the same times
in whatever order a sampler comes to it. Its majority label at a point is the one that most seeds have there.

| truth | its boundaries |
|---|---|
| critical | t_gen diverges as a power of the distance to a curved critical train fraction; two triple points |
| first_order | times jump by decades within 2 % of the axis, as in the published 11 x 11 map of Liu et al. 2022 |
| tongue | generalises only inside a tongue of weight decays, which narrows to a tip; diverges beyond a learning rate |
| islands | critical, with an island of confusion and a pocket of grokking that nothing else announces |
| noisy | critical, with seed noise of .25 to .45 dex instead of .12 |
| critical3d | critical, and a third axis, the scale of the initial weights, that delays t_gen |
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from statistics import NormalDist
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Int

from grokstudy.spec.axes import Axis
from grokstudy.spec.outcome import LABELS

Unit: TypeAlias = Float[np.ndarray, "n d"]
"""Points of the unit cube."""
Values: TypeAlias = Float[np.ndarray, " n"]

CONFUSION, MEMORIZATION, INVERSION, GROKKING, COMPREHENSION, DIVERGED = range(len(LABELS))
MEM_NOISE = 0.5
"""Seed noise of t_mem, as a share of t_gen's."""
CONFIRMED = 5.0
"""A trial that generalised is watched until so many t_gen (the early-end rule); the others until the budget."""
DIVERGING = 0.05
"""Share of the budget after which a diverging trial has diverged."""
NEVER = 99.0
"""Dex; past every budget."""


@dataclasses.dataclass(frozen=True, slots=True)
class Medians:
    """Median times over seeds in dex, and how far beyond the edge of divergence a point is (dex; above 0: diverged)."""

    mem: Values
    gen: Values
    beyond: Values


@dataclasses.dataclass(frozen=True, slots=True)
class Trials:
    """What is seen of n trials: times in steps (NaN = not seen), steps watched, whether diverged, share of a full
    run that each cost."""

    t_mem: Values
    t_gen: Values
    steps: Values
    diverged: Bool[np.ndarray, " n"]
    cost: Values


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """One synthetic phase diagram; `noise` is the seed noise of log10 t_gen, dex."""

    name: str
    axes: tuple[Axis, ...]
    medians: Callable[[Unit], Medians]
    noise: Callable[[Unit], Values]
    budget: float = 1e5
    ratio: float = 5.0


def trials(truth: Truth, unit: Unit, seed: int) -> Trials:
    """The trials of one seed at these points."""
    return _seen(truth, unit, np.array([_draw(point, seed) for point in unit]).reshape(len(unit), 3))


def labels(truth: Truth, seen: Trials) -> Int[np.ndarray, " n"]:
    """The outcome of each trial, as an index of LABELS."""
    grokked = seen.t_gen >= truth.ratio * np.maximum(seen.t_mem, 1)
    generalised = np.where(grokked, GROKKING, COMPREHENSION)
    without = np.where(np.isnan(seen.t_mem), CONFUSION, MEMORIZATION)
    named = np.where(np.isnan(seen.t_gen), without, np.where(np.isnan(seen.t_mem), INVERSION, generalised))
    return np.where(seen.diverged, DIVERGED, named)


def majority(truth: Truth, unit: Unit, quantiles: int = 15) -> Int[np.ndarray, " n"]:
    """The label that most seeds have at each point: noise at evenly spaced quantiles, every pair of the two times."""
    level = [NormalDist().inv_cdf((i + 0.5) / quantiles) for i in range(quantiles)]
    votes = np.zeros((len(unit), len(LABELS)), dtype=int)
    everywhere = np.ones((len(unit), 1))
    for mem in level:
        for gen in level:
            label = labels(truth, _seen(truth, unit, everywhere * [mem, gen, gen]))
            votes[np.arange(len(unit)), label] += 1
    return votes.argmax(axis=1)


def margins(truth: Truth, unit: Unit) -> Float[np.ndarray, "n 3"]:
    """The true margins in dex: mem, gen and delay; below 0 it happens in time."""
    at = truth.medians(unit)
    mem, gen = np.minimum(at.mem, NEVER), np.minimum(np.maximum(at.gen, at.mem), NEVER)
    limit = np.log10(truth.budget)
    return np.stack([mem - limit, gen - limit, gen - mem - np.log10(truth.ratio)], axis=1)


def lattice(dimensions: int, side: int) -> Unit:
    """The centres of side^dimensions equal cells of the unit cube."""
    along = (np.arange(side) + 0.5) / side
    return np.stack(np.meshgrid(*[along] * dimensions, indexing="ij"), axis=-1).reshape(-1, dimensions)


def _draw(point: Float[np.ndarray, " d"], seed: int) -> Float[np.ndarray, " 3"]:
    words = [int(value * 2**40) for value in point]
    noise: Float[np.ndarray, " 3"] = np.random.default_rng([seed, *words]).standard_normal(3)
    return noise


def _seen(truth: Truth, unit: Unit, noise: Float[np.ndarray, "n 3"]) -> Trials:
    at, sd, limit = truth.medians(unit), truth.noise(unit), np.log10(truth.budget)
    mem = at.mem + MEM_NOISE * sd * noise[:, 0]
    gen = np.maximum(at.gen + sd * noise[:, 1], mem)
    diverged = at.beyond + sd * noise[:, 2] > 0
    mem, gen = (np.where(diverged | (dex > limit), np.nan, dex) for dex in (mem, gen))
    watched = np.nan_to_num(CONFIRMED * 10**gen, nan=truth.budget).clip(max=truth.budget)
    steps = np.where(diverged, DIVERGING * truth.budget, watched)
    return Trials(10**mem, 10**gen, steps, diverged, steps / truth.budget)


def _slowed(distance: Values, power: float) -> Values:
    """Dex added at this distance inside an edge by a time that diverges there; beyond the edge: never."""
    return np.where(distance > 0, -power * np.log10(np.maximum(distance, 1e-12)), NEVER)


def _step(beyond: Values, width: float) -> Values:
    """0 before an edge, 1 beyond it; most of the rise within 4 widths."""
    return 0.5 * (1 + np.tanh(beyond / (2 * width)))


def _nowhere(unit: Unit) -> Values:
    return np.full(len(unit), -NEVER)


def _constant(value: float) -> Callable[[Unit], Values]:
    return lambda unit: np.full(len(unit), value)


def _critical(unit: Unit) -> Medians:
    decay, frac = unit[:, 0], unit[:, 1]
    enough = 0.16 + 0.5 * (1 - decay) ** 2 - 0.08 * np.sin(5 * decay)
    gen = 3.35 - 0.9 * (decay - 0.5) + _slowed(frac - enough, 1.2)
    too_much = 0.86 - 0.3 * (frac - 0.35) ** 2
    mem = 2.55 + 0.3 * frac + _slowed(too_much - decay, 0.6)
    return Medians(mem, gen, _nowhere(unit))


def _islands(unit: Unit) -> Medians:
    at = _critical(unit)
    confused = 0.09 - np.hypot(unit[:, 0] - 0.45, unit[:, 1] - 0.78)
    pocket = 0.09 - np.hypot(unit[:, 0] - 0.2, unit[:, 1] - 0.2)
    mem = np.where(confused > 0, NEVER, at.mem)
    gen = np.where(pocket > 0, 4.0 + _slowed(pocket / 0.09, 0.5), at.gen)
    return Medians(mem, gen, at.beyond)


def _first_order(unit: Unit) -> Medians:
    rate, decay = unit[:, 0], unit[:, 1]
    memorised_only = rate - (0.5 + 0.22 * np.sin(3.2 * decay - 0.4))
    confused = 0.9 * (decay - 0.83) + 0.35 * (rate - 0.5) ** 2
    delayed = rate - (0.22 + 0.3 * decay**2)
    mem = 2.6 - 0.3 * rate + 3.0 * _step(confused, 0.006)
    gen = 2.75 + 0.2 * decay + 1.1 * _step(delayed, 0.015) + 3.0 * _step(memorised_only, 0.006)
    return Medians(mem, gen, _nowhere(unit))


def _tongue(unit: Unit) -> Medians:
    decay, rate = unit[:, 0], unit[:, 1]
    half = 0.3 * np.sqrt(np.maximum(decay - 0.2, 0))
    inside = half - np.abs(rate - (0.62 - 0.3 * decay))
    mem = 2.8 - 0.5 * rate
    gen = 3.9 - 0.9 * _step(decay + 0.4 * rate - 0.85, 0.015) + 3.0 * _step(-inside, 0.002)
    return Medians(mem, gen, 8 * (rate - 0.88 + 0.12 * decay))


def _critical3d(unit: Unit) -> Medians:
    plane, scale = unit[:, :2], unit[:, 2]
    at = _critical(np.stack([plane[:, 0], plane[:, 1] - 0.18 * (scale - 0.3)], axis=1))
    return Medians(at.mem, at.gen + 0.5 * (scale - 0.5), at.beyond)


_DECAY = Axis(path="regularization.weight_decay", low=0.01, high=10.0, log=True)
_FRAC = Axis(path="task.frac_train", low=0.2, high=0.9)
_RATE = Axis(path="optimizer.lr", low=1e-5, high=1e-1, log=True)
_SCALE = Axis(path="init.scale", low=0.3, high=10.0, log=True)
SHARP = 0.12

TRUTHS: Mapping[str, Truth] = {
    truth.name: truth
    for truth in (
        Truth(name="critical", axes=(_DECAY, _FRAC), medians=_critical, noise=_constant(SHARP)),
        Truth(name="first_order", axes=(_RATE, _DECAY), medians=_first_order, noise=_constant(SHARP)),
        Truth(name="tongue", axes=(_DECAY, _RATE), medians=_tongue, noise=_constant(SHARP)),
        Truth(name="islands", axes=(_DECAY, _FRAC), medians=_islands, noise=_constant(SHARP)),
        Truth(name="noisy", axes=(_DECAY, _FRAC), medians=_critical, noise=lambda unit: 0.45 - 0.2 * unit[:, 1]),
        Truth(name="critical3d", axes=(_DECAY, _FRAC, _SCALE), medians=_critical3d, noise=_constant(SHARP)),
    )
}
"""By name."""
