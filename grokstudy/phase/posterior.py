"""A diagram over continuous axes: a posterior on a lattice and every trial as it is, never shares of chosen trials."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from statistics import NormalDist

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float
from scipy.special import ndtr, ndtri
from scipy.stats import qmc

from grokstudy.phase.continuous import ACROSS, ALONG, lattice, unit_of
from grokstudy.phase.dimensions import dimension_names
from grokstudy.phase.held_out import held_out, is_held_out
from grokstudy.phase.posterior_edges import Edge, edges
from grokstudy.phase.posterior_fit import Fitted, fitted
from grokstudy.phase.proposals import is_adaptive, sources
from grokstudy.phase.query import PhaseQuery
from grokstudy.samplers.surrogate.contours import CALIBRATION
from grokstudy.samplers.surrogate.latent import share_below
from grokstudy.samplers.surrogate.observations import MARGINS
from grokstudy.samplers.surrogate.posterior import Posterior, outcomes
from grokstudy.spec.axes import Axis
from grokstudy.spec.outcome import LABELS, RATIO, TAU

POSTERIOR = "posterior"
"""`attrs["kind"]` of these diagrams; a diagram of cells has none."""
CHANCES: tuple[str, ...] = ("p_gen", "p_mem", *(f"p_{name}" for name in LABELS))
VALUES: tuple[str, ...] = (*CHANCES, "log10_delay_ratio", "outcome")
"""What a posterior knows; any other value is drawn as points in its colours."""
BESIDE_SLICE = 0.1
"""Trials within this share of an axis from where it is held are drawn."""
_DRAWS = 128
_TRIALS = (
    *("trial_id", "x", "y", "facet", "seed", "t_mem", "t_gen", "retention", "outcome", "censored_at", "determined"),
    "value",
)


def is_posterior(diagram: xr.Dataset) -> bool:
    """Whether a diagram is one of continuous axes."""
    return diagram.attrs.get("kind") == POSTERIOR


def posterior_diagram(
    table: pd.DataFrame, query: PhaseQuery, axes: Sequence[Axis], proposed: pd.DataFrame, ratio: float = RATIO
) -> xr.Dataset:
    """The diagram of readings with continuous axes over (y, x[, facet]), at 64 x 64 places, or at 200 along x alone.

    Variables with the names that they have in a diagram of cells: `p_gen`, `p_mem`, `p_<outcome>` (the chance of one
    more trial, its seed included) each with `_low`, `_high` (what is not known of the margins, at `confidence`);
    `log10_delay_ratio` (mean, with low and high; NaN where most trials do not generalise); `value`, `value_low`,
    `value_high`. Besides: `outcome` (the most probable one as an index into LABELS), `phase_error` (chance that it is
    not the one that most seeds come to); over `margin`: `noise` (spread over seeds, dex) and `half_width` (of the
    boundary's band, as a share of an axis); over `vertex`: the boundaries, `edge_*`; over `trial`: every trial.

    `attrs` as for cells, and `expected_error` (mean of phase_error), `held_out_*` (see `HeldOut`), `adaptive`, `fitted`
    (trials in the fit), `notes`.

    Args:
        table: of `query.readings`, with `attrs["continuous"]`.
        query: what was asked.
        axes: of the study.
        proposed: of `proposals`.
        ratio: R that outcomes were predicted with, before trials ran.

    Raises:
        BadInput: an axis that cannot be drawn so.
    """
    found = fitted(table, axes)
    facets = range(len(found.plane.facets.values)) if found.plane.facets else [None]
    keys = ["y", "x"] if len(found.plane.drawn) == 2 else ["x"]
    names = _names(table, keys, found)
    size = ACROSS if len(keys) == 2 else ALONG
    parts = [_statistics(found, facet, size, query.confidence) for facet in facets]
    data: dict[Hashable, object] = {
        name: (names, np.stack([part[name] for part in parts], axis=-1) if found.plane.facets else parts[0][name])
        for name in parts[0]
    }
    drawn_edges = [edge for facet in facets for edge in edges(found, facet, query.confidence)]
    data |= _value(data, query.value, names)
    data |= _of_edges(drawn_edges)
    data |= {"noise": ("margin", found.posterior.noise), "half_width": ("margin", _half_widths(drawn_edges))}
    data |= _of_trials(table, found, proposed)
    attrs = {name: value for name, value in table.attrs.items() if name != "slices"}
    attrs |= {f"{key}_dim": None for key in ("x", "y", "facet")}
    attrs |= {f"{key}_dim": name for key, name in zip([*keys, "facet"], names, strict=False)}
    attrs |= {
        "kind": POSTERIOR,
        "confidence": query.confidence,
        **_account(data, found),
        **_check(table, query, proposed, ratio),
    }
    return xr.Dataset(data, coords=_coordinates(found, names, size), attrs=attrs)


def _names(table: pd.DataFrame, keys: Sequence[str], found: Fitted) -> tuple[str, ...]:
    paths = [table.attrs[key] for key in keys] + ([found.plane.facets.path] if found.plane.facets else [])
    return dimension_names(paths, {*VALUES, "t_gen", "trial", "value", "phase_error", "noise", "margin", "vertex"})


def _coordinates(found: Fitted, names: tuple[str, ...], size: int) -> dict[Hashable, object]:
    plane = found.plane
    coordinates: dict[Hashable, object] = {"margin": list(MARGINS)}
    for name, axis in zip(names, reversed(plane.drawn), strict=False):
        about = {"path": axis.name, "log": axis.log, "bin_edges": [], "low": axis.low, "high": axis.high}
        coordinates[name] = (name, lattice(axis, size), about)
    if plane.facets:
        levels = np.array(plane.facets.values, dtype=object if plane.facets.categorical else float)
        coordinates[names[-1]] = (names[-1], levels, {"path": plane.facets.path, "log": False, "bin_edges": []})
    return coordinates


def _statistics(found: Fitted, facet: int | None, size: int, confidence: float) -> dict[str, np.ndarray]:
    """Every variable of one facet, [y, x] or [x]."""
    ticks = (np.arange(size) + 0.5) / size
    shape = (size,) * len(found.plane.drawn)
    unit = np.stack(np.meshgrid(*[ticks] * len(shape)), axis=-1).reshape(-1, len(shape))
    places = found.plane.places(unit, facet)
    posterior, z = found.posterior, NormalDist().inv_cdf(0.5 + confidence / 2) * CALIBRATION
    margins = posterior.margins(places)  # read once: it is what costs time
    lost_at = posterior.latents[len(MARGINS)].at(places) if len(posterior.latents) > len(MARGINS) else None
    noises = posterior.noise

    def of_a_trial(seeds: float) -> Float[np.ndarray, "n 6"]:
        mem, gen, delay = ndtr(-margins.mean / np.hypot(margins.sd, noises * seeds)).T
        lost = None
        if lost_at is not None:
            lost = share_below(lost_at.mean, lost_at.var + (_lost_noise(posterior) * seeds) ** 2)
        return outcomes(mem, gen, delay, lost, inversion=posterior.inversion)

    chances, majority = of_a_trial(1.0), of_a_trial(0.0)
    chance = dict(zip(LABELS, chances.T, strict=True))
    generalised = chance["grokking"] + chance["comprehension"]
    delay, spread = margins.mean[:, 2] + np.log10(found.question.ratio), z * margins.sd[:, 2]
    rarely = generalised < 0.5
    part = {
        **_with_sums(chance),
        **_intervals(found, margins.mean, margins.sd, chance["diverged"], confidence),
        "log10_delay_ratio": np.where(rarely, np.nan, delay),
        "log10_delay_ratio_low": np.where(rarely, np.nan, delay - spread),
        "log10_delay_ratio_high": np.where(rarely, np.nan, delay + spread),
        "outcome": majority.argmax(axis=1).astype(float),
        "phase_error": 1.0 - majority.max(axis=1),
    }
    return {name: values.reshape(shape) for name, values in part.items()}


def _lost_noise(posterior: Posterior) -> float:
    """Spread of divergence over seeds; asked only where some trial diverged."""
    return float(posterior.latents[len(MARGINS)].settings.noise)


def _intervals(
    found: Fitted,
    mean: Float[np.ndarray, "n 3"],
    sd: Float[np.ndarray, "n 3"],
    diverged: Float[np.ndarray, " n"],
    confidence: float,
) -> dict[str, np.ndarray]:
    """Ends of every chance over draws of the margins, whose standard deviation is widened by CALIBRATION.

    The draws are the same at every place (a Sobol set), so ends are smooth. Divergence is taken at its mean.
    """
    sobol = qmc.Sobol(len(MARGINS), scramble=True, rng=np.random.default_rng(0)).random(_DRAWS)
    drawn = np.clip(sobol, 1e-6, 1 - 1e-6)
    latent = mean[:, :, None] + CALIBRATION * sd[:, :, None] * ndtri(drawn.T)
    below = ndtr(-latent / np.maximum(found.posterior.noise, 1e-9)[None, :, None])
    flat = [column.reshape(-1) for column in below.transpose(1, 0, 2)]
    lost = np.repeat(diverged, _DRAWS)
    chances = outcomes(flat[0], flat[1], flat[2], lost, inversion=found.posterior.inversion)
    every = _with_sums(dict(zip(LABELS, chances.reshape(-1, _DRAWS, len(LABELS)).transpose(2, 0, 1), strict=True)))
    tail = (1 - confidence) / 2
    ends = {name: np.quantile(values, [tail, 1 - tail], axis=1) for name, values in every.items()}
    return {f"{name}_{end}": pair[k] for name, pair in ends.items() for k, end in enumerate(("low", "high"))}


def _with_sums(chance: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """p_gen and p_mem with the chances that they are made of; diverged trials did neither."""
    generalised = chance["inversion"] + chance["grokking"] + chance["comprehension"]
    memorised = chance["memorization"] + chance["grokking"] + chance["comprehension"]
    return {"p_gen": generalised, "p_mem": memorised, **{f"p_{name}": chance[name] for name in LABELS}}


def _value(data: dict[Hashable, object], value: str, names: tuple[str, ...]) -> dict[Hashable, object]:
    """The value asked for with its ends; nothing where a posterior does not know it."""
    shape = data["p_gen"][1].shape  # type: ignore[index]
    nothing = (names, np.full(shape, np.nan))
    known = value in VALUES
    return {
        "value": data[value] if known else nothing,
        "value_low": data.get(f"{value}_low", nothing),
        "value_high": data.get(f"{value}_high", nothing),
    }


def _of_edges(drawn: Sequence[Edge]) -> dict[Hashable, object]:
    """Every vertex of every line and ring: margin, facet (its number), part, number of the piece, x, y."""
    pieces = [(edge, part, piece) for edge in drawn for part in ("line", "band") for piece in getattr(edge, f"{part}s")]
    lengths = [len(piece) for _, _, piece in pieces]
    points = np.concatenate([piece for _, _, piece in pieces]) if pieces else np.empty((0, 2))
    words = (
        ("margin", [edge.margin for edge, _, _ in pieces]),
        ("part", [part for _, part, _ in pieces]),
    )
    numbers = (("facet", [edge.facet or 0 for edge, _, _ in pieces]), ("piece", list(range(len(pieces)))))
    columns: dict[Hashable, object] = {
        f"edge_{name}": ("vertex", np.repeat(np.array(column, dtype=kind), lengths))
        for group, kind in ((words, object), (numbers, np.int64))
        for name, column in group
    }
    return columns | {"edge_x": ("vertex", points[:, 0]), "edge_y": ("vertex", points[:, 1])}


def _half_widths(drawn: Sequence[Edge]) -> Float[np.ndarray, " 3"]:
    """The widest of each margin over the facets; NaN without a line."""
    widths = [[edge.half_width for edge in drawn if edge.margin == margin] for margin in MARGINS]
    return np.array([np.fmax.reduce(own, initial=np.nan) for own in widths])


def _of_trials(table: pd.DataFrame, found: Fitted, proposed: pd.DataFrame) -> dict[Hashable, object]:
    plane = found.plane
    columns = {name.removeprefix("trial_"): _plain(table[name]) for name in _TRIALS}
    columns["source"] = _plain(sources(proposed, table["trial_id"]))
    columns["cell_facet"] = plane.facets.cell_of if plane.facets else np.zeros(len(table), dtype=np.int64)
    near = np.ones(len(table), dtype=bool)
    for number, (axis, value) in enumerate(plane.slices.items(), start=len(plane.drawn)):
        near &= np.abs(found.places.unit[:, number] - unit_of(axis, np.array([value]))) <= BESIDE_SLICE
    columns["on_slice"] = near
    return {f"trial_{name}": xr.Variable("trial", column, fastpath=True) for name, column in columns.items()}


def _plain(column: pd.Series) -> np.ndarray:
    plain: np.ndarray = column.to_numpy(dtype=None if pd.api.types.is_numeric_dtype(column) else object)
    return plain


def _account(data: dict[Hashable, object], found: Fitted) -> dict[str, object]:
    """What a caption says of a fit."""
    return {
        "expected_error": float(data["phase_error"][1].mean()),  # type: ignore[index]
        "fitted": int(found.used.sum()),
        "notes": list(found.notes),
    }


def _check(table: pd.DataFrame, query: PhaseQuery, proposed: pd.DataFrame, ratio: float) -> dict[str, object]:
    """The held-out check, if outcomes are read as they were predicted; else why there is none.

    A study that was extended has predictions for several T: each is held only against outcomes at its own.
    """
    predicted = proposed[is_held_out(proposed)]
    same = (query.tau, query.rule, float(table.attrs["ratio"])) == (TAU, None, ratio)
    asked = predicted[same & (predicted["budget"] == int(table.attrs["budget"]))]
    check = held_out(asked, table.set_index("trial_id")["outcome"].astype(str))
    steps = " or ".join(f"{budget:,.0f}" for budget in sorted(predicted["budget"].unique()))
    return {
        "adaptive": is_adaptive(proposed),
        "held_out_n": check.n,
        "held_out_wrong": check.wrong,
        "held_out_upper": check.upper,
        "held_out_expected": check.expected,
        "held_out_calibration": check.calibration,
        "held_out_why": f"was predicted for T = {steps}, R = {ratio:g}, τ = {TAU:g}; ask for these to see it"
        if len(predicted) and not len(asked)
        else "",
    }
