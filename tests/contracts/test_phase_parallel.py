"""Parallel coordinates of planted studies."""

from __future__ import annotations

import numpy as np
import pytest
from phase_planted import T, connected, plane, planted, trial

from grokstudy.phase.parallel import ParallelAxis, ParallelData, parallel_data
from grokstudy.phase.parallel_plotly import parallel_figure
from grokstudy.phase.query import readings
from grokstudy.spec.errors import BadInput


def axis(data: ParallelData, name: str) -> ParallelAxis:
    return next(one for one in data.axes if one.name == name)


def test_varied_settings_come_first_then_what_came_out() -> None:
    data = parallel_data(connected(planted()), plane())
    assert [one.name for one in data.axes] == ["wd", "frac", "t_mem", "t_gen", "delay", "outcome"]
    assert len(data.trial_ids) == 20


def test_zero_and_what_was_not_seen_have_ticks_of_their_own() -> None:
    data = parallel_data(connected(planted()), plane())
    wd = axis(data, "wd")
    assert wd.log
    zero = {text: at for at, text in wd.ticks}["0"]
    assert zero < wd.positions[wd.positions > zero].min()
    t_gen = axis(data, "t_gen")
    unseen = {text: at for at, text in t_gen.ticks}[f"not by {T:,}"]
    table = readings(connected(planted()), plane()).set_index("trial_id").loc[list(data.trial_ids)]
    assert ((t_gen.positions == unseen) == table["t_gen"].isna().to_numpy()).all()
    assert t_gen.positions[t_gen.positions < unseen] == pytest.approx(np.log10(table["t_gen"].dropna()))


def test_a_line_passes_the_values_of_its_trial() -> None:
    data = parallel_data(connected(planted()), plane())
    here = np.isclose(axis(data, "wd").positions, -1.0) & np.isclose(axis(data, "frac").positions, 0.3)
    found = [data.trial_ids[i] for i in np.flatnonzero(here)]
    assert sorted(found) == [f"0.1-0.3-{seed}-0-0" for seed in range(4)]


def test_many_trials_are_sampled_evenly_and_the_note_says_so() -> None:
    rows = [trial(wd, 0.5, seed, 10, 20) for wd in (0.1, 1.0, 10.0, 100.0) for seed in range(50)]
    data = parallel_data(connected(rows), plane(), most=40)
    assert "40 of 200 trials" in data.note
    _, counts = np.unique(axis(data, "wd").positions, return_counts=True)
    assert counts.tolist() == [10, 10, 10, 10]


def test_names_keep_their_names_and_a_seed_can_be_an_axis() -> None:
    rows = [
        trial(0.1, 0.5, i, 10, None, **{"model.name": name, "batch_size": size}, trial_id=str(i))
        for i, (name, size) in enumerate([("mlp", None), ("quad", 64.0), ("quad", 512.0)])
    ]
    data = parallel_data(connected(rows), plane(), values=("seed",), colour="seed")
    assert axis(data, "name" if "name" in [a.name for a in data.axes] else "model.name").categories == ("mlp", "quad")
    assert axis(data, "batch").categories == ("64", "512", "null")
    assert axis(data, "seed").positions.tolist() == [0, 1, 2]


def test_the_figure_carries_the_ids_of_its_lines_in_order() -> None:
    for colour in ("outcome", "t_gen", "frac"):
        data = parallel_data(connected(planted()), plane(), colour=colour)
        trace = parallel_figure(data).data[0]
        assert tuple(trace.customdata) == data.trial_ids
        assert all(len(dimension["values"]) == 20 for dimension in trace.dimensions)


def test_an_axis_that_is_not_there_cannot_colour() -> None:
    with pytest.raises(BadInput, match="did you mean 'outcome'"):
        parallel_data(connected(planted()), plane(), colour="outcom")
