"""Where along a trial a number is read: at the end, at t_gen, at a multiple of t_gen, or at one step for all."""

from __future__ import annotations

import dataclasses
import re
from typing import Literal

import duckdb
import pandas as pd

from grokstudy.phase.columns import quoted
from grokstudy.spec.errors import BadInput

WIDEST_GAP = 5 / 3
"""Scheduled checkpoints (1, 1.5, 2, 3, 5, 7, 9 times 10^k) are at most this factor apart: a network at or after t_gen
that is further away than this is not the network at t_gen."""
_MULTIPLE = re.compile(r"(?:(\d{1,15}(?:\.\d{1,15})?)\*)?t_gen")
_STEP = re.compile(r"step:(\d{1,15})")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A stated place: `factor` of t_gen, or `step`, or the end (neither given)."""

    kind: Literal["end", "t_gen", "step"]
    factor: float = 1.0
    step: int = 0


def parse_place(text: str) -> Place:
    """Reads `end`, `t_gen`, `2*t_gen` or `step:S`.

    Raises:
        BadInput: anything else, or a factor below 1 (there the trial has not generalised).
    """
    if text == "end":
        return Place(kind="end")
    if match := _STEP.fullmatch(text):
        return Place(kind="step", step=int(match[1]))
    match = _MULTIPLE.fullmatch(text)
    if match is None:
        raise BadInput(f"at: got '{text}', must be end, t_gen, a multiple such as 2*t_gen, or step:S e.g. step:2000.")
    factor = float(match[1] or 1)
    if factor < 1:
        raise BadInput(f"at: got '{text}', the multiple of t_gen must be at least 1.")
    return Place(kind="t_gen", factor=factor)


def read_at(
    connection: duckdb.DuckDBPyConnection,
    view: Literal["measures", "curves"],
    column: str,
    trials: pd.DataFrame,
    place: Place,
) -> pd.Series:
    """The column of `view` at the place, for each of `trials` (trial_id, steps_run, t_gen); NaN if not there.

    The end is the last step exactly; `step:S` is S exactly; (a multiple of) t_gen is the first stored step at or
    after it, at most 5/3 later.

    Raises:
        BadInput: no trial has anything stored at `step:S`; the message names the nearest step that has.
    """
    start, stop = _window(trials, place)
    wanted = pd.DataFrame({"trial_id": trials["trial_id"], "start": start, "stop": stop})
    connection.register("_wanted_places", wanted)
    try:
        found = connection.execute(
            f"SELECT trial_id, arg_min(v.{quoted(column)}, v.step)::DOUBLE AS value FROM {view} v "
            "JOIN _wanted_places w USING (trial_id) WHERE v.step >= w.start AND v.step <= w.stop GROUP BY trial_id"
        ).df()
    finally:
        connection.unregister("_wanted_places")
    if found.empty and place.kind == "step":
        raise BadInput(_nothing_there(connection, view, place.step))
    return trials["trial_id"].map(found.set_index("trial_id")["value"]).astype(float)


def _window(trials: pd.DataFrame, place: Place) -> tuple[pd.Series, pd.Series]:
    if place.kind == "end":
        return trials["steps_run"], trials["steps_run"]
    if place.kind == "step":
        step = pd.Series(place.step, index=trials.index)
        return step, step
    start = place.factor * trials["t_gen"].astype(float)
    return start, start * WIDEST_GAP


def _nothing_there(connection: duckdb.DuckDBPyConnection, view: str, step: int) -> str:
    row = connection.execute(f"SELECT step FROM {view} ORDER BY abs(step - ?), step LIMIT 1", [step]).fetchone()
    near = f"the nearest step with values is step:{row[0]}" if row else f"{view} is empty; measure the study first"
    return f"at: nothing is stored at step {step}; {near}."
