"""Cells that a study has planned but not reached yet: a diagram of a running study shows its whole plane."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import numpy as np
import xarray as xr

from grokstudy.phase.axis import is_log
from grokstudy.phase.columns import label
from grokstudy.phase.posterior import is_posterior
from grokstudy.spec.axes import Value
from grokstudy.spec.study import StudySpec

_COUNTS = ("n", "n_undetermined", "n_value", "n_delay_ratio")


def planned_levels(spec: StudySpec) -> dict[str, tuple[Value, ...]]:
    """Every value that an axis of a study with listed values will have."""
    return {axis.path: axis.values for axis in spec.axes if axis.values}


def with_planned(diagram: xr.Dataset, planned: Mapping[str, Sequence[Value]]) -> xr.Dataset:
    """The diagram with every planned level of its axes; cells without trials have n = 0 and NaN.

    Binned and continuous axes stay as they are. Variables over `trial` that number cells (`trial_cell_*`) follow their
    levels.

    Args:
        diagram: as `phase_diagram` returns it.
        planned: values of a setting by its path; settings that are not drawn are ignored.
    """
    if is_posterior(diagram):  # it is whole from the first trial on
        return diagram
    for key in ("x", "y", "facet"):
        dim = diagram.attrs[f"{key}_dim"]
        if dim is not None and not diagram[dim].attrs["bin_edges"]:
            diagram = _widened(diagram, key, dim, planned.get(diagram.attrs[key], ()))
    return diagram


def _widened(diagram: xr.Dataset, key: str, dim: str, planned: Sequence[Value]) -> xr.Dataset:
    present = diagram[dim].to_numpy().tolist()
    levels = _joined(present, planned)
    if levels == present:
        return diagram
    attrs = dict(diagram[dim].attrs)
    fill: dict[Hashable, object] = dict.fromkeys(_COUNTS, 0) | {"outcome": ""}
    named = any(isinstance(value, str) for value in levels)
    index = np.array(levels, dtype=object if named else float)
    wide = diagram.reindex({dim: index}, fill_value={**{str(n): np.nan for n in diagram.data_vars}, **fill})
    place = np.array([levels.index(value) for value in present])
    wide = wide.assign({f"trial_cell_{key}": ("trial", place[diagram[f"trial_cell_{key}"].to_numpy()])})
    if not named:
        attrs["log"] = is_log(index)
    wide[dim].attrs.update(attrs)
    return wide


def _joined(present: list[float | str], planned: Sequence[Value]) -> list[float | str]:
    """Levels with trials and planned ones, in the order of an axis; planned ones of another kind are left out."""
    if any(isinstance(value, str) for value in present):
        names = list(map(label, planned))
        # The trials of a fork name their parents by id, the study by name: then there is nothing to add.
        return [*present, *(name for name in names if name not in present)] if set(present) <= set(names) else present
    numbers = [float(value) for value in planned if isinstance(value, (int, float)) and not isinstance(value, bool)]
    if len(numbers) < len(planned):
        return present
    near = np.array(present, dtype=float)
    new = [number for number in numbers if not np.isclose(near, number, rtol=1e-11, atol=0.0).any()]
    return sorted([*present, *new], key=float)
