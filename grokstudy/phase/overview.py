"""The two diagrams that show a whole study, as every writer draws them: outcomes of all trials, and their delays."""

from __future__ import annotations

import numpy as np
import xarray as xr


def of_outcomes(diagram: xr.Dataset) -> xr.Dataset:
    """The diagram for tiles: a cell has no value only where it has no trial at all."""
    return diagram.assign(value=diagram["n"].where(diagram["n"] + diagram["n_undetermined"] > 0))


def of_delays(diagram: xr.Dataset) -> xr.Dataset:
    """The diagram with log10(t_gen / t_mem) as value, of cells and of trials; without intervals."""
    nothing = diagram["value_low"] * np.nan
    t_mem, t_gen = (np.maximum(diagram[f"trial_{name}"], 1) for name in ("t_mem", "t_gen"))
    shown = diagram.assign(
        value=diagram["log10_delay_ratio"], value_low=nothing, value_high=nothing, trial_value=np.log10(t_gen / t_mem)
    )
    return shown.assign_attrs({**diagram.attrs, "value": "log10_delay_ratio", "at": None})
