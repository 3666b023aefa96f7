"""What a diagram of continuous axes says in words: its caption, and a summary for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import xarray as xr

from grokstudy.phase.posterior import BESIDE_SLICE, VALUES

EDGE_NAMES = {"mem": "memorises by T", "gen": "generalises by T", "delay": "delay = R"}
"""What lies along each margin's line."""
APART = "   ·   "


def caption(diagram: xr.Dataset) -> str:
    """The line under a figure: thresholds, trials, how good the map is, and what it assumes."""
    return APART.join([*thresholds(diagram), *quality(diagram)])


def thresholds(diagram: xr.Dataset) -> Iterator[str]:
    """Under what rules the trials were read, and how many there are."""
    attrs, undetermined = diagram.attrs, int((diagram["trial_outcome"] == "undetermined").sum())
    yield f"generalised: {attrs['rule']}" if attrs["rule"] else f"τ = {attrs['tau']:g}"
    yield f"grokking: t_gen ≥ {attrs['ratio']:g} t_mem"
    yield f"T = {attrs['budget']:,} steps ({attrs['budget_source']})"
    yield f"N = {diagram.sizes['trial']:,} trials" + (f", {undetermined:,} undetermined" if undetermined else "")
    if attrs["fix"]:
        yield attrs["fix"] + _slice(diagram)
    if attrs["value"] not in VALUES:
        yield f"no posterior of {attrs['value']}: every point shows its own trial's value, nothing between is known"


def quality(diagram: xr.Dataset) -> Iterator[str]:
    """How far the map can be trusted."""
    attrs = diagram.attrs
    yield f"posterior of {attrs['fitted']:,} trials; expected error {attrs['expected_error']:.1%}"
    width = _by_margin(diagram, "half_width")
    yield f"boundaries ({attrs['confidence']:.0%}): " + (
        "; ".join(f"{EDGE_NAMES[name]} ±{value:.2g} of an axis" for name, value in width) if width else "none found"
    )
    yield "seed noise " + ", ".join(f"{name} {value:.2g}" for name, value in _by_margin(diagram, "noise")) + " dex"
    yield held_out_words(diagram)
    yield from attrs["notes"]


def held_out_words(diagram: xr.Dataset) -> str:
    """The check on trials that were predicted before they ran."""
    attrs = diagram.attrs
    n, wrong = attrs["held_out_n"], attrs["held_out_wrong"]
    if not n:
        return f"held-out check: {attrs['held_out_why'] or 'no trial was predicted before it ran'}"
    said = attrs["held_out_calibration"]
    words = f"{attrs['held_out_expected']:.1f} expected" if said == "too few to say" else said
    return f"held-out check: {wrong} of {n} wrong ({words}), error at most {attrs['held_out_upper']:.1%} (95%)"


def summary(diagram: xr.Dataset) -> list[tuple[str, str]]:
    """The caption as lines of a table."""
    attrs = diagram.attrs
    lines = [
        ("trials", f"{diagram.sizes['trial']:,} ({attrs['fitted']:,} in the fit)"),
        ("T", f"{attrs['budget']:,} steps ({attrs['budget_source']})"),
        ("expected error", f"{attrs['expected_error']:.1%}"),
        *((f"boundary: {EDGE_NAMES[n]}", f"±{value:.2g} of an axis") for n, value in _by_margin(diagram, "half_width")),
        *((f"seed noise: {name}", f"{value:.2g} dex") for name, value in _by_margin(diagram, "noise")),
        ("held-out check", held_out_words(diagram).removeprefix("held-out check: ")),
        *(("slice", attrs["fix"] + _slice(diagram)) for _ in ("",) if attrs["fix"]),
        *(("note", note) for note in attrs["notes"]),
    ]
    return lines


def _slice(diagram: xr.Dataset) -> str:
    """Only said where trials lie beside what is drawn."""
    near = diagram["trial_on_slice"].to_numpy()
    if near.all():
        return ""
    count = int(near.sum())
    return f" (a slice of the posterior; points: the {count:,} trials within {BESIDE_SLICE:.0%} of an axis from it)"


def _by_margin(diagram: xr.Dataset, name: str) -> list[tuple[str, float]]:
    """The values of a variable over margins that are known."""
    pairs = zip(diagram["margin"].to_numpy().tolist(), diagram[name].to_numpy().tolist(), strict=True)
    return [(margin, value) for margin, value in pairs if np.isfinite(value)]
