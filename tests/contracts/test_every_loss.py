"""What every loss owes; a new file in losses/ is covered by existing."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from grokstudy.losses.ce64 import CrossEntropy64
from grokstudy.losses.mse_onehot import MSEOneHot
from grokstudy.spec.interfaces import Loss
from tests.variants import every_small, variants

OUTPUTS = 6
LOSSES = every_small("losses", Loss)  # type: ignore[type-abstract]
CASES = {f"{name}/{field}": loss for name, base in LOSSES.items() for field, loss in [("", base), *variants(base)]}
CASES |= {f"mse_onehot/{name}": MSEOneHot(reduction=name) for name in ("mean", "sum_outputs", "half_sum")}
every_case = pytest.mark.parametrize("loss", CASES.values(), ids=CASES)


def drawn(*batch: int, seed: int = 0, scale: float = 3.0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(*batch, OUTPUTS, generator=generator, dtype=torch.float64)
    return logits, torch.randint(OUTPUTS, batch, generator=generator)


def test_there_are_losses() -> None:
    assert LOSSES


@every_case
@pytest.mark.parametrize("batch", [(40,), (3, 7)], ids=["rows", "members x rows"])
def test_the_gradient_is_the_derivative_of_the_loss(loss: Loss, batch: tuple[int, ...]) -> None:
    logits, labels = drawn(*batch)
    logits.requires_grad_()
    losses = loss.per_row(logits, labels)
    assert losses.shape == batch
    losses.sum().backward()
    torch.testing.assert_close(loss.logit_gradient(logits.detach(), labels), logits.grad, rtol=1e-11, atol=1e-13)


@every_case
def test_every_label_counts_the_first_and_last_too(loss: Loss) -> None:
    """Relabelling the outputs relabels nothing else: no label is ignored, none is special."""
    logits, labels = drawn(50)
    assert set(labels.tolist()) == set(range(OUTPUTS))
    for shift in range(OUTPUTS):
        moved = torch.roll(logits, shift, -1), (labels + shift) % OUTPUTS
        torch.testing.assert_close(loss.per_row(*moved), loss.per_row(logits, labels), rtol=1e-12, atol=1e-14)
    for label in range(OUTPUTS):
        gradient = loss.logit_gradient(torch.zeros(1, OUTPUTS), torch.tensor([label]))[0]
        assert gradient[label] < 0, "raising the right logit must lower the loss"
        assert gradient.argmin() == label


@every_case
def test_a_rows_loss_depends_on_that_row_alone(loss: Loss) -> None:
    logits, labels = drawn(10)
    assert torch.equal(loss.per_row(logits[3:4], labels[3:4]), loss.per_row(logits, labels)[3:4])
    assert torch.equal(loss.logit_gradient(logits[3:4], labels[3:4]), loss.logit_gradient(logits, labels)[3:4])


@every_case
def test_inputs_are_left_alone(loss: Loss) -> None:
    logits, labels = drawn(10)
    kept = logits.clone(), labels.clone()
    loss.per_row(logits, labels)
    loss.logit_gradient(logits, labels)
    assert torch.equal(logits, kept[0])
    assert torch.equal(labels, kept[1])


@every_case
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_gradient_has_the_precision_of_the_logits(loss: Loss, dtype: torch.dtype) -> None:
    logits, labels = drawn(10)
    assert loss.logit_gradient(logits.to(dtype), labels).dtype == dtype


@every_case
@pytest.mark.parametrize("scale", [1e-6, 1e4])
def test_confident_and_indifferent_logits_give_finite_losses_and_gradients(loss: Loss, scale: float) -> None:
    logits, labels = drawn(20, scale=scale)
    assert loss.per_row(logits.float(), labels).isfinite().all()
    assert loss.logit_gradient(logits.float(), labels).isfinite().all()


@pytest.mark.parametrize("name", LOSSES)
def test_every_setting_changes_the_loss(name: str) -> None:
    base, (logits, labels) = LOSSES[name], drawn(10)
    changed = dict(variants(base))
    assert set(changed) == {field.name for field in dataclasses.fields(base)}
    for field, loss in changed.items():
        assert not torch.allclose(loss.per_row(logits, labels), base.per_row(logits, labels)), field


def test_cross_entropy_is_pytorchs_and_has_no_float32_floor() -> None:
    logits, labels = drawn(30)
    expected = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
    torch.testing.assert_close(CrossEntropy64().per_row(logits, labels), expected, rtol=1e-12, atol=1e-14)
    # exp(-25) = 1.4e-11: log softmax in float32 gives exactly 0 there, whose gradient ends learning.
    sure = torch.tensor([[25.0, 0.0]])
    assert torch.nn.functional.cross_entropy(sure, torch.tensor([0])) == 0
    loss = CrossEntropy64().per_row(sure, torch.tensor([0])).item()
    assert loss == pytest.approx(1.3888e-11, rel=1e-4)
    assert CrossEntropy64().logit_gradient(sure, torch.tensor([0]))[0, 1].item() == pytest.approx(loss, rel=1e-4)


def test_reductions_of_the_squared_error() -> None:
    logits, labels = drawn(30)
    squares = (logits - torch.nn.functional.one_hot(labels, OUTPUTS)).square()
    expected = {"mean": squares.mean(-1), "sum_outputs": squares.sum(-1), "half_sum": squares.sum(-1) / 2}
    for reduction, value in expected.items():
        loss = MSEOneHot(reduction=reduction)  # type: ignore[arg-type]
        torch.testing.assert_close(loss.per_row(logits, labels), value, rtol=1e-12, atol=1e-14)
