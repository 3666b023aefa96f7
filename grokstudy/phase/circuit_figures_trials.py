"""Pictures of all trials of a study by what their circuits are."""

from __future__ import annotations

import duckdb
import numpy as np

from grokstudy.phase.circuit_figures_data import Axis, Dots, Panel, Picture, Scale
from grokstudy.phase.columns import columns_of
from grokstudy.phase.places import parse_place, read_at
from grokstudy.spec.errors import BadInput

CLOCK_PIZZA = ("distance_irrelevance", "gradient_symmetricity", "circularity")


def clock_pizza(connection: duckdb.DuckDBPyConnection, study: str, at: str) -> Picture:
    """Distance irrelevance against gradient symmetricity, coloured by circularity, a dot per trial.

    A pizza's correct logits depend on a - b and its gradients for a and b are alike; a clock's know nothing of it.

    Source: Zhong et al. 2023 (arXiv 2306.17844), section 4.

    Raises:
        BadInput: one of the three was not measured, or nowhere at this place.
    """
    missing = [name for name in CLOCK_PIZZA if name not in columns_of(connection, "measures")]
    if missing:
        only = " ".join(f"--only {name}" for name in missing)
        raise BadInput(f"figure: {', '.join(missing)} not measured yet; run `grokstudy measure {study} {only}` first.")
    trials = connection.execute("SELECT trial_id, steps_run, t_gen FROM trials ORDER BY trial_id").df()
    place = parse_place(at)
    found = [read_at(connection, "measures", name, trials, place).to_numpy(dtype=float) for name in CLOCK_PIZZA]
    known = np.isfinite(found).all(axis=0)
    if not known.any():
        raise BadInput(f"at: no trial has all of {', '.join(CLOCK_PIZZA)} at {at}.")
    x, y, colour = (values[known] for values in found)
    dots = Dots(
        x=x,
        y=y,
        values=colour,
        scale=Scale(label="circularity", low=0.0, high=1.0),
        words=tuple(trials["trial_id"][known]),
    )
    panel = Panel(
        x=Axis(label="distance irrelevance", low=-0.03, high=1.03),
        y=Axis(label="gradient symmetricity", low=min(-0.03, float(y.min()) - 0.03), high=1.03),
        marks=(dots,),
    )
    return Picture(
        title=f"{study}: clock or pizza, at {at}",
        note=f"{int(known.sum())} of {len(trials)} trials have all three values. In Zhong et al. 2023 clocks lie at "
        "the lower right and pizzas at the upper left.",
        panels=(panel,),
        width=6.2,
        height=4.6,
    )
