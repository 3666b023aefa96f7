"""Comparisons of planted studies: who is whose partner, what is refused, and what the figures and files say."""

from __future__ import annotations

import dataclasses
import io
import json
import math
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from phase_planted import T, connected, trial

from grokstudy.phase import compare_export
from grokstudy.phase.compare import Comparison, compare
from grokstudy.phase.compare_figure import compare_figure_data
from grokstudy.phase.compare_matplotlib import save
from grokstudy.phase.compare_plotly import compare_figure
from grokstudy.phase.compare_sides import CompareQuery, Side
from grokstudy.spec.errors import BadInput
from grokstudy.spec.outcome import HOLD

FILTER = "optimizer.filter"
TIMES = (40, 55, 70, 90, 120, 160, 200, 330)


def study(name: str, ratio: float, fractions: tuple[float, ...] = (0.5,), **settings: Any) -> list[dict[str, Any]]:
    """Eight seeds per fraction whose t_gen is `ratio` times a time of the seed, not seen past T / 1.2."""
    rows = []
    for frac in fractions:
        for seed, time in enumerate(TIMES):
            t_gen = round(time * ratio)
            row = trial(1.0, frac, seed, 10, t_gen if t_gen <= T / HOLD else None, **settings)
            rows.append(row | {"study": name, "trial_id": f"{name}-{frac}-{seed}"})
    return rows


def at_rate(rows: list[dict[str, Any]], lr: float) -> list[dict[str, Any]]:
    return [row | {"trial_id": f"{row['trial_id']}-{lr}", "optimizer.lr": lr, "lr": lr} for row in rows]


def sides(*studies: list[dict[str, Any]]) -> list[Side]:
    return [Side(name=rows[0]["study"], connection=connected(rows)) for rows in studies]


def compared(*studies: list[dict[str, Any]], **settings: Any) -> Comparison:
    (one,) = compare(sides(*studies), CompareQuery(**settings))
    return one


PLAIN = {FILTER: "none"}
FAST = {FILTER: "orthograd"}


def test_a_planted_ratio_is_found_with_what_differs() -> None:
    one = compared(study("plain", 1, **PLAIN), study("fast", 0.5, **FAST))
    (strip,) = one.strips
    assert one.is_ratio
    assert [dataclasses.astuple(d) for d in one.differences] == [(FILTER, "none", "orthograd")]
    assert (strip.effect.pairs, strip.effect.both, strip.effect.less) == (8, 8, 8)
    # Halves of odd times are rounded to steps: at most half a step of 28.
    assert math.exp(strip.effect.median_low) == pytest.approx(0.5, rel=0.5 / 28)
    assert strip.effect.p_value == pytest.approx(2 / 2**8)


def test_partners_have_equal_seeds_whatever_the_order_of_the_rows() -> None:
    plain, fast = study("plain", 1, **PLAIN), study("fast", 0.5, **FAST)
    whole = compared(plain, fast)
    shuffled = compared(plain[::-1], [fast[i] for i in (3, 1, 7, 0, 2, 6, 5, 4)])
    assert set(whole.strips[0].trials) == set(shuffled.strips[0].trials)
    assert all(a.rpartition("-")[2] == b.rpartition("-")[2] for a, b in whole.strips[0].trials)
    assert whole.strips[0].effect == shuffled.strips[0].effect


def test_a_trial_without_a_partner_is_counted_and_not_compared() -> None:
    one = compared(study("plain", 1, **PLAIN), study("fast", 0.5, **FAST)[2:])
    assert (one.strips[0].effect.pairs, one.unpaired_a, one.unpaired_b) == (6, 2, 0)


def test_another_seed_of_the_data_is_no_partner() -> None:
    moved = [row | {"seed_data": row["seed_data"] + 100} for row in study("fast", 0.5, **FAST)]
    with pytest.raises(BadInput, match=r"no pair of trials .* seed_data 0, 1, 2, 3, 4, \.\.\. against 100, 101"):
        compared(study("plain", 1, **PLAIN), moved)


def test_studies_that_differ_in_nothing_are_refused() -> None:
    with pytest.raises(BadInput, match="differ in no setting"):
        compared(study("plain", 1, **PLAIN), study("again", 0.5, **PLAIN))


def test_settings_that_one_side_does_not_have_are_named_as_absent() -> None:
    one = compared(study("plain", 1), study("fast", 0.5, **{"noise.temperature": 0.1}))
    assert [(d.path, d.a, d.b) for d in one.differences] == [("noise.temperature", "absent", "0.1")]


