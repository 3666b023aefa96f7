"""A row of a trial as the store takes it, nothing seen yet: for tests that plant trials instead of training them."""

from __future__ import annotations

from grokstudy.spec.rows import TrialRow

BARE = TrialRow(
    trial_id="a",
    study="study",
    pack_id="pack",
    seed=0,
    seed_data=0,
    seed_init=0,
    seed_batch=0,
    seed_noise=0,
    budget=1000,
    steps_run=1000,
    status="done",
    stop_reason=None,
    t_mem=None,
    t_mem_lo=None,
    t_gen=None,
    t_gen_lo=None,
    retention=None,
    t_lose=None,
    diverged_step=None,
    test_acc_at_t_mem=None,
    train_loss=None,
    test_loss=None,
    train_acc=None,
    test_acc=None,
    sum_sq_weights=None,
    lr_wd=0.1,
    parent_trial=None,
    parent_step=None,
    numerics="cpu",
    error=None,
    seconds=1.0,
    written_at="2026-01-01T00:00:00Z",
    config={"optimizer.lr": 0.1},
)
