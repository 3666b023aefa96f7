"""Fully connected networks against their definitions and against plain PyTorch loops, and what the engine makes of
alpha * (f - f0)."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from jaxtyping import Float, Int
from torch import Tensor

from grokstudy.models.embed_mlp import EmbedMLP
from grokstudy.models.mlp import MLP
from grokstudy.models.onehot_mlp import OneHotMLP
from grokstudy.models.quad_mlp import QuadMLP
from grokstudy.spec.errors import BadInput
from grokstudy.spec.interfaces import Model, Shape
from grokstudy.spec.trial import TrialSpec
from tests.packs import assert_same_bits, run
from tests.trials import trial

STEPS = 50
RELATIVE = 1e-9
"""Rounding of some 1e6 float64 operations stays far below; a missing term moves 50 steps by far more."""
Forward = Callable[[Mapping[str, Tensor], Tensor], Tensor]

ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.nn.ReLU(),
    "gelu": torch.nn.GELU(),
    "silu": torch.nn.SiLU(),
    "tanh": torch.nn.Tanh(),
    "quad": torch.square,
}
PAIRS = torch.cartesian_prod(torch.arange(5), torch.arange(5))
PAIR_SHAPE = Shape(positions=2, vocab=5, classes=5)


def plain_chain(params: Mapping[str, Tensor], x: Float[Tensor, "rows features"], activation: str) -> Tensor:
    """torch.nn.Linear after torch.nn.Linear."""
    depth = sum(name.endswith(".W") for name in params)
    for i in range(depth):
        x = torch.nn.functional.linear(x, params[f"layers.{i}.W"].T, params.get(f"layers.{i}.b"))
        x = ACTIVATIONS[activation](x) if i < depth - 1 else x
    return x


def one_hot(inputs: Int[Tensor, "rows positions"], vocab: int) -> Float[Tensor, "rows positions_vocab"]:
    return torch.nn.functional.one_hot(inputs, vocab).double().flatten(1)


def plain_embed(model: EmbedMLP, params: Mapping[str, Tensor], inputs: Int[Tensor, "rows 2"]) -> Tensor:
    tables = params["W_E"].expand(2, -1, -1) if model.embedding != "separate" else params["W_E"]
    a, b = tables[0][inputs[:, 0]], tables[1][inputs[:, 1]]
    x = torch.cat([a, b], 1) if model.combine == "concat" else a + b
    neurons = torch.relu(x @ params["W_in"])
    return neurons @ params["W_out"] @ params["W_E"][0].T if model.embedding == "tied" else neurons @ params["W_U"]


def plain_forward(model: Model, shape: Shape) -> Forward:
    if isinstance(model, EmbedMLP):
        return lambda params, inputs: plain_embed(model, params, inputs)
    if isinstance(model, OneHotMLP):
        return lambda params, inputs: plain_chain(params, one_hot(inputs, shape.vocab), model.activation)
    if isinstance(model, MLP):
        return lambda params, inputs: plain_chain(params, inputs, model.activation)
    assert isinstance(model, QuadMLP)
    return lambda p, inputs: (one_hot(inputs, shape.vocab) @ torch.cat([p["U"], p["V"]])).square() @ p["W"]


MODELS: Mapping[str, Model] = {
    **{f"mlp {name}": MLP(width=9, activation=name) for name in ACTIVATIONS},  # type: ignore[arg-type]
    "mlp no bias": MLP(depth=2, width=9, bias="none"),
    "mlp hidden bias": MLP(depth=4, width=9, later_widths=(7, 5), bias="hidden"),
    **{f"onehot {name}": OneHotMLP(width=9, activation=name) for name in ACTIVATIONS},  # type: ignore[arg-type]
    "onehot deep": OneHotMLP(depth=5, width=9),
    **{
        f"embed {embedding} {combine}": EmbedMLP(d_embed=6, width=9, embedding=embedding, combine=combine)  # type: ignore[arg-type]
        for embedding in ("separate", "shared", "tied")
        for combine in ("concat", "sum")
    },
}
every_model = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)


@every_model
def test_a_network_is_what_its_definition_says(model: Model) -> None:
    shape, inputs = PAIR_SHAPE, PAIRS
    if isinstance(model, MLP):
        shape = Shape(positions=4, vocab=0, classes=3)
        inputs = torch.randn(20, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    params = {name: tensor + 0.1 for name, tensor in model.init(shape, 3).items()}
    expected = plain_forward(model, shape)(params, inputs)
    torch.testing.assert_close(model.apply(params, inputs), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("model", "shape", "parameters"),
    [
        (MLP(width=200), Shape(positions=784, vocab=0, classes=10), 199_210),
        (MLP(width=100, activation="tanh"), Shape(positions=5, vocab=0, classes=5, real_targets=True), 11_205),
        (MLP(depth=2, width=128, bias="none"), Shape(positions=30, vocab=0, classes=2), 4_096),
        (MLP(depth=2, width=1000, bias="hidden"), Shape(positions=40, vocab=0, classes=2), 43_000),
        (OneHotMLP(), Shape(positions=2, vocab=113, classes=113), 107_800),
        (EmbedMLP(), Shape(positions=2, vocab=120, classes=120), 142_336),
        (
            EmbedMLP(d_embed=500, width=24, embedding="tied", combine="sum"),
            Shape(positions=2, vocab=67, classes=67),
            57_500,
        ),
    ],
    ids=["mnist", "teacher-student", "parity", "Merrill", "Prieto", "Chughtai S5", "PAIR"],
)
def test_the_papers_networks_have_their_numbers_of_parameters(model: Model, shape: Shape, parameters: int) -> None:
    """E.g. 784 * 200 + 200 + 200 * 200 + 200 + 200 * 10 + 10."""
    model.check(shape)
    assert sum(tensor.numel() for tensor in model.init(shape, 0).values()) == parameters


def test_torchs_default_start_is_uniform_between_plus_and_minus_one_over_the_root_of_fan_in() -> None:
    params = MLP(width=300).init(Shape(positions=400, vocab=0, classes=250), 0)
    for name, fan_in in (("layers.0", 400), ("layers.1", 300), ("layers.2", 300)):
        for tensor in (params[f"{name}.W"], params[f"{name}.b"]):
            # Of 250 or more uniform numbers the largest lies above 0.93 of the bound but with probability 0.93^250.
            assert 0.93 < tensor.abs().max() * math.sqrt(fan_in) <= 1
        # The variance of 75,000 uniform numbers is known to 0.5 % (1 sigma: sqrt(0.8 / 75,000)).
        assert params[f"{name}.W"].var().item() == pytest.approx(1 / (3 * fan_in), rel=0.02)


@pytest.mark.parametrize(("scheme", "factor"), [("lecun", 1), ("he", 2)])
def test_normal_starts_have_variance_over_fan_in_and_no_bias(scheme: str, factor: int) -> None:
    params = MLP(width=300, init_scheme=scheme).init(Shape(positions=400, vocab=0, classes=250), 0)  # type: ignore[arg-type]
    for name, fan_in in (("layers.0", 400), ("layers.1", 300), ("layers.2", 300)):
        assert params[f"{name}.W"].var().item() == pytest.approx(factor / fan_in, rel=0.03)  # 1 sigma: 0.5 %
        assert params[f"{name}.W"].abs().max() > 3 * math.sqrt(factor / fan_in), "uniform numbers end at 1.7 sigma"
        assert not params[f"{name}.b"].any()


def test_the_embeddings_start_with_the_standard_deviation_asked_for() -> None:
    shape = Shape(positions=2, vocab=200, classes=200)
    usual, asked = (EmbedMLP(d_embed=100, embed_std=std).init(shape, 0) for std in (None, 0.3))
    assert usual["W_E"].std().item() == pytest.approx(0.1, rel=0.02)  # of 40,000 numbers; 1 sigma: 0.35 %
    torch.testing.assert_close(asked["W_E"], usual["W_E"] * 3, rtol=1e-12, atol=0)
    assert torch.equal(asked["W_in"], usual["W_in"])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"depth": 1}, "model.depth: got 1, must be >= 2"),
        ({"width": 0}, "model.width: got 0"),
        ({"depth": 4, "later_widths": (5,)}, "must hold 2 widths with model.depth=4"),
        ({"later_widths": (0,)}, "all must be >= 1"),
        ({"later_widths": (100,)}, "set it to null"),
        ({"depth": 2, "later_widths": ()}, "all must be >= 1"),
    ],
)
def test_settings_that_make_no_network_or_say_nothing_are_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        MLP(**given)


def test_tied_embeddings_need_as_many_answers_as_tokens() -> None:
    with pytest.raises(BadInput, match="5 tokens and 3 answers"):
        EmbedMLP(embedding="tied").check(Shape(positions=2, vocab=5, classes=3))


@pytest.mark.parametrize("model", [*MODELS.values(), QuadMLP(width=9)], ids=[*MODELS, "quad_mlp"])
def test_dropping_a_neuron_of_the_last_hidden_layer_is_cutting_what_leads_out_of_it(model: Model) -> None:
    shape, inputs = PAIR_SHAPE, PAIRS
    if isinstance(model, MLP):
        shape = Shape(positions=4, vocab=0, classes=3)
        inputs = torch.randn(25, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    params, sites = model.init(shape, 0), model.dropout_sites(shape)
    keep = {site: torch.ones(len(inputs), *size, dtype=torch.float64) for site, size in sites.items()}
    keep["neurons"][:, 2] = 0
    keep["neurons"][:, 3] = 1.25
    last = model.last_layer()
    factors = torch.ones(len(params[last]), 1, dtype=torch.float64)
    factors[2], factors[3] = 0, 1.25
    cut = model.apply({**params, last: params[last] * factors}, inputs)
    torch.testing.assert_close(model.apply(params, inputs, keep), cut, rtol=1e-12, atol=1e-12)


# The engine against plain loops

MLP_REAL: Mapping[str, Any] = {
    "task": {"name": "sparse_parity", "n": 9, "k": 2, "train": 70, "test": 50},
    "model": {"name": "mlp", "depth": 3, "width": 11},
}
EMBED: Mapping[str, Any] = {"name": "embed_mlp", "d_embed": 6, "width": 13}
TRIALS: Mapping[str, dict[str, Any]] = {
    "mlp": {**MLP_REAL},
    "mlp tanh": {**MLP_REAL, "model": {"name": "mlp", "depth": 2, "width": 20, "activation": "tanh", "bias": "hidden"}},
    "mlp, real targets": {
        "task": {"name": "teacher_student", "width": 12, "train": 40, "test": 30},
        "model": {"name": "mlp", "width": 10, "activation": "tanh"},
        "loss": {"name": "mse"},
    },
    "onehot": {"task.p": 11, "model": {"name": "onehot_mlp", "width": 20}},
    "embed": {"task.p": 11, "model": {**EMBED}},
    "embed tied": {"task.p": 11, "model": {**EMBED, "embedding": "tied", "combine": "sum"}},
    "quad": {"task.p": 11, "model.width": 20},
}


def mlp_trial(name: str, changes: Mapping[str, Any] | None = None, **more: Any) -> TrialSpec:
    """float64, from the quad23 preset."""
    common = {"engine.dtype": "float64", "optimizer.warmup": 0}
    own = copy.deepcopy(TRIALS[name])  # `trial` writes into the groups that it is given
    return trial("quad23", {**common, **own, **(changes or {})}, **more)


def plain_losses(spec: TrialSpec) -> list[float]:
    """Train loss after 0 .. STEPS updates of a plain loop with torch.optim.AdamW on alpha * (f - f0)."""
    data, shape = spec.task.data(spec.seeds), spec.task.shape()
    params = {name: tensor.clone().requires_grad_() for name, tensor in spec.model.init(shape, spec.seeds.init).items()}
    optimizer = torch.optim.AdamW(
        params.values(),
        lr=spec.lr,
        betas=spec.optimizer.betas,  # type: ignore[attr-defined]
        weight_decay=spec.regularization["weight_decay"],
    )
    inputs, labels = torch.tensor(data.inputs[data.train]), torch.tensor(data.train_labels)
    target = labels if shape.real_targets else torch.nn.functional.one_hot(labels, shape.classes).double()
    forward, losses = plain_forward(spec.model, shape), []
    f0 = forward(params, inputs).detach() * spec.model.subtract_start
    for _ in range(STEPS + 1):
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(spec.model.output_scale * (forward(params, inputs) - f0), target)
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
    return losses


SCALED: Mapping[str, Mapping[str, Any]] = {
    "": {},
    "alpha": {"model.output_scale": 3.0},
    "f0": {"model.subtract_start": True},
    "alpha and f0": {"model.output_scale": 0.3, "model.subtract_start": True},
}


@pytest.mark.parametrize("scaled", SCALED.values(), ids=SCALED)
@pytest.mark.parametrize("name", TRIALS)
def test_the_engine_trains_networks_as_a_plain_pytorch_loop(name: str, scaled: Mapping[str, Any]) -> None:
    spec = mlp_trial(name, scaled, seed=1)
    assert (spec.model.output_scale, spec.model.subtract_start) == (
        scaled.get("model.output_scale", 1.0),
        scaled.get("model.subtract_start", False),
    )
    trained = run([spec], STEPS).trials[0]
    expected = np.array(plain_losses(spec))
    np.testing.assert_allclose(trained.columns[:, 0], expected[trained.steps], rtol=RELATIVE)
    assert expected[-1] < 0.95 * expected[0], "hardly anything was learned, so hardly anything was compared"


@pytest.mark.parametrize("name", ["mlp", "onehot", "quad"])
def test_alpha_and_f0_change_the_training_through_the_engine(name: str) -> None:
    """Every one of them: none is a copy of another."""
    specs = [mlp_trial(name, changes, seed=1) for changes in SCALED.values()]
    ends = [run([spec], 5).trials[0].params for spec in specs]
    assert len({tuple(end.tolist()) for end in ends}) == len(specs)


@pytest.mark.parametrize("batch_size", [None, 16], ids=["full batch", "mini-batches"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["mlp", "onehot", "embed", "quad"])
def test_a_predictor_without_its_start_starts_at_exactly_zero(name: str, dtype: str, batch_size: int | None) -> None:
    """(0 - 1)^2 / classes, the loss of predicting nothing, to the last bit but those of a mean."""
    changes = {"model.subtract_start": True, "engine.dtype": dtype, "batch_size": batch_size}
    spec = mlp_trial(name, {**changes, "model.output_scale": 1e6}, seed=1)
    first = run([spec], 1).trials[0].columns[0]
    # A predictor that is off by one rounding of float64 would be off by 1e6 * 1e-17 and its loss by 1e-11.
    nothing = 1 / spec.task.shape().classes
    np.testing.assert_allclose(first[:2], nothing, rtol=1e-15 if dtype == "float64" else 1e-7)


def test_output_scales_share_a_pack_and_change_nobodys_bits() -> None:
    specs = [
        mlp_trial("mlp", {"engine.dtype": "float32", "model.output_scale": alpha}, seed=i)
        for i, alpha in enumerate((0.5, 2.0, 8.0))
    ]
    together = run(specs, 25).trials
    for spec, trained in zip(specs, together, strict=True):
        assert_same_bits(run([spec], 25).trials[0], trained)


@pytest.mark.parametrize("name", TRIALS)
def test_packmates_never_change_a_network(name: str) -> None:
    """Small odd widths: members lie at every alignment."""
    specs = [mlp_trial(name, {"engine.dtype": "float32", "optimizer.lr": 0.01 / (1 + i)}, seed=i) for i in range(9)]
    together = run(specs, 20).trials
    for spec, trained in list(zip(specs, together, strict=True))[::4]:
        assert_same_bits(run([spec], 20).trials[0], trained)


def test_depth_and_width_are_axes_and_a_list_of_widths_is_a_setting() -> None:
    spec = mlp_trial("mlp", {"model": {"name": "mlp", "depth": 4, "width": 12, "later_widths": [8, 6]}})
    shapes = [tuple(x.shape) for name, x in spec.model.init(spec.task.shape(), 0).items() if name.endswith("W")]
    assert shapes == [(9, 12), (12, 8), (8, 6), (6, 2)]
    assert isinstance(spec.model, MLP)
    assert dataclasses.replace(spec.model, later_widths=None).hidden_matrices() == ["layers.1.W", "layers.2.W"]
