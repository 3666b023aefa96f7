"""Ablations: what a network does when a part of one of its activations is silenced, averaged or taken from another row.

A part of an activation x is a tensor of x's shape; x minus the part is what the rest of the network does. Parts are
frequencies of the inputs, single units (neurons, heads) or directions. Where a pass goes on from the changed activation
it is computed by the model itself (`Model.activations(patch=...)`), so nothing is assumed about what reads it. Only for
neurons is it first seen whether the logits are linear in them: then what they send to the logits stands for them.

Source: Nanda et al. 2023 (arXiv 2301.05217), section 4.4 (zero and mean); Chan et al. 2022, "Causal scrubbing"
(Redwood Research, on the AI Alignment Forum), for resampling.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, TypeAlias

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from grokstudy.circuits._fourier import basis, coefficients, frequency_power, project, rows_of
from grokstudy.circuits._network import CHUNK, Network, Split, accuracy, answered, cross_entropy, network
from grokstudy.circuits._neurons import DEAD, EXPLAINED
from grokstudy.circuits._values import NO_ROWS, NOT_FINITE, known
from grokstudy.spec.draws import generator
from grokstudy.spec.measure import Subject
from grokstudy.spec.rows import MeasureValue

Mode: TypeAlias = Literal["zero", "mean", "resample"]
LOGITS, NEURONS, EMBED = "logits", "neurons", "hook_embed"
SENT = "sent"
"""What the neurons send to the logits, n W_L^T: their summand of the logits where these are linear in them."""
ROUNDING = 1e-8
"""Share of the logits' norm by which a linear reading of the neurons may miss them (float64: about 1e-14)."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How good logits are on some rows; NaN for logits that are not finite, and without rows."""

    ce: float
    """Mean cross entropy, nats."""
    acc: float


def score(logits: Float[Tensor, "rows p"], split: Split) -> Score:
    if len(split.rows) == 0 or not bool(logits.isfinite().all()):
        return Score(ce=math.nan, acc=math.nan)
    return Score(ce=cross_entropy(logits, split), acc=accuracy(logits, split))


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Intact:
    """A network as it is, with its activations on every input: where interventions start from."""

    subject: Subject
    net: Network
    activations: Mapping[str, Tensor]
    """Those of the model, and `SENT`."""
    order: Int[Tensor, " inputs"]
    """For every input another one, drawn at random, which resampled parts are taken from."""
    is_linear: bool
    """Whether logits are linear in the neurons: `SENT` is then a summand of them."""

    @classmethod
    def of(cls, subject: Subject) -> Intact:
        order = generator(subject.spec.seeds.init, "ablation", "rows").permutation(len(subject.data.inputs))
        passes, net = list(_passes(subject, {}, None)), network(subject)
        activations = {name: torch.cat([seen[name] for seen in passes]) for name in passes[0]}
        sent = activations[NEURONS].double() @ net.W_L.T
        return cls(
            subject=subject,
            net=net,
            activations={**activations, SENT: sent},
            order=torch.from_numpy(order),
            is_linear=_is_linear(subject, net, activations[NEURONS], sent),
        )

    @property
    def neurons(self) -> str:
        """The activation that stands for the neurons where each is changed alike, as a function of the row.

        Such a change commutes with W_L: if logits are linear in the neurons `SENT` will do, narrow and without a pass.
        """
        return SENT if self.is_linear else NEURONS

    def of_neurons(self, members: Bool[Tensor, " neurons"]) -> Tensor:
        """The part of the activation `neurons` that is these neurons'."""
        x = self.activations[NEURONS]
        return x[..., members].double() @ self.net.W_L[:, members].T if self.is_linear else x * members

    def logits(
        self, patch: Mapping[str, Tensor], inputs: Int[Tensor, " passes"] | None = None
    ) -> Float[Tensor, "rows p"]:
        """Logits of all answers of passes on these inputs (None: on all) in which some activations have new values.

        The logits themselves and `SENT` may be among them, on their own.
        """
        if LOGITS in patch:
            logits = patch[LOGITS]
        elif SENT in patch:
            others = self.activations[LOGITS][..., : self.net.p] - self.activations[SENT]
            logits = (others if inputs is None else others[inputs]) + patch[SENT]
        else:
            logits = torch.cat([seen[LOGITS] for seen in _passes(self.subject, patch, inputs)])
        return logits[..., : self.net.p].flatten(0, -2).double()

    def test_score(self, parts: Mapping[str, Tensor], mode: Mode) -> Score:
        """On the test rows, which are all that is computed, with a part of each activation in `parts` ablated."""
        rows, labels = torch.from_numpy(self.subject.data.test), self.net.test.labels
        if len(rows) == 0:
            return Score(ce=math.nan, acc=math.nan)
        patch = {site: ablated(self.activations[site], part, mode, self.order, rows) for site, part in parts.items()}
        return score(self.logits(patch, rows), Split(rows=torch.arange(len(labels)), labels=labels))


