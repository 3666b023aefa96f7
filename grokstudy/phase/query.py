"""What a phase diagram asks, and the trials that answer it, one row each."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from grokstudy.phase import columns, times
from grokstudy.phase.continuous import is_continuous
from grokstudy.phase.kept import Kept
from grokstudy.phase.places import Place, parse_place, read_at
from grokstudy.phase.rule import RULE_COLUMNS, Rule, parse_rule
from grokstudy.spec.axes import Axis, Value
from grokstudy.spec.errors import BadInput, unknown
from grokstudy.spec.outcome import LABELS, RATIO, TAU

SHARES: tuple[str, ...] = ("p_gen", "p_mem", "p_lost", *(f"p_{name}" for name in LABELS))
"""Values that are shares of a cell's determined trials."""
STATISTICS: tuple[str, ...] = (*SHARES, "t_mem", "t_gen", "log10_delay_ratio", "retention", "outcome")
"""Values that every study has; any column of trials and any measure is a value too."""
BOUNDARIES: tuple[str, ...] = ("logistic", "gp", "none")
"""How the line p_gen = .5 over cells is found."""
FACTS = (
    *("trial_id", "study", "seed", "budget", "steps_run", "status"),
    *("t_mem", "t_gen", "t_lose", "diverged_step", "test_loss"),
)
"""Columns that every diagram reads."""
_TABLES = Kept[pd.DataFrame](lambda table: table.size)
_NO_TRIALS = "The study has no trials yet; run it, or wait for its first pack to finish."
_AT_THE_END = ("train_loss", "test_loss", "train_acc", "test_acc", "sum_sq_weights")
"""Columns of trials that hold the last evaluation."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PhaseQuery:
    """A phase diagram in words. Column names are full config paths or unique leaves.

    Raises:
        BadInput: a setting outside its range.
    """

    x: str
    y: str | None = None
    value: str = "p_gen"
    """One of STATISTICS, a numeric column of trials or curves, or a measure (median over the cell's trials)."""
    fix: tuple[tuple[str, Value], ...] = ()
    facet: str | None = None
    tau: float = TAU
    """Accuracy from which a trial has memorised or generalised."""
    ratio: float = RATIO
    """t_gen / t_mem from which generalisation is called grokking."""
    budget: int | None = None
    """T; the fewest steps among finished trials if not given."""
    rule: str | None = None
    """Condition on curves, e.g. `test_loss<1e-6`, in place of `test_acc >= tau` in t_gen."""
    at: str | None = None
    """Where measures are read: end, t_gen, 2*t_gen, step:S."""
    bins: int | None = None
    """Bins of an axis with more distinct values than this."""
    confidence: float = 0.95
    """Of the Wilson intervals, and of a posterior's."""
    boundary: str | None = None
    """Line over cells: one of BOUNDARIES; None is logistic in the explorer, and no line in files."""

    def __post_init__(self) -> None:
        check_thresholds(self.tau, self.ratio, self.budget)
        _demand(self.bins is None or self.bins >= 1, "bins", self.bins, "must be a number >= 1, e.g. 12")
        _demand(0 < self.confidence < 1, "confidence", self.confidence, "must be in (0, 1), e.g. .95")
        if self.boundary is not None and self.boundary not in BOUNDARIES:
            raise unknown("boundary", self.boundary, BOUNDARIES)
        self.parsed_rule()
        self.place()

    def parsed_rule(self) -> Rule | None:
        return None if self.rule is None else parse_rule(self.rule)

    def place(self) -> Place | None:
        return None if self.at is None else parse_place(self.at)


def check_thresholds(tau: float, ratio: float, budget: int | None) -> None:
    """Accepts what outcomes can be read under.

    Raises:
        BadInput: an accuracy, ratio or number of steps outside its range.
    """
    _demand(0 < tau <= 1, "tau", tau, "must be an accuracy in (0, 1], e.g. .99")
    _demand(1 <= ratio < float("inf"), "ratio", ratio, "must be a number >= 1, e.g. 5")
    _demand(budget is None or budget >= 1, "budget", budget, "must be a number of steps >= 1")


def readings(
    connection: duckdb.DuckDBPyConnection, query: PhaseQuery, axes_of_study: Sequence[Axis] = ()
) -> pd.DataFrame:
    """One row per counting trial, in a fixed order whatever the order of the stored rows.

    Columns: trial_id, x, y, facet (y and facet NULL if not asked), seed, t_mem, t_gen, retention, outcome, censored_at,
    determined, value. Times are in steps, NaN if not seen by T. `attrs`: x, y, facet (full names), value, budget (T),
    budget_source, tau, ratio, rule, at, fix, study.

    Without `bins`, a continuous axis that is fixed keeps all its trials, since none lies at the very value: its column
    is added under its path, and `attrs["slices"]` holds the value. `attrs["continuous"]`: the drawn and sliced axes
    that have no cells; both are there only if there is one.

    Args:
        connection: has the views of the studies.
        query: what is asked.
        axes_of_study: which of them are intervals; without, an axis of many numbers counts as one.

    Raises:
        BadInput: an unknown name, a varying setting that is neither drawn nor fixed, a value that needs `at`, a budget
            that no trial reached, or no trials at all.
    """
    names = columns.columns_of(connection, "trials")
    if not columns.config_paths(names):
        raise BadInput(_NO_TRIALS)
    axes = {key: columns.resolve(key, given, names) for key, given in _axes(query)}
    if len(set(axes.values())) < len(axes):
        raise BadInput(f"x, y and facet must differ, got {', '.join(f'{k}={v}' for k, v in axes.items())}.")
    _refuse_results(axes)
    fix = tuple((columns.resolve("fix", column, names), value) for column, value in query.fix)
    frame = _needed(connection, query, names, tuple(axes.values()), [column for column, _ in fix])
    if frame.empty:
        raise BadInput(_NO_TRIALS)
    slices = {} if query.bins else _slices(frame, fix, axes_of_study)
    frame = columns.fixed(frame, [pair for pair in fix if pair[0] not in slices])
    columns.refuse_silent_average(frame, tuple(axes.values()), [column for column, _ in fix])
    if query.tau != TAU or query.rule is not None:
        again = times.reread(connection, frame["trial_id"], query.tau, query.parsed_rule())
        frame = frame.drop(columns=list(again.columns)).join(again, on="trial_id")
    budget = times.common_budget(frame, query.budget)
    frame = times.cut(frame, budget, query.ratio)
    table = pd.DataFrame(
        {
            "trial_id": frame["trial_id"],
            "x": frame[axes["x"]],
            "y": frame[axes["y"]] if "y" in axes else None,
            "facet": frame[axes["facet"]] if "facet" in axes else None,
            **{
                name: frame[name]
                for name in ("seed", "t_mem", "t_gen", "retention", "outcome", "censored_at", "determined")
            },
            "value": trial_values(connection, query, frame, names),
            **{path: frame[path] for path in slices},
        }
    )
    table = table.reset_index(drop=True)
    continuous = [path for path in (*axes.values(), *slices) if is_continuous(path, frame[path], axes_of_study)]
    table.attrs = {
        "study": ", ".join(_distinct(frame["study"])),
        **{key: axes.get(key) for key in ("x", "y", "facet")},
        "value": query.value,
        "budget": budget.steps,
        "budget_source": budget.source,
        "tau": query.tau,
        "ratio": query.ratio,
        "rule": query.rule,
        "at": query.at,
        "fix": ", ".join(f"{column}={columns.label(slices.get(column, value))}" for column, value in fix),
        **({"continuous": continuous, "slices": slices} if continuous else {}),
    }
    return table


def _slices(frame: pd.DataFrame, fix: Sequence[tuple[str, Value]], axes_of_study: Sequence[Axis]) -> dict[str, float]:
    """The number at which each continuous axis is fixed. Raises BadInput for what is none."""
    found: dict[str, float] = {}
    for path, value in fix:
        if is_continuous(path, frame[path], axes_of_study):
            try:
                found[path] = float(value)  # type: ignore[arg-type]
            except (TypeError, ValueError):
                raise BadInput(f"fix {path}: got '{columns.label(value)}', must be a number.") from None
    return found


def value_names(connection: duckdb.DuckDBPyConnection) -> tuple[str, ...]:
    """Everything that can be drawn as a value: statistics, numbers of trials and curves, measures."""
    trials = columns.columns_of(connection, "trials")
    numbers = (name for name in trials if name in columns.BASE_COLUMNS or name in columns.config_paths(trials))
    measures = (name for name in columns.columns_of(connection, "measures") if name not in ("trial_id", "step"))
    return tuple(dict.fromkeys((*STATISTICS, *numbers, *RULE_COLUMNS, *measures)))


def _refuse_results(axes: Mapping[str, str]) -> None:
    """What came out of a training is no axis: a cell would hold the trials that happened to get there."""
    for key, name in axes.items():
        if name in columns.BASE_COLUMNS and name not in columns.CONDITIONS:
            raise BadInput(f"{key}: '{name}' is a result of trials, no setting; draw it as colour: --value {name}.")


def _axes(query: PhaseQuery) -> list[tuple[str, str]]:
    given = (("x", query.x), ("y", query.y), ("facet", query.facet))
    return [(key, name) for key, name in given if name is not None]


def trial_table(connection: duckdb.DuckDBPyConnection, names: Collection[str]) -> pd.DataFrame:
    """Every counting trial with its columns and settings, by trial_id."""
    wanted = [name for name in names if name in columns.BASE_COLUMNS] + list(columns.config_paths(names))
    return _by_id(connection, wanted)


def _needed(
    connection: duckdb.DuckDBPyConnection,
    query: PhaseQuery,
    names: Collection[str],
    drawn: Sequence[str],
    held: Sequence[str],
) -> pd.DataFrame:
    """Every counting trial, by trial_id, with what a diagram reads; of the other settings, those that vary."""
    settings = columns.config_paths(names)
    others = [path for path in settings if path not in (*drawn, *held)]
    value = [name for name in names if name == query.value or (name in settings and _leaf(name) == query.value)]
    wanted = (*FACTS, *drawn, *held, *columns.varying(connection, "trials", others), *value)
    return _by_id(connection, [name for name in dict.fromkeys(wanted) if name in names])


def _by_id(connection: duckdb.DuckDBPyConnection, wanted: Sequence[str]) -> pd.DataFrame:
    question = f"SELECT {', '.join(map(columns.quoted, wanted))} FROM trials"
    table = _TABLES.answer(connection, question, lambda: _read_by_id(connection, question))
    return table.copy(deep=False)  # pandas copies on write: what is kept stays as it is


def _read_by_id(connection: duckdb.DuckDBPyConnection, question: str) -> pd.DataFrame:
    table = connection.sql(question).to_arrow_table().combine_chunks()
    ids = table["trial_id"].chunk(0) if len(table) else pa.array([], pa.string())
    if not pc.all(pc.less_equal(ids[:-1], ids[1:])).as_py():  # a compacted study is sorted
        table = table.take(pc.sort_indices(ids))
    return table.to_pandas()


def trial_values(
    connection: duckdb.DuckDBPyConnection, query: PhaseQuery, frame: pd.DataFrame, names: Collection[str]
) -> pd.Series:
    """The value of each trial: 0 or 1 for shares, NaN where it is not known."""
    value, known = query.value, frame["determined"]
    if value == "p_gen":
        return frame["t_gen"].notna().astype(float).where(known)
    if value == "p_mem":
        return frame["t_mem"].notna().astype(float).where(known)
    if value == "p_lost":
        return (frame["retention"] == "lost").astype(float).where(known)
    if value.startswith("p_") and value in SHARES:
        return (frame["outcome"] == value.removeprefix("p_")).astype(float).where(known)
    if value in ("t_mem", "t_gen"):
        return frame[value]
    if value == "log10_delay_ratio":
        return np.log10(times.delay_ratio(frame["t_mem"], frame["t_gen"]))
    if value == "retention":
        return (frame["retention"] == "kept").astype(float).where(frame["retention"] != "unknown")
    if value == "outcome":
        codes = frame["outcome"].cat.codes.astype(float)  # labels come first, in this order
        return codes.where(frame["outcome"] != times.UNDETERMINED)
    return _stored_value(connection, query, frame, names)


def _stored_value(
    connection: duckdb.DuckDBPyConnection, query: PhaseQuery, frame: pd.DataFrame, names: Collection[str]
) -> pd.Series:
    value = query.value
    place = query.place() or _only_place(query, frame)
    if value in columns.columns_of(connection, "measures") and value not in ("trial_id", "step"):
        read = read_at(connection, "measures", value, frame, _stated(place, value))
        if read.isna().all():
            _refuse_elsewhere(connection, value, frame, query.at)
        return read
    if value in RULE_COLUMNS:
        if value in _AT_THE_END and place == Place(kind="end"):
            return frame[value].astype(float)
        return read_at(connection, "curves", value, frame, _stated(place, value))
    if value not in value_names(connection) and value not in _leaves(names):
        _refuse_unmeasured(value, frame)
        raise unknown("value", value, value_names(connection))
    column = columns.resolve("value", value, names)
    if not columns.is_numeric(frame[column]):
        raise BadInput(f"value: {column} is not a number ({columns.shown(frame[column])}); use it as --x or --facet.")
    return frame[column].astype(float)


def _refuse_elsewhere(connection: duckdb.DuckDBPyConnection, value: str, frame: pd.DataFrame, at: str | None) -> None:
    """Raises BadInput if the measure has values at other steps only: an empty picture would not say why."""
    steps = connection.execute(
        f"SELECT DISTINCT step FROM measures WHERE {columns.quoted(value)} IS NOT NULL ORDER BY step"
    ).df()["step"]
    if len(steps):
        raise BadInput(
            f"at: '{value}' is measured in none of these trials at {at or 'end'}; "
            f"it is at steps {columns.shown(steps)}. "
            f"`grokstudy measure {frame['study'].iloc[0]} --checkpoints all` measures every checkpoint."
        )


def _refuse_unmeasured(value: str, frame: pd.DataFrame) -> None:
    """Raises BadInput if the value is a measure that this study does not have yet."""
    from grokstudy.circuits._measure import owner_of  # loads torch, for the message alone

    if owner := owner_of(value):
        study = frame["study"].iloc[0]
        raise BadInput(
            f"value: '{value}' is not measured here yet; run `grokstudy measure {study} --only {owner}` first."
        )


def _distinct(column: pd.Series) -> list[str]:
    """Sorted texts of a column that mostly has one value: comparing is faster than collecting."""
    first = column.iloc[0]
    return [str(first)] if (column == first).all() else sorted(map(str, column.unique()))


def _leaves(names: Collection[str]) -> set[str]:
    return set(map(_leaf, columns.config_paths(names)))


def _leaf(path: str) -> str:
    return path.rpartition(".")[2]


def _only_place(query: PhaseQuery, frame: pd.DataFrame) -> Place | None:
    """The end, if it is the same step for every trial."""
    return Place(kind="end") if frame["steps_run"].nunique() == 1 else None


def _stated(place: Place | None, value: str) -> Place:
    if place is None:
        raise BadInput(
            f"at: these trials ran for different numbers of steps, so '{value}' needs a stated place: "
            "--at end, --at t_gen, --at 2*t_gen or --at step:S."
        )
    return place


def _demand(holds: bool, key: str, given: object, what: str) -> None:
    if not holds:
        raise BadInput(f"{key}: got {given}, {what}.")
