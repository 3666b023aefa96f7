"""Measures of sparse parity on networks built by hand, whose circuits are known."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from grokstudy.circuits.sparse_parity import SparseParity, least_as_accurate, least_identical, one_layer
from grokstudy.execution.live_measures import check_while_training
from grokstudy.losses.hinge import Hinge
from grokstudy.models.mlp import MLP
from grokstudy.models.onehot_mlp import OneHotMLP
from grokstudy.optimizers.adamw import AdamW
from grokstudy.spec.errors import BadInput
from grokstudy.spec.measure import Subject
from grokstudy.spec.rows import MeasureValue
from grokstudy.spec.trial import TrialSpec
from grokstudy.tasks.modular import Modular
from grokstudy.tasks.sparse_parity import SparseParity as Parity

torch.set_num_threads(1)

N, WIDTH, K = 8, 20, 3
SCALES = (3.0, 2.0, 1.5)
"""Norms of the circuit's neurons are sqrt(3) times these."""


def planted(noise: float = 1e-3) -> dict[str, Tensor]:
    """Parity of 3 bits of 0 and 1 by 3 neurons: relu(s) - 2 relu(s - 1) + 2 relu(s - 2) is 0, 1, 0, 1 for sums s of 0
    to 3, and the bias takes 1/2 off. Neuron i is multiplied by a scale on its way in and divided by it on its way out.
    All others are noise: their 17 parts of at most 8 noise^2 cannot reach 1/2, the least margin.
    """
    draw = torch.Generator().manual_seed(0)
    W, V = (noise * (2 * torch.rand(size, generator=draw).double() - 1) for size in ((N, WIDTH), (WIDTH, 2)))
    b = torch.zeros(WIDTH).double()
    for i, (scale, threshold, weight) in enumerate(zip(SCALES, (0, 1, 2), (1, -2, 2), strict=True)):
        place = 5 * i + 2
        W[:, place] = 0
        W[:K, place] = scale
        b[place] = -threshold * scale
        V[place] = torch.tensor([0.0, weight / scale])
    return {"layers.0.W": W, "layers.0.b": b, "layers.1.W": V, "layers.1.b": torch.tensor([0.5, 0.0]).double()}


def subject(params: Mapping[str, Tensor], *, test: int = 100, label_noise: float = 0.0, final: bool = True) -> Subject:
    task = Parity(n=N, k=K, train=120, test=test, label_noise=label_noise)
    spec = TrialSpec(task=task, model=MLP(depth=2, width=WIDTH), optimizer=AdamW(), loss=Hinge())
    return Subject(
        spec=spec, data=task.data(spec.seeds), params=params, key_freqs=None, final=params if final else None
    )


def measured(given: Subject) -> dict[str, MeasureValue]:
    return {value.measure: value for value in SparseParity().measure(given)}


def numbers(given: Subject) -> dict[str, float | None]:
    return {name: value.value for name, value in measured(given).items()}


def test_a_planted_circuit_of_three_neurons_has_an_effective_sparsity_of_three() -> None:
    found = numbers(subject(planted()))
    assert found["effective_sparsity"] == 3
    assert found["effective_sparsity.accuracy"] == 3


def test_a_planted_circuit_speaks_for_the_network_and_the_rest_is_constant() -> None:
    given = subject(planted())
    found = numbers(given)
    assert found["faithfulness.generalizing"] == 1
    even = float((given.data.labels[given.data.test] == 0).mean())  # the bias alone says "even"
    assert found["faithfulness.complementary"] == even
    assert found["faithfulness.control"] is not None
    assert found["faithfulness.control"] < 1


def test_incoming_norms_are_those_of_the_planted_neurons() -> None:
    found = numbers(subject(planted(noise=0.0)))
    assert found["incoming_norm.generalizing"] == pytest.approx(math.sqrt(3) * sum(SCALES) / 3, rel=1e-12)
    assert found["incoming_norm.complementary"] == 0


def test_sparsity_is_the_scan_over_masked_networks() -> None:
    """The one pass of sums gives what masking and evaluating every size gives."""
    task = subject(planted())
    params = task.spec.model.init(task.data.shape, 3)
    inputs = torch.from_numpy(task.data.inputs[task.data.train])
    order = params["layers.0.W"].norm(dim=0).argsort(descending=True)
    full = task.spec.model.apply(params, inputs).argmax(dim=1)
    sizes = []
    for size in range(WIDTH + 1):
        masked = dict(params) | {"layers.1.W": torch.zeros(WIDTH, 2).double()}
        masked["layers.1.W"][order[:size]] = params["layers.1.W"][order[:size]]
        if torch.equal(task.spec.model.apply(masked, inputs).argmax(dim=1), full):
            sizes.append(size)
    assert 3 < sizes[0] <= WIDTH  # an untrained network is dense
    assert numbers(subject(params))["effective_sparsity"] == sizes[0]


