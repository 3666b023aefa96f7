"""What a study is and how far it has come: the head of its page, and one line of the list of studies."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import math
from collections.abc import Mapping

import duckdb
import numpy as np

from grokstudy.explorer.colours import Colours, colours
from grokstudy.phase.axis import MOST_CELLS
from grokstudy.phase.columns import columns_of, config_paths, label, quoted
from grokstudy.phase.continuous import middle
from grokstudy.phase.proposals import proposals
from grokstudy.phase.query import PhaseQuery, value_names
from grokstudy.samplers.grid import Grid
from grokstudy.samplers.surrogate.space import Dimension
from grokstudy.spec.axes import Axis, is_seed
from grokstudy.spec.study import StudySpec
from grokstudy.store.damage import damaged_parts
from grokstudy.store.folder import StudyFolder
from grokstudy.store.views import asked
from grokstudy.study.activity import Activity, activity
from grokstudy.study.api import Study

MOST_ERRORS = 5


@dataclasses.dataclass(frozen=True, slots=True)
class Level:
    """One value of a setting."""

    value: str
    """Exact; what an address carries."""
    text: str
    """Short; what a person reads."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A setting or seed that varies over the trials."""

    path: str
    levels: tuple[Level, ...]
    """Its values in order; empty if there are more than MOST_CELLS."""
    n_levels: int
    middle: str | None = None
    """Of an interval: where it is held while it is not drawn."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many trials a study has."""

    trials: int
    planned: int | None
    """None where a sampler decides as it goes."""
    by_status: Mapping[str, int]
    by_outcome: Mapping[str, int]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """How far a sampler that chooses as it goes has come."""

    proposals: int
    expected_error: float | None
    """Share of the axes' volume that it expected to be misclassified when it proposed last; None = it does not say."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """A study as its page shows it before any diagram."""

    name: str
    counts: Counts
    activity: Activity | None
    """What its driver is doing right now; None if nobody runs it."""
    search: Search | None
    """None for a sampler that keeps no account of its proposals."""
    settings: tuple[Setting, ...]
    colours: tuple[Colours, ...]
    """What is offered as colour."""
    default: PhaseQuery | None
    """The diagram drawn without being asked; None if nothing varies."""
    version: str
    """Changes when a part of the study's rows is added."""
    damaged: tuple[str, ...]
    """Parts that cannot be read and are left out: what was lost, and what to do."""
    errors: tuple[tuple[str, int], ...]
    """Errors of failed trials, with how many have each."""


def overview(folder: StudyFolder) -> Overview:
    """Reads the study as it stands."""
    spec = Study(folder=folder).spec
    driver = activity(folder)

    def read(connection: duckdb.DuckDBPyConnection) -> Overview:
        counts = _counts(connection, spec, driver)
        settings = _with_middles(_settings(connection), spec) if counts.trials else ()
        return Overview(
            name=folder.name,
            counts=counts,
            activity=driver,
            search=_search(connection),
            settings=settings,
            colours=colours(value_names(connection), columns_of(connection, "trials")),
            default=_default(connection, spec, settings) if counts.trials else None,
            version=version(folder),
            damaged=tuple(str(part) for part in damaged_parts(folder)),
            errors=_errors(connection),
        )

    return asked([folder], read)


