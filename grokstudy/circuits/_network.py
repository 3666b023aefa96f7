"""What the measures of one network share: its logits over the whole grid, its neurons and its matrices."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping

import torch
from jaxtyping import Float, Int, Num
from torch import Tensor

from grokstudy.spec.measure import Subject
from grokstudy.spec.trial import TrialSpec, plugin_name

CHUNK = 1024
"""Inputs evaluated at a time: what a model computes on the way stays in the processor's cache (twice as fast at p = 113
as all 12,769 at once; several small networks at once, by vmap, are five times slower than one after the other)."""
PATTERN = "attn.hook_pattern"


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
    """Over the p classes only: any further output (a "=" token) is dropped. See `answered`."""
    neurons: Float[Tensor, "rows neurons"]
    """What the neuron rule reads: see `reads_before_square`."""
    W_E: Float[Tensor, "width vocab"]
    W_L: Float[Tensor, "p neurons"]
    pattern: Float[Tensor, "rows positions heads"] | None
    """Attention of a transformer's last block at its last position; None of other networks, and of those that answer
    at several positions."""
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
        seen = _seen(subject, inputs if shape.vocab == 0 else inputs.long())
        matrices = model.matrices(subject.params, shape)
    neurons = seen["pre" if reads_before_square(subject.spec) else "neurons"]
    train, test = torch.from_numpy(data.train).long(), torch.from_numpy(data.test).long()
    return Network(
        p=shape.classes,
        inputs=inputs,
        answer=labels.flatten(),
        logits=seen["logits"][..., : shape.classes].flatten(0, -2).double().contiguous(),
        neurons=neurons.flatten(0, -2).double(),
        W_E=matrices.W_E.double(),
        W_L=matrices.W_L.double(),
        pattern=seen[PATTERN] if PATTERN in seen and not shape.answers else None,
        train=_split(train, torch.from_numpy(data.train_labels).long()),
        test=_split(test, labels[test]),
        all=_split(torch.arange(len(labels)), labels),
    )


def _seen(subject: Subject, inputs: Num[Tensor, "inputs positions"]) -> Mapping[str, Tensor]:
    """Activations that a `Network` holds, on all inputs; the pattern is that of the last block."""
    whole: dict[str, Tensor] = {}
    for start in range(0, len(inputs), CHUNK):
        part = inputs[start : start + CHUNK]
        seen = subject.spec.model.activations(subject.params, part, answers=subject.data.shape.answers)
        for name, x in {**seen, "logits": answered(subject, part, seen["logits"])}.items():
            leaf = PATTERN if name.endswith(PATTERN) else name
            if leaf in ("logits", "neurons", "pre", PATTERN):
                if leaf not in whole:
                    whole[leaf] = torch.empty(len(inputs), *x.shape[1:], dtype=x.dtype)
                whole[leaf][start : start + CHUNK] = x
    return whole


def answered(
    subject: Subject, inputs: Num[Tensor, "n positions"], logits: Float[Tensor, "n *outputs"]
) -> Float[Tensor, "n *outputs"]:
    """The logits that a network answers with: its own, less those at the start if `model.subtract_start` says so.

    Without `model.output_scale`, which changes no answer. NaN if the start is to be subtracted and was not kept.
    """
    model = subject.spec.model
    if not model.subtract_start:
        return logits
    if subject.start is None:
        return torch.full_like(logits, math.nan)
    with torch.no_grad():
        start = model.apply(subject.start, inputs, answers=subject.data.shape.answers)
    return logits - start[..., : logits.shape[-1]]


def _split(inputs: Int[Tensor, " n"], labels: Int[Tensor, "n *answers"]) -> Split:
    """Rows of all answers of these inputs."""
    per_input = labels[0].numel() if len(labels) else 1
    rows = inputs[:, None] * per_input + torch.arange(per_input)
    return Split(rows=rows.flatten(), labels=labels.flatten())


def losses(net: Network, logits: Float[Tensor, "rows p"]) -> dict[str, float]:
    """Mean cross entropy of such logits on each split of `net`, in nats. NaN without rows."""
    clean = nll(logits, net.all.labels)
    own = nll(logits[net.train.rows], net.train.labels)
    return {"train": float(own.mean()), "test": float(clean[net.test.rows].mean()), "all": float(clean.mean())}


def accuracies(net: Network, logits: Float[Tensor, "rows p"]) -> dict[str, float]:
    """Share of each split's rows whose largest logit is at the label. NaN without rows and where a logit is NaN."""
    best = logits.argmax(dim=1)
    right = {name: (best[split.rows] == split.labels).double().mean() for name, split in net.splits()}
    # argmax of NaN is an index like any other.
    return {name: float(share) if bool(logits.sum().isfinite()) else math.nan for name, share in right.items()}


def nll(logits: Float[Tensor, "rows p"], labels: Int[Tensor, " rows"]) -> Float[Tensor, " rows"]:
    """Cross entropy of every row over the p answers, in nats."""
    return torch.nn.functional.cross_entropy(logits, labels, reduction="none")


def cross_entropy(logits: Float[Tensor, "rows p"], split: Split) -> float:
    """Mean cross entropy of the split's rows over the p answers, in nats (float64). NaN without rows."""
    return float(nll(logits[split.rows], split.labels).mean())


def accuracy(logits: Float[Tensor, "rows p"], split: Split) -> float:
    """Share of the split's rows whose largest logit is at the label. NaN without rows."""
    return float((logits[split.rows].argmax(dim=1) == split.labels).double().mean())
