"""A board in words: the one place that says how a study is coming along, on a terminal, in a pipe and in a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grokstudy.spec.outcome import LABELS
from grokstudy.study.board import Board

if TYPE_CHECKING:  # reads the study folder
    from grokstudy.study.activity import Activity


def line(board: Board) -> str:
    """One line: name, stage, how much is done, rate, time left, outcomes so far."""
    parts = [
        f"{board.study}: {board.stage}",
        counted(board),
        speed(board),
        latest(board),
        outcomes(board),
        known(board),
    ]
    return " · ".join(part for part in parts if part)


def counted(board: Board) -> str:
    """Trials, and while training updates; or checkpoints."""
    if board.measures:
        return f"{board.measured:,}/{board.to_measure:,} checkpoints"
    trials = f"{board.done:,}/{board.planned:,} trials"
    if board.stage != "training" or not board.updates_planned:
        return trials
    return f"{trials} · {board.updates / board.updates_planned:.0%} of {board.updates_planned:,} steps"


def speed(board: Board) -> str:
    """Rate and time left of this stage; empty where they are not known."""
    rate, left = board.rate, board.seconds_left
    if rate is None or left is None:
        return ""
    unit = "checkpoints" if board.measures else "steps"
    pace = f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"
    return f"{pace} {unit}/s · {duration(left)} left"


def latest(board: Board) -> str:
    """Losses and accuracies of a trial that is alone in its study; empty for others."""
    now = None if board.planned != 1 or board.latest is None else board.latest.latest
    if now is None or board.measures:
        return ""
    return (
        f"train loss {now['train_loss']:.2e} acc {now['train_acc']:.3f}, "
        f"test loss {now['test_loss']:.2e} acc {now['test_acc']:.3f}"
    )


def outcomes(board: Board) -> str:
    """Trials by outcome; empty while there are none."""
    counts = board.all_outcomes
    return " · ".join(f"{counts[name]:,} {name}" for name in (*LABELS, "failed") if counts[name])


def known(board: Board) -> str:
    """What it waits for; what an adaptive sampler knows by now, while it is asked; else empty."""
    return board.waiting or (board.sampler_state if board.stage == "training" else "")


def afar(look: Activity) -> str:
    """One line about a study that another process works on, from what that process has published."""
    if look.stage in ("measuring", "verifying"):
        parts = [look.stage, f"{look.measured:,}/{look.to_measure:,} checkpoints"]
    else:
        parts = [look.stage, f"{look.done:,}/{look.planned:,} trials"]
        if look.updates_planned:
            parts.append(f"{look.updates / look.updates_planned:.0%} of {look.updates_planned:,} steps")
    if look.seconds_left is not None:
        parts.append(f"{duration(look.seconds_left)} left")
    parts += [f"{count:,} {name}" for name, count in look.outcomes.items() if count]
    return " · ".join(parts)


def duration(seconds: float) -> str:
    """1:02:03, or 2:03 below an hour."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