def test_a_setting_that_varies_on_both_sides_without_a_common_value_is_refused() -> None:
    rows = [[], []]
    for side, rates in enumerate(((0.1, 0.2), (0.3, 0.4))):
        for lr in rates:
            rows[side] += at_rate(study(f"s{side}", 1), lr)
    with pytest.raises(BadInput, match=r"optimizer\.lr: varies within s0"):
        compared(*rows)


def test_whole_numbers_and_floats_are_one_value() -> None:
    whole = [row | {"optimizer.lr": 1} for row in study("plain", 1, **PLAIN)]
    one = compared(whole, [row | {"optimizer.lr": 1.0} for row in study("fast", 0.5, **FAST)])
    assert [d.path for d in one.differences] == [FILTER]


def test_every_cell_is_a_strip_and_all_cells_count_each_seed_once() -> None:
    fractions = (0.3, 0.5, 0.7)
    one = compared(study("plain", 1, fractions, **PLAIN), study("fast", 0.5, fractions, **FAST))
    assert [strip.settings for strip in one.strips] == [(("task.frac_train", f"{frac}"),) for frac in fractions]
    assert one.over_seeds is not None
    assert one.over_seeds.seeds == 8
    assert one.over_seeds.confidence == one.strips[0].effect.confidence  # 24 pairs, but 8 independent ones


def test_nothing_is_averaged_in_silence() -> None:
    plain, fast = study("plain", 1, (0.3, 0.5), **PLAIN), study("fast", 1, (0.3, 0.5), **FAST)
    rows = [at_rate(one, 0.1) + at_rate(one, 0.2) for one in (plain, fast)]
    with pytest.raises(BadInput, match=r"neither shown nor fixed: optimizer\.lr = .*--fix optimizer\.lr=0\.1"):
        compared(*rows, by=("frac_train",))
    assert len(compared(*rows, by=("frac_train",), fix=(("lr", 0.1),)).strips) == 2
    assert len(compared(*rows).strips) == 4


def test_a_time_that_was_not_seen_only_bounds_the_ratio() -> None:
    """Eight times slower: half of the eight are not seen. A curve of T steps confirms times up to T / 1.2."""
    one = compared(study("plain", 1, **PLAIN), study("slow", 8, **FAST))
    effect = one.strips[0].effect
    seen = sum(time * 8 <= T / HOLD for time in TIMES)
    assert (effect.both, effect.only_a, effect.greater) == (seen, 8 - seen, 8)
    assert effect.high == math.inf
    assert effect.median_low <= math.log(8) <= effect.median_high == math.inf
    bounds = one.strips[0].b.low[one.strips[0].b.high == math.inf]
    assert np.exp(bounds) == pytest.approx(math.floor(T / HOLD))


def test_a_trial_that_was_stopped_early_takes_no_side() -> None:
    fast = study("fast", 0.5, **FAST)
    stopped = [row | {"t_gen": None, "steps_run": 24, "status": "stopped"} for row in fast]
    effect = compared(study("plain", 1, **PLAIN), stopped, budget=T).strips[0].effect
    assert (effect.less, effect.greater, effect.unordered) == (0, 0, 8)
    assert math.isnan(effect.p_value)


def test_a_diverged_trial_never_generalises() -> None:
    gone = [
        row | {"t_gen": None, "steps_run": 5, "status": "diverged", "diverged_step": 5} for row in study("x", 1, **FAST)
    ]
    effect = compared(study("plain", 1, **PLAIN), gone).strips[0].effect
    assert (effect.only_a, effect.greater) == (8, 8)


def test_other_values_are_compared_where_they_are_known() -> None:
    def with_losses(rows: list[dict[str, Any]], shift: float) -> list[dict[str, Any]]:
        return [row | {"test_loss": 0.5 + shift + row["seed"] / 100} for row in rows]

    one = compared(with_losses(study("p", 1, **PLAIN), 0), with_losses(study("f", 1, **FAST), -0.2), value="test_loss")
    assert not one.is_ratio
    assert one.strips[0].effect.median_low == one.strips[0].effect.median_high == pytest.approx(-0.2)
    longer = [row | {"steps_run": 2 * T} for row in study("f", 1, **FAST)]
    with pytest.raises(BadInput, match="needs a stated place"):
        compared(study("p", 1, **PLAIN), longer, value="test_loss")


