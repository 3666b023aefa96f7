"""A phase diagram computed the plain way, trial by trial and cell by cell: what the fast one must equal bit for bit."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import xarray as xr

from grokstudy.phase.categories import category_names
from grokstudy.phase.columns import label
from grokstudy.phase.query import SHARES, PhaseQuery
from grokstudy.phase.rule import Rule
from grokstudy.spec.axes import rounded
from grokstudy.spec.outcome import LABELS, outcome, retention, sustained


def plain_times(curves: pd.DataFrame, tau: float, rule: Rule | None) -> pd.DataFrame:
    """t_mem, t_gen and t_lose of every curve, one evaluation after the other."""
    column = rule.column if rule else "test_acc"
    found = {}
    for trial_id, curve in curves.groupby("trial_id"):
        curve = curve.sort_values("step")
        steps, values = curve["step"].to_numpy(), curve[column].to_numpy(dtype=float)
        above = rule.holds(values) if rule else values >= tau
        mem, gen = sustained(steps, curve["train_acc"].to_numpy(dtype=float) >= tau), sustained(steps, above)
        lost = retention(steps, above, gen.t if gen else None)[1]
        found[trial_id] = [math.nan if t is None else float(t) for t in (mem and mem.t, gen and gen.t, lost)]
    return pd.DataFrame.from_dict(found, orient="index", columns=["t_mem", "t_gen", "t_lose"])


def plain_trial(row: dict[str, Any], end: int, ratio: float) -> dict[str, Any]:
    """A trial as it stood at T."""
    steps = row["steps_run"]
    diverged_step = row["diverged_step"]
    if diverged_step is None and row["status"] == "diverged":
        diverged_step = steps
    diverged = diverged_step is not None and diverged_step <= end
    t_mem, t_gen = (
        None if diverged or row[name] is None or row[name] > end else int(row[name]) for name in ("t_mem", "t_gen")
    )
    known = diverged or t_gen is not None or (steps >= end and row["test_loss"] is not None)
    kept = "unknown"
    if t_gen is not None:
        kept = "kept" if min(steps, end) >= 2.0 * t_gen else "unknown"
        if row["t_lose"] is not None and row["t_lose"] <= end:
            kept = "lost"
    return {
        "t_mem": t_mem,
        "t_gen": t_gen,
        "retention": kept,
        "outcome": outcome(t_mem, t_gen, diverged=diverged, ratio=ratio) if known else "undetermined",
        "censored_at": end if diverged or t_gen is not None else min(steps, end),
        "determined": known,
    }


def plain_value(trial: dict[str, Any], value: str) -> float | None:
    """The value of one trial, None where it is not known."""
    if value in SHARES:
        holds = {
            "p_gen": trial["t_gen"] is not None,
            "p_mem": trial["t_mem"] is not None,
            "p_lost": trial["retention"] == "lost",
        }.get(value, trial["outcome"] == value.removeprefix("p_"))
        return float(holds) if trial["determined"] else None
    if value == "log10_delay_ratio":
        return plain_delay(trial)
    if value == "retention":
        return {"kept": 1.0, "lost": 0.0, "unknown": None}[trial["retention"]]
    if value == "outcome":
        return float(LABELS.index(trial["outcome"])) if trial["determined"] else None
    return trial[value]


def plain_delay(trial: dict[str, Any]) -> float | None:
    if trial["t_mem"] is None or trial["t_gen"] is None:
        return None
    return float(np.log10(max(trial["t_gen"], 1) / max(trial["t_mem"], 1)))


def plain_wilson(k: int, n: int, confidence: float) -> tuple[float, float]:
    if n == 0:
        return math.nan, math.nan
    z2 = NormalDist().inv_cdf(0.5 + confidence / 2) ** 2
    centre, half = (k + z2 / 2) / (n + z2), math.sqrt(z2 * (k * (n - k) / n + z2 / 4)) / (n + z2)
    return (0.0 if k == 0 else centre - half), (1.0 if k == n else centre + half)


def plain_widened(k: int, n: int, undetermined: int, confidence: float) -> tuple[float, float]:
    every = n + undetermined
    return plain_wilson(k, every, confidence)[0], plain_wilson(k + undetermined, every, confidence)[1]


def plain_median_time(trials: list[dict[str, Any]], name: str) -> float:
    """Kaplan and Meier's."""
    last = [trial["censored_at"] if trial[name] is None else trial[name] for trial in trials]
    waiting = 1.0
    for time in sorted({trial[name] for trial in trials if trial[name] is not None}):
        waiting *= 1.0 - sum(trial[name] == time for trial in trials) / sum(one >= time for one in last)
        if waiting <= 0.5 + 1e-12:
            return float(time)
    return math.nan


