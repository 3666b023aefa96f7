"""What every loss owes; a new file in losses/ is covered by existing."""

from __future__ import annotations

import dataclasses
import math
import typing

import pytest
import torch
from torch import Tensor

from grokstudy.losses.ce16 import CrossEntropy16
from grokstudy.losses.ce32 import CrossEntropy32
from grokstudy.losses.ce64 import CrossEntropy64
from grokstudy.losses.hinge import Hinge
from grokstudy.losses.mse_onehot import MSEOneHot
from grokstudy.losses.stablemax import StableMax
from grokstudy.spec.errors import BadInput
from grokstudy.spec.interfaces import Loss, Shape
from tests.variants import every_small, variants

OUTPUTS = 6
CLASSES = Shape(positions=2, vocab=OUTPUTS, classes=OUTPUTS)
REALS = Shape(positions=2, vocab=0, classes=OUTPUTS, real_targets=True)


def options(loss: Loss) -> dict[str, Loss]:
    """The loss with every option of every setting that offers a choice."""
    return {
        f"{field}={option}": dataclasses.replace(loss, **{field: option})
        for field, hint in typing.get_type_hints(type(loss)).items()
        if typing.get_origin(hint) is typing.Literal
        for option in typing.get_args(hint)
    }


LOSSES = every_small("losses", Loss)  # type: ignore[type-abstract]
CASES = {f"{name}/{field}": loss for name, base in LOSSES.items() for field, loss in [("", base), *variants(base)]}
CASES |= {f"{name}/{option}": loss for name, base in LOSSES.items() for option, loss in options(base).items()}
every_case = pytest.mark.parametrize("loss", CASES.values(), ids=CASES)
SOFTMAX = {"ce16": CrossEntropy16(), "ce32": CrossEntropy32(), "ce64": CrossEntropy64()}
LEADS = {"ce16": 7.6, "ce32": 16.6, "ce64": 36.7}
"""Lead of one output over one other at which the other is absorbed: half the distance from 1 to the next number of the
precision is 2^-11, 2^-24 and 2^-53."""


def takes_classes(loss: Loss) -> bool:
    try:
        loss.check(CLASSES)
    except BadInput:
        return False
    return True


def every_case_on_classes() -> pytest.MarkDecorator:
    chosen = {name: loss for name, loss in CASES.items() if takes_classes(loss)}
    return pytest.mark.parametrize("loss", chosen.values(), ids=chosen)


def drawn(loss: Loss, *batch: int, seed: int = 0, scale: float = 3.0) -> tuple[Tensor, Tensor]:
    """Logits, and labels of the kind that the loss takes."""
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(*batch, OUTPUTS, generator=generator, dtype=torch.float64)
    if takes_classes(loss):
        return logits, torch.randint(OUTPUTS, batch, generator=generator)
    return logits, torch.randn(*batch, OUTPUTS, generator=generator, dtype=torch.float64)


def close(value: Tensor, expected: Tensor, precision: torch.dtype) -> None:
    """Equal up to a few roundings in the loss's own precision, to numbers of size up to 1 (probabilities) or their
    own."""
    eps = 8 * torch.finfo(precision).eps
    torch.testing.assert_close(value, expected, rtol=eps, atol=eps)


def test_there_are_losses() -> None:
    assert LOSSES


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_a_loss_takes_classes_or_real_targets_and_refuses_the_other(loss: Loss) -> None:
    accepted, refused = (CLASSES, REALS) if takes_classes(loss) else (REALS, CLASSES)
    loss.check(accepted)
    with pytest.raises(BadInput, match="loss"):
        loss.check(refused)


@every_case
@pytest.mark.parametrize("batch", [(40,), (3, 7)], ids=["rows", "members x rows"])
def test_the_gradient_is_the_derivative_of_the_loss(loss: Loss, batch: tuple[int, ...]) -> None:
    logits, labels = drawn(loss, *batch)
    logits.requires_grad_()
    losses = loss.per_row(logits, labels)
    assert losses.shape == batch
    losses.double().sum().backward()
    assert logits.grad is not None
    close(loss.logit_gradient(logits.detach(), labels), logits.grad, losses.dtype)


@every_case
def test_members_mapped_together_have_the_gradient_of_each_alone(loss: Loss) -> None:
    logits, labels = drawn(loss, 3, 7)
    mapped = torch.func.vmap(loss.logit_gradient)(logits, labels)
    for member in range(3):
        assert torch.equal(mapped[member], loss.logit_gradient(logits[member], labels[member]))


