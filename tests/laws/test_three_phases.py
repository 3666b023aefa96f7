"""The three phases of a trial, read from a written story."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from grokstudy.circuits._phases import nanda_phases

torch.set_num_threads(1)

# Sums of at most p^3 = 12,167 float64 terms of size 10 err by less than 12,167 * 10 * 1.1e-16 = 1.4e-11.
EXACT = 1e-10


# --- phases --------------------------------------------------------------------------------------------------------

STEPS = np.arange(0, 2001, 10)


def story(end: int = 2000, norm_end: int = 1500) -> dict[str, Any]:
    """Memorisation to 200, circuits to 1000, cleanup until the norm is flat from `norm_end` on."""
    steps = STEPS[end >= STEPS]
    excluded = np.where(steps <= 200, 4.7 - 4 * steps / 200, 0.7 + 10 * (steps - 200) / 2000)
    test_loss = np.where(steps < 1000, 20.0, np.maximum(20 * 10 ** (-(steps - 995) / 100), 1e-3))
    norm = np.exp(-np.clip(steps - 1000, 0, norm_end - 1000) / 200) * 1000
    every = slice(None, None, 5)
    return {
        "checkpoint_steps": steps[every],
        "excluded_train": excluded[every],
        "steps": steps,
        "test_loss": test_loss,
        "sum_sq_weights": norm,
    }


def test_phases_of_a_written_story() -> None:
    phases, reason = nanda_phases(t_gen=1300, **story())
    assert reason is None
    assert phases is not None
    # 20 * 10^(-(s - 995) / 100) < 10 first at 1030; the norm's central difference is 0 from 1510 on.
    assert (phases.t1, phases.t2, phases.t3) == (200, 1030, 1510)
    # Where the norm is flat first (from 1110 on), the loss decides: < 0.2 first at 1200.
    early, _ = nanda_phases(t_gen=1300, **story(norm_end=1100))
    assert early is not None
    assert early.t3 == 1200


def test_continuing_a_trial_does_not_move_its_phases() -> None:
    assert nanda_phases(t_gen=1300, **story(1600)) == nanda_phases(t_gen=1300, **story())


def test_phases_that_are_not_there_have_a_reason() -> None:
    assert "did not generalise" in str(nanda_phases(t_gen=None, **story())[1])
    no_keys = {**story(), "excluded_train": np.full(len(story()["excluded_train"]), np.nan)}
    assert "no key frequencies" in str(nanda_phases(t_gen=1300, **no_keys)[1])
    flat = {**story(), "excluded_train": np.full(len(story()["excluded_train"]), 3.0)}
    assert "never exceeds 2.0 x" in str(nanda_phases(t_gen=1300, **flat)[1])
    high = {**story(), "test_loss": np.full(len(STEPS), 20.0)}
    assert "never falls" in str(nanda_phases(t_gen=1300, **high)[1])
    assert "has not ended by step 1400" in str(nanda_phases(t_gen=1300, **story(1400))[1])
