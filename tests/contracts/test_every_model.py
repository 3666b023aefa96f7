"""What every model owes the engine and the measures; a new file in models/ is covered by existing.

Every model, and every variant of it with one setting changed, is tested on each shape of `tests/model_cases.py` that it
accepts.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping

import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from grokstudy.engine.batch import PackData, Rows
from grokstudy.engine.evaluate import Evaluation
from grokstudy.engine.gradients import Gradient
from grokstudy.engine.layout import Layout
from grokstudy.models.transformer import Transformer
from grokstudy.optimizers.adamw import AdamW
from grokstudy.spec.errors import BadInput
from grokstudy.spec.interfaces import Loss, Shape
from grokstudy.spec.trial import TrialSpec
from tests.model_cases import (
    BY_THE_ENGINE,
    CASES,
    LOSSES,
    MODELS,
    PARTNERS,
    SHAPES,
    Case,
    CaseTask,
    accepts,
    every_variant,
    first_case,
    fits,
    loss_for,
)
from tests.variants import variants

every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
every_model = pytest.mark.parametrize("name", MODELS)


def assert_close(one: Tensor, other: Tensor) -> None:
    """Two ways to order some 100 float64 additions of numbers near 1 differ by about 1e-14."""
    torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-12)


def is_drawn(tensor: Tensor) -> bool:
    """Not a bias at 0 or a gain at 1."""
    return bool((tensor != tensor.flatten()[0]).any())


@every_model
def test_every_model_learns_some_shape_and_refuses_others_by_name(name: str) -> None:
    accepted = [shape for shape in SHAPES.values() if accepts(MODELS[name], shape)]
    assert accepted
    for shape in SHAPES.values():
        if shape not in accepted:
            with pytest.raises(BadInput, match=r"^model\b"):
                MODELS[name].check(shape)


@every_case
def test_initial_weights_are_a_function_of_the_seed(case: Case) -> None:
    before = torch.get_rng_state()
    first, again, other = (case.model.init(case.shape, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before), "the global generator was used"
    assert all(torch.equal(first[name], again[name]) for name in first)
    drawn = [name for name in first if is_drawn(first[name])]
    assert drawn
    assert not any(torch.equal(first[name], other[name]) for name in drawn)
    assert all(tensor.dtype == torch.float64 and tensor.isfinite().all() for tensor in first.values())


@every_case
def test_no_two_tensors_share_their_draws(case: Case) -> None:
    first_draws = [tensor.flatten()[:5] for tensor in case.model.init(case.shape, 1).values() if is_drawn(tensor)]
    for one, other in itertools.combinations(first_draws, 2):
        n = min(len(one), len(other))
        ratio = one[:n] / other[:n]
        assert n == 1 or not torch.allclose(ratio, ratio[:1].expand(n))


@every_model
def test_a_draw_depends_on_the_tensors_name_and_not_on_other_settings(name: str) -> None:
    """A tensor that keeps its shape keeps its draws, up to their scale; another `init_scheme` is another law."""
    base = first_case(MODELS[name])
    start = base.model.init(base.shape, 1)
    for field, model in variants(base.model):
        if field == "init_scheme" or not accepts(model, base.shape):
            continue
        for tensor, values in model.init(base.shape, 1).items():
            if tensor in start and start[tensor].shape == values.shape and is_drawn(values):
                scale = values.norm() / start[tensor].norm()
                torch.testing.assert_close(values, start[tensor] * scale, rtol=1e-12, atol=0, msg=f"{field} {tensor}")


@every_model
def test_every_setting_changes_the_parameters_or_the_logits_or_is_refused(name: str) -> None:
    small = MODELS[name]
    changed = dict(every_variant(name))
    assert set(changed) == {field.name for field in dataclasses.fields(small)}
    for field, model in changed.items():
        base = first_case(dataclasses.replace(small, **PARTNERS.get(name, {}).get(field, {})))
        if field in BY_THE_ENGINE or not accepts(model, base.shape):
            continue
        params, start, other = base.params(), base.model.init(base.shape, 0), model.init(base.shape, 0)
        if Layout.of(other) == Layout.of(start) and all(torch.equal(start[tensor], other[tensor]) for tensor in start):
            assert not torch.equal(
                Case(model=model, shape=base.shape).apply(params, base.inputs), base.apply(params, base.inputs)
            ), field


@every_case
def test_every_parameter_is_read(case: Case) -> None:
    params = case.params()
    logits = case.apply(params, case.inputs)
    assert logits.shape[:-1] == case.labels(len(case.inputs)).shape[: logits.ndim - 1]
    assert logits.shape[-1] >= case.shape.classes
    assert logits.shape[-1] == case.shape.classes or not case.shape.real_targets
    for name, tensor in params.items():
        assert not torch.equal(case.apply({**params, name: tensor * 1.5}, case.inputs), logits), name


@every_case
def test_a_rows_logits_depend_on_that_row_alone(case: Case) -> None:
    params, inputs = case.params(), case.inputs
    together = case.apply(params, inputs)
    different = {tuple(row.flatten().tolist()) for row in together}
    unordered = torch.allclose(case.apply(params, inputs.flip(1)), together, rtol=1e-9, atol=0)  # it adds tokens up
    rows = {tuple(sorted(row) if unordered else row) for row in inputs.tolist()}
    assert len(different) > len(rows) // 2, "rows must differ, or this says nothing"
    order = torch.randperm(len(inputs), generator=torch.Generator().manual_seed(0))[:20]
    assert_close(case.apply(params, inputs[order]), together[order])
    assert_close(case.apply(params, inputs[:1]), together[:1])


@every_case
def test_apply_changes_neither_parameters_nor_inputs(case: Case) -> None:
    params, inputs = case.params(), case.inputs
    before, inputs_before = {name: tensor.clone() for name, tensor in params.items()}, inputs.clone()
    case.apply(params, inputs)
    assert torch.equal(inputs, inputs_before)
    assert all(torch.equal(params[name], before[name]) for name in params)


@every_case
def test_activations_end_in_the_logits_of_apply(case: Case) -> None:
    params, inputs = case.params(), case.inputs
    activations = case.activations(params, inputs)
    logits = case.apply(params, inputs)
    assert_close(activations["logits"], logits)
    assert activations["neurons"].shape[:-1] == logits.shape[:-1]


def patchable(activations: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: x for name, x in activations.items() if name != "logits" and not name.endswith("hook_pattern")}


@every_case
def test_activations_of_tokens_hold_their_embeddings(case: Case) -> None:
    activations = case.activations(case.params(), case.inputs)
    assert ("hook_embed" in activations) == bool(case.shape.vocab)
    if case.shape.vocab:
        assert activations["hook_embed"].shape[:2] == case.inputs.shape


@every_case
def test_an_activation_patched_with_itself_changes_nothing(case: Case) -> None:
    params, inputs = case.params(), case.inputs
    activations = case.activations(params, inputs)
    for name, own in patchable(activations).items():
        assert_close(case.activations(params, inputs, {name: own})["logits"], activations["logits"])


@every_case
def test_an_activation_patched_with_that_of_other_rows_is_returned_and_read(case: Case) -> None:
    """What is patched is what is read: a row that sees the embeddings of another has the logits of the other."""
    params, inputs = case.params(), case.inputs
    activations, order = case.activations(params, inputs), torch.arange(len(inputs)).roll(1)
    for name, own in patchable(activations).items():
        swapped = case.activations(params, inputs, {name: own[order]})
        assert_close(swapped[name], own[order])
        assert not torch.equal(swapped["logits"], activations["logits"]), name
        if name == "hook_embed":
            assert_close(swapped["logits"], activations["logits"][order])


def silenced(case: Case) -> tuple[Tensor, Tensor]:
    """What the logits lose when the neurons are patched with zeros, and what the read matrix makes of the neurons."""
    params, classes = case.params(), case.shape.classes
    activations, W_L = case.activations(params, case.inputs), case.model.matrices(params, case.shape).W_L
    zeros = {"neurons": torch.zeros_like(activations["neurons"])}
    lost = activations["logits"] - case.activations(params, case.inputs, zeros)["logits"]
    return lost[..., :classes], activations["neurons"] @ W_L.T


@every_case
def test_silent_neurons_without_a_residual_stream_leave_nothing(case: Case) -> None:
    lost, read = silenced(case)
    if not hasattr(case.model, "n_layers") and lost.shape == read.shape:
        assert_close(lost, read)


def test_silent_neurons_of_the_plain_transformer_take_away_what_is_read_from_them() -> None:
    assert_close(*silenced(first_case(MODELS["transformer"])))


@every_case
def test_a_patch_of_what_cannot_be_replaced_is_refused(case: Case) -> None:
    params, inputs = case.params(), case.inputs
    activations = case.activations(params, inputs)
    for name in {*activations, "neuron"} - set(patchable(activations)):
        with pytest.raises(BadInput, match=f"^patch: no '{name}'.* Allowed: .*neurons"):
            case.activations(params, inputs, {name: activations.get(name, inputs)})
    with pytest.raises(BadInput, match=r"^patch: .* is \["):
        case.activations(params, inputs, {"neurons": activations["neurons"][:1]})


@every_case
def test_the_read_matrices_fit_the_task(case: Case) -> None:
    params = case.params()
    neurons, matrices = case.activations(params, case.inputs)["neurons"], case.model.matrices(params, case.shape)
    assert matrices.W_E.shape[1] == (case.shape.vocab or case.shape.positions)
    assert matrices.W_L.shape[1] == neurons.shape[-1]


@every_case
def test_without_a_residual_stream_the_read_matrices_map_neurons_to_logits(case: Case) -> None:
    """Up to what is the same in all rows: a bias."""
    params = case.params()
    activations, W_L = case.activations(params, case.inputs), case.model.matrices(params, case.shape).W_L
    if any("resid" in name for name in activations) or W_L.shape[0] != activations["logits"].shape[-1]:
        return
    rest = activations["logits"] - activations["neurons"] @ W_L.T
    assert_close(rest - rest.mean(0), torch.zeros_like(rest))


def test_the_plain_transformers_read_matrices_map_neurons_to_logits() -> None:
    """What passes the neurons by is a linear map of the residual stream, and a bias."""
    case = first_case(MODELS["transformer"])
    params = case.params()
    activations, W_L = case.activations(params, case.inputs), case.model.matrices(params, case.shape).W_L
    rest = activations["logits"][:, : case.shape.classes] - activations["neurons"] @ W_L.T
    resid = next(x for name, x in activations.items() if name.endswith("hook_resid_mid"))
    stream, rest = resid - resid.mean(0), rest - rest.mean(0)
    solution = torch.linalg.lstsq(stream, rest, driver="gelsd").solution
    torch.testing.assert_close(stream @ solution, rest, rtol=1e-8, atol=1e-9)
    assert stream.shape[1] < len(case.inputs), "fewer unknowns than rows, or any rest would fit"


@every_case
def test_the_last_layer_produces_the_logits(case: Case) -> None:
    """Without it nothing of a row is left in them."""
    params, name = case.params(), case.model.last_layer()
    silent = case.apply({**params, name: torch.zeros_like(params[name])}, case.inputs)
    assert torch.equal(silent, silent[:1].expand_as(silent))


@every_case
def test_hidden_matrices_are_parameters_with_two_axes_or_heads_first(case: Case) -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in case.model.init(case.shape, 0).items()}
    names = list(case.model.hidden_matrices())
    assert names == [name for name in shapes if name in names], "in the order of init"
    assert all(len(shapes[name]) in (2, 3) for name in names)


@every_case
def test_dropout_acts_at_every_site_and_ones_change_nothing(case: Case) -> None:
    params, inputs = case.params(), case.inputs
    sites = case.model.dropout_sites(case.shape)
    ones = {site: torch.ones(len(inputs), *size, dtype=torch.float64) for site, size in sites.items()}
    logits = case.apply(params, inputs)
    if sites:
        assert_close(case.apply(params, inputs, ones), logits)
    for site in sites:
        dropped = {**ones, site: ones[site].clone()}
        dropped[site][::2] = 0
        seen = case.apply(params, inputs, dropped)
        assert not torch.equal(seen[::2], logits[::2]), site
        assert_close(seen[1::2], logits[1::2])


def assert_is_autograds(
    out: Tensor, case: Case, loss: Loss, members: list[dict[str, Tensor]], rows: Rows, keep: Mapping[str, Tensor]
) -> None:
    """Each member's gradient is that of its weighted sum of losses."""
    for i, params in enumerate(members):
        leaves = {name: tensor.clone().requires_grad_() for name, tensor in params.items()}
        logits = case.apply(leaves, rows.inputs[i], {site: mask[i] for site, mask in keep.items()} or None)
        (loss.per_row(logits, rows.labels[i]) * rows.weights[i]).sum().backward()
        for name, gradient in Layout.of(params).views(out[i : i + 1]).items():
            expected = leaves[name].grad
            expected = torch.zeros_like(gradient[0]) if expected is None else expected
            torch.testing.assert_close(gradient[0], expected, rtol=1e-9, atol=1e-12, msg=name)


