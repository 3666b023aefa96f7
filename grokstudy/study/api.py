"""Studies from Python: `import grokstudy as gs; study = gs.open("demo")`."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pandas as pd
import pyarrow as pa
import xarray as xr

from grokstudy.phase.diagram import phase_diagram
from grokstudy.phase.query import PhaseQuery
from grokstudy.spec.axes import Value
from grokstudy.spec.errors import BadInput, unknown
from grokstudy.spec.outcome import TAU
from grokstudy.spec.study import StudySpec
from grokstudy.store.folder import StudyFolder
from grokstudy.store.sql import query
from grokstudy.store.storage import Storage
from grokstudy.store.views import asked
from grokstudy.study.document import stored_layout, stored_spec

if TYPE_CHECKING:
    from grokstudy.circuits._function import Function
    from grokstudy.phase.circuit_figures_plotly import CircuitFigure
    from grokstudy.phase.critical import Critical
    from grokstudy.phase.inference.result import Fit
    from grokstudy.study.activity import Activity
    from grokstudy.study.compared import Compared
    from grokstudy.study.launch import Setting
    from grokstudy.study.trial import Trial

DEFAULT_ROOT = "./grokstudy-data"
MOST_ROWS = 1_000_000
"""Rows that `sql` returns at the most."""


def open(study: str, root: str | None = None) -> Study:
    """A study by name, or by path or address of its folder.

    Args:
        study: name under the storage root, or a folder (`/data/mine`, `s3://bucket/root/mine`).
        root: storage root; default GROKSTUDY_STORAGE, else ./grokstudy-data.

    Raises:
        BadInput: there is no such study; names the nearest.
    """
    if root is None and ("/" in study or "://" in study):
        absolute = study.startswith("/")
        root, _, study = study.rstrip("/").rpartition("/")
        root = root or ("/" if absolute else ".")
    return Study(folder=find(study, storage_root(root)))


def trial(prefix: str, root: str | None = None) -> Trial:
    """The trial whose id starts with `prefix`, over all studies under a storage root; where it has come furthest.

    Raises:
        BadInput: no trial starts like this, or several do.
    """
    from grokstudy.study.lookup import find_trial
    from grokstudy.study.trial import Trial

    return Trial(stored=find_trial(prefix, storage_root(root)))


def run(
    *words: str,
    name: str | None = None,
    steps: int | None = None,
    only_censored: bool = False,
    max_hours: float | None = None,
    root: str | None = None,
    config_dir: Path | str | None = None,
    progress: bool = True,
    **settings: Setting,
) -> Study:
    """Runs a study as `grokstudy run` does, and returns it: again = resume, wider = only what is new, more = extend.

    `run("preset=quad23", "seed=seeds(3)", name="mine")` and
    `run(preset="quad23", name="mine", **{"optimizer.lr": [0.01, 0.03], "seed": "seeds(3)"})` do the same kind of thing.

    Args:
        words: settings as on the command line.
        name: of the study; default the study's or preset's name.
        steps: budget, updates per trial.
        only_censored: extend only trials that have not generalised.
        max_hours: stop in time; the same call goes on.
        root: storage root; default GROKSTUDY_STORAGE, else ./grokstudy-data.
        config_dir: folder with your own config groups.
        progress: show a line of progress, on a terminal or below a notebook's cell.
        settings: by name; text is read as on the command line, a list is an axis, a tuple one setting of many numbers.

    Raises:
        BadInput: a setting that cannot be used; nothing was run.
        StudyBusy: another live process runs this study.
        KeyboardInterrupt: it was interrupted; everything finished is kept.
    """
    from grokstudy.study.launch import composed, launched

    spec = composed(words, settings, name=name, steps=steps, root=root, config_dir=config_dir)
    result = launched(spec, only_censored=only_censored, max_hours=max_hours, progress=progress)
    return Study(folder=result.folder)


def train(
    *words: str,
    name: str | None = None,
    steps: int | None = None,
    root: str | None = None,
    config_dir: Path | str | None = None,
    progress: bool = True,
    **settings: Setting,
) -> Study:
    """Trains one trial in this process, as `grokstudy train` does; `train("preset=small31").trial()` is the trial.

    The study is called `train-<first digits of its id>` if no name is given. Arguments and errors as `run`; an axis is
    refused.
    """
    from grokstudy.study.launch import composed, launched, one_trial

    words = (*words, "cluster=none")
    spec = composed(words, settings, name=name, steps=steps, root=root, config_dir=config_dir)
    threads_given = any(key.startswith("engine.threads") for key in (*words, *settings))
    result = launched(one_trial(spec, name=name, threads_given=threads_given), progress=progress)
    return Study(folder=result.folder)


def storage_root(given: str | None = None) -> str:
    """The storage root to read: as given, else GROKSTUDY_STORAGE, else ./grokstudy-data."""
    return given or os.environ.get("GROKSTUDY_STORAGE") or DEFAULT_ROOT


def find(study: str, root: str) -> StudyFolder:
    """The folder of an existing study.

    Raises:
        BadInput: there is none of this name under the root.
    """
    storage = Storage.open(root)
    names = storage.studies()
    if study not in names:
        remedy = f"Storage root: {storage.uri}." + (
            "" if names else " It holds no study yet; `grokstudy demo` makes one."
        )
        raise unknown("study", study, names, remedy)
    return StudyFolder(storage, study)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """A stored study, read as it stands at each call."""

    folder: StudyFolder

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def spec(self) -> StudySpec:
        """The study as resolved from its config."""
        spec = stored_spec(self.folder)
        assert spec is not None  # `open` checked
        return spec

    def trials(self, where: str | None = None) -> pd.DataFrame:
        """One row per trial. `where` is an SQL condition on its columns."""
        return self._rows("trials", where)

    def curves(self, where: str | None = None) -> pd.DataFrame:
        """One row per evaluation; columns of the trial may be used in `where`."""
        return self._rows("curves", where)

    def measures(self, where: str | None = None) -> pd.DataFrame:
        """One row per measured checkpoint, a column per measure in its default protocol."""
        return self._rows("measures", where)

    def trial(self, prefix: str = "") -> Trial:
        """The trial whose id starts with `prefix`, which a study of one trial does not need.

        Raises:
            BadInput: no trial starts like this, or several do.
        """
        from grokstudy.study.trial import trial_of

        return trial_of(self.folder, prefix)

    def measure(
        self, what: str | Function, checkpoints: Literal["final", "all"] = "all", rule: str = "neuron"
    ) -> pd.DataFrame:
        """One row per checkpoint and value of one measure: trial_id, step, measure, value, values, protocol, reason.

        Args:
            what: name of a measure plug-in, whose missing values are computed here and stored; or a function of a
                `grokstudy.spec.measure.Subject` that returns a number or a list of numbers, and nothing is stored.
            checkpoints: "all", or "final": the start, the last generalised one and the end.
            rule: key-frequency rule.

        Raises:
            BadInput: there is no such measure or rule, or another process writes the study.
        """
        from grokstudy.study.own_measure import measured

        return measured(self.folder, what, checkpoints, rule)

    def sql(self, text: str) -> pd.DataFrame:
        """One SELECT over the views trials, curves, measures, measures_long and checkpoints. Whole numbers are Int64.

        Raises:
            BadInput: anything but one SELECT, a query that fails or takes too long or too much memory, or more than
                `MOST_ROWS` rows.
        """
        table = query([self.folder], text, MOST_ROWS + 1)
        if len(table) > MOST_ROWS:
            raise BadInput(f"query: more than {MOST_ROWS:,} rows. Ask for fewer with WHERE or LIMIT, or aggregate.")
        return _frame(table)

    def phase_diagram(
        self,
        x: str,
        y: str | None = None,
        value: str = "p_gen",
        fix: Mapping[str, Value] | None = None,
        **settings: str | float | int | None,
    ) -> xr.Dataset:
        """The phase diagram as a data set with dimensions (y, x); `settings` are the other fields of PhaseQuery.

        An axis without cells (an interval, or very many values) gives a fitted posterior on a lattice with the trials
        as they are, unless `bins` are asked for.

        Raises:
            BadInput: a name or value that cannot be used, or a varied axis that is neither drawn nor fixed.
        """
        from grokstudy.phase import accessor  # noqa: F401  (registers `.gs`)

        return self.diagram(PhaseQuery(x=x, y=y, value=value, fix=tuple((fix or {}).items()), **settings))  # type: ignore[arg-type]

    def diagram(self, query: PhaseQuery) -> xr.Dataset:
        """The phase diagram of a query; see `phase_diagram`."""
        layout = stored_layout(self.folder)
        return asked([self.folder], lambda connection: phase_diagram(connection, query, layout.axes, layout.ratio))

    def compare(
        self,
        *others: str | Study,
        axis: str | None = None,
        against: str | None = None,
        value: str = "t_gen",
        by: str | Sequence[str] = (),
        fix: Mapping[str, Value] | None = None,
        **settings: str | float | int | None,
    ) -> Compared:
        """Other studies against this one, or the values of one `axis`, paired by equal seeds: a table and a figure.

        Arguments and errors as `grokstudy.study.compared.compared`.
        """
        from grokstudy.study.compared import compared

        return compared(self, others, axis, against, value, by, fix, **settings)

    def fit(
        self,
        what: str,
        x: str | Sequence[str] = (),
        fix: Mapping[str, Value] | None = None,
        **settings: str | float | int | None,
    ) -> Fit:
        """A statistic of the whole study with `table()`, `sentences()` for a reviewer, and `figure()`.

        Args:
            what: interval, aft, cure, exponent, budget-shift, susceptibility, bimodality, collapse, hysteresis,
                sentinels or seeds.
            x: settings that it depends on.
            fix: settings and the value they must have.
            settings: the other fields of `grokstudy.phase.inference.query.FitQuery`.

        Raises:
            BadInput: no such fit, a setting it does not use, or trials that it cannot be fitted to.
        """
        from grokstudy.phase.inference.fits import fit
        from grokstudy.phase.inference.query import FitQuery

        names = (x,) if isinstance(x, str) else tuple(x)
        asking = FitQuery(x=names, fix=tuple((fix or {}).items()), **settings)  # type: ignore[arg-type]
        return asked([self.folder], lambda connection: fit(connection, what, asking))

    def critical(
        self, tau: float = TAU, budget: int | None = None, rule: str | None = None, confidence: float = 0.95
    ) -> Critical:
        """Where along the study's one axis half of all seeds still memorise, and generalise, by T = `budget` steps.

        Raises:
            BadInput: the study has several axes (or none), no trial yet, or a threshold cannot be used.
        """
        from grokstudy.study.critical import critical_of

        return critical_of(self.folder, self.spec, tau=tau, budget=budget, rule=rule, confidence=confidence)

    def share(self, to: Path | str, checkpoints: Literal["none", "final", "all"] = "final") -> Study:
        """A copy of the study in the directory or s3:// address `to`, to hand on; snapshots and local paths stay here.

        Raises:
            BadInput: the folder exists there already.
        """
        from grokstudy.study.share import share_study

        return Study(folder=share_study(self.folder, str(to), checkpoints).folder)

    def report(self, target: Path | str) -> Path:
        """Writes the study's report as one HTML page or as Markdown with its pictures, by the suffix of `target`.

        Raises:
            BadInput: another suffix, or a folder that does not exist.
        """
        from grokstudy.study.report import write_study_report

        return write_study_report(self.folder, Path(target))

    @property
    def activity(self) -> Activity | None:
        """What a process does with the study right now; None if none is at work."""
        from grokstudy.study.activity import activity

        return activity(self.folder)

    def clock_pizza(self, at: str = "end") -> CircuitFigure:
        """Distance irrelevance against gradient symmetricity of every trial, coloured by circularity: clock or pizza.

        Args:
            at: "end", "t_gen", a multiple such as "2*t_gen", or "step:S".

        Raises:
            BadInput: one of the three was not measured there; says how to.
        """
        from grokstudy.phase.circuit_figures_plotly import figure
        from grokstudy.phase.circuit_figures_trials import clock_pizza

        return figure(asked([self.folder], lambda connection: clock_pizza(connection, self.name, at)))

    def __repr__(self) -> str:
        return f"Study {self.name} in {self.folder.storage.uri}"

    def _rows(self, view: str, where: str | None) -> pd.DataFrame:
        source = view if view == "trials" else f"(SELECT v.* FROM {view} v JOIN trials USING (trial_id)"
        if view != "trials":
            source += f" WHERE {where})" if where else ")"
            where = None
        order = "trial_id" if view == "trials" else "trial_id, step"
        return self.sql(f"SELECT * FROM {source}" + (f" WHERE {where}" if where else "") + f" ORDER BY {order}")


def _frame(table: pa.Table) -> pd.DataFrame:
    """The rows; whole numbers are Int64, which knows missing ones, and never floats because one is missing."""
    frame: pd.DataFrame = table.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype(), pa.int32(): pd.Int64Dtype()}.get)
    return frame


def studies(root: str | None = None) -> list[str]:
    """Names of the studies under a storage root."""
    return Storage.open(str(Path(storage_root(root))) if root is None else root).studies()
