"""Settings of a margin's kernel and noise: chosen by marginal likelihood, the window by leave-one-out prediction.

Lengths, scale and noise have log-normal priors, so that they are defined with few trials. For each window (exact times
used within 0.4 dex of the boundary, or labels alone) they maximise log prior + EP log marginal likelihood; the window
whose leave-one-out predictions of labels score better is kept.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import scipy.optimize
from jaxtyping import Float
from scipy.special import log_ndtr

from grokstudy.samplers.surrogate.ep import Approximation, Sites, Start, propagate, tilted
from grokstudy.samplers.surrogate.kernel import MEAN, Kernel
from grokstudy.samplers.surrogate.observations import Evidence

WINDOWS = (0.4, 0.0)
"""dex around 0 in which the time itself is used; 0 = only whether it happened in time."""
MOST = 200
"""Trials that settings are chosen from; of more a random part."""
LENGTH, SCALE, NOISE, NAME = 0.5, 1.0, 0.15, 0.7
"""Prior medians: length on the unit cube, standard deviation of a margin and of seeds in dex, decay per name."""
SPREAD = {"length": 0.7, "name": 1.0, "scale": 0.7, "noise": 0.5}
"""Prior standard deviations of the natural logarithms."""
_ITERATIONS = 25
_SWEPT = 1e-2
"""Tolerance of sweeps while searching: the marginal likelihood is stationary in the sites, so errors enter squared."""


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Memory:
    """Sites of the last fit by what the trials said, so that the next one starts from them."""

    rows: tuple[bytes, ...]
    sites: Sites


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Settings:
    """Of one margin."""

    kernel: Kernel
    noise: float
    """Standard deviation over seeds, dex."""
    window: float
    memory: Memory | None = None


def default(d: int, c: int) -> Settings:
    """The prior's medians, for `d` number axes and `c` names axes."""
    kernel = Kernel(lengths=np.full(d, LENGTH), names=np.full(c, NAME), scale=SCALE)
    return Settings(kernel=kernel, noise=NOISE, window=WINDOWS[0])


def chosen(found: Evidence, start: Settings, rng: np.random.Generator) -> Settings:
    """Settings for this evidence, searched from `start`; `start` itself if one side of the margin was never seen."""
    if not (found.seen_below().any() and found.seen_above().any()):
        return start
    part = found if len(found) <= MOST else found.take(np.sort(rng.choice(len(found), MOST, replace=False)))
    tries = [_searched(part, start, window) for window in WINDOWS]
    _, best = max((one for one in tries if np.isfinite(one[0])), key=lambda one: one[0], default=(0.0, start))
    return best


def _searched(found: Evidence, start: Settings, window: float) -> tuple[float, Settings]:
    """The leave-one-out score of labels, and the settings that the search ended with."""
    search = _Search(found.within(window), len(start.kernel.lengths))
    done = scipy.optimize.minimize(
        search.loss, search.pack(start), jac=True, method="L-BFGS-B", bounds=search.bounds(),
        options={"maxiter": _ITERATIONS, "ftol": 1e-5, "gtol": 1e-2},
    )  # fmt: skip
    kernel, noise = search.unpack(done.x)
    prior = kernel(found.places, found.places)
    ended = propagate(prior, search.evidence, noise, search.start, tolerance=_SWEPT)
    return label_score(found, ended, noise), Settings(kernel=kernel, noise=noise, window=window)


def label_score(found: Evidence, approximation: Approximation, noise: float) -> float:
    """Sum over trials with a known side of the log probability that the other trials gave to it."""
    z = approximation.cavity_mean / np.sqrt(approximation.cavity_var + noise**2)
    return float(log_ndtr(z[found.seen_above()]).sum() + log_ndtr(-z[found.seen_below()]).sum())


