"""What the verbs `phases` and `progress` refuse, and what they say then."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from phase_planted import connected, trial

from grokstudy.cli.phases import fixed_settings
from grokstudy.cli.show import check_picture
from grokstudy.phase.export import PICTURES
from grokstudy.phase.progress import LEAST_TRIALS, foretelling
from grokstudy.spec.errors import BadInput


def test_fixed_settings_are_read_in_their_order() -> None:
    assert fixed_settings(["lr=0.01", "op=add"]) == {"lr": "0.01", "op": "add"}
    assert fixed_settings([]) == {}


def test_a_setting_fixed_twice_is_refused_and_both_values_are_named() -> None:
    with pytest.raises(BadInput, match=r"op is given twice \(--fix op=add and --fix op=mul\)"):
        fixed_settings(["op=add", "lr=0.01", "op=mul"])


def measured(steps: tuple[int, ...], t_gen: list[int | None]) -> tuple[pd.DataFrame, list[dict[str, object]]]:
    rows = [trial(0.1, 0.3, seed, 10, time) for seed, time in enumerate(t_gen)]
    table = [
        {"trial_id": row["trial_id"], "step": step, "gini_W_E": seed / 10}
        for step in steps
        for seed, row in enumerate(rows)
    ]
    return pd.DataFrame(table), rows


def test_a_measure_that_orders_the_trials_by_t_gen_has_rank_correlation_one() -> None:
    measures, rows = measured((0, 50), [100, 200, 300, 400, 500])
    found = foretelling(connected(rows, measures=measures), 50)
    assert found[["measure", "rho", "n"]].to_numpy().tolist() == [["gini_W_E", pytest.approx(1.0), 5]]


def test_too_few_trials_are_told_the_steps_that_have_enough() -> None:
    measures, rows = measured((0, 50, 350), [100, 200, 300, 400, 500])
    with pytest.raises(BadInput, match=r"2 measured trials generalise after step 350.*Enough do after 0, 50\."):
        foretelling(connected(rows, measures=measures), 350)


def test_no_earlier_step_is_proposed_where_none_has_enough_trials() -> None:
    measures, rows = measured((0, 50), [100, None])
    with pytest.raises(
        BadInput, match=rf"1 measured trial generalises .* {LEAST_TRIALS}\. No measured step has"
    ) as told:
        foretelling(connected(rows, measures=measures), 50)
    assert "earlier" not in str(told.value)


@pytest.mark.parametrize(("name", "words"), [("p.jpg", "did you mean"), ("no/p.png", "does not exist")])
def test_a_picture_that_cannot_be_written_is_refused_before_anything_is_read(
    tmp_path: Path, name: str, words: str
) -> None:
    with pytest.raises(BadInput, match=words):
        check_picture(tmp_path / name, PICTURES)