def three_members(case: Case) -> tuple[list[dict[str, Tensor]], Rows]:
    draw, n = torch.Generator().manual_seed(1), len(case.inputs)
    return [case.params(seed) for seed in range(3)], Rows(
        inputs=case.inputs[torch.randint(n, (3, 20), generator=draw)],
        labels=torch.stack([case.labels(20, seed) for seed in range(3)]),
        weights=torch.stack([case.weights(20, padding=3, seed=seed) for seed in range(3)]),
    )


def gradient_of(
    case: Case, loss: Loss, members: list[dict[str, Tensor]], rows: Rows, keep: Mapping[str, Tensor]
) -> Float[Tensor, "members size"]:
    """As the engine computes it."""
    layout = Layout.of(members[0])
    flat = torch.stack([layout.flatten(params) for params in members])
    out = torch.full_like(flat, torch.nan)
    Gradient(case.model, loss, layout, case.shape, compiled=False, dropout=bool(keep))(flat, rows, out, keep)
    return out


@every_case
def test_the_packs_gradient_equals_autograd_of_each_member_alone(case: Case) -> None:
    """Hand-written or mapped, with rows of weight 0 as padding has."""
    members, rows = three_members(case)
    loss = loss_for(case)
    assert_is_autograds(gradient_of(case, loss, members, rows, {}), case, loss, members, rows, {})


