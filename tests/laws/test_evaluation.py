"""Every column of a curve against its definition, on the weights of that step."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from jaxtyping import Float, Int
from torch import Tensor

from grokstudy.engine.batch import PackData
from grokstudy.engine.evaluate import COLUMNS, Evaluation
from grokstudy.engine.layout import Layout
from grokstudy.spec.interfaces import Loss, TaskData
from grokstudy.spec.trial import TrialSpec
from tests.packs import run
from tests.trials import tiny, trial

SPECS = [
    pytest.param(trial("quad23", {"task.label_noise": 0.3}, seed=1), id="quad23 noisy"),
    pytest.param(trial("quad23", {"task.holdout": 0.2, "engine.dtype": "float64"}, seed=1), id="quad23 holdout"),
    pytest.param(tiny({"task.label_noise": 0.2}, seed=2), id="tiny noisy"),
]


@pytest.mark.parametrize("spec", SPECS)
def test_columns_are_what_they_say(spec: TrialSpec) -> None:
    """Train: the labels trained on; test: clean labels; both over all output classes and on the same weights."""
    trained = run([spec], 30).trials[0]
    data = spec.task.data(spec.seeds)
    for step, row in zip(trained.steps.tolist(), trained.columns, strict=True):
        if step not in trained.checkpoints:
            continue
        weights = trained.checkpoints[step]
        logits = spec.model.apply(weights, torch.from_numpy(data.inputs))
        train, test = logits[data.train], logits[data.test]
        train_labels, test_labels = torch.from_numpy(data.train_labels), torch.from_numpy(data.labels[data.test])
        expected = {
            "train_loss": spec.loss.per_row(train, train_labels).mean(),
            "test_loss": spec.loss.per_row(test, test_labels).mean(),
            "train_acc": (train.argmax(-1) == train_labels).double().mean(),
            "test_acc": (test.argmax(-1) == test_labels).double().mean(),
            "sum_sq_weights": sum(tensor.double().square().sum() for tensor in weights.values()),
            "last_layer_norm": weights[spec.model.last_layer()].double().norm(),
            "logit_scale": logits.double().square().mean().sqrt(),
            **of_label_noise(spec, data, train.argmax(-1).numpy()),
            "softmax_collapse": collapse(spec.loss, train),
            "zero_loss": (spec.loss.per_row(train, train_labels) == 0).double().mean(),
        }
        # Logits come from the model's hand-written products: in float32 about 100 roundings of 6e-8 away from those of
        # `apply`, in float64 of 1e-16; a loss or norm moves by as much. Shares are of the same counts.
        rtol = 1e-11 if spec.engine.dtype == "float64" else 1e-5
        np.testing.assert_allclose(row, [float(expected[name]) for name in COLUMNS], rtol=rtol)


def of_label_noise(spec: TrialSpec, data: TaskData, answers: Int[np.ndarray, " train"]) -> dict[str, float]:
    right, wrong = answers == data.train_labels, data.train_labels != data.labels[data.train]
    if not wrong.any():
        return {"train_acc_clean": np.nan, "train_acc_corrupted": np.nan}
    return {"train_acc_clean": right[~wrong].mean(), "train_acc_corrupted": right[wrong].mean()}


def collapse(loss: Loss, logits: Float[Tensor, "rows outputs"]) -> float:
    """Prieto et al. 2025: the share of rows whose exponentials sum to exactly that of the largest."""
    if loss.collapsed(logits) is None:
        return np.nan
    exponentials = (logits.double() - logits.double().amax(1, keepdim=True)).exp()
    return float((exponentials.sum(1) == 1).double().mean())


def test_a_network_sure_of_everything_has_collapsed_and_zero_losses_where_it_is_right() -> None:
    """Logits 1e4 apart: every other exponential is absorbed; the loss is zero on right rows and only there."""
    spec = tiny({"init.scale": 1e3, "task.label_noise": 0.5})
    row = run([spec], 1).trials[0].columns[0]
    collapsed, zero, train_acc = (row[COLUMNS.index(name)] for name in ("softmax_collapse", "zero_loss", "train_acc"))
    assert collapsed == 1
    assert zero == train_acc < 1


def test_step_s_is_the_state_after_s_updates() -> None:
    """The learning rate of the first update is zero: steps 0 and 1 are equal, step 2 is not."""
    trained = run([tiny()], 2).trials[0]
    assert trained.steps.tolist() == [0, 1, 2]
    assert trained.columns[0].tobytes() == trained.columns[1].tobytes()
    assert trained.columns[2, 0] < trained.columns[1, 0]


def test_a_row_that_is_not_finite_reaches_only_its_own_split() -> None:
    """Weights that a train row never reads may overflow: train columns stay what they are."""
    spec = tiny({"task.frac_train": 0.03})
    params = spec.model.init(spec.task.shape(), 0)
    layout = Layout.of(params)
    data = PackData.build([spec], torch.float32, torch.device("cpu"), layout, None)
    unseen = next(a for a in range(13) if a not in data.data[0].inputs[data.data[0].train])
    broken = {**params, "embed.W_E": params["embed.W_E"].clone()}
    broken["embed.W_E"][unseen] = torch.inf
    columns = [Evaluation(layout, data)(layout.flatten(weights)[None].float())[0] for weights in (params, broken)]
    assert columns[0][[0, 2]].tobytes() == columns[1][[0, 2]].tobytes()
    assert not np.isfinite(columns[1][1])


def test_without_test_rows_test_columns_are_nan_and_nothing_diverges() -> None:
    trained = run([trial("quad23", {"task.frac_train": 1.0})], 30).trials[0]
    assert not trained.diverged
    assert trained.step == 30
    assert np.isnan(trained.columns[:, [1, 3]]).all()
    assert np.isfinite(trained.columns[:, [0, 2, 4, 5, 6]]).all()
    assert trained.gen is None
