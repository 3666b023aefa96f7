"""Trials that were made up: their settings, their fate and their curves, as arrays."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Bool, Float, Int

Steps = Int[np.ndarray, " evaluations"]
ROWS = 264
"""Rows that an accuracy is a share of."""
NOISE = 0.004


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Trials:
    """What is decided of every trial before its curve, in the order of its id. Times are NaN for never."""

    ids: Int[np.ndarray, " trials"]
    weight_decay: Float[np.ndarray, " trials"]
    frac_train: Float[np.ndarray, " trials"]
    seeds: Int[np.ndarray, " trials"]
    memorises: Float[np.ndarray, " trials"]
    """Step at which train accuracy is half way up."""
    generalises: Float[np.ndarray, " trials"]
    loses: Float[np.ndarray, " trials"]
    """Step at which test accuracy falls for a while."""
    ends: Int[np.ndarray, " trials"]
    """Steps that it runs."""
    diverged: Bool[np.ndarray, " trials"]
    stopped: Bool[np.ndarray, " trials"]

    def __getitem__(self, rows: slice) -> Trials:
        return Trials(**{field.name: getattr(self, field.name)[rows] for field in dataclasses.fields(self)})


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Curves:
    """Curves of some trials below each other; NaN where there is no value."""

    trial: Int[np.ndarray, " rows"]
    """Number of the trial among them."""
    step: Int[np.ndarray, " rows"]
    train_loss: Float[np.ndarray, " rows"]
    test_loss: Float[np.ndarray, " rows"]
    train_acc: Float[np.ndarray, " rows"]
    test_acc: Float[np.ndarray, " rows"]
    sum_sq_weights: Float[np.ndarray, " rows"]
    last_layer_norm: Float[np.ndarray, " rows"]
    logit_scale: Float[np.ndarray, " rows"]


def drawn_trials(
    across: Float[np.ndarray, " x"], up: Float[np.ndarray, " y"], count: int, steps: Steps, seed: int
) -> Trials:
    """Trials on the plane of weight decays and train fractions, seeds of a cell last, in an order of their own.

    Both generalise earlier and more often with more data; too little or too much weight decay hinders it, and very much
    prevents memorising too. A few percent lose what they had, diverge, or were stopped.
    """
    random = np.random.default_rng(seed)
    place = random.permutation(count)
    weight_decay, frac_train = across[place % len(across)], up[place // len(across) % len(up)]
    strength = np.log10(weight_decay)
    memorises = 15 * np.exp(0.4 * frac_train + random.normal(0, 0.15, count))
    delay = np.exp(4 - 0.8 * strength - 4.5 * (frac_train - 0.3) + random.normal(0, 0.35, count))
    share = _sigmoid(25 * (frac_train - 0.38 - 0.05 * strength**2))  # of a cell's seeds that ever generalise
    generalises = np.where(random.random(count) < share, memorises * (1 + delay), np.nan)
    too_strong = random.random(count) < _sigmoid(8 * (strength - 0.75))
    memorises, generalises = (np.where(too_strong, np.nan, times) for times in (memorises, generalises))
    lost = np.exp(random.uniform(1.2, 3, count))
    diverged = random.random(count) < np.where(strength > 0.7, 0.2, 0.004)
    stopped = ~diverged & (random.random(count) < 0.005)
    early = steps[random.integers(len(steps) // 4, len(steps), count)]
    return Trials(
        ids=_sorted_ids(random, count),
        weight_decay=weight_decay,
        frac_train=frac_train,
        seeds=place // (len(across) * len(up)),
        memorises=memorises,
        generalises=generalises,
        loses=np.where(random.random(count) < 0.05, generalises * lost, np.nan),
        ends=np.where(diverged | stopped, early, steps[-1]),
        diverged=diverged,
        stopped=stopped,
    )


def drawn_curves(trials: Trials, steps: Steps, seed: int) -> Curves:
    """Evaluations of the trials until each one's end. A diverged trial has no losses at its last."""
    random = np.random.default_rng(seed)
    shape = (len(trials.ids), len(steps))
    time = np.log1p(steps)[None, :]
    memorised = _rise(time, trials.memorises, 3.0)
    generalised = _rise(time, trials.generalises, 6.0)
    fallen = (steps >= trials.loses[:, None]) & (steps <= 1.3 * trials.loses[:, None])
    train = np.maximum(memorised, generalised)
    test = np.where(fallen, 0.7, 1.0) * (0.04 + 0.96 * generalised)
    noise = [random.normal(0, NOISE, shape).astype(np.float32) for _ in range(2)]
    kept = steps[None, :] <= trials.ends[:, None]
    last = trials.diverged[:, None] & (steps[None, :] == trials.ends[:, None])

    def column(values: Float[np.ndarray, "trials evaluations"]) -> Float[np.ndarray, " rows"]:
        """What a trial stores: float32 numbers of the evaluations that were made."""
        return np.where(last, np.nan, values)[kept].astype(np.float32).astype(np.float64)

    norm = 300 * np.exp(-0.25 * memorised) + 40 * noise[1]
    return Curves(
        trial=np.repeat(np.arange(shape[0]), kept.sum(axis=1)),
        step=np.broadcast_to(steps, shape)[kept],
        train_loss=column(1e-6 + (1 - train) * np.exp(noise[0])),
        test_loss=column(1e-4 + (1.2 - test) * np.exp(noise[1])),
        train_acc=column(_accuracy(train + noise[0] * (train < 1 - 4 * NOISE))),
        test_acc=column(_accuracy(test + noise[1] * (test < 1 - 4 * NOISE))),
        sum_sq_weights=column(norm),
        last_layer_norm=column(np.sqrt(norm) / 2),
        logit_scale=column(0.2 + train),
    )


def _sorted_ids(random: np.random.Generator, count: int) -> Int[np.ndarray, " trials"]:
    ids = np.unique(random.integers(0, 2**63, count + 1 + count // 1000))
    while len(ids) < count:
        ids = np.unique(np.r_[ids, random.integers(0, 2**63, count)])
    return np.sort(random.permutation(ids)[:count])


def _rise(
    time: Float[np.ndarray, "1 evaluations"], middle: Float[np.ndarray, " trials"], speed: float
) -> Float[np.ndarray, "trials evaluations"]:
    """From 0 to 1 around `middle`; 0 for never."""
    never = np.isnan(middle)[:, None]
    return np.where(never, 0.0, _sigmoid(speed * (time - np.log1p(np.where(never, 0, middle[:, None])))))


def _accuracy(share: Float[np.ndarray, "trials evaluations"]) -> Float[np.ndarray, "trials evaluations"]:
    """The nearest accuracy that so many rows can have."""
    return np.clip(np.rint(share * ROWS), 0, ROWS) / ROWS


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-values)))