@every_model
@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_the_packs_gradient_is_that_of_every_exact_loss(name: str, loss: Loss) -> None:
    shapes = [shape for shape in SHAPES.values() if accepts(MODELS[name], shape) and fits(loss, shape)]
    if loss in (LOSSES["ce16"], LOSSES["ce32"]) or not shapes:
        return  # computed in less than float64, or refuses the labels of all tasks that this model learns
    case = Case(model=MODELS[name], shape=shapes[0])
    members, rows = three_members(case)
    assert_is_autograds(gradient_of(case, loss, members, rows, {}), case, loss, members, rows, {})


@every_case
def test_the_gradient_with_dropout_equals_autograd(case: Case) -> None:
    sites = case.model.dropout_sites(case.shape)
    if not sites:
        return
    members, rows = three_members(case)
    loss, draw = loss_for(case), torch.Generator().manual_seed(3)
    keep = {site: (torch.rand(3, 20, *size, generator=draw) >= 0.3).double() / 0.7 for site, size in sites.items()}
    assert_is_autograds(gradient_of(case, loss, members, rows, keep), case, loss, members, rows, keep)


@every_case
def test_hand_written_logits_are_those_of_apply(case: Case) -> None:
    hand = case.model.gradient_by_hand(case.shape)
    if hand is None:
        return
    params, inputs = case.params(), case.inputs
    prepared = [x[0] for x in hand.prepare(inputs[None], torch.float64)]
    with torch.no_grad():
        assert_close(hand.logits(params, prepared), case.apply(params, inputs))


