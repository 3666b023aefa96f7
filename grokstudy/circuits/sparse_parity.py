"""Which neurons of a one-layer network do a sparse parity: the sparse circuit and the dense one."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from grokstudy.circuits._gradients import model_inputs
from grokstudy.circuits._values import NO_ROWS, NOT_FINITE, known, undefined
from grokstudy.models.mlp import MLP
from grokstudy.spec.draws import generator
from grokstudy.spec.measure import Measure, Subject
from grokstudy.spec.rows import MeasureValue
from grokstudy.spec.trial import TrialSpec, plugin_name
from grokstudy.tasks.sparse_parity import SparseParity as Parity

NO_FINAL = "no_final"
NO_NEURONS = "no_neurons"
CONTROLS = 8
SPARSITY = ("effective_sparsity", "effective_sparsity.accuracy")
SETS = ("generalizing", "complementary", "control")


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class OneLayer:
    """A network of one hidden layer with two outputs, seen through its margin z_1 - z_0 = sum of neurons + bias."""

    parts: Float[Tensor, "rows neurons"]
    """What each neuron adds to the margin."""
    bias: Float[Tensor, ""]
    incoming: Float[Tensor, " neurons"]
    """Norm of each neuron's incoming weights, its bias left out."""

    def order(self) -> Int[Tensor, " neurons"]:
        """Neurons by falling incoming norm."""
        return self.incoming.argsort(descending=True, stable=True)

    def answers(self, sets: Bool[Tensor, "sets neurons"]) -> Bool[Tensor, "sets rows"]:
        """The answers of each set of neurons alone: whether its margin is positive."""
        return sets.double() @ self.parts.T + self.bias > 0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SparseParity(Measure):
    """How few neurons carry the network's answers, and who they are.

    `effective_sparsity` = the least k such that the k neurons of largest incoming norm answer as the full network
    does on every train row; `.accuracy`: with the same accuracy there (labels trained on). The generalizing set is
    these k neurons at the trial's last generalised checkpoint; the complementary one is all others; the controls are 8
    random sets of its size, averaged. For each, at this checkpoint: `faithfulness.*` = share of test rows on which it
    alone answers as the full network does, `incoming_norm.*` = mean norm of its neurons' incoming weights.

    Source: Merrill et al. 2023 (arXiv 2303.11873), section 4; identical answers are the paper's rule, equal accuracy is
    that of its code.
    """

    version: ClassVar[int] = 1
    names: ClassVar[tuple[str, ...]] = (
        *SPARSITY,
        *(f"{what}.{one}" for one in SETS for what in ("faithfulness", "incoming_norm")),
    )

    needs_end: ClassVar[bool] = True

    def applies(self, spec: TrialSpec) -> str | None:
        if not isinstance(spec.task, Parity):
            return f"defined for task=sparse_parity, this trial has task={plugin_name(spec.task)}"
        if not isinstance(spec.model, MLP) or spec.model.depth != 2:
            return "defined for model=mlp with model.depth=2 (one hidden layer)"
        if spec.model.subtract_start:
            return "defined for networks whose neurons alone give the answer, this trial has model.subtract_start"
        return None

    def measure(self, subject: Subject) -> list[MeasureValue]:
        train = one_layer(subject, subject.params, torch.from_numpy(subject.data.train))
        labels = torch.from_numpy(subject.data.train_labels) == 1
        sizes = zip(SPARSITY, (least_identical(train), least_as_accurate(train, labels)), strict=True)
        return [
            *(known(name, size, protocol=protocol(name), version=self.version) for name, size in sizes),
            *self._circuits(subject),
        ]

    def _circuits(self, subject: Subject) -> list[MeasureValue]:
        if subject.final is None:
            return self._unknown(NO_FINAL)
        final = one_layer(subject, subject.final, torch.from_numpy(subject.data.train))
        size = least_identical(final)
        test = one_layer(subject, subject.params, torch.from_numpy(subject.data.test))
        if math.isnan(size) or not is_finite(test):
            return self._unknown(NOT_FINITE)
        sets = neuron_sets(final.order(), int(size), subject.spec.seeds.init)
        return [value for name in SETS for value in self._circuit(name, test, sets[name])]

    def _circuit(self, name: str, test: OneLayer, sets: Bool[Tensor, "sets neurons"]) -> list[MeasureValue]:
        norms = (sets * test.incoming).sum(dim=1) / sets.sum(dim=1)
        return [
            self._mean(f"faithfulness.{name}", faithfulness(test, sets), NO_ROWS),
            self._mean(f"incoming_norm.{name}", norms, NO_NEURONS),
        ]

    def _mean(self, name: str, each: Float[Tensor, " sets"], otherwise: str) -> MeasureValue:
        values = each.tolist() if len(each) > 1 else None
        number = float(each.mean())
        return known(name, number, values=values, protocol=protocol(name), version=self.version, otherwise=otherwise)

    def _unknown(self, reason: str) -> list[MeasureValue]:
        names = self.names[len(SPARSITY) :]
        return [undefined(name, reason, protocol=protocol(name), version=self.version) for name in names]


