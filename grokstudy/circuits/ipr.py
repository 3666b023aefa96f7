"""How periodic the weights of single neurons and of single embedding dimensions are."""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from grokstudy.circuits import _fourier
from grokstudy.circuits._applies import unless_periodic
from grokstudy.circuits._network import Network
from grokstudy.circuits._periodic import periodic
from grokstudy.circuits._values import NOT_FINITE, known, undefined
from grokstudy.spec.measure import Measure, Subject
from grokstudy.spec.rows import MeasureValue
from grokstudy.spec.trial import TrialSpec, plugin_name

NO_LIVE_NEURONS = "no_live_neurons"
PROTOCOL = "bins=one_sided;dc=yes;r=2"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class IPR(Measure):
    """Inverse participation ratio of the spectra of weights over the residues: 1 if they are single cosines.

    `ipr`, of a quadratic MLP: each neuron's weights, averaged over U, V, W and the live neurons. A neuron with an
    all-zero spectrum in U, V or W is left out. `ipr_W_E`, of every model: the mean over the dimensions of the embedding
    (for a quadratic MLP the neurons' weights in U and in V); an analogue that the source does not define.

    Source: Doshi et al. 2023 (arXiv 2310.13061), section 3; Gromov 2023 (arXiv 2301.02679).
    """

    version: ClassVar[int] = 1
    names: ClassVar[tuple[str, ...]] = ("ipr", "ipr_W_E")

    def applies(self, spec: TrialSpec) -> str | None:
        return unless_periodic(spec)

    def measure(self, subject: Subject) -> list[MeasureValue]:
        net, model = periodic(subject), plugin_name(subject.spec.model)
        if model == "quad_mlp":
            of_neurons = self._mean("ipr", neuron_ipr(net), net)
        else:
            reason = f"defined by its source for model=quad_mlp only, this trial has model={model}"
            of_neurons = undefined("ipr", reason, protocol=PROTOCOL, version=self.version)
        return [of_neurons, self._mean("ipr_W_E", _fourier.ipr(net.W_E), net)]

    def _mean(self, name: str, ratios: Float[Tensor, " n"], net: Network) -> MeasureValue:
        """Of those that are not dead."""
        finite = all(bool(x.isfinite().all()) for x in (net.W_E, net.W_L))
        mean = float(ratios[ratios.isfinite()].mean()) if finite else math.nan
        empty = NO_LIVE_NEURONS if finite else NOT_FINITE
        return known(name, mean, protocol=PROTOCOL, version=self.version, otherwise=empty)


def neuron_ipr(net: Network) -> Float[Tensor, " neurons"]:
    """Of a quadratic MLP: the mean over U, V and W; NaN for a dead neuron."""
    u, v = net.W_E.chunk(2)
    return (_fourier.ipr(u) + _fourier.ipr(v) + _fourier.ipr(net.W_L.T)) / 3
