"""Linear warm-up of the learning rate, as every optimizer with `lr` and `warmup` has it."""

from __future__ import annotations

from grokstudy.spec.errors import BadInput


def check_rate(lr: float, warmup: int) -> None:
    """Raises BadInput for a learning rate or a warm-up that is no such thing."""
    if lr <= 0:
        raise BadInput(f"optimizer.lr: got {lr}, must be > 0.")
    if warmup < 0:
        raise BadInput(f"optimizer.warmup: got {warmup}, must be >= 0.")


def warmed_up(step: int, warmup: int) -> float:
    """Factor on lr for the update that turns `step` into `step + 1`: the first one has lr 0."""
    return min(step / warmup, 1.0) if warmup else 1.0
