"""Rows of the study folder as typed values; the only place where a column is named and explained."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int

from grokstudy.spec.axes import Value
from grokstudy.spec.outcome import LABELS

Status = Literal["done", "ended_early", "diverged", "failed", "stopped"]
FINAL: tuple[Status, ...] = ("done", "ended_early", "diverged")
"""Statuses that are not run again at the same budget."""


def column(help: str, **default: Any) -> Any:
    """A column, with the line that `query --tables` prints."""
    return dataclasses.field(metadata={"help": help}, **default)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TrialRow:
    """One row of `trials/`. Several rows per trial are allowed; the view `trials` shows the one that counts."""

    trial_id: str = column("hash of every setting that is not neutral")
    study: str = column("name of the study that ran it")
    pack_id: str = column("pack it was stepped in")
    seed: int = column("master seed")
    seed_data: int = column("seed of split and label noise")
    seed_init: int = column("seed of the initial weights")
    seed_batch: int = column("seed of the mini-batches")
    seed_noise: int = column("seed of the noise added to updates")
    budget: int = column("steps it was allowed")
    steps_run: int = column("updates it made")
    status: Status = column("done, ended_early, diverged, failed or stopped")
    stop_reason: str | None = column("why it ended before its budget")
    t_mem: int | None = column(
        "memorisation time: first evaluation from which train accuracy stays >= .95; NULL if not seen"
    )
    t_mem_lo: int | None = column("the evaluation before t_mem")
    t_gen: int | None = column("generalisation time: the same of test accuracy; NULL if not seen (censored)")
    t_gen_lo: int | None = column("the evaluation before t_gen")
    retention: str | None = column("kept, lost (test accuracy fell below .95 after t_gen) or unknown")
    t_lose: int | None = column("first evaluation after t_gen with test accuracy < .95")
    diverged_step: int | None = column("evaluation at which a loss was no longer finite")
    test_acc_at_t_mem: float | None = column("test accuracy at t_mem")
    train_loss: float | None = column("at the last evaluation")
    test_loss: float | None = column("at the last evaluation")
    train_acc: float | None = column("at the last evaluation, on the labels trained on")
    test_acc: float | None = column("at the last evaluation, on clean labels; NULL without test rows")
    sum_sq_weights: float | None = column("sum of squares of all parameters at the last evaluation")
    lr_wd: float = column("learning rate times weight decay")
    parent_trial: str | None = column("trial whose weights it started from")
    parent_step: int | None = column("step of those weights")
    numerics: str = column("device, threads, dtype, compile mode and torch version its bits depend on")
    error: str | None = column("message of a failed trial")
    seconds: float = column("its share of the packs' stepping time")
    written_at: str = column("UTC, ISO 8601")
    slices: str | None = column("names of the task's slices as JSON text; NULL if it has none", default=None)
    config: Mapping[str, Value] = column(
        "one column per config path, e.g. optimizer.lr; the leaf is an alias where unique"
    )


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class CurveRows:
    """Evaluations of one trial, one entry per evaluated step; becomes rows of `curves/`. NaN here is NULL there."""

    trial_id: str
    step: Int[np.ndarray, " evaluations"]
    train_loss: Float[np.ndarray, " evaluations"]
    test_loss: Float[np.ndarray, " evaluations"]
    train_acc: Float[np.ndarray, " evaluations"]
    test_acc: Float[np.ndarray, " evaluations"]
    sum_sq_weights: Float[np.ndarray, " evaluations"]
    last_layer_norm: Float[np.ndarray, " evaluations"]
    logit_scale: Float[np.ndarray, " evaluations"]
    train_acc_clean: Float[np.ndarray, " evaluations"]
    train_acc_corrupted: Float[np.ndarray, " evaluations"]
    softmax_collapse: Float[np.ndarray, " evaluations"]
    zero_loss: Float[np.ndarray, " evaluations"]
    slices: Float[np.ndarray, "evaluations slices 4"] | None = None
    """`SLICE_COLUMNS` of every slice of a task that has them."""


CURVE_COLUMNS: dict[str, str] = {
    "trial_id": "trial",
    "step": "updates made when the weights were evaluated",
    "train_loss": "mean loss on the train rows and the labels trained on, all output classes",
    "test_loss": "mean loss on the test rows, all output classes",
    "train_acc": "accuracy on the train rows and the labels trained on",
    "test_acc": "accuracy on the test rows (clean labels)",
    "sum_sq_weights": "sum of squares of all parameters",
    "last_layer_norm": "Euclidean norm of the parameter that produces the logits",
    "logit_scale": "root mean square of all logits",
    "train_acc_clean": "accuracy on the train rows whose label is right; NULL without label noise",
    "train_acc_corrupted": "accuracy on the train rows whose label is wrong, on that label; NULL without label noise",
    "softmax_collapse": "share of train answers whose softmax has one output that absorbs all others",
    "zero_loss": "share of train rows whose loss is exactly zero in the loss's precision",
}

SLICE_COLUMNS: dict[str, str] = {
    "slice_train_loss": "list: mean loss on the train rows of every slice of the task (operations, digits ...)",
    "slice_test_loss": "list: mean loss on the test rows of every slice",
    "slice_train_acc": "list: accuracy on the train rows of every slice",
    "slice_test_acc": "list: accuracy on the test rows of every slice",
}
"""Lists in the order of the column `slices` of trials; NULL for a task without slices."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointRow:
    """One lane of one checkpoint file; becomes a row of `checkpoints/index-*.parquet`."""

    trial_id: str = column("trial")
    step: int = column("updates made")
    file: str = column("safetensors file, relative to the study folder; its tensors are stacked over lanes")
    lane: int = column("index of this trial along the first axis of every tensor")
    sha256: str = column("digest of the file")
    kind: Literal["scheduled", "ring", "end"] = column("why it was kept: the schedule, the transition or the end")