def _is_linear(
    subject: Subject, net: Network, neurons: Float[Tensor, "inputs *size"], sent: Float[Tensor, "inputs *answers p"]
) -> bool:
    """Whether taking all that varies from the neurons takes just its product with W_L from the logits."""
    patch = {NEURONS: neurons.mean(dim=0).expand_as(neurons)}
    without = torch.cat([seen[LOGITS] for seen in _passes(subject, patch, None)])[..., : net.p].flatten(0, -2)
    missed = net.logits - without - (sent - sent.mean(dim=0)).flatten(0, -2)
    return bool(missed.norm() <= ROUNDING * net.logits.norm())


def _passes(
    subject: Subject, patch: Mapping[str, Tensor], chosen: Int[Tensor, " passes"] | None
) -> Iterator[dict[str, Tensor]]:
    """Patched activations of these inputs, some at a time (as in `_network`: quicker, and little memory)."""
    shape, rows = subject.data.shape, torch.from_numpy(subject.data.inputs)
    inputs = rows if shape.vocab == 0 else rows.long()
    inputs = inputs if chosen is None else inputs[chosen]
    for start in range(0, len(inputs), CHUNK):
        part = slice(start, start + CHUNK)
        new = {name: x[part] for name, x in patch.items()}
        with torch.no_grad():
            seen = subject.spec.model.activations(subject.params, inputs[part], answers=shape.answers, patch=new)
        yield {**seen, LOGITS: answered(subject, inputs[part], seen[LOGITS])}


def ablated(
    x: Float[Tensor, "inputs *size"],
    part: Float[Tensor, "inputs *size"],
    mode: Mode,
    order: Int[Tensor, " inputs"],
    rows: Int[Tensor, " n"] | slice = slice(None),
) -> Float[Tensor, "n *size"]:
    """x without `part`: in its place nothing, the part's mean over all inputs, or the part of the input `order[i]`.

    At these rows alone.
    """
    rest = x[rows] - part[rows]
    if mode == "zero":
        return rest
    return rest.add_(part.mean(dim=0) if mode == "mean" else part[order[rows]])


# --- parts -----------------------------------------------------------------------------------------------------------


def of_frequencies(x: Float[Tensor, "rows width"], net: Network, keys: Sequence[int]) -> Float[Tensor, "rows width"]:
    """What is a combination of {1, cos, sin}(w_k a) x {1, cos, sin}(w_k b) for a k in `keys`, the constant left out.

    The same eight functions per key are cos and sin of w_k times a, b, a + b and a - b. Rows are the full grid.
    """
    chosen = torch.tensor([0, *rows_of(keys, net.p)])
    waves, k = basis(net.p)[chosen], (chosen + 1) // 2
    together = (k[:, None] == k) | (k[:, None] == 0) | (k == 0)
    together[0, 0] = False
    of_a = torch.einsum("ia,abw->ibw", waves, x.unflatten(0, (net.p, net.p)))
    coefs = torch.einsum("jb,ibw->ijw", waves, of_a) * together[:, :, None]
    back: Tensor = torch.einsum("jb,ijw->ibw", waves, coefs)
    return torch.einsum("ia,ibw->abw", waves, back).flatten(0, 1)


