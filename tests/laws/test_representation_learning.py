"""Sums of numbers by a decoder on one learned number each: task, model, optimizer, and the theory of a split."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import torch

from grokstudy.circuits._parallelograms import effective_loss, hessian
from grokstudy.circuits.effective_theory import third_eigenvalue
from grokstudy.circuits.representation import trained_pairs
from grokstudy.engine.layout import Layout
from grokstudy.models.embed_decoder import EmbedDecoder
from grokstudy.optimizers.adamw import AdamW
from grokstudy.optimizers.adamw_embed import AdamWEmbed
from grokstudy.spec.errors import BadInput
from grokstudy.spec.interfaces import Optimizer
from grokstudy.spec.trial import Seeds
from grokstudy.tasks.sums import Sums
from tests.packs import run
from tests.trials import trial

EXACT = 1e-12


def test_every_pair_is_there_once_with_its_sum() -> None:
    data = Sums(p=10, frac_train=0.82).data(Seeds())
    pairs = {tuple(pair) for pair in data.inputs.tolist()}
    assert len(pairs) == len(data.inputs) == 55
    assert len(data.train) == 45
    assert all(a <= b for a, b in pairs)
    assert np.array_equal(data.labels, data.inputs.sum(1))
    assert set(data.labels) == set(range(data.shape.classes))


def trained(optimizer: Optimizer, steps: int, **settings: float) -> dict[str, torch.Tensor]:
    given = {f"regularization.{name}": value for name, value in settings.items()}
    spec = trial("liu2022", {"optimizer": optimizer, "model.width": 16, **given})
    done = run([spec], steps).trials[0]
    shapes = Layout.of(spec.model.init(spec.task.shape(), 0))
    return {name: x[0] for name, x in shapes.views(done.params[None]).items()}


def test_with_equal_rates_and_no_decay_it_is_adamw() -> None:
    common = {"lr": 3e-3, "betas": (0.9, 0.98), "warmup": 4}
    one = trained(AdamWEmbed(embed_lr=3e-3, **common), 30, weight_decay=0)
    other = trained(AdamW(**common), 30, weight_decay=0)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_decay_leaves_the_embedding_alone() -> None:
    """After one update the embedding is where it is without decay, and the decoder is not."""
    one, other = (trained(AdamWEmbed(), 1, weight_decay=decay) for decay in (0.0, 10.0))
    same = {name for name in one if torch.equal(one[name], other[name])}
    assert same == {"W_E"}


def test_each_rate_moves_its_own_tensors() -> None:
    """The first update of Adam is the learning rate times the gradient's sign, where that is not tiny."""
    start = trained(AdamWEmbed(), 0, weight_decay=0)
    moved = trained(AdamWEmbed(lr=1e-4, embed_lr=2e-2), 1, weight_decay=0)
    largest = {name: float((moved[name] - start[name]).abs().max()) for name in start}
    assert largest["W_E"] == pytest.approx(2e-2, rel=1e-3)
    assert all(step == pytest.approx(1e-4, rel=1e-2) for name, step in largest.items() if name != "W_E")


def test_a_model_without_embeddings_is_refused_by_name() -> None:
    with pytest.raises(BadInput, match=r"optimizer: adamw_embed .* model=quad_mlp has none"):
        trial("quad23", {"optimizer": AdamWEmbed()})


def test_numbers_on_a_line_are_read_as_their_sum() -> None:
    """Equal sums give equal logits, whatever the decoder."""
    model, data = EmbedDecoder(), Sums().data(Seeds())
    params = model.init(data.shape, 0) | {"W_E": torch.linspace(-0.5, 0.5, 10, dtype=torch.float64)[:, None]}
    logits = model.apply(params, torch.from_numpy(data.inputs))
    for total in range(19):
        rows = logits[torch.from_numpy(data.labels == total)]
        torch.testing.assert_close(rows, rows[:1].expand_as(rows), rtol=0, atol=EXACT)


@pytest.mark.parametrize("frac_train", [0.4, 0.82, 1.0])
def test_the_hessian_is_that_of_the_effective_loss(frac_train: float) -> None:
    """E^T H E / 2 is the mean squared error; its null space holds the lines, and with all pairs nothing else."""
    data = Sums(frac_train=frac_train).data(Seeds())
    pairs = trained_pairs(data)
    E = torch.randn(10, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    H = hessian(pairs)
    quadratic = float((E * (H @ E)).sum() / 2)
    assert quadratic == pytest.approx(effective_loss(E, pairs) * float((E**2).sum()), rel=EXACT)
    line = 2 + 3 * torch.arange(10).double()
    assert float((H @ line).abs().max()) < EXACT
    if frac_train == 1:
        assert third_eigenvalue(H) > 0.01


def test_more_pairs_make_no_direction_slower() -> None:
    """Nested splits: the sum over parallelograms, which is their mean times their number, only gains terms."""
    found = []
    for share in (0.3, 0.5, 0.7, 0.9, 1.0):
        data = Sums(frac_train=share).data(Seeds())
        of_each_sum = np.bincount(data.labels[data.train])
        parallelograms = int((of_each_sum * (of_each_sum - 1) // 2).sum())
        found.append(third_eigenvalue(hessian(trained_pairs(data))) * parallelograms)
    assert all(more >= fewer - EXACT for fewer, more in itertools.pairwise(found))
    assert found[-1] > found[0]


def test_the_embedding_has_no_own_scale_but_embed_range() -> None:
    shape = Sums().shape()
    small, large = (EmbedDecoder(embed_range=x).init(shape, 3) for x in (0.5, 2.0))
    assert torch.equal(small["W_E"] * 4, large["W_E"])
    assert float(small["W_E"].abs().max()) <= 0.5
    assert dataclasses.replace(EmbedDecoder(), depth=2).hidden_matrices() == []