RAISED = "raised "
"""How the reason of a measure that raised begins: it is tried again the next time."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MeasureValue:
    """One measure of one network, without saying which network."""

    measure: str = column("name, e.g. restricted_loss.all")
    value: float | None = column("the number; NULL if undefined here")
    values: tuple[float, ...] | None = column("the numbers of a list-valued measure")
    protocol: str = column("variant: key-frequency rule, centring, terms ...")
    version: int = column("version of the code that computed it")
    reason: str | None = column("why value is NULL")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MeasureRow:
    """A row of `measures/`."""

    trial_id: str
    step: int
    value: MeasureValue
    written_at: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ProposalRow:
    """One proposal of an adaptive sampler; becomes a row of `proposals/`, written before its trial starts."""

    number: int = column("number of the proposal, from 0")
    trial_id: str = column("trial that it asks for; an extension asks for one that is there")
    source: str = column("where it comes from: initial, explore, boundary, extend, sentinel, tpe ...")
    reason: str = column("why the sampler asked for it")
    point: str = column("values of the axes (and the seed, if the sampler chose it) as JSON text")
    budget: int = column("steps to train to")
    p_confusion: float | None = column("probability of confusion, predicted before the trial ran; NULL = no prediction")
    p_memorization: float | None = column("the same of memorization")
    p_inversion: float | None = column("the same of inversion")
    p_grokking: float | None = column("the same of grokking")
    p_comprehension: float | None = column("the same of comprehension")
    p_diverged: float | None = column("the same of diverged")
    finished: int = column("trials that the sampler knew when it proposed this one")
    expected_error: float | None = column(
        "share of the axes' volume expected to be misclassified then; NULL = the sampler does not say"
    )
    half_width: float | None = column("half-width of the boundary's band then, as a share of an axis")
    written_at: str = column("UTC, ISO 8601")


PREDICTED: tuple[str, ...] = tuple(f"p_{label}" for label in LABELS)
"""The columns of a proposal that hold predicted probabilities, in the order of LABELS."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What an adaptive sampler learns of a finished trial. Times are NULL (None) where they were not seen."""

    trial_id: str
    point: Mapping[str, Value]
    """Values of the axes, and `seed` where that is none of them."""
    t_mem: int | None
    t_gen: int | None
    steps_run: int
    """Updates that were watched: a time that was not seen lies beyond."""
    budget: int
    """Steps it was allowed."""
    diverged: bool
    seconds: float
    train_loss: float | None = None
    """At the last evaluation, like the next three."""
    test_loss: float | None = None
    train_acc: float | None = None
    test_acc: float | None = None
    source: str | None = None
    """Of the proposal that asked for it first; None = no proposal of this study did."""
    predicted: tuple[float, ...] | None = None
    """What that proposal predicted, in the order of `outcome.LABELS`."""
    asked: int | None = None
    """Steps that it asked for."""