def test_sets_come_from_the_final_network_and_norms_from_this_one() -> None:
    """At a checkpoint before the circuit formed, the sets are already those of the end."""
    final = planted()
    early = subject(final).spec.model.init(subject(final).data.shape, 0)
    found = numbers(dataclasses.replace(subject(early), final=final))
    places = [2, 7, 12]
    assert found["incoming_norm.generalizing"] == pytest.approx(
        float(early["layers.0.W"][:, places].norm(dim=0).mean()), rel=1e-12
    )


def test_equal_accuracy_needs_no_equal_answers() -> None:
    """Right on all rows but one by all neurons, and right on all rows but another one by a few: the code's rule is
    met, the paper's is not.
    """
    given = subject(planted())
    rows = torch.from_numpy(given.data.train)
    net = one_layer(given, given.params, rows[:2])
    labels = torch.from_numpy(given.data.labels)[rows[:2]] == 1
    # Alone, neuron 0 answers (label 0, not label 1): one right; neuron 1 turns both answers round: still one right.
    sign = torch.where(labels, 1.0, -1.0).double()
    parts = torch.stack([sign * torch.tensor([1.0, -1.0]).double(), sign * torch.tensor([-3.0, 3.0]).double()], dim=1)
    swapped = dataclasses.replace(
        net, parts=parts, bias=torch.tensor(0.0).double(), incoming=torch.tensor([2.0, 1.0]).double()
    )
    assert least_identical(swapped) == 2
    assert least_as_accurate(swapped, labels) == 1


def test_random_controls_repeat_and_are_as_large_as_the_circuit() -> None:
    first, again = (measured(subject(planted()))["incoming_norm.control"] for _ in range(2))
    assert first == again
    assert first.values is not None
    assert len(first.values) == 8


def test_a_network_of_zeros_needs_no_neuron() -> None:
    nothing = {name: torch.zeros_like(tensor) for name, tensor in planted().items()}
    found = measured(subject(nothing))
    assert found["effective_sparsity"].value == 0
    assert found["faithfulness.generalizing"].value == 1
    assert found["incoming_norm.generalizing"].reason == "no_neurons"
    assert found["incoming_norm.complementary"].value == 0


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_nothing_is_known_of_a_broken_network(broken: float) -> None:
    params = {name: torch.full_like(tensor, broken) for name, tensor in planted().items()}
    assert {value.value for value in SparseParity().measure(subject(params))} == {None}
    ends_well = dataclasses.replace(subject(params), final=planted())
    assert {value.value for value in SparseParity().measure(ends_well)} == {None}


def test_names_and_protocols_are_always_the_same() -> None:
    variants = [
        subject(planted()),
        subject(planted(), test=0),
        subject(planted(), final=False),
        subject({name: tensor * math.nan for name, tensor in planted().items()}),
    ]
    columns = {tuple((value.measure, value.protocol) for value in SparseParity().measure(one)) for one in variants}
    assert len(columns) == 1
    assert {name for name, _ in next(iter(columns))} == set(SparseParity.names)


def test_without_a_test_row_faithfulness_is_null_and_without_a_final_network_both_are() -> None:
    assert measured(subject(planted(), test=0))["faithfulness.generalizing"].reason == "no_rows"
    alone = measured(subject(planted(), final=False))
    assert {value.reason for name, value in alone.items() if "sparsity" not in name} == {"no_final"}
    assert alone["effective_sparsity"].value == 3


def test_it_is_for_sparse_parity_on_one_hidden_layer() -> None:
    parity, modular = subject(planted()).spec, Modular(op="add", p=5, frac_train=0.5)
    assert SparseParity().applies(parity) is None
    assert "depth" in (SparseParity().applies(dataclasses.replace(parity, model=MLP(depth=3))) or "")
    other = TrialSpec(task=modular, model=OneHotMLP(), optimizer=AdamW(), loss=Hinge())
    assert "sparse_parity" in (SparseParity().applies(other) or "")


def test_it_waits_for_the_final_weights() -> None:
    """Measured while training it would store `no_final` for good."""
    with pytest.raises(BadInput, match="sparse_parity reads key frequencies or weights of the trial's end"):
        check_while_training(["sparse_parity"])


def test_neurons_alone_are_no_answer_where_the_start_is_subtracted() -> None:
    model = MLP(depth=2, width=WIDTH, subtract_start=True)
    reason = SparseParity().applies(dataclasses.replace(subject(planted()).spec, model=model))
    assert reason is not None
    assert "model.subtract_start" in reason