@pytest.mark.parametrize("value", ["p_gen", "retention", "outcome", "algorithm_label"])
def test_shares_and_names_are_no_amounts(value: str) -> None:
    with pytest.raises(BadInput, match="no amount of one trial"):
        CompareQuery(value=value)


def test_more_cells_than_fit_are_refused_with_a_remedy() -> None:
    fractions = tuple(np.linspace(0.1, 0.9, 25).round(3))
    with pytest.raises(BadInput, match=r"25 cells .* --fix task\.frac_train=0\.1"):
        compared(study("plain", 1, fractions, **PLAIN), study("fast", 0.5, fractions, **FAST))


@pytest.fixture
def mixed() -> list[Comparison]:
    """One cell where all is seen, one where one side is not, one where neither is."""
    rows = [
        [
            row | ({"t_gen": None} if row["task.frac_train"] == 0.3 or (row["task.frac_train"] == 0.5 and slow) else {})
            for row in study(name, 1 + slow, (0.3, 0.5, 0.7), **setting)
        ]
        for name, slow, setting in (("plain", 0, PLAIN), ("slow", 1, FAST))
    ]
    return list(compare(sides(*rows), CompareQuery()))


def test_json_is_strict_and_an_unbounded_end_is_null(mixed: list[Comparison]) -> None:
    def refuse(text: str) -> None:
        raise AssertionError(text)

    document = json.loads(compare_export.to_json(mixed), parse_constant=refuse)
    assert document["comparisons"][0]["differences"] == [{"setting": FILTER, "a": "none", "b": "orthograd"}]
    none, some, every, overall = document["cells"]
    assert (none["neither"], none["low"], none["high"], none["p_value"]) == (8, None, None, None)
    assert (some["only_a"], some["high"], some["median"]) == (8, None, None)
    assert some["low"] > 1
    assert every["median"] == pytest.approx(2)
    assert (overall["pairs"], overall["task.frac_train"]) == (24, "all, 8 seeds")
    assert len(document["pairs"]) == 24


def test_the_figure_holds_every_trial_of_every_pair(mixed: list[Comparison]) -> None:
    data = compare_figure_data(mixed)
    assert [len(strip.pairs) for strip in data.strips] == [8, 8, 8]
    assert data.band is not None
    assert data.limit == T < data.band
    for strip, sides_seen in zip(data.strips, ((False, False), (True, False), (True, True)), strict=True):
        for pair in strip.pairs:  # what was not seen stands above T, what was seen below
            assert [mark.y < T for mark in (pair.a, pair.b)] == list(sides_seen)
    assert {pair.order for pair in data.strips[1].pairs} == {"greater"}
    assert {pair.order for pair in data.strips[0].pairs} == {"open"}
    traces = compare_figure(data).data
    assert sum(len(trace.x) for trace in traces if trace.mode == "markers") == 24 + 24 + 16


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf", ".html", ".csv", ".json", ".parquet"])
def test_every_format_is_written(mixed: list[Comparison], tmp_path: Path, suffix: str) -> None:
    starts = {
        ".png": b"\x89PNG",
        ".svg": b"<?xml",
        ".pdf": b"%PDF",
        ".html": b"<!doctype html",
        ".csv": b"a,b,",
        ".json": b"{",
    }
    written = compare_export.write(mixed, tmp_path / f"compared{suffix}").read_bytes()
    assert written.startswith(starts.get(suffix, b"PAR1"))
    if suffix == ".svg":
        assert all(word in written.decode() for word in ("frac_train 0.3", "not seen by T", "right one larger", "slow"))
    if suffix == ".parquet":
        assert pd.read_parquet(io.BytesIO(written))["high"].isna().sum() >= 2


def test_the_picture_uses_the_colours_of_both_orders() -> None:
    rows = [study("plain", 1, **PLAIN), study("fast", 0.5, **FAST)]
    rows[1] = [row | {"t_gen": 600} if row["seed"] < 3 else row for row in rows[1]]
    buffer = io.BytesIO()
    save(compare_figure_data([compared(*rows)]), buffer, "png")
    buffer.seek(0)
    pixels = (matplotlib.image.imread(buffer, format="png")[..., :3] * 255).round().astype(int).reshape(-1, 3)
    blue, orange = (np.abs(pixels - colour).sum(axis=1).min() for colour in ((0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)))
    assert (blue, orange) == (0, 0)
