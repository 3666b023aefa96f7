"""Pictures of a network's matrices: Fourier norms, their growth, circles of embeddings, singular values."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from grokstudy.circuits._applies import LOGARITHMIC_OPERATIONS, unless_modular, unless_periodic
from grokstudy.circuits._fourier import basis, frequencies, frequency_power, transform_1d
from grokstudy.circuits._periodic import powers
from grokstudy.phase.circuit_figures_data import (
    COSINE,
    SINE,
    Axis,
    Bars,
    Dots,
    Heat,
    Line,
    Panel,
    Picture,
    Rule,
    Scale,
    cell_edges,
    from_zero,
    on_log_axis,
    zero_centred,
)
from grokstudy.phase.palette import INK, QUIET, TEST
from grokstudy.spec.errors import BadInput
from grokstudy.spec.interfaces import Shape
from grokstudy.spec.trial import TrialSpec
from grokstudy.tasks.modular import Modular

MOST_CIRCLES = 6
MOST_DIRECTIONS = 16
_MOST_TICKS = 8
_EDGE = 1.15
"""Room around a circle for the words beside its points."""


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class ResidueMatrices:
    """The two matrices of a network of a modular task that have one column per residue."""

    W_E: Float[Tensor, "width residues"]
    W_L: Float[Tensor, "neurons residues"]
    """Neuron-to-logit map, transposed."""
    residues: str
    """What a column is: a residue mod p, or its discrete logarithm mod p - 1."""

    @property
    def p(self) -> int:
        return self.W_E.shape[1]


def residue_matrices(spec: TrialSpec, params: Mapping[str, Tensor], shape: Shape) -> ResidueMatrices:
    """W_E and W_L^T in float64. For mul and div modulo a prime, columns are ordered by discrete logarithm, without 0.

    Raises:
        BadInput: the task is not modular.
    """
    if reason := unless_modular(spec):
        raise BadInput(f"figure: {reason}.")
    with torch.no_grad():
        read = spec.model.matrices({name: tensor.double() for name, tensor in params.items()}, shape)
    W_E, W_L, residues = read.W_E, read.W_L.T, f"mod {shape.classes}"
    assert isinstance(spec.task, Modular)
    if spec.task.op in LOGARITHMIC_OPERATIONS and unless_periodic(spec) is None:
        order = powers(shape.classes)
        W_E, W_L, residues = W_E[:, order], W_L[:, order], f"of discrete logarithms mod {shape.classes - 1}"
    return ResidueMatrices(W_E=W_E, W_L=W_L, residues=residues)


def component_norms(matrix: Float[Tensor, "width p"]) -> Float[Tensor, " p"]:
    """Euclidean norm over the width of every Fourier component (const, cos 1, sin 1, ...; orthonormal basis)."""
    norms: Tensor = transform_1d(matrix).norm(dim=0)
    return norms


def frequency_norms(matrix: Float[Tensor, "width p"]) -> Float[Tensor, " frequencies"]:
    """Norm of cosine and sine together, of k = 1 .. p // 2."""
    return frequency_power(transform_1d(matrix).T).sum(dim=1).sqrt()


