"""What is known of every place after some trials: margins, chances of outcomes, and where the map may be wrong."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from grokstudy.samplers.surrogate import hyper, latent
from grokstudy.samplers.surrogate.ep import TOLERANCE
from grokstudy.samplers.surrogate.latent import Latent, Seen
from grokstudy.samplers.surrogate.observations import (
    MARGINS,
    Evidence,
    Margin,
    Observations,
    Question,
    evidence,
    has_inversion,
)
from grokstudy.samplers.surrogate.space import Places, Space
from grokstudy.spec.outcome import LABELS

_WORDS: dict[Margin, tuple[str, str]] = {
    "mem": ("memorised by T", "that ends"),
    "gen": ("that memorised generalised by T", "that ends"),
    "delay": ("that generalised did so in less than R times t_mem", "grokking begins"),
}
"""What lies below a margin's boundary, and what the boundary divides."""


@dataclasses.dataclass(frozen=True, eq=False, slots=True)
class Margins:
    """The three margins at n places, in dex, columns as MARGINS; seed noise not included."""

    mean: Float[np.ndarray, "n 3"]
    sd: Float[np.ndarray, "n 3"]


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Hypers:
    """Settings of every margin, to start the next fit from."""

    settings: tuple[hyper.Settings, ...]
    """As MARGINS, then that of divergence."""
    trials: int
    """How many trials there were when they were chosen; choose again when there are twice as many."""


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Posterior:
    """Margins are independent Gaussian processes given the trials; outcomes follow from them as in `LABELS`."""

    latents: tuple[Latent, ...]
    """As MARGINS; a fourth for divergence if some trial diverged."""
    inversion: bool
    """Whether gen means something where nothing is memorised."""
    decided: tuple[bool, bool, bool]
    """For every margin, whether trials on both its sides were seen."""
    hypers: Hypers
    notes: tuple[str, ...]

    @property
    def divided(self) -> bool:
        """Whether trials on both sides of some boundary were seen, that of divergence included."""
        lost = [one.evidence for one in self.latents[len(MARGINS) :]]
        return any(self.decided) or any(bool(e.seen_below().any() and e.seen_above().any()) for e in lost)

    @property
    def settled(self) -> bool:
        """Whether the approximation of every process converged; `notes` names those that did not."""
        return all(one.approximation.converged for one in self.latents)

    @property
    def noise(self) -> Float[np.ndarray, " 3"]:
        """Standard deviation over seeds of each margin, dex."""
        return np.array([one.settings.noise for one in self.latents[: len(MARGINS)]])

    def latent(self, margin: Margin) -> Latent:
        """The process of one margin; "diverged" only if some trial diverged."""
        return self.latents[(*MARGINS, "diverged").index(margin)]

    def margins(self, places: Places) -> Margins:
        """Means and standard deviations of the three latent functions."""
        seen = [one.at(places) for one in self.latents[: len(MARGINS)]]
        return Margins(np.column_stack([one.mean for one in seen]), np.sqrt(np.column_stack([one.var for one in seen])))

    def p_below(self, places: Places, margin: Margin) -> Float[np.ndarray, " n"]:
        """P(latent < 0): that over most seeds it happens in time."""
        seen = self.latent(margin).at(places)
        return latent.share_below(seen.mean, seen.var)

    def covariance(self, margin: Margin, a: Places, b: Places) -> Float[np.ndarray, "a b"]:
        """Posterior covariances of a latent function, dex²."""
        one = self.latent(margin)
        return one.covariance(one.at(a), one.at(b))

    def probabilities(self, places: Places) -> Float[np.ndarray, "n 6"]:
        """P(outcome of one more trial), seed noise included, columns as LABELS."""
        return self._outcomes([self._share(one, one.at(places), seeds=True) for one in self.latents])

    def majority(self, places: Places) -> Float[np.ndarray, "n 6"]:
        """P(this is the outcome without seed noise), columns as LABELS: only what is not yet known is left."""
        return self._outcomes([self._share(one, one.at(places), seeds=False) for one in self.latents])

    def labels(self, places: Places) -> Int[np.ndarray, " n"]:
        """The map: index into LABELS of the most probable outcome."""
        return np.asarray(self.majority(places).argmax(axis=1))

    def phase_error(self, places: Places) -> Float[np.ndarray, " n"]:
        """P(the map is wrong) at every place."""
        return np.asarray(1.0 - self.majority(places).max(axis=1))

    def expected_error(self, pool: Places) -> float:
        """Expected share of a pool of places where the map is wrong."""
        return float(self.phase_error(pool).mean())

    @staticmethod
    def _share(one: Latent, seen: Seen, *, seeds: bool) -> Float[np.ndarray, " n"]:
        return latent.share_below(seen.mean, seen.var + one.settings.noise**2 * seeds)

    def _outcomes(self, below: list[Float[np.ndarray, " n"]]) -> Float[np.ndarray, "n 6"]:
        mem, gen, delay = below[: len(MARGINS)]
        return outcomes(mem, gen, delay, below[3] if len(below) > 3 else None, inversion=self.inversion)