def plain_median(values: list[float]) -> float:
    return float(np.median(values)) if values else math.nan


def plain_cell(trials: list[dict[str, Any]], query: PhaseQuery) -> dict[str, float]:
    """Every statistic of one cell."""
    known = [trial for trial in trials if trial["determined"]]
    n, undetermined = len(known), len(trials) - len(known)

    def share(k: int, of: int = n) -> float:
        return k / of if of else math.nan

    generalised = sum(trial["t_gen"] is not None for trial in known)
    lost, kept = (sum(trial["retention"] == name for trial in trials) for name in ("lost", "kept"))
    low, high = plain_widened(generalised, n, undetermined, query.confidence)
    delays = [delay for trial in trials if (delay := plain_delay(trial)) is not None]
    values = [trial["value"] for trial in trials if trial["value"] is not None]
    times = {name: plain_median_time(trials, name) for name in ("t_mem", "t_gen")}
    ends = math.nan, math.nan
    if query.value in SHARES or query.value == "retention":
        value = share(int(sum(values)), len(values))
        open_ = undetermined if query.value in SHARES else 0
        ends = plain_widened(int(sum(values)), len(values), open_, query.confidence)
    elif query.value in times:
        value = times[query.value]
    elif category_names(query.value):
        value = float(np.bincount(np.array(values, dtype=int)).argmax()) if values else math.nan
    else:
        value = plain_median(values)
    return {
        "n": n,
        "n_undetermined": undetermined,
        "p_gen": share(generalised),
        "p_gen_low": low,
        "p_gen_high": high,
        "p_mem": share(sum(trial["t_mem"] is not None for trial in known)),
        **{f"p_{name}": share(sum(trial["outcome"] == name for trial in known)) for name in LABELS},
        "p_lost": share(lost),
        "retention": share(kept, kept + lost),
        "t_mem_median": times["t_mem"],
        "t_gen_median": times["t_gen"],
        "log10_delay_ratio": plain_median(delays),
        "n_delay_ratio": len(delays),
        "value": value,
        "value_low": ends[0],
        "value_high": ends[1],
        "n_value": len(values),
    }


def plain_level(value: Any) -> float | str:
    """The level of an axis that a trial's setting is: a number to 12 digits, or a name."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(rounded(float(value)))  # type: ignore[arg-type]
    return label(value)


def assert_is_plain(
    diagram: xr.Dataset, rows: list[dict[str, Any]], query: PhaseQuery, curves: pd.DataFrame | None = None
) -> None:
    """Holds if every number of a diagram (not binned) is what the plain way gives, to the last bit."""
    end, attrs = diagram.attrs["budget"], diagram.attrs
    rows = sorted(rows, key=lambda row: str(row["trial_id"]))
    if curves is not None:
        again = plain_times(curves, query.tau, query.parsed_rule())
        known = again.astype(object).where(again.notna(), None).to_dict("index")
        rows = [row | known.get(row["trial_id"], dict.fromkeys(("t_mem", "t_gen", "t_lose"))) for row in rows]
    trials = [row | plain_trial(row, end, query.ratio) for row in rows]
    trials = [trial | {"value": plain_value(trial, query.value)} for trial in trials]
    assert diagram["trial_id"].to_numpy().tolist() == [trial["trial_id"] for trial in trials]
    for name in ("outcome", "retention", "determined", "censored_at", "seed"):
        assert diagram[f"trial_{name}"].to_numpy().tolist() == [trial[name] for trial in trials], name
    for name in ("t_mem", "t_gen", "value"):
        expected = np.array([math.nan if trial[name] is None else trial[name] for trial in trials], dtype=float)
        np.testing.assert_array_equal(diagram[f"trial_{name}"].to_numpy(), expected, name)
    drawn = [key for key in ("y", "x", "facet") if attrs[key]]
    levels = [diagram[attrs[f"{key}_dim"]].to_numpy().tolist() for key in drawn]
    members: dict[tuple[int, ...], list[dict[str, Any]]] = {}
    for trial in trials:
        place = tuple(own.index(plain_level(trial[attrs[key]])) for own, key in zip(levels, drawn, strict=True))
        members.setdefault(place, []).append(trial)
    for place in np.ndindex(*(len(own) for own in levels)):
        for name, expected_value in plain_cell(members.get(place, []), query).items():
            np.testing.assert_array_equal(diagram[name].to_numpy()[place], expected_value, f"{name} of {place}")


def curves_view(connection: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    return connection.execute("SELECT * FROM curves").df()
