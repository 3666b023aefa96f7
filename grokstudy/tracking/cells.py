"""What the run of one cell holds: the trials that differ in their seeds only, as quantiles."""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Float

from grokstudy.spec.rows import FINAL, TrialRow
from grokstudy.tracking import names
from grokstudy.tracking.content import (
    CURVES,
    Point,
    RunContent,
    RunStatus,
    delay_ratio,
    measure_key,
    milliseconds,
)
from grokstudy.tracking.notes import cell_note
from grokstudy.tracking.source import TrialProjection

QUANTILES: Mapping[str, float] = {"median": 0.5, "q25": 0.25, "q75": 0.75}


def cell_digest(trial_digests: Sequence[str]) -> str:
    """Digest of a cell: of its trials, in any order."""
    return hashlib.blake2b(" ".join(sorted(trial_digests)).encode(), digest_size=16).hexdigest()


def cell_content(trials: Sequence[TrialProjection], *, varied: tuple[str, ...], base: int, digest: str) -> RunContent:
    """The run of one cell.

    Args:
        trials: all trials of the cell, with thinned curves.
        varied: config paths that name the run; seeds among them are left out.
        base: milliseconds added to the step of a curve point.
        digest: what `cell_digest` says.
    """
    rows = [trial.row for trial in trials]
    written = max(milliseconds(row.written_at) for row in rows)
    at = max(row.steps_run for row in rows)
    first = rows[0]
    facts = (Point(key, value, at, written) for key, value in cell_facts(rows).items() if math.isfinite(value))
    return RunContent(
        name=names.run_name(first, varied, seeds=False),
        identity={names.ROLE: "cell", names.STUDY: first.study, names.CELL: names.cell_key(first)},
        tags={
            names.NOTE: cell_note(first.study, [row.trial_id for row in rows]),
            "grokstudy.steps_run": str(at),
        },
        params=names.params_of(first, seeds=False),
        curves=tuple(_curves(trials, base)),
        facts=(*facts, *_measures(trials)),
        digest=digest,
        status=_status(rows),
        started=min(milliseconds(row.written_at) - round(1000 * row.seconds) for row in rows),
        ended=written,
        finished=sum(row.status in FINAL for row in rows),
    )


def cell_facts(rows: Sequence[TrialRow]) -> dict[str, float]:
    """Numbers of a cell.

    `n_seeds` counts the trials that ran to an end; `p_gen` is their share that generalised by `p_gen_steps`, the
    latest step at which all of them are decided; diverged ones are in its denominator. Quantiles of t_mem, t_gen and
    delay_ratio are observed values (inverted distribution function); "not seen" counts as infinity and may be one.
    """
    final = [row for row in rows if row.status in FINAL]
    facts = {"n_seeds": float(len(final)), "n_unfinished": float(len(rows) - len(final))}
    if not final:
        return facts
    undecided = [row.steps_run for row in final if row.t_gen is None and row.status != "diverged"]
    horizon = min(undecided, default=max(row.steps_run for row in final))
    generalised = [r for r in final if r.status != "diverged" and r.t_gen is not None and r.t_gen <= horizon]
    facts |= {
        "p_gen": len(generalised) / len(final),
        "p_gen_steps": float(horizon),
        "n_diverged": float(sum(row.status == "diverged" for row in final)),
    }
    times: dict[str, list[int | float | None]] = {
        "t_mem": [row.t_mem for row in final],
        "t_gen": [row.t_gen for row in final],
        "delay_ratio": [delay_ratio(row) for row in final],
    }
    for key, seen in times.items():
        values = [math.inf if value is None else float(value) for value in seen]
        for name, q in QUANTILES.items():
            facts[f"{key}_{name}"] = float(np.quantile(values, q, method="inverted_cdf"))
    return facts


def _curves(trials: Sequence[TrialProjection], base: int) -> Iterator[Point]:
    """Quantiles over seeds at every step that all trials which got so far have kept, and how many these are."""
    curves = [trial.curve for trial in trials if trial.curve is not None and len(trial.curve.step)]
    reached: dict[int, int] = defaultdict(int)
    for curve in curves:
        for step in curve.step.tolist():
            reached[step] += 1
    steps = [s for s in sorted(reached) if reached[s] == sum(curve.step[-1] >= s for curve in curves)]
    yield from (Point("n_curves", float(reached[step]), step, base + step) for step in steps)
    for key in CURVES:
        values = np.full((len(curves), len(steps)), np.nan)
        for lane, curve in enumerate(curves):
            index = np.searchsorted(curve.step, steps)
            found = np.flatnonzero(index < len(curve.step))
            values[lane, found] = getattr(curve, key)[index[found]]
        for step, quantiles in zip(steps, _quantiles(values), strict=True):
            for name, value in zip(QUANTILES, quantiles, strict=True):
                if math.isfinite(value):
                    yield Point(f"{key}_{name}", value, step, base + step)


def _quantiles(values: Float[np.ndarray, "curves steps"]) -> list[list[float]]:
    """`QUANTILES` of the finite values at every step; NaN where there are none."""
    found = np.full((len(QUANTILES), values.shape[1]), np.nan)
    finite, q = np.isfinite(values), list(QUANTILES.values())
    whole = finite.all(axis=0)
    found[:, whole] = np.quantile(values[:, whole], q, axis=0)
    for step in np.flatnonzero(finite.any(axis=0) & ~whole):
        found[:, step] = np.quantile(values[finite[:, step], step], q)
    return found.T.tolist()


def _measures(trials: Sequence[TrialProjection]) -> Iterator[Point]:
    """Median over seeds of every measure at every step."""
    values: dict[tuple[str, int], list[float]] = defaultdict(list)
    written: dict[tuple[str, int], int] = defaultdict(int)
    for trial in trials:
        for measure in trial.measures:
            value, place = measure.value.value, (measure.value.measure, measure.step)
            if value is not None and math.isfinite(value):
                values[place].append(value)
                written[place] = max(written[place], milliseconds(measure.written_at))
    for (name, step), seen in values.items():
        yield Point(f"{measure_key(name)}_median", float(np.median(seen)), step, written[name, step])


def _status(rows: Sequence[TrialRow]) -> RunStatus:
    """FINISHED as soon as one trial ran to an end: `n_unfinished` tells of the others."""
    if any(row.status in FINAL for row in rows):
        return "FINISHED"
    return "FAILED" if any(row.status == "failed" for row in rows) else "KILLED"
