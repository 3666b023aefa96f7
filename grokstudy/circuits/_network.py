"""What the measures of one network share: its logits over the whole grid, its neurons and its matrices."""

from __future__ import annotations

import dataclasses
import functools

import torch
from jaxtyping import Float, Int, Num
from torch import Tensor

from grokstudy.spec.measure import Subject
from grokstudy.spec.trial import TrialSpec, plugin_name


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Split:
    """Rows with the labels they are judged by."""

    rows: Int[Tensor, " n"]
    labels: Int[Tensor, " n"]


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Network:
    """One network evaluated on every input of its task, in float64.

    Where an input has several answers, `rows` are all answers of all inputs, one input after the other.
    """

    p: int
    """Classes of an answer; the modulus of a modular task."""
    inputs: Num[Tensor, "inputs positions"]
    answer: Int[Tensor, " rows"]
    """Clean labels; for add and sub this is a + b or a - b mod p."""
    logits: Float[Tensor, "rows p"]
    """Over the p classes only: any further output (a "=" token) is dropped."""
    neurons: Float[Tensor, "rows neurons"]
    """What the neuron rule reads: see `reads_before_square`."""
    W_E: Float[Tensor, "width vocab"]
    W_L: Float[Tensor, "p neurons"]
    train: Split
    """Labels trained on, so corrupted ones stay corrupted."""
    test: Split
    """Clean labels; empty if there are no test rows."""
    all: Split
    """Every row with its clean label."""

    @property
    def a(self) -> Int[Tensor, " rows"]:
        """First token, of tasks whose inputs are pairs."""
        return self.inputs[:, 0]

    @property
    def b(self) -> Int[Tensor, " rows"]:
        """Second token."""
        return self.inputs[:, 1]

    def splits(self) -> tuple[tuple[str, Split], ...]:
        return ("train", self.train), ("test", self.test), ("all", self.all)


def reads_before_square(spec: TrialSpec) -> bool:
    """True if neurons are read before their non-linearity: for the quadratic MLP.

    Its neuron (cos(w a + f) + cos(w b + g))^2 also holds the harmonics 2w: even a pure one has only 0.8 of its variance
    in frequency w, below the threshold of 0.85. Before the square a pure neuron has fraction 1, so the thresholds keep
    their meaning. There the fraction is the share of frequency k in the neuron's own columns of U and V.
    """
    return plugin_name(spec.model) == "quad_mlp"


# Keyed by the Subject object itself (identity hash; the cache holds it, so no other can take its place) and as small as
# it can be: one network of p = 113 is 60 MB, and measures are asked for one network at a time.
@functools.lru_cache(maxsize=1)
def network(subject: Subject) -> Network:
    """The network of `subject`, computed once while measures of the same subject follow each other.

    For tasks with classes (`unless_classes`).
    """
    data, model, shape = subject.data, subject.spec.model, subject.data.shape
    inputs = torch.from_numpy(data.inputs)
    labels = torch.from_numpy(data.labels).long()
    with torch.no_grad():
        seen = model.activations(subject.params, inputs if shape.vocab == 0 else inputs.long(), answers=shape.answers)
        matrices = model.matrices(subject.params, shape)
    neurons = seen["pre" if reads_before_square(subject.spec) else "neurons"]
    train, test = torch.from_numpy(data.train).long(), torch.from_numpy(data.test).long()
    return Network(
        p=shape.classes,
        inputs=inputs,
        answer=labels.flatten(),
        logits=seen["logits"][..., : shape.classes].flatten(0, -2).double(),
        neurons=neurons.flatten(0, -2).double(),
        W_E=matrices.W_E.double(),
        W_L=matrices.W_L.double(),
        train=_split(train, torch.from_numpy(data.train_labels).long()),
        test=_split(test, labels[test]),
        all=_split(torch.arange(len(labels)), labels),
    )


def _split(inputs: Int[Tensor, " n"], labels: Int[Tensor, "n *answers"]) -> Split:
    """Rows of all answers of these inputs."""
    per_input = labels[0].numel() if len(labels) else 1
    rows = inputs[:, None] * per_input + torch.arange(per_input)
    return Split(rows=rows.flatten(), labels=labels.flatten())


def cross_entropy(logits: Float[Tensor, "rows p"], split: Split) -> float:
    """Mean cross entropy of the split's rows over the p answers, in nats (float64). NaN without rows."""
    return float(torch.nn.functional.cross_entropy(logits[split.rows], split.labels))


def accuracy(logits: Float[Tensor, "rows p"], split: Split) -> float:
    """Share of the split's rows whose largest logit is at the label. NaN without rows."""
    return float((logits[split.rows].argmax(dim=1) == split.labels).double().mean())