@every_case
def test_relabelling_the_outputs_changes_nothing(loss: Loss) -> None:
    """No output is special, neither the first nor the last."""
    logits, labels = drawn(loss, 50)
    expected = loss.per_row(logits, labels)
    for shift in range(OUTPUTS):
        moved = (labels + shift) % OUTPUTS if takes_classes(loss) else torch.roll(labels, shift, -1)
        close(loss.per_row(torch.roll(logits, shift, -1), moved), expected, expected.dtype)


@every_case_on_classes()
def test_every_label_counts_the_first_and_last_too(loss: Loss) -> None:
    for label in range(OUTPUTS):
        gradient = loss.logit_gradient(torch.zeros(1, OUTPUTS), torch.tensor([label]))[0]
        assert gradient[label] < 0, "raising the right logit must lower the loss"
        assert gradient.argmin() == label


@every_case
def test_a_rows_loss_depends_on_that_row_alone(loss: Loss) -> None:
    logits, labels = drawn(loss, 10)
    assert torch.equal(loss.per_row(logits[3:4], labels[3:4]), loss.per_row(logits, labels)[3:4])
    assert torch.equal(loss.logit_gradient(logits[3:4], labels[3:4]), loss.logit_gradient(logits, labels)[3:4])


@every_case
def test_inputs_are_left_alone(loss: Loss) -> None:
    logits, labels = drawn(loss, 10)
    kept = logits.clone(), labels.clone()
    loss.per_row(logits, labels)
    loss.logit_gradient(logits, labels)
    loss.collapsed(logits)
    assert torch.equal(logits, kept[0])
    assert torch.equal(labels, kept[1])


@every_case
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_gradient_has_the_precision_of_the_logits(loss: Loss, dtype: torch.dtype) -> None:
    logits, labels = drawn(loss, 10)
    assert loss.logit_gradient(logits.to(dtype), labels).dtype == dtype


@every_case
@pytest.mark.parametrize("scale", [1e-6, 1e4, 1e6])
def test_confident_and_indifferent_logits_give_finite_losses_and_gradients(loss: Loss, scale: float) -> None:
    logits, labels = drawn(loss, 20, scale=scale)
    assert loss.per_row(logits.float(), labels).isfinite().all()
    assert loss.logit_gradient(logits.float(), labels).isfinite().all()


@every_case
def test_collapse_is_told_of_every_row_or_not_defined(loss: Loss) -> None:
    logits, _ = drawn(loss, 3, 7)
    collapsed = loss.collapsed(logits)
    if collapsed is not None:
        assert collapsed.shape == (3, 7)
        assert collapsed.dtype == torch.bool


@pytest.mark.parametrize("name", LOSSES)
def test_every_setting_changes_the_loss(name: str) -> None:
    base = LOSSES[name]
    logits, labels = drawn(base, 10)
    changed = dict(variants(base))
    assert set(changed) == {field.name for field in dataclasses.fields(base)}
    for field, loss in changed.items():
        assert not torch.allclose(loss.per_row(logits, labels), base.per_row(logits, labels)), field


@pytest.mark.parametrize("name", SOFTMAX)
def test_a_cross_entropy_is_pytorchs_up_to_its_precision(name: str) -> None:
    loss = SOFTMAX[name]
    logits, labels = drawn(loss, 30)
    losses = loss.per_row(logits, labels)
    rounded = logits.to(losses.dtype).double()  # the logits themselves are rounded, to 2^-11 of their size in float16
    expected = torch.nn.functional.cross_entropy(rounded, labels, reduction="none")
    close(losses.double(), expected, losses.dtype)


def test_float32_has_a_floor_and_exact_zeros_and_float64_has_not() -> None:
    label = torch.tensor([0])
    leads = torch.linspace(0, 30, 3001)
    rows = torch.stack([leads, torch.zeros_like(leads)], -1)
    losses = CrossEntropy32().per_row(rows, label.expand(3001))
    assert losses[losses > 0].min().item() == pytest.approx(2**-23, rel=1e-6)  # log(1 + 2^-23); 1.2e-7
    sure = torch.tensor([[25.0, 0.0]])
    assert CrossEntropy32().per_row(sure, label) == 0
    # exp(-25) = 1.39e-11
    loss = CrossEntropy64().per_row(sure, label).item()
    assert loss == pytest.approx(1.3888e-11, rel=1e-4)
    assert CrossEntropy64().logit_gradient(sure, label)[0, 1].item() == pytest.approx(loss, rel=1e-4)


