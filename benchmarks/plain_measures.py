"""The Fourier measures as an analysis notebook has them: float64, the full two-dimensional transform of logits and
neurons, one frequency after the other, and the formula's cube over (a, b, c) for the variance it explains.

Only for addition modulo an odd p. Numbers go by the names of the measures that must equal them.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from plain_transformer import PlainTransformer
from torch import Tensor

from grokstudy.models.quad_mlp import QuadMLP
from grokstudy.models.transformer import Transformer
from grokstudy.spec.measure import Subject

ETA, EXPLAINED, DEAD = 0.5, 0.85, 1e-12


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Run:
    """A network on all p^2 inputs."""

    p: int
    logits: Float[Tensor, "rows p"]
    post: Float[Tensor, "rows neurons"]
    read: Float[Tensor, "rows neurons"]
    """Neurons as the frequency rule reads them: a quadratic MLP's before their square."""
    W_E: Float[Tensor, "p width"]
    W_L: Float[Tensor, "p neurons"]
    labels: Int[Tensor, " rows"]
    train: Int[Tensor, " train"]
    test: Int[Tensor, " test"]


@torch.no_grad()
def run(subject: Subject) -> Run:
    """The network of `subject`, every position computed."""
    model, data, p = subject.spec.model, subject.data, subject.data.shape.classes
    inputs, w = torch.from_numpy(data.inputs).long(), subject.params
    split = {name: torch.from_numpy(getattr(data, name)).long() for name in ("labels", "train", "test")}
    if isinstance(model, QuadMLP):
        pre = w["U"][inputs[:, 0]] + w["V"][inputs[:, 1]]
        W_E = torch.cat([w["U"], w["V"]], dim=1)
        return Run(p=p, logits=pre**2 @ w["W"], post=pre**2, read=pre, W_E=W_E, W_L=w["W"].T, **split)
    assert isinstance(model, Transformer)
    module = PlainTransformer(model, data.shape).double()
    module.load(w)
    tokens = module.prepare(inputs)
    seen: list[Tensor] = []
    module.blocks[0].activation = lambda x: seen.append(x.relu()) or seen[-1]
    logits = module(tokens)[:, :p]
    neurons = seen[0][:, -1]
    W_L = (w["blocks.0.mlp.W_out"] @ w["unembed.W_U"][:, :p]).T
    return Run(p=p, logits=logits, post=neurons, read=neurons, W_E=w["embed.W_E"][:p], W_L=W_L, **split)


def measures(subject: Subject, random_sets: Sequence[Sequence[int]]) -> dict[str, float]:
    """Every number that `COMPARED` plug-ins give of such a network, lists by their largest or their sum."""
    net, keys = run(subject), subject.key_freqs
    assert keys is not None
    return {
        **_of_logits(net),
        **_losses(net, keys, random_sets),
        **_formula(net, keys, random_sets),
        **_neurons(net),
        **_matrices(net, keys),
    }


