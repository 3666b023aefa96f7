"""Studies from Python: `import grokstudy as gs; study = gs.open("demo")`."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pandas as pd
import xarray as xr

from grokstudy.phase.diagram import phase_diagram
from grokstudy.phase.query import PhaseQuery
from grokstudy.spec.axes import Value
from grokstudy.spec.errors import unknown
from grokstudy.spec.study import StudySpec
from grokstudy.store.folder import StudyFolder
from grokstudy.store.storage import Storage
from grokstudy.store.views import connect, lock_down, query
from grokstudy.study.document import stored_spec

if TYPE_CHECKING:
    from grokstudy.circuits._function import Function

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
        root, _, study = study.rstrip("/").rpartition("/")
        root = root or "/"
    return Study(folder=find(study, storage_root(root)))


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
        """One SELECT over the views trials, curves, measures, measures_long and checkpoints.

        Raises:
            BadInput: anything but one SELECT, or a query that fails or takes too long.
        """
        with connect([self.folder]) as connection:
            lock_down(connection, [self.folder])
            return query(connection, text, MOST_ROWS).to_pandas()

    def phase_diagram(
        self,
        x: str,
        y: str | None = None,
        value: str = "p_gen",
        fix: Mapping[str, Value] | None = None,
        **settings: str | float | int | None,
    ) -> xr.Dataset:
        """The phase diagram as a data set with dimensions (y, x); `settings` are the other fields of PhaseQuery.

        Raises:
            BadInput: a name or value that cannot be used, or a varied axis that is neither drawn nor fixed.
        """
        asked = PhaseQuery(x=x, y=y, value=value, fix=tuple((fix or {}).items()), **settings)  # type: ignore[arg-type]
        with connect([self.folder]) as connection:
            return phase_diagram(connection, asked)

    def _rows(self, view: str, where: str | None) -> pd.DataFrame:
        source = view if view == "trials" else f"(SELECT v.* FROM {view} v JOIN trials USING (trial_id)"
        if view != "trials":
            source += f" WHERE {where})" if where else ")"
            where = None
        order = "trial_id" if view == "trials" else "trial_id, step"
        return self.sql(f"SELECT * FROM {source}" + (f" WHERE {where}" if where else "") + f" ORDER BY {order}")


def studies(root: str | None = None) -> list[str]:
    """Names of the studies under a storage root."""
    return Storage.open(str(Path(storage_root(root))) if root is None else root).studies()