def protocol(name: str) -> str:
    """How the value of this name is found."""
    if name in SPARSITY:
        return f"order=incoming;equal={'answers' if name == SPARSITY[0] else 'accuracy'};rows=train"
    sets = "set=final" if not name.endswith("control") else f"set=random{CONTROLS};size=final"
    return f"{sets};rows=test" if name.startswith("faithfulness") else sets


def one_layer(subject: Subject, params: Mapping[str, Tensor], rows: Int[Tensor, " rows"]) -> OneLayer:
    """The network with these weights on some rows."""
    model = subject.spec.model
    W, b = params[model.last_layer()], params.get("layers.1.b", torch.zeros(2).double())
    neurons = model.activations(params, model_inputs(subject.data)[rows])["neurons"]
    return OneLayer(parts=neurons * (W[:, 1] - W[:, 0]), bias=b[1] - b[0], incoming=params["layers.0.W"].norm(dim=0))


def is_finite(net: OneLayer) -> bool:
    return bool(net.parts.isfinite().all() and net.bias.isfinite() and net.incoming.isfinite().all())


def prefixes(net: OneLayer) -> Bool[Tensor, "rows sizes"]:
    """Answers of the networks of the 0, 1, ... all neurons of largest incoming norm: one pass over the neurons."""
    start = net.bias.expand(len(net.parts), 1)
    return torch.cat([start, net.parts[:, net.order()]], dim=1).cumsum(dim=1) > 0


def least_identical(net: OneLayer) -> float:
    """Least k whose answers are those of all neurons on every row; NaN if the network is not finite."""
    if not is_finite(net):
        return math.nan
    answers = prefixes(net)
    return first((answers == answers[:, -1:]).all(dim=0))


def least_as_accurate(net: OneLayer, labels: Bool[Tensor, " rows"]) -> float:
    """Least k with exactly the accuracy of all neurons; NaN if the network is not finite."""
    if not is_finite(net):
        return math.nan
    right = (prefixes(net) == labels[:, None]).sum(dim=0)
    return first(right == right[-1])


def first(true: Bool[Tensor, " sizes"]) -> float:
    """Index of the first True; the last one is."""
    return float(true.int().argmax())


def neuron_sets(order: Int[Tensor, " neurons"], size: int, seed: int) -> dict[str, Bool[Tensor, "sets neurons"]]:
    """The first `size` neurons of the order, all others, and random sets of that size."""
    count = len(order)
    draws = [generator(seed, "control_neurons", str(i)).permutation(count)[:size] for i in range(CONTROLS)]
    top = members(order[None, :size], count)
    return {
        "generalizing": top,
        "complementary": ~top,
        "control": members(torch.from_numpy(np.stack(draws)), count),
    }


def members(chosen: Int[Tensor, "sets size"], count: int) -> Bool[Tensor, "sets neurons"]:
    """Masks over `count` neurons."""
    return torch.zeros(len(chosen), count, dtype=torch.bool).scatter_(1, chosen, True)


def faithfulness(net: OneLayer, sets: Bool[Tensor, "sets neurons"]) -> Float[Tensor, " sets"]:
    """Share of rows on which each set of neurons alone answers as the full network does; NaN without rows."""
    everything = torch.ones(1, sets.shape[1], dtype=torch.bool)
    return (net.answers(sets) == net.answers(everything)).double().mean(dim=1)
