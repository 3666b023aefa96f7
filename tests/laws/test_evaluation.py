"""Every column of a curve against its definition, on the weights of that step."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from grokstudy.engine.batch import PackData
from grokstudy.engine.evaluate import COLUMNS, evaluate
from grokstudy.engine.layout import Layout
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
        }
        # The logits are the same bits; sums of some 1,000 float64 numbers in another order differ by about 1e-13.
        np.testing.assert_allclose(row, [float(expected[name]) for name in COLUMNS], rtol=1e-11)


def test_step_s_is_the_state_after_s_updates() -> None:
    """The learning rate of the first update is zero: steps 0 and 1 are equal, step 2 is not."""
    trained = run([tiny()], 2).trials[0]
    assert trained.steps.tolist() == [0, 1, 2]
    assert trained.columns[0].tobytes() == trained.columns[1].tobytes()
    assert trained.columns[2, 0] < trained.columns[1, 0]


def test_a_row_that_is_not_finite_reaches_only_its_own_split() -> None:
    """Weights that a train row never reads may overflow: train columns stay what they are."""
    spec = trial("quad23", {"task.frac_train": 0.02})
    data = PackData.build([spec], torch.float32, torch.device("cpu"))
    params = spec.model.init(spec.task.shape(), 0)
    layout = Layout.of(params)
    unseen = next(a for a in range(23) if a not in data.data[0].inputs[data.data[0].train][:, 0])
    broken = {**params, "U": params["U"].clone()}
    broken["U"][unseen] = torch.inf
    columns = [
        evaluate(spec.model, spec.loss, layout, layout.flatten(weights)[None].float(), data.table)[0]
        for weights in (params, broken)
    ]
    assert columns[0][[0, 2]].tobytes() == columns[1][[0, 2]].tobytes()
    assert not np.isfinite(columns[1][1])


def test_without_test_rows_test_columns_are_nan_and_nothing_diverges() -> None:
    trained = run([trial("quad23", {"task.frac_train": 1.0})], 30).trials[0]
    assert not trained.diverged
    assert trained.step == 30
    assert np.isnan(trained.columns[:, [1, 3]]).all()
    assert np.isfinite(trained.columns[:, [0, 2, 4, 5, 6]]).all()
    assert trained.gen is None