@pytest.mark.parametrize("name", SOFTMAX)
def test_softmax_collapses_at_the_lead_that_its_precision_absorbs(name: str) -> None:
    loss, label = SOFTMAX[name], torch.tensor([0])
    for lead, absorbed in [(LEADS[name] - 0.1, False), (LEADS[name] + 0.1, True)]:
        logits = torch.tensor([[lead, 0.0]], dtype=torch.float64)
        collapsed = loss.collapsed(logits)
        assert collapsed is not None
        assert collapsed.item() is absorbed
        assert (loss.per_row(logits, label) == 0).item() is absorbed, "the loss is zero where softmax has collapsed"
        assert (loss.logit_gradient(logits, label)[0, 0] == 0).item() is absorbed, "nothing raises the right logit"


@pytest.mark.parametrize("name", SOFTMAX)
def test_a_confident_mistake_is_collapsed_but_still_corrected(name: str) -> None:
    loss, label = SOFTMAX[name], torch.tensor([1])
    logits = torch.tensor([[LEADS[name] + 1, 0.0]])
    collapsed = loss.collapsed(logits)
    assert collapsed is not None
    assert collapsed.all()
    assert loss.logit_gradient(logits, label).tolist() == [[1, -1]]


def test_stablemax_is_the_ratio_of_its_definition() -> None:
    logits, labels = drawn(StableMax(), 30)
    s = torch.where(logits >= 0, logits + 1, 1 / (1 - logits))
    expected = -(s / s.sum(-1, keepdim=True)).log().gather(-1, labels[:, None])[:, 0]
    close(StableMax().per_row(logits, labels), expected, torch.float64)


def test_stablemax_still_learns_where_softmax_has_collapsed_in_float64() -> None:
    logits, label = torch.tensor([[100.0, 0.0]]), torch.tensor([0])
    assert CrossEntropy64().logit_gradient(logits, label)[0, 0] == 0
    # s = (101, 1): the loss is log(102 / 101), and its slope (101 / 102 - 1) / 101.
    assert StableMax().per_row(logits, label).item() == pytest.approx(math.log(102 / 101), rel=1e-12)
    assert StableMax().logit_gradient(logits, label)[0, 0].item() == pytest.approx(-1 / (101 * 102), rel=1e-6)


def test_stablemax_at_zero_has_slope_one_by_hand_and_by_automatic_differentiation() -> None:
    logits, label = torch.zeros(1, 4, dtype=torch.float64, requires_grad=True), torch.tensor([2])
    (by_machine,) = torch.autograd.grad(StableMax().per_row(logits, label).sum(), logits)
    close(by_machine, torch.tensor([[0.25, 0.25, -0.75, 0.25]], dtype=torch.float64), torch.float64)
    assert torch.equal(StableMax().logit_gradient(logits.detach(), label), by_machine)


def test_the_hinge_of_two_outputs_is_the_binary_one_of_their_difference() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(200, 2, generator=generator, dtype=torch.float64)
    labels = torch.randint(2, (200,), generator=generator)
    sign, margin = 2 * labels - 1, logits[:, 1] - logits[:, 0]
    losses = Hinge().per_row(logits, labels)
    close(losses, (1 - sign * margin).clamp(min=0), torch.float64)
    assert (losses == 0).any()
    assert (losses > 0).any()


def test_the_hinge_is_pytorchs_multi_class_margin_against_the_best_rival_alone() -> None:
    logits, labels = drawn(Hinge(), 30)
    rivals = logits.scatter(1, labels[:, None], -math.inf).argmax(1)
    two = torch.stack([logits.gather(1, labels[:, None])[:, 0], logits.gather(1, rivals[:, None])[:, 0]], 1)
    # PyTorch divides by the number of outputs.
    expected = 2 * torch.nn.functional.multi_margin_loss(two, torch.zeros_like(labels), reduction="none")
    close(Hinge().per_row(logits, labels), expected, torch.float64)


def test_a_hinge_that_is_met_asks_for_nothing() -> None:
    logits = torch.tensor([[2.0, 1.0, 0.0], [1.99, 1.0, 0.0]])
    gradient = Hinge().logit_gradient(logits, torch.tensor([0, 0]))
    assert gradient.tolist() == [[0, 0, 0], [-1, 1, 0]]


def test_reductions_of_the_squared_error() -> None:
    loss = MSEOneHot()
    logits, labels = drawn(loss, 30)
    squares = (logits - torch.nn.functional.one_hot(labels, OUTPUTS)).square()
    expected = {"mean": squares.mean(-1), "sum_outputs": squares.sum(-1), "half_sum": squares.sum(-1) / 2}
    for reduction, value in expected.items():
        close(MSEOneHot(reduction=reduction).per_row(logits, labels), value, torch.float64)  # type: ignore[arg-type]
