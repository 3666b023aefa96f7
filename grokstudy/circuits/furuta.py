"""How many frequencies a matrix holds, and whether cosine and sine of each are balanced."""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from grokstudy.circuits._applies import unless_modular
from grokstudy.circuits._fourier import transform_1d
from grokstudy.circuits._periodic import periodic
from grokstudy.circuits._values import NOT_FINITE, known
from grokstudy.spec.measure import Measure, Subject
from grokstudy.spec.rows import MeasureValue
from grokstudy.spec.trial import TrialSpec

ETA = 0.5
"""A component counts if its norm exceeds this share of the largest of its family."""
ROUNDING = 1e-13
"""A component below this share of the matrix is rounding: it is not there."""
ZERO = "zero_matrix"
NO_SINE = "no_sine"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Furuta(Measure):
    """Fourier frequency density (FFD) and cosine-sine ratio (FCR) of the embedding W_E and the neuron-to-logit map W_L.

    With mu_k and nu_k the norms over the width of the cosine and the sine of frequency k: FFD is the share of all mu
    above half of the largest mu and nu above half of the largest nu (low = few frequencies); FCR is the mean over k of
    min(mu_k / nu_k, nu_k / mu_k) (1 = circles, 0 = cosines or sines alone; frequencies that are not there at all are
    left out). k = p / 2 of an even p has no sine: it counts in FFD and not in FCR. FCR depends on which residue is
    called 0. Residues as for `gini`: by their logarithms for mul and div modulo a prime, else as they are.

    Source: Furuta et al. 2024 (arXiv 2402.16726), definitions of FFD and FCR; its printed sums run over half of the
    residues, taken here over all, without which the components are not orthogonal.
    """

    version: ClassVar[int] = 1
    names: ClassVar[tuple[str, ...]] = ("ffd_W_E", "fcr_W_E", "ffd_W_L", "fcr_W_L")

    def applies(self, spec: TrialSpec) -> str | None:
        return unless_modular(spec)

    def measure(self, subject: Subject) -> list[MeasureValue]:
        net = periodic(subject)
        values = []
        for name, matrix in (("W_E", net.W_E), ("W_L", net.W_L.T)):
            cosines, sines = families(matrix)
            empty = ZERO if float(cosines.sum() + sines.sum()) == 0 else NOT_FINITE
            alone = empty if len(sines) else NO_SINE
            values += [
                self._value(f"ffd_{name}", density(cosines, sines), f"eta={ETA};dc=no", empty),
                self._value(f"fcr_{name}", cosine_sine_ratio(cosines, sines), "mean=frequencies", alone),
            ]
        return values

    def _value(self, name: str, number: float, protocol: str, otherwise: str) -> MeasureValue:
        return known(name, number, protocol=protocol, version=self.version, otherwise=otherwise)


def families(matrix: Float[Tensor, "width p"]) -> tuple[Float[Tensor, " cosines"], Float[Tensor, " sines"]]:
    """Norms over the width of the cosines and of the sines of k = 1, 2, ...."""
    norms = transform_1d(matrix).norm(dim=0)
    norms = norms.where(~(norms < ROUNDING * matrix.norm()), 0)  # NaN stays, and infinity among infinities
    return norms[1::2], norms[2::2]


def density(cosines: Float[Tensor, " cosines"], sines: Float[Tensor, " sines"], eta: float = ETA) -> float:
    """Share of the components above `eta` times the largest of their family; NaN if there are none at all."""
    norms = torch.cat([cosines, sines])
    if not bool(norms.isfinite().all()) or not bool(norms.any()):
        return math.nan
    above = sum(int((family > eta * family.max()).sum()) for family in (cosines, sines) if len(family))
    return above / len(norms)


def cosine_sine_ratio(cosines: Float[Tensor, " cosines"], sines: Float[Tensor, " sines"]) -> float:
    """Mean over the frequencies that have either of the smaller one of both by the larger; NaN without any."""
    pairs = torch.stack([cosines[: len(sines)], sines]).sort(dim=0).values
    there = pairs[1] != 0
    return float((pairs[0, there] / pairs[1, there]).mean())