def outcomes(
    mem: Float[np.ndarray, " n"],
    gen: Float[np.ndarray, " n"],
    delay: Float[np.ndarray, " n"],
    diverged: Float[np.ndarray, " n"] | None,
    *,
    inversion: bool,
) -> Float[np.ndarray, "n 6"]:
    """Probabilities of the outcomes from those of the margins being below 0, columns as LABELS; rows sum to 1.

    Without `inversion` nothing generalises that did not memorise, so gen and delay only divide what memorised.
    """
    gen_alone = gen if inversion else np.zeros_like(gen)
    share = {
        "confusion": (1 - mem) * (1 - gen_alone),
        "memorization": mem * (1 - gen),
        "inversion": (1 - mem) * gen_alone,
        "grokking": mem * gen * (1 - delay),
        "comprehension": mem * gen * delay,
    }
    lost = np.zeros_like(mem) if diverged is None else diverged
    return np.column_stack([lost if label == "diverged" else share[label] * (1 - lost) for label in LABELS])


def fit(
    space: Space,
    observations: Observations,
    question: Question,
    *,
    seed: int = 0,
    start: Hypers | None = None,
    refit: bool = True,
) -> Posterior:
    """The posterior of the margins given trials.

    Defined for any trials, also none, all diverged, or of one outcome: what they do not say stays as in the prior, and
    `notes` says what that is.

    Args:
        seed: chooses the part of more than `hyper.MOST` trials that settings are searched with.
        start: settings (and sites) of an earlier fit, to start from.
        refit: search the settings; False keeps those of `start`.

    Raises:
        ValueError: the places do not fit the space.
    """
    d, c = len(space.numbers), len(space.names)
    if observations.places.unit.shape[1] != d or observations.places.levels.shape[1] != c:
        raise ValueError(f"observations: places of {d} numbers and {c} names are needed by the space.")
    before = start.settings if start else tuple(hyper.default(d, c) for _ in range(4))
    search = refit or start is None
    wanted: tuple[Margin, ...] = (*MARGINS, "diverged") if observations.diverged.any() else MARGINS
    found = [evidence(observations, question, margin) for margin in wanted]
    rng = np.random.default_rng(seed)
    settings = [hyper.chosen(e, s, rng) if search else s for e, s in zip(found, before, strict=False)]
    latents = tuple(latent.learn(e, s) for e, s in zip(found, settings, strict=True))
    below, above = [bool(e.seen_below().any()) for e in found], [bool(e.seen_above().any()) for e in found]
    return Posterior(
        latents=latents,
        inversion=has_inversion(observations, question),
        decided=(below[0] and above[0], below[1] and above[1], below[2] and above[2]),
        hypers=Hypers(
            settings=(*(one.settings for one in latents), *before[len(latents) :]),
            trials=len(observations) if search or start is None else start.trials,
        ),
        notes=(*_notes(observations, below, above), *_fit_notes(latents, found)),
    )


def _fit_notes(latents: Sequence[Latent], found: Sequence[Evidence]) -> list[str]:
    """Where the fit is not what the trials say exactly."""
    names = (*MARGINS, "diverged")
    thinned = [
        f"{name}: {len(one.evidence):,} of {len(all_of_it):,} trials used, those far inside a known region were thinned"
        for name, one, all_of_it in zip(names, latents, found, strict=False)
        if len(one.evidence) < len(all_of_it)
    ]
    return thinned + [
        f"{name}: the fit did not settle, its means may be off by more than {TOLERANCE:g} standard deviations"
        for name, one in zip(names, latents, strict=False)
        if not one.approximation.converged
    ]


def _notes(observations: Observations, below: list[bool], above: list[bool]) -> list[str]:
    """What the posterior assumes because trials did not say it."""
    if not len(observations):
        return ["no trial yet: every margin is as likely below as above its boundary"]
    if observations.diverged.all():
        return ["every trial diverged: nothing is known about times, the margins are those of the prior"]
    found = []
    for margin, early, late in zip(MARGINS, below, above, strict=False):
        if early and late:
            continue
        happened, where = _WORDS[margin]
        seen = f"every trial {happened}" if early else f"no trial {happened}"
        if not (early or late):
            seen = f"no trial shows which {happened}"
        found.append(f"{seen}: where {where} is not known")
    return found
