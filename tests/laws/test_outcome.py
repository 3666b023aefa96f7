"""Times, outcomes and retention: the rule against its definition written out by brute force."""

from __future__ import annotations

import numpy as np
import pytest

from grokstudy.spec.outcome import (
    HOLD,
    HOLD_EVALUATIONS,
    LABELS,
    Crossing,
    Streak,
    outcome,
    retention,
    sustained,
)
from grokstudy.spec.schedule import evaluations


def by_definition(steps: np.ndarray, above: np.ndarray) -> Crossing | None:
    """First t with all evaluations in [t, 1.2 t], and at least three, above; all of that must have been seen."""
    for i, t in enumerate(steps):
        window = (steps >= t) & (steps <= HOLD * t)
        window[i : i + HOLD_EVALUATIONS] = True
        enough = len(steps) - i >= HOLD_EVALUATIONS
        if enough and steps[-1] >= HOLD * t and above[window].all():
            return Crossing(int(t), int(steps[i - 1]) if i else None)
    return None


def random_curves(n: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Schedules cut anywhere, sparse ones too (three evaluations reach past 1.2 t), with flips of every length."""
    rng = np.random.default_rng(0)
    curves = []
    for _ in range(n):
        full = np.array(evaluations(int(rng.integers(1, 600))))
        kept = full[rng.random(len(full)) < rng.choice([0.2, 0.6, 1.0])]
        steps = kept if len(kept) else full
        flips = rng.random(len(steps)) < rng.choice([0.02, 0.1, 0.3])
        curves.append((steps, (np.cumsum(flips) + rng.integers(0, 2)) % 2 == 1))
    return curves


def test_sustained_is_its_definition_on_random_curves() -> None:
    curves = random_curves(3000)
    answers = [sustained(steps, above) for steps, above in curves]
    assert answers == [by_definition(steps, above) for steps, above in curves]
    found = sum(answer is not None for answer in answers)
    assert 300 < found < 2700, "both answers must be common, or little was compared"


def test_a_running_trial_and_a_stored_curve_obey_one_rule() -> None:
    """Once confirmed a crossing never changes, and it is confirmed at the same evaluation however the curve goes on."""
    for steps, above in random_curves(300):
        streak = Streak()
        confirmed = [streak.push(int(step), bool(held)) for step, held in zip(steps, above, strict=True)]
        assert sum(confirmed) == (streak.crossing is not None)
        for n in range(len(steps) + 1):
            seen = streak.crossing if any(confirmed[:n]) else None
            assert sustained(steps[:n], above[:n]) == seen


@pytest.mark.parametrize(
    ("steps", "above", "expected"),
    [
        ([0, 1, 2, 3], "1111", Crossing(0, None)),
        ([0, 1, 2, 3], "0111", Crossing(1, 0)),
        ([0, 1, 2], "011", None),  # two evaluations are not three
        ([100, 110, 115], "111", None),  # ends before 1.2 t
        ([100, 110, 120], "111", Crossing(100, None)),
        ([100, 110, 120], "110", None),  # 1.2 t itself belongs to the window
        ([100, 110, 115, 121], "1110", Crossing(100, None)),  # 121 does not
        ([10, 30, 50], "111", Crossing(10, None)),  # at least three, though 1.2 t = 12
        ([10, 30, 50], "110", None),
        ([5, 6, 7, 8, 9], "10111", Crossing(7, 6)),
    ],
)
def test_edges_of_the_window(steps: list[int], above: str, expected: Crossing | None) -> None:
    assert sustained(np.array(steps), np.array([c == "1" for c in above])) == expected
    assert by_definition(np.array(steps), np.array([c == "1" for c in above])) == expected


@pytest.mark.parametrize(
    ("t_mem", "t_gen", "expected"),
    [
        (None, None, "confusion"),
        (100, None, "memorization"),
        (None, 100, "inversion"),
        (100, 500, "grokking"),
        (100, 499, "comprehension"),
        (100, 50, "comprehension"),
        (0, 5, "grokking"),  # t_mem 0 counts as 1
        (0, 4, "comprehension"),
    ],
)
def test_labels(t_mem: int | None, t_gen: int | None, expected: str) -> None:
    assert outcome(t_mem, t_gen) == expected
    assert outcome(t_mem, t_gen, diverged=True) == "diverged"
    assert expected in LABELS


def test_a_time_past_the_budget_counts_as_not_seen() -> None:
    assert outcome(100, 800, budget=800) == "grokking"
    assert outcome(100, 800, budget=799) == "memorization"
    assert outcome(900, 800, budget=850) == "inversion"
    assert outcome(900, 800, budget=10) == "confusion"


def test_the_ratio_is_a_setting() -> None:
    assert outcome(100, 800, ratio=8.0) == "grokking"
    assert outcome(100, 800, ratio=8.01) == "comprehension"


def test_forgetting_is_never_painted_as_kept() -> None:
    steps = np.array([0, 100, 110, 120, 150, 199, 200])
    held = np.array([False, True, True, True, True, True, True])
    assert retention(steps, held, 100) == ("kept", None)
    assert retention(steps[:-1], held[:-1], 100) == ("unknown", None), "2 t_gen was not reached"
    assert retention(steps, held, None) == ("unknown", None)
    lost = held.copy()
    lost[4] = False
    assert retention(steps, lost, 100) == ("lost", 150), "coming back later does not undo it"
    assert retention(steps[:5], lost[:5], 100) == ("lost", 150), "seen to lose before 2 t_gen"


def test_nan_accuracy_is_not_above() -> None:
    """Without test rows accuracy is NaN at every evaluation: no t_gen."""
    steps = np.arange(10)
    assert sustained(steps, np.full(10, np.nan) >= 0.95) is None