def of_token_frequencies(
    embedded: Float[Tensor, "rows 2 width"], net: Network, keys: Sequence[int]
) -> Float[Tensor, "rows 2 width"]:
    """What varies with each position's token at the frequencies in `keys`."""
    return torch.stack([project(embedded[:, i], token, keys, net.p) for i, token in enumerate((net.a, net.b))], dim=1)


def outside(x: Float[Tensor, "rows *size"], inside: Float[Tensor, "rows *size"]) -> Float[Tensor, "rows *size"]:
    """All that varies with the row but what is `inside`."""
    return x - x.mean(dim=0) - inside


def cluster(net: Network, k: int) -> Bool[Tensor, " neurons"]:
    """Neurons that belong to frequency k: it explains more than 0.85 of their variance (as in `_neurons`)."""
    return _cluster_of(net) == k


@functools.lru_cache(maxsize=1)
def _cluster_of(net: Network) -> Int[Tensor, " neurons"]:
    """The frequency that every neuron belongs to; 0 if it belongs to none."""
    p, centred = net.p, net.neurons - net.neurons.mean(dim=0)
    indices = (net.a, net.b, (net.a + net.b) % p, (net.a - net.b) % p)
    powers = [frequency_power(coefficients(centred, index, p)) for index in indices]
    if p % 2 == 0:
        powers[3][-1] = 0  # (-1)^(a - b) is (-1)^(a + b), counted already
    most, best = torch.stack(powers).sum(dim=0).max(dim=0)
    total = centred.square().sum(dim=0)
    belongs = (total > DEAD * total.max()) & (most > EXPLAINED * total)
    return torch.where(belongs, best + 1, 0)


def of_head(
    z: Float[Tensor, "rows *positions heads d_head"], head: int
) -> Float[Tensor, "rows *positions heads d_head"]:
    """What one head mixed."""
    part = torch.zeros_like(z)
    part[..., head, :] = z[..., head, :]
    return part


def principal_components(x: Float[Tensor, "rows positions width"]) -> Float[Tensor, "positions width width"]:
    """At each position orthonormal columns, in the order of the variance along them, largest first.

    NaN if a variance is not finite.
    """
    centred = (x - x.mean(dim=0)).transpose(0, 1)
    covariance = centred.mT @ centred
    if not bool(covariance.isfinite().all()):
        return torch.full_like(covariance, math.nan)
    directions: Tensor = torch.linalg.eigh(covariance).eigenvectors
    return directions.flip(2)


def along(
    x: Float[Tensor, "rows positions width"], directions: Float[Tensor, "positions width n"]
) -> Float[Tensor, "rows positions width"]:
    """The part of each position's x that lies in the space of that position's orthonormal directions."""
    return (x.transpose(0, 1) @ directions @ directions.mT).transpose(0, 1)


# --- stored values ---------------------------------------------------------------------------------------------------


def effects(
    name: str, whole: Score, each: Sequence[Score] | None, split: Split, *, protocol: str, version: int
) -> list[MeasureValue]:
    """`name.ce_test` and `name.acc_test`, with those of every part alone as their `values`."""
    why = NOT_FINITE if len(split.rows) else NO_ROWS
    ces, accs = (None, None) if each is None else ([s.ce for s in each], [s.acc for s in each])
    return [
        known(f"{name}.ce_test", whole.ce, values=ces, protocol=protocol, version=version, otherwise=why),
        known(f"{name}.acc_test", whole.acc, values=accs, protocol=protocol, version=version, otherwise=why),
    ]
