"""What every model owes the engine and the measures; a new file in models/ is covered by existing."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
import torch
from torch import Tensor

from grokstudy.engine.batch import Rows, Table
from grokstudy.engine.evaluate import evaluate
from grokstudy.engine.gradients import Gradient
from grokstudy.engine.layout import Layout
from grokstudy.losses.mse_onehot import MSEOneHot
from grokstudy.models.transformer import Transformer
from grokstudy.spec.errors import BadInput
from grokstudy.spec.interfaces import Loss, Model, Shape
from tests.variants import every_small, variants

SHAPE = Shape(positions=2, vocab=7, classes=7)
INPUTS = torch.tensor(list(itertools.product(range(7), range(7))))
MODELS = every_small("models", Model)  # type: ignore[type-abstract]
LOSSES = every_small("losses", Loss)  # type: ignore[type-abstract]
CASES = {f"{name}/{field}": model for name, base in MODELS.items() for field, model in [("", base), *variants(base)]}
every_case = pytest.mark.parametrize("model", CASES.values(), ids=CASES)


def assert_close(one: Tensor, other: Tensor) -> None:
    """Two ways to order some 100 float64 additions of numbers near 1 differ by about 1e-14."""
    torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-12)


def random_params(model: Model, seed: int = 0) -> dict[str, Tensor]:
    """The initial weights with nothing left at zero: a pass that forgets a bias must not look right."""
    noise = torch.Generator().manual_seed(seed)
    start = model.init(SHAPE, seed)
    return {name: x + 0.1 * torch.randn(x.shape, generator=noise, dtype=x.dtype) for name, x in start.items()}


def test_there_are_models() -> None:
    assert MODELS


@every_case
def test_initial_weights_are_a_function_of_the_seed(model: Model) -> None:
    before = torch.get_rng_state()
    first, again, other = (model.init(SHAPE, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before), "the global generator was used"
    assert all(torch.equal(first[name], again[name]) for name in first)
    drawn = [name for name in first if first[name].any()]
    assert drawn
    assert not any(torch.equal(first[name], other[name]) for name in drawn)
    assert all(tensor.dtype == torch.float64 and tensor.isfinite().all() for tensor in first.values())


@every_case
def test_no_two_tensors_share_their_draws(model: Model) -> None:
    first_draws = [tensor.flatten()[:5] for tensor in model.init(SHAPE, 1).values() if tensor.any()]
    for one, other in itertools.combinations(first_draws, 2):
        ratio = one / other
        assert not torch.allclose(ratio, ratio[:1].expand(5))


@pytest.mark.parametrize("name", MODELS)
def test_a_draw_depends_on_the_tensors_name_and_not_on_other_settings(name: str) -> None:
    """A tensor that keeps its shape keeps its draws, up to their scale."""
    base = MODELS[name].init(SHAPE, 1)
    for field, model in variants(MODELS[name]):
        for tensor, values in model.init(SHAPE, 1).items():
            if tensor in base and base[tensor].shape == values.shape and values.any():
                scale = values.norm() / base[tensor].norm()
                torch.testing.assert_close(values, base[tensor] * scale, rtol=1e-12, atol=0, msg=f"{field} {tensor}")


@pytest.mark.parametrize("name", MODELS)
def test_every_setting_changes_the_parameters_or_the_logits_or_is_refused(name: str) -> None:
    base = MODELS[name]
    changed = dict(variants(base))
    assert set(changed) == {field.name for field in dataclasses.fields(base)}
    params = random_params(base)
    for field, model in changed.items():
        if Layout.of(model.init(SHAPE, 0)) == Layout.of(params):
            assert not torch.equal(model.apply(params, INPUTS), base.apply(params, INPUTS)), field


@every_case
def test_every_parameter_is_read(model: Model) -> None:
    params = random_params(model)
    logits = model.apply(params, INPUTS)
    assert logits.shape[0] == len(INPUTS)
    assert logits.shape[1] >= SHAPE.classes
    for name, tensor in params.items():
        assert not torch.equal(model.apply({**params, name: tensor * 1.5}, INPUTS), logits), name


@every_case
def test_a_rows_logits_depend_on_that_row_alone(model: Model) -> None:
    params = random_params(model)
    together = model.apply(params, INPUTS)
    assert len({tuple(row.tolist()) for row in together}) > len(INPUTS) // 2, "rows must differ, or this says nothing"
    order = torch.randperm(len(INPUTS), generator=torch.Generator().manual_seed(0))[:20]
    assert_close(model.apply(params, INPUTS[order]), together[order])
    assert_close(model.apply(params, INPUTS[:1]), together[:1])


@every_case
def test_apply_changes_neither_parameters_nor_inputs(model: Model) -> None:
    params, inputs = random_params(model), INPUTS.clone()
    before = {name: tensor.clone() for name, tensor in params.items()}
    model.apply(params, inputs)
    assert torch.equal(inputs, INPUTS)
    assert all(torch.equal(params[name], before[name]) for name in params)


@every_case
def test_activations_end_in_the_logits_of_apply(model: Model) -> None:
    params = random_params(model)
    activations = model.activations(params, INPUTS)
    assert_close(activations["logits"], model.apply(params, INPUTS))
    assert activations["neurons"].shape[0] == len(INPUTS)


@every_case
def test_the_read_matrices_fit_the_task_and_map_neurons_to_logits(model: Model) -> None:
    params = random_params(model)
    activations, matrices = model.activations(params, INPUTS), model.matrices(params, SHAPE)
    neurons = activations["neurons"]
    assert matrices.W_E.shape[1] == SHAPE.vocab
    assert matrices.W_L.shape == (SHAPE.classes, neurons.shape[1])
    rest = activations["logits"][:, : SHAPE.classes] - neurons @ matrices.W_L.T
    resid = next((x for name, x in activations.items() if name.endswith("hook_resid_mid")), None)
    if resid is None:
        assert_close(rest, torch.zeros_like(rest))
    else:  # what passes the neurons by is a linear map of the residual stream, and a bias
        stream, rest = resid - resid.mean(0), rest - rest.mean(0)
        solution = torch.linalg.lstsq(stream, rest, driver="gelsd").solution
        torch.testing.assert_close(stream @ solution, rest, rtol=1e-8, atol=1e-9)
        assert stream.shape[1] < len(INPUTS), "fewer unknowns than rows, or any rest would fit"


@every_case
def test_the_last_layer_produces_the_logits(model: Model) -> None:
    params = random_params(model)
    name = model.last_layer()
    silent = model.apply({**params, name: torch.zeros_like(params[name])}, INPUTS)
    assert not silent.any()


@every_case
@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_the_packs_gradient_equals_autograd_of_each_member_alone(model: Model, loss: Loss) -> None:
    """Hand-written or mapped, with rows of weight 0 as padding has."""
    alone = [random_params(model, seed) for seed in range(3)]
    layout = Layout.of(alone[0])
    draw = torch.Generator().manual_seed(1)
    rows = Rows(
        inputs=INPUTS[torch.randint(len(INPUTS), (3, 20), generator=draw)],
        labels=torch.randint(7, (3, 20), generator=draw),
        weights=torch.rand(3, 20, generator=draw, dtype=torch.float64) * (torch.arange(20) < 17),
    )
    flat = torch.stack([layout.flatten(params) for params in alone])
    out = torch.full_like(flat, torch.nan)
    Gradient(model, loss, layout, SHAPE, compiled=False)(flat, rows, out)
    for i, params in enumerate(alone):
        leaves = {name: tensor.clone().requires_grad_() for name, tensor in params.items()}
        losses = loss.per_row(model.apply(leaves, rows.inputs[i]), rows.labels[i])
        (losses * rows.weights[i]).sum().backward()
        for name, gradient in layout.views(out[i : i + 1]).items():
            torch.testing.assert_close(gradient[0], leaves[name].grad, rtol=1e-9, atol=1e-12, msg=name)


def test_a_hand_written_gradient_is_among_those_compared() -> None:
    assert any(model.gradient_by_hand(SHAPE) for model in MODELS.values())
    assert not all(model.gradient_by_hand(SHAPE) for model in CASES.values())


ODD = Transformer(n_heads=4, d_model=20, d_head=3, d_mlp=37)
"""3,117 parameters at p = 13: the members of a pack lie at every alignment."""


@pytest.mark.parametrize("model", [*CASES.values(), ODD], ids=[*CASES, "odd transformer"])
def test_gradient_and_evaluation_have_the_same_bits_wherever_a_member_lies(model: Model) -> None:
    """Libraries choose kernels by the alignment of memory, and those round differently."""
    shape, members = Shape(positions=2, vocab=13, classes=13), 17
    inputs = torch.tensor(list(itertools.product(range(13), range(13))))
    layout = Layout.of(model.init(shape, 0))
    one = torch.randn(1, layout.size, generator=torch.Generator().manual_seed(0)) / 4
    labels = inputs.sum(1) % 13
    split = torch.arange(len(inputs)) % 2 == 0
    results = []
    for n in (1, members):
        rows = Rows(
            inputs=inputs[:128].expand(n, -1, -1),
            labels=labels[:128].expand(n, -1),
            weights=torch.full((n, 128), 1 / 128),
        )
        table = Table(
            inputs=inputs.expand(n, -1, -1),
            labels=labels.expand(n, -1),
            train=split.expand(n, -1),
            test=~split.expand(n, -1),
        )
        flat = one.repeat(n, 1)
        out = torch.empty_like(flat)
        Gradient(model, MSEOneHot(), layout, shape, compiled=False)(flat, rows, out)
        results.append((out, evaluate(model, MSEOneHot(), layout, flat, table)))
    (gradient, columns), (gradients, all_columns) = results
    for lane in range(members):
        assert torch.equal(gradients[lane], gradient[0]), lane
        assert all_columns[lane].tobytes() == columns[0].tobytes(), lane


@every_case
@pytest.mark.parametrize("shape", [Shape(positions=1, vocab=5, classes=3), Shape(positions=3, vocab=5, classes=4)])
def test_other_shapes_are_learned_or_refused(model: Model, shape: Shape) -> None:
    inputs = torch.arange(4 * shape.positions).reshape(4, -1) % shape.vocab
    try:
        model.check(shape)
    except BadInput:
        return
    logits = model.apply(model.init(shape, 0), inputs)
    assert logits.shape[0] == 4
    assert logits.shape[1] >= shape.classes
    assert len({tuple(row.tolist()) for row in logits}) == len({tuple(row.tolist()) for row in inputs})


@every_case
def test_gradients_flow_in_float32(model: Model) -> None:
    params = {name: tensor.float() for name, tensor in random_params(model).items()}
    assert model.apply(params, INPUTS).dtype == torch.float32