def test_a_hand_written_gradient_is_among_those_compared() -> None:
    by_hand = [case.model.gradient_by_hand(case.shape) is not None for case in CASES.values()]
    assert any(by_hand)
    assert not all(by_hand)


ODD = Case(model=Transformer(n_heads=4, d_model=20, d_head=3, d_mlp=37), shape=Shape(positions=2, vocab=13, classes=13))
"""3,117 parameters: the members of a pack lie at every alignment."""


LONG = Case(
    model=Transformer(n_layers=2, n_heads=3, d_model=9, d_mlp=13, norm_site="pre", norm_affine=True),
    shape=Shape(positions=9, vocab=3, classes=3, answers=9),
)
"""Rows so long that positions are compared by matrix products."""


@pytest.mark.parametrize("case", [*CASES.values(), ODD, LONG], ids=[*CASES, "odd transformer", "long rows"])
def test_gradient_and_evaluation_have_the_same_bits_wherever_a_member_lies(case: Case) -> None:
    """Libraries choose kernels by the alignment of memory, and those round differently."""
    members, loss = 17, loss_for(case)
    layout = Layout.of(case.model.init(case.shape, 0))
    one = torch.randn(1, layout.size, generator=torch.Generator().manual_seed(0)) / 4
    spec = TrialSpec(task=CaseTask(case=case), model=case.model, optimizer=AdamW(), loss=loss)
    results = []
    for n in (1, members):
        data = PackData.build([spec] * n, torch.float32, torch.device("cpu"), layout, None)
        assert data.full is not None
        flat = one.repeat(n, 1)
        out = torch.empty_like(flat)
        Gradient(case.model, loss, layout, case.shape, compiled=False)(flat, data.full, out)
        draw, padded = torch.Generator().manual_seed(1), data.full.inputs.shape[1]
        sites = case.model.dropout_sites(case.shape)
        keep = {
            site: torch.rand(padded, *size, generator=draw).expand(n, -1, *size).contiguous()
            for site, size in sites.items()
        }
        dropped = torch.empty_like(flat)
        Gradient(case.model, loss, layout, case.shape, compiled=False, dropout=True)(flat, data.full, dropped, keep)
        results.append((out, dropped, Evaluation(layout, data)(flat)))
    (gradient, dropped_one, columns), (gradients, dropped_all, all_columns) = results
    assert gradient.any()
    for lane in range(members):
        assert torch.equal(gradients[lane], gradient[0]), lane
        assert torch.equal(dropped_all[lane], dropped_one[0]), lane
        assert all_columns[lane].tobytes() == columns[0].tobytes(), lane


@every_case
def test_gradients_flow_in_float32(case: Case) -> None:
    params = {name: tensor.float() for name, tensor in case.params().items()}
    inputs = case.inputs if case.shape.vocab else case.inputs.float()
    assert case.apply(params, inputs).dtype == torch.float32