def version(folder: StudyFolder) -> str:
    """A text that changes when rows of trials, measures, checkpoints or proposals are added or compacted."""
    parts = [name for kind in ("trials", "measures", "checkpoints", "proposals") for name in folder.parts(kind)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def default_query(folder: StudyFolder) -> PhaseQuery | None:
    """The diagram of a study that is drawn without being asked."""
    return _default_of(folder, version(folder))


@functools.lru_cache(maxsize=64)
def _default_of(folder: StudyFolder, version: str) -> PhaseQuery | None:
    """Kept while no rows are added: every request of a page needs it."""
    spec = Study(folder=folder).spec
    return asked([folder], lambda connection: _default(connection, spec, _with_middles(_settings(connection), spec)))


def level(value: object) -> Level:
    """A value of a setting with its exact and its short text."""
    exact = repr(float(value)) if isinstance(value, (float, np.floating)) and not np.isnan(value) else label(value)
    return Level(exact.removesuffix(".0"), label(value))


def _counts(connection: duckdb.DuckDBPyConnection, spec: StudySpec, driver: Activity | None) -> Counts:
    rows = connection.execute("SELECT status, outcome, count(*) AS n FROM trials GROUP BY ALL").df()
    return Counts(
        trials=int(rows["n"].sum()),
        planned=driver.planned if driver is not None and driver.planned else _planned(spec),
        by_status={str(name): int(n) for name, n in rows.groupby("status")["n"].sum().items()},
        by_outcome={str(name): int(n) for name, n in rows.groupby("outcome", dropna=True)["n"].sum().items()},
    )


def _search(connection: duckdb.DuckDBPyConnection) -> Search | None:
    proposed = proposals(connection)
    if proposed.empty:
        return None
    said = proposed["expected_error"].dropna()
    return Search(proposals=len(proposed), expected_error=float(said.iloc[-1]) if len(said) else None)


def _planned(spec: StudySpec) -> int | None:
    return math.prod(len(axis.values) for axis in spec.axes) if isinstance(spec.sampler, Grid) else None


def _settings(connection: duckdb.DuckDBPyConnection) -> tuple[Setting, ...]:
    """What varies, settings first, then seeds. NULL is a value."""
    names = columns_of(connection, "trials")
    paths = [*config_paths(names), "seed"]
    counted = (f"count(DISTINCT {name}) + max(({name} IS NULL)::INT)" for name in map(quoted, paths))
    counts = connection.execute(f"SELECT {', '.join(counted)} FROM trials").fetchall()[0]
    varied = [(path, int(n)) for path, n in zip(paths, counts, strict=True) if n is not None and n > 1]
    return tuple(Setting(path=path, levels=_levels(connection, path, n), n_levels=n) for path, n in varied)


def _levels(connection: duckdb.DuckDBPyConnection, path: str, n: int) -> tuple[Level, ...]:
    if n > MOST_CELLS:
        return ()
    rows = connection.execute(f"SELECT DISTINCT {quoted(path)} FROM trials ORDER BY 1 NULLS LAST").fetchall()
    return tuple(level(value) for (value,) in rows)


def _delayed(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether any trial has both times."""
    sql = "SELECT count(*) FROM trials WHERE t_mem IS NOT NULL AND t_gen IS NOT NULL"
    return bool(connection.execute(sql).fetchall()[0][0])


def _default(
    connection: duckdb.DuckDBPyConnection, spec: StudySpec, settings: tuple[Setting, ...]
) -> PhaseQuery | None:
    """The study's first two axes (seeds only where nothing else varies); its other axes at their first value.

    An axis is one from the first trial on: were it only with the second value, a running study would be drawn along one
    axis while the trials that are read a moment later vary along two. The delay itself is drawn where there is one:
    labels cut it in two at a ratio that somebody chose.
    """
    varied = {setting.path: setting for setting in settings}
    stored = columns_of(connection, "trials")
    axes = [
        axis.path
        for axis in spec.axes
        if not is_seed(axis.path)
        and (axis.path in varied or ((axis.is_interval or len(axis.values) > 1) and axis.path in stored))
    ]
    paths = axes or [path for path in varied if not is_seed(path)] or list(varied)
    if not paths:
        return None
    value = "log10_delay_ratio" if _delayed(connection) else "p_gen"
    intervals = {axis.path for axis in spec.axes if axis.is_interval}
    if not any(path in intervals or (path in varied and not varied[path].levels) for path in paths):
        drawn, rest, facet = paths[:2], paths[2:], None
    else:  # names have no place beside an axis without cells
        names = [path for path in paths if path in varied and _are_names(varied[path].levels)]
        numbers = [path for path in paths if path not in names]
        drawn, rest, facet = numbers[:2], [*numbers[2:], *names[1:]], names[0] if names else None
    return PhaseQuery(
        x=drawn[0],
        y=drawn[1] if len(drawn) > 1 else None,
        facet=facet,
        value=value,
        fix=tuple(
            (path, varied[path].middle or varied[path].levels[0].value)
            for path in rest
            if path in varied and (varied[path].middle or varied[path].levels)
        ),
    )


def _with_middles(settings: tuple[Setting, ...], spec: StudySpec) -> tuple[Setting, ...]:
    """The settings with the middles of those that are intervals of the study."""
    middles = {axis.path: _middle(axis) for axis in spec.axes if axis.is_interval}
    return tuple(dataclasses.replace(setting, middle=middles.get(setting.path)) for setting in settings)


def _middle(axis: Axis) -> str:
    assert axis.low is not None
    assert axis.high is not None
    return label(middle(Dimension(name=axis.path, low=axis.low, high=axis.high, log=axis.log)))


def _are_names(levels: tuple[Level, ...]) -> bool:
    """Whether values are listed and not all numbers."""
    try:
        for one in levels:
            float(one.value)
    except ValueError:
        return True
    return False


def _errors(connection: duckdb.DuckDBPyConnection) -> tuple[tuple[str, int], ...]:
    rows = connection.execute(
        "SELECT error, count(*) AS n FROM trials WHERE status = 'failed' AND error IS NOT NULL "
        f"GROUP BY 1 ORDER BY n DESC LIMIT {MOST_ERRORS}"
    ).fetchall()
    return tuple((str(error), int(n)) for error, n in rows)