def _basis(p: int) -> Float[Tensor, "p p"]:
    t = np.arange(p)
    rows = [np.ones(p)]
    for k in range(1, p // 2 + 1):
        rows += [np.cos(2 * np.pi * k * t / p), np.sin(2 * np.pi * k * t / p)]
    return torch.from_numpy(np.stack([row / np.linalg.norm(row) for row in rows]))


def _transform_2d(x: Float[Tensor, "rows n"], p: int) -> Float[Tensor, "p p n"]:
    f = _basis(p)
    return torch.einsum("xyz,fx,gy->fgz", x.reshape(p, p, -1), f, f)


def _loss(net: Run, logits: Float[Tensor, "rows p"], rows: Int[Tensor, " n"]) -> float:
    log_probs = logits[rows].log_softmax(dim=1)
    return float(-log_probs[torch.arange(len(rows)), net.labels[rows]].mean())


def _accuracy(net: Run, logits: Float[Tensor, "rows p"], rows: Int[Tensor, " n"]) -> float:
    return float((logits[rows].argmax(dim=1) == net.labels[rows]).double().mean())


def _splits(net: Run) -> Mapping[str, Int[Tensor, " n"]]:
    return {"train": net.train, "test": net.test, "all": torch.arange(net.p**2)}


def _of_logits(net: Run) -> dict[str, float]:
    found = {f"ce_{name}": _loss(net, net.logits, rows) for name, rows in _splits(net).items()}
    found |= {f"acc_{name}": _accuracy(net, net.logits, rows) for name, rows in _splits(net).items()}
    return found | {
        "logit_scale": float((net.logits**2).mean().sqrt()),
        "logit_std": float(net.logits.std(correction=0)),
    }


def _projected(net: Run, keys: Sequence[int]) -> Float[Tensor, "rows p"]:
    """The logits on cos(w_k (a + b)) and sin(w_k (a + b)), made of products of the basis."""
    f = _basis(net.p)
    part = torch.zeros_like(net.logits)
    for k in keys:
        cos, sin = f[2 * k - 1], f[2 * k]
        for direction in (
            (torch.outer(cos, cos) - torch.outer(sin, sin)).flatten() / math.sqrt(2),
            (torch.outer(sin, cos) + torch.outer(cos, sin)).flatten() / math.sqrt(2),
        ):
            part += direction[:, None] * (direction @ net.logits)[None, :]
    return part


def _losses(net: Run, keys: Sequence[int], random_sets: Sequence[Sequence[int]]) -> dict[str, float]:
    found, everything = {}, torch.arange(net.p**2)
    for name, rows in _splits(net).items():
        restricted = _projected(net, keys) + net.logits.mean(dim=0)
        excluded = net.logits - _projected(net, keys)
        found[f"restricted_loss.{name}"] = _loss(net, restricted, rows)
        found[f"excluded_loss.{name}"] = _loss(net, excluded, rows)
        found[f"restricted_acc.{name}"] = _accuracy(net, restricted, rows)
        found[f"excluded_acc.{name}"] = _accuracy(net, excluded, rows)
    found["excluded_loss_by_freq"] = max(_loss(net, net.logits - _projected(net, [k]), net.train) for k in keys)
    kept = [_loss(net, _projected(net, some) + net.logits.mean(dim=0), everything) for some in random_sets]
    without = [_loss(net, net.logits - _projected(net, some), net.train) for some in random_sets]
    found["restricted_loss_random_keys.all"] = float(np.mean(kept))
    found["excluded_loss_random_keys.train"] = float(np.mean(without))
    return found


def _cube(net: Run, k: int) -> Float[Tensor, "p p p"]:
    t = torch.arange(net.p)
    angle = 2 * math.pi * k / net.p * (t[:, None, None] + t[None, :, None] - t[None, None, :]).double()
    return angle.cos()


def _formula(net: Run, keys: Sequence[int], random_sets: Sequence[Sequence[int]]) -> dict[str, float]:
    cube = net.logits.reshape(net.p, net.p, net.p)

    def alpha(k: int) -> float:
        wave = _cube(net, k)
        return float((wave * cube).sum() / (wave**2).sum())

    def fitted(some: Sequence[int]) -> Float[Tensor, "p p p"]:
        return sum((alpha(k) * _cube(net, k) for k in some), torch.zeros_like(cube))

    def explained(some: Sequence[int], centred: Float[Tensor, "p p p"]) -> float:
        return 1 - float(((centred - fitted(some)) ** 2).sum() / (centred**2).sum())

    by_row = cube - cube.mean(dim=2, keepdim=True)
    found = {
        "fve": explained(keys, cube - cube.mean()),
        "fve.per_input": explained(keys, by_row),
        "fve.double": explained(keys, by_row - by_row.mean(dim=(0, 1))),
        "fve_random_keys": float(np.mean([explained(some, cube - cube.mean()) for some in random_sets])),
        "logit_alphas": max(alpha(k) for k in range(1, net.p // 2 + 1)),
    }
    alone = fitted(keys).reshape(net.logits.shape)
    return found | {f"ols_loss.{name}": _loss(net, alone, rows) for name, rows in _splits(net).items()}


def _neurons(net: Run) -> dict[str, float]:
    """Neuron by neuron and frequency by frequency, as Nanda et al.'s code loops (which also sums the whole transform
    anew for every frequency)."""
    p, centred = net.p, net.read - net.read.mean(dim=0)
    power = _transform_2d(centred, p) ** 2
    most, best = float(power.sum(dim=(0, 1)).max()), []
    for neuron in range(power.shape[2]):
        own = power[:, :, neuron]
        total = float(own.sum())
        if total > DEAD * most:
            shares = [float(own[2 * k - 1 : 2 * k + 1, 2 * k - 1 : 2 * k + 1].sum()) for k in range(1, p // 2 + 1)]
            for k in range(1, p // 2 + 1):
                shares[k - 1] += float(own[0, 2 * k - 1 : 2 * k + 1].sum() + own[2 * k - 1 : 2 * k + 1, 0].sum())
            at = int(np.argmax(shares))
            best.append((at, shares[at] / total))
    explained = [at for at, share in best if share > EXPLAINED]
    keys = [k for k in set(explained) if explained.count(k) >= max(1, len(best) // 100)]
    return {
        "neuron_freq_fraction": len(explained) / len(best),
        "neuron_freqs": len(explained),
        "dead_neurons": power.shape[2] - len(best),
        "key_freqs keys=neuron": len(keys),
    }


def _matrices(net: Run, keys: Sequence[int]) -> dict[str, float]:
    found, f = {}, _basis(net.p)
    for name, matrix in (("W_E", net.W_E), ("W_L", net.W_L)):
        norms = (f @ matrix).norm(dim=1)
        cos, sin = norms[1::2], norms[2::2]
        merged = (cos**2 + sin**2).sqrt()
        found[f"gini_{name}"], found[f"gini_{name}.merged"] = _gini(norms[1:]), _gini(merged)
        found[f"key_freqs keys={name.lower()}"] = float((merged > merged.max() / 4).sum())
        found[f"ffd_{name}"] = float(torch.cat([cos > ETA * cos.max(), sin > ETA * sin.max()]).double().mean())
        found[f"fcr_{name}"] = float(torch.minimum(cos / sin, sin / cos).mean())
    spectra = np.abs(np.fft.rfft(net.W_E.T.numpy(), axis=1))
    found["ipr_W_E"] = float(((spectra / np.linalg.norm(spectra, axis=1, keepdims=True)) ** 4).sum(axis=1).mean())
    rows = [row for k in keys for row in (2 * k - 1, 2 * k)]
    rest = [row for row in range(net.p) if row not in rows]
    found["w_l_outside_keys"] = float((f @ net.W_L)[rest].norm() / net.W_L.norm())
    found["w_l_direction_fve"] = float(np.mean([_direction(net, f, row) for row in rows]))
    return found


def _direction(net: Run, f: Float[Tensor, "p p"], row: int) -> float:
    """How much of what a row of W_L reads of the neurons is that row's function of a + b."""
    read = net.post @ (f[row] @ net.W_L)
    read = read - read.mean()
    wave = f[row][net.labels] / math.sqrt(net.p)
    return float((wave @ read) ** 2 / (read @ read))


def _gini(x: Float[Tensor, " n"]) -> float:
    return float((x[:, None] - x[None, :]).abs().mean() / (2 * x.mean()))
