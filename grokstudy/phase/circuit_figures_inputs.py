"""Pictures of what a network does on every pair of inputs: 2D spectra, neuron clusters, attention, activations."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from grokstudy.circuits._applies import unless_classes, unless_modular
from grokstudy.circuits._fourier import coefficients, frequency_power, transform_2d
from grokstudy.circuits._network import Network, network
from grokstudy.circuits._neurons import DEAD, EXPLAINED
from grokstudy.circuits._periodic import periodic
from grokstudy.phase.circuit_figures_data import (
    COSINE,
    Axis,
    Bars,
    Heat,
    Panel,
    Picture,
    Scale,
    from_zero,
    zero_centred,
)
from grokstudy.phase.circuit_figures_weights import component_ticks
from grokstudy.phase.palette import OUTCOME_COLOURS
from grokstudy.spec.errors import BadInput
from grokstudy.spec.measure import Subject
from grokstudy.spec.trial import TrialSpec

NEURONS_SHOWN = 6
_UNEXPLAINED = OUTCOME_COLOURS["confusion"]


def unless_pairs(spec: TrialSpec) -> str | None:
    """None for tasks of two tokens with one class as answer, else why there is no (a, b) map."""
    shape = spec.task.shape()
    if reason := unless_classes(spec):
        return reason
    if shape.positions != 2 or not shape.vocab or shape.answers:
        return f"defined for inputs that are pairs of tokens, this task has {shape.positions} inputs per row"
    return None


def logit_spectrum(subject: Subject, answer: int, title: str) -> Picture:
    """2D Fourier coefficients over (a, b) of one class's logit, signed.

    Source: Nanda et al. 2023 (arXiv 2301.05217), section 4.
    """
    net = _grid(subject)
    _check_index("answer", answer, net.logits.shape[1])
    return _spectrum(net, net.logits[:, answer], f"logit of answer {answer}", title)


def neuron_spectrum(subject: Subject, neuron: int | None, title: str) -> Picture:
    """2D Fourier coefficients over (a, b) of one neuron (None = the one of largest variance), signed.

    Source: Nanda et al. 2023 (arXiv 2301.05217), section 4.
    """
    net = _grid(subject)
    chosen = int(net.neurons.var(dim=0).argmax()) if neuron is None else neuron
    _check_index("neuron", chosen, net.neurons.shape[1])
    return _spectrum(net, net.neurons[:, chosen], f"neuron {chosen}", title)


def _spectrum(net: Network, values: Float[Tensor, " rows"], name: str, title: str) -> Picture:
    p = net.p
    coefs = transform_2d(values.unflatten(0, (p, p))).numpy().copy()
    constant = float(coefs[0, 0])
    coefs[0, 0] = np.nan
    heat = Heat(
        x=np.arange(p + 1) - 0.5,
        y=np.arange(p + 1) - 0.5,
        values=coefs,
        scale=zero_centred(coefs, f"coefficient of the {name}" if name[0] == "l" else f"coefficient of {name}"),
    )
    ticks = component_ticks(p)
    panel = Panel(
        title=name,
        x=Axis(label="frequency k of b (cos, sin)", low=-0.5, high=p - 0.5, ticks=ticks),
        y=Axis(label="frequency k of a (cos, sin)", low=-0.5, high=p - 0.5, ticks=ticks),
        marks=(heat,),
        square=True,
    )
    return Picture(
        title=title,
        note="Coefficients on the products of const, cos 1, sin 1, cos 2, … of a (rows) and of b (columns), "
        f"orthonormal over all pairs. The constant, {constant:.4g}, is left white.",
        panels=(panel,),
        width=6.2,
        height=5.2,
    )


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Shares:
    """Of every live neuron, the share of its variance that each frequency explains."""

    share: Float[Tensor, "frequencies live"]
    dead: int


def frequency_shares(net: Network) -> Shares:
    """All shares of which `circuits._neurons.frequencies_of` keeps the largest. Rows are the full grid.

    The share of frequency k is the variance on the products of {1, cos, sin}(w_k a) and {1, cos, sin}(w_k b), the
    constant aside: cos and sin of w_k times a, b, a + b and a - b.
    """
    p, centred = net.p, net.neurons - net.neurons.mean(dim=0)
    indices = (net.a, net.b, (net.a + net.b) % p, (net.a - net.b) % p)
    powers = [frequency_power(coefficients(centred, index, p)) for index in indices]
    if p % 2 == 0:
        powers[3][-1] = 0  # (-1)^(a - b) is (-1)^(a + b), counted already
    total = centred.square().sum(dim=0)
    live = total > DEAD * total.max()
    return Shares(share=(torch.stack(powers).sum(dim=0)[:, live] / total[live]), dead=int((~live).sum()))


def neuron_clusters(subject: Subject, title: str) -> Picture:
    """How many neurons belong to each frequency, and the shares of all neurons sorted by frequency.

    Source: Nanda et al. 2023 (arXiv 2301.05217), section 4.
    """
    net = _grid(subject)
    found = frequency_shares(net)
    most, best = found.share.max(dim=0)
    explained = most > EXPLAINED
    k = np.arange(1.0, net.p // 2 + 1)
    yes = torch.bincount(best[explained], minlength=len(k)).double().numpy()
    no = torch.bincount(best[~explained], minlength=len(k)).double().numpy()
    order = torch.argsort(best.double() - most * 0.5)
    width, live = net.neurons.shape[1], found.share.shape[1]
    heat = Heat(
        x=np.arange(live + 1) - 0.5,
        y=np.arange(len(k) + 1) + 0.5,
        values=found.share[:, order].numpy(),
        scale=Scale(label="share of the neuron's variance", low=0.0, high=1.0),
    )
    ends = Axis(label="frequency k", low=0.2, high=len(k) + 0.8)
    return Picture(
        title=title,
        note="A neuron belongs to the frequency of a and b that explains most of its variance over all pairs; more "
        f"than {EXPLAINED:g} counts as explained. {width} neurons, {int(explained.sum())} "
        f"explained, {found.dead} dead.",
        panels=(
            Panel(
                title="neurons by best frequency",
                x=ends,
                y=Axis(label="neurons", low=0.0),
                marks=(
                    Bars(x=k, height=yes, width=0.8, name=f"share > {EXPLAINED:g}", colour=COSINE),
                    Bars(x=k, height=no, base=yes, width=0.8, name="below", colour=_UNEXPLAINED),
                ),
            ),
            Panel(
                title="every live neuron",
                x=Axis(label="neuron, sorted by frequency and share", low=-0.5, high=live - 0.5),
                y=Axis(label="frequency k", low=0.5, high=len(k) + 0.5),
                marks=(heat,),
            ),
        ),
        height=3.2,
    )


def attention(subject: Subject, title: str) -> Picture:
    """How much the last position attends to a, per head, for every pair (a, b).

    Source: Nanda et al. 2023 (arXiv 2301.05217), section 4.
    """
    net = _pairs(subject)
    if net.pattern is None:
        raise BadInput("figure: attention is defined for models with attention, e.g. model=transformer.")
    to_a = net.pattern[:, 0, :]
    scale = Scale(label="attention to a", low=0.0, high=1.0)
    heads = to_a.shape[1]
    return Picture(
        title=title,
        note="Attention pattern of the last block, from the position that is read to the token a, for every pair of "
        "tokens a (rows) and b (columns).",
        panels=tuple(_map(net, to_a[:, head], f"head {head}", scale) for head in range(heads)),
        across=min(heads, 4),
        width=3.1,
        height=3.0,
    )


def neurons(subject: Subject, chosen: Sequence[int] | None, title: str) -> Picture:
    """Activations of some neurons for every pair (a, b); None = those of largest variance.

    Source: Nanda et al. 2023 (arXiv 2301.05217), section 4.
    """
    net = _pairs(subject)
    if chosen is None:
        chosen = net.neurons.var(dim=0).argsort(descending=True)[:NEURONS_SHOWN].tolist()
    for neuron in chosen:
        _check_index("neuron", neuron, net.neurons.shape[1])
    if not chosen:
        raise BadInput("neurons: got none, name at least one.")
    shown = net.neurons[:, list(chosen)].numpy()
    scale = zero_centred(shown, "activation") if shown.min() < 0 else from_zero(shown, "activation")
    return Picture(
        title=title,
        note="Activations of neurons for every pair of tokens a (rows) and b (columns), in the network's own units.",
        panels=tuple(_map(net, net.neurons[:, neuron], f"neuron {neuron}", scale) for neuron in chosen),
        across=min(len(chosen), 3),
        width=3.4,
        height=3.0,
    )


def _map(net: Network, values: Float[Tensor, " rows"], title: str, scale: Scale) -> Panel:
    """A heat map over the tokens; pairs that the task does not have are white."""
    size = int(net.inputs.max()) + 1
    matrix = np.full((size, size), np.nan)
    matrix[net.a.numpy(), net.b.numpy()] = values.numpy()
    edges = np.arange(size + 1) - 0.5
    return Panel(
        title=title,
        x=Axis(label="b", low=-0.5, high=size - 0.5),
        y=Axis(label="a", low=-0.5, high=size - 0.5),
        marks=(Heat(x=edges, y=edges, values=matrix, scale=scale),),
        square=True,
    )


def _grid(subject: Subject) -> Network:
    """The network on the full grid of residues (of logarithms for mul and div).

    Raises:
        BadInput: the task has no such grid.
    """
    if reason := unless_modular(subject.spec):
        raise BadInput(f"figure: {reason}.")
    net = periodic(subject)
    if len(net.inputs) != net.p**2:
        raise BadInput(f"figure: defined for all {net.p}² pairs, this task has {len(net.inputs)}.")
    return net


def _pairs(subject: Subject) -> Network:
    if reason := unless_pairs(subject.spec):
        raise BadInput(f"figure: {reason}.")
    return network(subject)


def _check_index(name: str, given: int, size: int) -> None:
    if not 0 <= given < size:
        raise BadInput(f"{name}: got {given}, must be in 0..{size - 1}.")