class _Search:
    """Log posterior of the settings and its gradient; starts every approximation from the sites of the last."""

    def __init__(self, evidence: Evidence, d: int) -> None:
        self.evidence = evidence
        self.start: Start | None = None
        self.d = d
        self.c = evidence.places.levels.shape[1]
        self.differ = [np.not_equal.outer(level, level) for level in evidence.places.levels.T]
        medians = [LENGTH] * d + [NAME] * self.c + [SCALE, NOISE]
        spreads = [SPREAD["length"]] * d + [SPREAD["name"]] * self.c + [SPREAD["scale"], SPREAD["noise"]]
        self.centre, self.spread = np.log(medians), np.array(spreads)

    def pack(self, settings: Settings) -> Float[np.ndarray, " t"]:
        kernel = settings.kernel
        return np.asarray(np.log(np.concatenate([kernel.lengths, kernel.names, [kernel.scale, settings.noise]])))

    def unpack(self, theta: Float[np.ndarray, " t"]) -> tuple[Kernel, float]:
        value = np.exp(theta)
        kernel = Kernel(lengths=value[: self.d], names=value[self.d : -2], scale=float(value[-2]))
        return kernel, float(value[-1])

    def bounds(self) -> list[tuple[float, float]]:
        """Four prior standard deviations either way: further out the search only wanders."""
        return [(c - 4 * s, c + 4 * s) for c, s in zip(self.centre.tolist(), self.spread.tolist(), strict=True)]

    def loss(self, theta: Float[np.ndarray, " t"]) -> tuple[float, Float[np.ndarray, " t"]]:
        """Minus log prior minus log marginal likelihood, and its gradient with the sites held (exact once converged:
        the approximation is stationary in them)."""
        kernel, noise = self.unpack(theta)
        prior = kernel(self.evidence.places, self.evidence.places)
        found = propagate(prior, self.evidence, noise, self.start, tolerance=_SWEPT)
        self.start = Start(np.arange(len(self.evidence)), found.state.sites)
        pull = np.concatenate([self._kernel_pull(kernel, prior, found), [self._noise_pull(noise, found)]])
        z = (theta - self.centre) / self.spread
        return 0.5 * float(z @ z) - found.log_z, z / self.spread - pull

    def _kernel_pull(self, kernel: Kernel, prior: Float[np.ndarray, "n n"], found: Approximation) -> np.ndarray:
        """½ tr((alpha alphaᵀ - (K + 1/tau)⁻¹) dK) for the logarithm of every setting of the kernel."""
        state = found.state
        scaled = state.lower_inverse * np.sqrt(state.sites.tau)
        weight = 0.5 * (np.outer(state.alpha, state.alpha) - scaled.T @ scaled)
        shape = prior - MEAN**2
        along = weight * kernel.slopes(self.evidence.places)
        pulls = [
            float((along * np.subtract.outer(x, x) ** 2).sum()) / length**2
            for x, length in zip(self.evidence.places.unit.T, kernel.lengths.tolist(), strict=True)
        ]
        weight *= shape
        pulls += [
            -float(weight[mask].sum()) * decay for mask, decay in zip(self.differ, kernel.names.tolist(), strict=True)
        ]
        return np.array([*pulls, 2 * float(weight.sum())])

    def _noise_pull(self, noise: float, found: Approximation) -> float:
        moments = tilted(self.evidence, found.cavity_mean, found.cavity_var, noise)
        off = self.evidence.bound - found.cavity_mean
        each = (moments.first * off - (self.evidence.side == 0)) / (found.cavity_var + noise**2)
        return float(noise**2 * each.sum())


def remembered(settings: Settings, used: Evidence, approximation: Approximation) -> Settings:
    """The settings with the sites that the fit ended with."""
    memory = Memory(rows=used.rows(), sites=approximation.state.sites)
    return dataclasses.replace(settings, memory=memory)


def start_from(settings: Settings, used: Evidence) -> Start | None:
    """Remembered sites of the trials that were there before; None if none was."""
    if settings.memory is None:
        return None
    known = {row: at for at, row in enumerate(settings.memory.rows)}
    pairs = [(index, known[row]) for index, row in enumerate(used.rows()) if row in known]
    if not pairs:
        return None
    index, at = np.array(pairs, dtype=np.int64).T
    sites = settings.memory.sites
    return Start(index, Sites(sites.tau[at], sites.nu[at]))
