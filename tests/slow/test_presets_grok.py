"""Shipped presets grok where their first line says so, and their controls do not.

Bounds: where a source or an earlier implementation of ours states a time, the bound holds it together with what is
measured here over the seeds that are given, widened by half to each side - seeds of one setting differ by as much. A
training is a function of its config, so that a failure means that the numbers of a preset have moved.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from grokstudy.engine.evaluate import SUM_SQ, TEST_ACC, TRAIN_ACC
from grokstudy.spec.outcome import sustained
from tests.packs import Trained, run
from tests.trials import trial

pytestmark = pytest.mark.slow

Span = tuple[int, int]


def train(preset: str, steps: int, seeds: range, changes: Mapping[str, Any] | None = None) -> tuple[Trained, ...]:
    return run([trial(preset, changes, seed=seed) for seed in seeds], steps).trials


def t_gen(trained: Trained, tau: float) -> int | None:
    """t_gen at a threshold of its own: accuracy on real data levels off below .95."""
    crossing = sustained(trained.steps, trained.columns[:, TEST_ACC] >= tau)
    return None if crossing is None else crossing.t


def test_acc_at(trained: Trained, step: int) -> float:
    return float(trained.columns[trained.steps.tolist().index(step), TEST_ACC])


test_acc_at.__test__ = False  # type: ignore[attr-defined]  # a reading, not a test


def check(trained: Trained, mem: Span, gen: Span, tau: float = 0.95) -> None:
    assert trained.mem is not None
    assert mem[0] <= trained.mem.t <= mem[1]
    generalised = t_gen(trained, tau)
    assert generalised is not None
    assert gen[0] <= generalised <= gen[1]


@pytest.mark.parametrize(
    ("preset", "steps", "seeds", "mem", "gen"),
    [
        # Stated 20 and 110-140; measured 19-24 and 118-148 (5 seeds).
        ("quad23_fast", 400, 3, (10, 36), (75, 220)),
        # Stated 20 and 56; measured 13-16 and 51-54 (3 seeds).
        ("quad41", 200, 3, (9, 30), (34, 84)),
        # Stated 24 and 44, the paper's notebook 32 and 44; measured 14 and 38-39 (2 seeds).
        ("doshi97", 100, 2, (9, 48), (26, 66)),
        # Stated 10 and 1,230 (1 seed); measured 13-14 and 900-2,050 (4 seeds).
        ("group_s4", 3200, 3, (7, 21), (600, 3100)),
        # Stated 100-150 and 2,450-4,100 (6 seeds); measured 92-116 and 3,000-4,000 (3 seeds).
        ("parity30", 6000, 2, (60, 225), (1600, 6000)),
        # An earlier run states epochs 22-33 and 143-173; measured 17-24 and 106-134 (2 seeds), which is 560-760 and
        # 3,400-4,300 updates.
        ("parity40", 5500, 1, (350, 1100), (2400, 5400)),
    ],
    ids=["quad23_fast", "quad41", "doshi97", "group_s4", "parity30", "parity40"],
)
def test_a_preset_groks_as_its_first_line_says(preset: str, steps: int, seeds: int, mem: Span, gen: Span) -> None:
    for trained in train(preset, steps, range(seeds)):
        check(trained, mem, gen)


@pytest.mark.parametrize(("preset", "gen"), [("small43", (250, 950)), ("small59", (300, 1500))])
def test_small_transformers_grok(preset: str, gen: Span) -> None:
    """Stated 250 and 300 (one seed of another implementation); measured 520-630 and 530-975 (3 seeds)."""
    (trained,) = train(preset, 1600 if preset == "small59" else 1000, range(1))
    check(trained, (60, 150), gen)


def test_weight_decay_alone_separates_memorising_from_generalising_a_parity() -> None:
    """Stated: without weight decay none of four seeds generalises in 20,000 steps (test .64-.81)."""
    (trained,) = train("parity30", 6000, range(1), {"regularization.weight_decay": 0.0})
    assert trained.mem is not None
    assert trained.gen is None
    assert trained.columns[:, TEST_ACC].max() < 0.9


@pytest.mark.parametrize(
    ("preset", "tau", "mem", "at_mem", "gen"),
    [
        # Stated 1,300 (test .28) and 4,000 at .80; measured 1,275-1,675 (.28-.37) and 3,900-4,800.
        ("digits_quick", 0.80, (850, 2500), 0.50, (2600, 7200)),
        # Stated 250 (test .58) and 4,900 at .93; measured 235-285 (.46-.56) and 4,700-5,600.
        ("breast_cancer", 0.93, (150, 430), 0.80, (3100, 8400)),
        # Stated 300 (test .37) and 5,400 at .93; measured 280-500 (.30-.45) and 4,800-4,900.
        ("wine", 0.93, (180, 750), 0.65, (3200, 8100)),
    ],
    ids=["digits_quick", "breast_cancer", "wine"],
)
def test_a_large_start_delays_generalisation_on_real_data(
    preset: str, tau: float, mem: Span, at_mem: float, gen: Span
) -> None:
    """Seed 1 of three: networks of seed 0 end within .01 of tau on the tumours and the digits."""
    (trained,) = train(preset, 8000, range(1, 2))
    check(trained, mem, gen, tau)
    assert trained.mem is not None
    assert test_acc_at(trained, trained.mem.t) < at_mem
    # Stated 100 and 100 on digits, 50 and 50 on the tables: from the usual start both splits are learned together.
    (usual,) = train(preset, 300, range(1, 2), {"init.scale": 1.0})
    assert usual.mem is not None
    prompt = t_gen(usual, tau)
    assert prompt is not None
    assert prompt <= 2 * usual.mem.t


@pytest.mark.campaign
def test_digits_grok() -> None:
    """Stated 2,300 (test .22) and 11,800 at .90; measured 2,250 (.23) and 12,600. Two minutes."""
    (trained,) = train("digits", 17000, range(1))
    check(trained, (1500, 3400), (7800, 16500), tau=0.90)
    assert trained.mem is not None
    assert test_acc_at(trained, trained.mem.t) < 0.35


@pytest.mark.campaign
def test_mnist_groks() -> None:
    """Stated 2,000 (test .28) and 8,500 at .80; measured 1,275 (.22) and 8,700 (1 seed). A minute."""
    (trained,) = train("mnist5k", 11000, range(1))
    check(trained, (800, 3000), (5500, 10900), tau=0.80)
    assert trained.mem is not None
    assert test_acc_at(trained, trained.mem.t) < 0.35


def test_orthogonal_gradients_remove_the_delay_that_no_weight_decay_brings() -> None:
    """Stated: t_mem 100 and t_gen 220 with the filter; t_mem 40 and test .000 without. Measured (3 seeds): 140-168 and
    168-195; 38 and below .02."""
    (trained,) = train("edge_orthograd59", 400, range(1))
    check(trained, (60, 250), (110, 330))
    (plain,) = train("edge_orthograd59", 400, range(1), {"optimizer.filter": "none"})
    assert plain.mem is not None
    assert plain.mem.t < 60
    assert plain.columns[:, TEST_ACC].max() < 0.1


@pytest.mark.campaign
def test_orthogonal_gradients_generalise_at_once_at_p_113() -> None:
    """Stated: test .95 at step 270 while the train set is still being learned; measured 140 and 152."""
    (trained,) = train("edge_orthograd", 500, range(1))
    check(trained, (70, 405), (75, 405))


def test_gradient_descent_grows_the_weights_while_it_groks() -> None:
    """Kumar et al.: at alpha = 1 train accuracy .99 at 1,700, test at 2,300, norm times 3.3, with nothing but GD.

    This training is deterministic and smooth; two seeds give 1,600-1,650 and 2,200-2,350 at .95: 20 % suffices.
    """
    (trained,) = train("kumar2024", 3500, range(1))
    train_at = sustained(trained.steps, trained.columns[:, TRAIN_ACC] >= 0.99)
    assert train_at is not None
    assert 1360 <= train_at.t <= 2040
    test_at = t_gen(trained, 0.99)
    assert test_at is not None
    assert 1840 <= test_at <= 2760
    growth = (trained.columns[-1, SUM_SQ] / trained.columns[0, SUM_SQ]) ** 0.5
    assert 2.6 < growth < 4.0
