"""The fits by name. A new one is one file with `fit_study(connection, query) -> Fit`, and one line here."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Mapping

import duckdb

from grokstudy.phase.inference.query import FitQuery
from grokstudy.phase.inference.result import Fit
from grokstudy.spec.errors import BadInput, unknown

COMMON = ("fix", "tau", "budget", "rule", "confidence")
"""Settings of a query that every fit uses."""
_BOOTSTRAP = ("cluster", "resamples", "resampling_seed")
_CUT = ("x", "value", "ratio", "size", "at", *_BOOTSTRAP)


@dataclasses.dataclass(frozen=True, slots=True)
class Kind:
    """A fit: its file in this folder, the settings it uses besides the common ones, the question it answers."""

    file: str
    uses: tuple[str, ...]
    question: str


FITS: Mapping[str, Kind] = {
    "interval": Kind("interval_censored", ("x", "event"), "when do the trials of each cell get there?"),
    "aft": Kind("aft", ("x", "event", "cluster"), "by what factor does each setting delay it?"),
    "cure": Kind("cure", ("x", "event", "cluster"), "does a setting make it slow, or make it never happen?"),
    "exponent": Kind("exponent", ("x", "event", "cluster"), "where and how fast does the time diverge?"),
    "budget-shift": Kind("budget_shift", ("x", "event", "cluster"), "how far is the boundary at T from x_c?"),
    "susceptibility": Kind("susceptibility", _CUT, "where do seeds differ most?"),
    "bimodality": Kind("bimodality", _CUT, "do seeds fall into two groups?"),
    "collapse": Kind("collapse", _CUT, "do all sizes follow one curve?"),
    "hysteresis": Kind("hysteresis", ("x", "value", *_BOOTSTRAP), "does the end depend on the start?"),
    "sentinels": Kind("sentinels", ("x", "event"), "which cells get there, and how far do seeds spread the time?"),
    "seeds": Kind("seeds", ("event", "value", "ratio", "at"), "which seed is it: data, init, batch or noise?"),
}


def fit(connection: duckdb.DuckDBPyConnection, what: str, query: FitQuery) -> Fit:
    """The fit called `what` of the trials behind a connection.

    Raises:
        BadInput: no such fit, a setting that this fit does not use, or trials that it cannot be fitted to.
    """
    if what not in FITS:
        raise unknown("fit", what, FITS, "Each answers one question: " + "; ".join(_line(name) for name in FITS) + ".")
    refuse_unused(what, query)
    module = importlib.import_module(f"{__package__}.{FITS[what].file}")
    fit_study: Callable[[duckdb.DuckDBPyConnection, FitQuery], Fit] = module.fit_study
    return fit_study(connection, query)


def refuse_unused(what: str, query: FitQuery) -> None:
    """Raises BadInput for a setting that was given and that this fit would ignore."""
    for field in dataclasses.fields(query):
        given = getattr(query, field.name)
        if given != field.default and field.name not in (*COMMON, *FITS[what].uses):
            used = ", ".join(FITS[what].uses)
            raise BadInput(f"{field.name}: `fit {what}` does not use it (it uses {used}); leave it out.")


def _line(name: str) -> str:
    return f"{name}: {FITS[name].question}"
