"""How periodic the weights of a quadratic MLP's neurons are."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from grokstudy.circuits import _fourier
from grokstudy.circuits._applies import unless_fourier
from grokstudy.circuits._values import NOT_FINITE, known
from grokstudy.spec.measure import Measure, Subject
from grokstudy.spec.rows import MeasureValue
from grokstudy.spec.trial import TrialSpec, plugin_name

NO_LIVE_NEURONS = "no_live_neurons"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class IPR(Measure):
    """Inverse participation ratio of the spectra of each neuron's weights, averaged over U, V, W and the live neurons.

    1 if every neuron's weights are single cosines. A neuron with an all-zero spectrum in U, V or W is left out.

    Source: Doshi et al. 2023 (arXiv 2310.13061), section 3; Gromov 2023 (arXiv 2301.02679).
    """

    version: ClassVar[int] = 1
    names: ClassVar[tuple[str, ...]] = ("ipr",)

    def applies(self, spec: TrialSpec) -> str | None:
        if plugin_name(spec.model) != "quad_mlp":
            return f"defined by its source for model=quad_mlp only, this trial has model={plugin_name(spec.model)}"
        return unless_fourier(spec)

    def measure(self, subject: Subject) -> list[MeasureValue]:
        u, v, w = (subject.params[name].double() for name in ("U", "V", "W"))
        finite = all(bool(x.isfinite().all()) for x in (u, v, w))
        per_neuron = (_fourier.ipr(u.T) + _fourier.ipr(v.T) + _fourier.ipr(w)) / 3
        mean = float(per_neuron[per_neuron.isfinite()].mean()) if finite else float("nan")
        empty = NO_LIVE_NEURONS if finite else NOT_FINITE
        return [known("ipr", mean, protocol="bins=one_sided;dc=yes;r=2", version=self.version, otherwise=empty)]
