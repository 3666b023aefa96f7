"""Logistic regression of counts on two axes, with the errors that a boundary needs."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Bool, Float, Int

_LEAST_EXPECTED = 1.0
"""Trials expected on each side below which a cell says nothing of overdispersion (Cochran 1954)."""
_SEPARATED = 1e-6


@dataclasses.dataclass(frozen=True, slots=True)
class Terms:
    """Which powers of the axes u and v a model has."""

    powers: tuple[tuple[int, int], ...]

    @classmethod
    def telling_apart(cls, at: Float[np.ndarray, "points 2"]) -> Terms | None:
        """The richest of our models whose terms differ on these places; None if no plane does."""
        squares = [power for power, column in zip(((2, 0), (0, 2)), at.T, strict=True) if len(np.unique(column)) > 2]
        for powers in (((0, 0), (1, 0), (0, 1), (1, 1), *squares), ((0, 0), (1, 0), (0, 1))):
            terms = cls(powers)
            if np.linalg.matrix_rank(terms.of(at)) == len(powers):
                return terms
        return None

    def of(self, at: Float[np.ndarray, "points 2"]) -> Float[np.ndarray, "points terms"]:
        return np.column_stack([at[:, 0] ** i * at[:, 1] ** j for i, j in self.powers])

    @property
    def words(self) -> str:
        return "linear" if len(self.powers) == 3 else "with product" + (" and squares" if len(self.powers) > 4 else "")


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Design:
    """Counts of trials at places, as terms of a model."""

    rows: Float[np.ndarray, "points terms"]
    generalised: Int[np.ndarray, " points"]
    trials: Int[np.ndarray, " points"]


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class LogisticFit:
    """Coefficients and their covariance, overdispersion included."""

    coefficients: Float[np.ndarray, " terms"]
    covariance: Float[np.ndarray, "terms terms"]
    overdispersion: float
    """At least 1: factor on the variance."""

    def logit(
        self, rows: Float[np.ndarray, "points terms"]
    ) -> tuple[Float[np.ndarray, " points"], Float[np.ndarray, " points"]]:
        """logit p and its standard error."""
        return rows @ self.coefficients, np.sqrt(np.einsum("ij,jk,ik->i", rows, self.covariance, rows))


def is_separable(design: Design) -> bool:
    """Whether some combination of the terms has all that generalised on one side (points on the edge allowed).

    Then the likelihood has no maximum. Source: Albert & Anderson 1984, Biometrika 71:1; by linear programming, Konis
    2007. Places with both kinds must lie on the edge; if these alone leave no combination, none is left.
    """
    from scipy.optimize import linprog

    mixed: Bool[np.ndarray, " points"] = (design.generalised > 0) & (design.generalised < design.trials)
    terms = design.rows.shape[1]
    edge = design.rows[mixed]
    if len(edge) >= terms and np.linalg.matrix_rank(edge) == terms:
        return False
    signed = np.where(design.generalised[~mixed] > 0, 1.0, -1.0)[:, None] * design.rows[~mixed]
    best = linprog(
        -signed.sum(axis=0),
        A_ub=-signed,
        b_ub=np.zeros(len(signed)),
        A_eq=edge if len(edge) else None,
        b_eq=np.zeros(len(edge)) if len(edge) else None,
        bounds=(-1, 1),
    )
    return bool(-best.fun > _SEPARATED * len(signed))


def fit_logistic(design: Design) -> LogisticFit:
    """Maximum likelihood by scikit-learn (Newton, no penalty); the design must not be separable."""
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]

    rows = np.concatenate([design.rows, design.rows])
    labels = np.repeat([1, 0], len(design.rows))
    weights = np.concatenate([design.generalised, design.trials - design.generalised]).astype(float)
    used = weights > 0
    model = LogisticRegression(C=np.inf, solver="newton-cholesky", fit_intercept=False, tol=1e-8)
    model.fit(rows[used], labels[used], sample_weight=weights[used])
    coefficients: Float[np.ndarray, " terms"] = model.coef_[0]
    p = 1 / (1 + np.exp(-np.clip(design.rows @ coefficients, -500, 500)))
    variance = design.trials * p * (1 - p)
    information = design.rows.T @ (variance[:, None] * design.rows)
    factor = _overdispersion(design, p)
    return LogisticFit(coefficients=coefficients, covariance=factor * np.linalg.inv(information), overdispersion=factor)


def _overdispersion(design: Design, p: Float[np.ndarray, " points"]) -> float:
    """Pearson's chi-square by its degrees of freedom over cells that expect enough trials on both sides, at least 1."""
    expected = np.minimum(design.trials * p, design.trials * (1 - p))
    use = expected >= _LEAST_EXPECTED
    freedom = int(use.sum()) - design.rows.shape[1]
    if freedom < 1:
        return 1.0
    k, n, share = design.generalised[use], design.trials[use], p[use]
    return max(1.0, float(((k - n * share) ** 2 / (n * share * (1 - share))).sum() / freedom))