def component_ticks(p: int) -> tuple[tuple[float, str], ...]:
    """Places of a few frequencies among the components: between cosine and sine of each."""
    apart = max(1, round(p // 2 / _MOST_TICKS))
    return tuple((2 * k - 0.5 if 2 * k < p else 2 * k - 1.0, str(k)) for k in range(apart, p // 2 + 1, apart))


def fourier_norms(matrices: ResidueMatrices, keys: Sequence[int], title: str) -> Picture:
    """Norms of the Fourier components of W_E and of W_L: cosine and sine of each frequency side by side.

    Source: Nanda et al. 2023 (arXiv 2301.05217), section 4.
    """
    panels = [
        _norm_bars(matrix, name, keys)
        for matrix, name in ((matrices.W_E, "embedding W_E"), (matrices.W_L, "neuron-to-logit map W_L"))
    ]
    marked = f" Dashed: key frequencies {', '.join(map(str, keys))}." if keys else ""
    return Picture(
        title=title,
        note=f"Norm over the width of every component cos(2πkt/p), sin(2πkt/p) of the residues t {matrices.residues} "
        f"(orthonormal basis; the constant is at k = 0).{marked}",
        panels=tuple(panels),
    )


def _norm_bars(matrix: Float[Tensor, "width p"], name: str, keys: Sequence[int]) -> Panel:
    norms, p = component_norms(matrix).numpy(), matrix.shape[1]
    k = np.array(frequencies(p), dtype=float)
    cosines, sines = norms[1::2], norms[2::2]
    return Panel(
        title=name,
        x=Axis(label="frequency k", low=-0.8, high=p // 2 + 0.8),
        y=Axis(label="norm", low=0.0),
        marks=(
            Bars(x=np.zeros(1), height=norms[:1], width=0.4, name="const", colour=QUIET),
            Bars(x=k - 0.2, height=cosines, width=0.4, name="cos", colour=COSINE),
            Bars(x=k[: len(sines)] + 0.2, height=sines, width=0.4, name="sin", colour=SINE),
        ),
        rules=tuple(Rule(at=float(key), colour=QUIET) for key in keys),
    )


def fourier_norms_over_steps(
    steps: Sequence[int],
    norms: Sequence[tuple[Float[Tensor, " p"], Float[Tensor, " p"]]],
    residues: str,
    title: str,
) -> Picture:
    """Heat maps of the component norms of W_E and W_L (`norms`, by step) against log steps.

    Source: Nanda et al. 2023 (arXiv 2301.05217), section 4, at every checkpoint.
    """
    places = on_log_axis(np.array(steps, dtype=float))
    x = cell_edges(places, log=True)
    panels = []
    for name, values in zip(("embedding W_E", "neuron-to-logit map W_L"), zip(*norms, strict=True), strict=True):
        matrix = torch.stack(values, dim=1).numpy()
        matrix = np.where(np.isfinite(matrix), matrix, np.nan)
        p = len(matrix)
        panels.append(
            Panel(
                title=name,
                x=Axis(label="step (0 at the left edge)", log=True, low=float(x[0]), high=float(x[-1])),
                y=Axis(label="frequency k (cos, sin)", low=-0.5, high=p - 0.5, ticks=component_ticks(p)),
                marks=(
                    Heat(x=x, y=np.arange(p + 1) - 0.5, values=matrix, scale=from_zero(matrix, f"norm in {name[-3:]}")),
                ),
            )
        )
    return Picture(
        title=title,
        note=f"Norm over the width of every Fourier component of the residues {residues} (rows: const, cos 1, sin 1, "
        "cos 2, …) at every checkpoint; a column reaches half way to the next checkpoint.",
        panels=tuple(panels),
        height=3.6,
    )


def embedding_circles(matrices: ResidueMatrices, keys: Sequence[int], title: str) -> Picture:
    """The residues' embeddings on the plane of each frequency's cosine and sine; without keys on the strongest ones.

    Source: Zhong et al. 2023 (arXiv 2306.17844); their planes are pairs of principal components.
    """
    p, W_E = matrices.p, matrices.W_E
    order = frequency_norms(W_E).argsort(descending=True) + 1
    strongest = [k for k in order.tolist() if 2 * k < p]
    # k = p / 2 has no sine, so no plane.
    chosen = [k for k in strongest if k in keys][:MOST_CIRCLES] or strongest[:4]
    if not chosen:
        raise BadInput(f"figure: p = {p} has no frequency with a cosine and a sine, so no circle.")
    which = "key frequencies" if set(chosen) <= set(keys) else "strongest frequencies (the trial has no keys)"
    ends = _EDGE * max(float(_on_plane(W_E, k).abs().max()) for k in chosen) or 1.0
    return Picture(
        title=title,
        note=f"Embeddings of all residues t on the plane of the cosine and sine directions of each frequency: {which} "
        "by norm. Colour: k·t mod p, the place on a perfect circle. Axes: units of the embedding.",
        panels=tuple(_circle(W_E, k, ends) for k in chosen),
        across=2 if len(chosen) == 4 else min(3, len(chosen)),
        width=3.4,
        height=3.2,
    )


def _on_plane(W_E: Float[Tensor, "width p"], k: int) -> Float[Tensor, "2 p"]:
    """Embeddings, their mean taken off, along the unit vectors of the cosine's and of the sine's direction."""
    centred = W_E - W_E.mean(dim=1, keepdim=True)
    spanning = centred @ basis(W_E.shape[1])[[2 * k - 1, 2 * k]].T
    directions = spanning / spanning.norm(dim=0).clamp_min(torch.finfo(torch.float64).tiny)
    placed: Tensor = directions.T @ centred
    return placed


def _circle(W_E: Float[Tensor, "width p"], k: int, ends: float) -> Panel:
    p = W_E.shape[1]
    x, y = _on_plane(W_E, k).numpy()
    t = np.arange(p)
    dots = Dots(
        x=x,
        y=y,
        values=(k * t % p).astype(float),
        scale=Scale(label="k·t mod p", low=0.0, high=float(p), colours="cyclic"),
        words=tuple(map(str, t)),
        written=p <= 31,
    )
    x_axis, y_axis = (Axis(label=f"along {name} {k}", low=-ends, high=ends) for name in ("cos", "sin"))
    return Panel(title=f"k = {k}", x=x_axis, y=y_axis, marks=(dots,), square=True)


def singular_values(matrices: ResidueMatrices, title: str) -> Picture:
    """Singular values of W_E and W_L, and the Fourier components of their first directions over the residues.

    Source: the TransformerLens Grokking_Demo's figures of the singular value decomposition of W_E.
    """
    spectra, directions = [], []
    for matrix, name in ((matrices.W_E, "W_E"), (matrices.W_L, "W_L")):
        _, size, right = torch.linalg.svd(matrix, full_matrices=False)
        spectra.append(_falling(size.numpy(), name))
        directions.append(_in_fourier_basis(right[:MOST_DIRECTIONS], name))
    return Picture(
        title=title,
        note=f"Below: the first {MOST_DIRECTIONS} right singular vectors, functions of the residues {matrices.residues}"
        ", in the orthonormal Fourier basis (columns: const, cos 1, sin 1, cos 2, …); each row has norm 1, its sign is "
        "arbitrary.",
        panels=(*spectra, *directions),
        across=2,
        width=4.8,
        height=3.1,
    )


def _falling(size: Float[np.ndarray, " n"], name: str) -> Panel:
    line = Line(x=np.arange(1.0, len(size) + 1), y=size, colour=TEST if name == "W_E" else INK, markers=True)
    return Panel(
        title=f"singular values of {name}",
        x=Axis(label="number"),
        y=Axis(label="singular value", low=0.0),
        marks=(line,),
    )


def _in_fourier_basis(right: Float[Tensor, "directions p"], name: str) -> Panel:
    count, p = right.shape
    coefs = transform_1d(right).numpy()
    heat = Heat(
        x=np.arange(p + 1) - 0.5,
        y=np.arange(count + 1) + 0.5,
        values=coefs,
        scale=dataclasses.replace(zero_centred(coefs, "coefficient"), low=-1.0, high=1.0),
    )
    return Panel(
        title=f"directions of {name}",
        x=Axis(label="frequency k (cos, sin)", low=-0.5, high=p - 0.5, ticks=component_ticks(p)),
        y=Axis(label="singular direction", low=0.5, high=count + 0.5),
        marks=(heat,),
    )
