"""A comparison as rows, as JSON and as files."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from grokstudy.phase.compare import Comparison, Strip
from grokstudy.phase.export import PICTURES, check_suffix


def write(comparisons: Sequence[Comparison], path: Path) -> Path:
    """Writes a figure (.png .svg .pdf .html) or the rows (.csv .json .parquet).

    Raises:
        BadInput: another suffix, or a folder that does not exist.
    """
    suffix = check_suffix(path)
    if suffix in PICTURES:
        from grokstudy.phase.compare_figure import compare_figure_data
        from grokstudy.phase.compare_matplotlib import save
        from grokstudy.phase.compare_plotly import compare_html

        data = compare_figure_data(comparisons)
        if suffix == ".html":
            path.write_text(compare_html(data), encoding="utf-8")
        else:
            save(data, path, suffix[1:])
    elif suffix == ".json":
        path.write_text(to_json(comparisons) + "\n", encoding="utf-8")
    elif suffix == ".csv":
        effects(comparisons).to_csv(path, index=False)
    else:
        effects(comparisons).to_parquet(path, index=False)
    return path


def effects(comparisons: Sequence[Comparison]) -> pd.DataFrame:
    """One row per cell, then one over all cells. An end that is not bounded is NULL."""
    rows = []
    for one in comparisons:
        rows += [_strip_row(one, strip) for strip in one.strips]
        if one.over_seeds is not None:
            rows.append(_overall_row(one))
    return pd.DataFrame(rows).convert_dtypes()


def pairs(comparisons: Sequence[Comparison]) -> pd.DataFrame:
    """One row per pair: both trials, their values, and what is known of the effect. A value that was not seen has a
    lower end only."""
    rows = []
    for one in comparisons:
        for strip in one.strips:
            low, high = strip.b.low - strip.a.high, strip.b.high - strip.a.low
            for i, (trial_a, trial_b) in enumerate(strip.trials):
                rows.append(
                    {
                        "a": one.a,
                        "b": one.b,
                        **dict(strip.settings),
                        "seed": strip.seeds[i],
                        "trial_a": trial_a,
                        "trial_b": trial_b,
                        "a_low": shown(one, strip.a.low[i]),
                        "a_high": shown(one, strip.a.high[i]),
                        "b_low": shown(one, strip.b.low[i]),
                        "b_high": shown(one, strip.b.high[i]),
                        "effect_low": shown(one, low[i]),
                        "effect_high": shown(one, high[i]),
                    }
                )
    return pd.DataFrame(rows)


def to_json(comparisons: Sequence[Comparison]) -> str:
    """Strict JSON: `comparisons` (what differs, T, numbers of trials without a partner), `cells`, `pairs`."""
    document = {
        "comparisons": [about(one) for one in comparisons],
        "cells": _records(effects(comparisons)),
        "pairs": _records(pairs(comparisons)),
    }
    return json.dumps(document, allow_nan=False, ensure_ascii=False)


def about(one: Comparison) -> dict[str, object]:
    """What was compared, under which thresholds."""
    return {
        "a": one.a,
        "b": one.b,
        "value": one.query.value,
        "effect": "ratio" if one.is_ratio else "difference",
        "budget": one.budget.steps,
        "budget_source": one.budget.source,
        "tau": one.query.tau,
        "rule": one.query.rule,
        "at": one.query.at,
        "differences": [{"setting": d.path, "a": d.a, "b": d.b} for d in one.differences],
        "unpaired_a": one.unpaired_a,
        "unpaired_b": one.unpaired_b,
    }


def shown(one: Comparison, end: float) -> float | None:
    """A stored end as a number for people: the ratio itself, None where there is no bound."""
    if not math.isfinite(end):
        return None
    return float(math.exp(end)) if one.is_ratio else float(end)


def _strip_row(one: Comparison, strip: Strip) -> dict[str, object]:
    effect = strip.effect
    exact = effect.median_low == effect.median_high
    return {
        "a": one.a,
        "b": one.b,
        **dict(strip.settings),
        "pairs": effect.pairs,
        "both": effect.both,
        "only_a": effect.only_a,
        "only_b": effect.only_b,
        "neither": effect.neither,
        "less": effect.less,
        "greater": effect.greater,
        "median": shown(one, effect.median_low) if exact else None,
        "median_low": shown(one, effect.median_low),
        "median_high": shown(one, effect.median_high),
        "low": shown(one, effect.low),
        "high": shown(one, effect.high),
        "confidence": effect.confidence,
        "p_value": None if math.isnan(effect.p_value) else effect.p_value,
    }


def _overall_row(one: Comparison) -> dict[str, object]:
    assert one.over_seeds is not None
    whole = one.over_seeds
    exact = whole.median_low == whole.median_high
    effects = [strip.effect for strip in one.strips]
    counts = ("pairs", "both", "only_a", "only_b", "neither", "less", "greater")
    return {
        "a": one.a,
        "b": one.b,
        **{path: f"all, {whole.seeds} seeds" for path, _ in one.strips[0].settings[:1]},
        **{name: sum(getattr(effect, name) for effect in effects) for name in counts},
        "median": shown(one, whole.median_low) if exact else None,
        "median_low": shown(one, whole.median_low),
        "median_high": shown(one, whole.median_high),
        "low": shown(one, whole.low),
        "high": shown(one, whole.high),
        "confidence": whole.confidence,
    }


def _records(frame: pd.DataFrame) -> list[dict[str, object]]:
    plain = frame.astype(object).where(frame.notna(), None)
    return [
        {str(name): value.item() if isinstance(value, np.generic) else value for name, value in row.items()}
        for row in plain.to_dict(orient="records")
    ]
