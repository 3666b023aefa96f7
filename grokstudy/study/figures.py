"""Every figure of one trial as one method, such as `trial.figures.attention("t_gen").save("attention.pdf")`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pandas as pd

from grokstudy.phase import circuit_figures_inputs as over_inputs
from grokstudy.phase import circuit_figures_steps as over_steps
from grokstudy.phase import circuit_figures_weights as of_weights
from grokstudy.phase.circuit_figures_plotly import CircuitFigure, figure
from grokstudy.phase.progress import PHASES, TrialProgress
from grokstudy.spec.errors import BadInput
from grokstudy.spec.measure import Subject
from grokstudy.study.trial import Trial


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Figures:
    """Figures of one trial; `step` as in `Trial`. Each is a plotly figure with `save(path)` for .png .svg .pdf .html.

    Raises (all of them):
        BadInput: the figure is not defined for this task or model, or there is no such checkpoint.
    """

    trial: Trial

    def curves(self) -> CircuitFigure:
        """Train and test loss and accuracy, and the sum of squared weights, against log steps, with the phases."""
        return figure(over_steps.curves(_progress(self.trial), self._title("curves")))

    def progress(self) -> CircuitFigure:
        """Restricted and excluded loss, Gini, cosine coefficients and key frequencies over steps (needs measures)."""
        title = self._title("progress measures")
        return figure(over_steps.progress(_progress(self.trial), _coefficients(self.trial), title))

    def fourier_norms(self, step: int | str = "end") -> CircuitFigure:
        """Norms of W_E and W_L per Fourier component: bars, cosine and sine apart."""
        matrices = self._matrices(step)
        return figure(of_weights.fourier_norms(matrices, self.trial.key_freqs, self._title("Fourier norms", step)))

    def fourier_norms_over_steps(self) -> CircuitFigure:
        """The same norms at every checkpoint: heat maps of component by step; white where weights are not finite."""
        spec = self.trial.spec
        found = {
            step: of_weights.residue_matrices(spec, self.trial.weights(step), spec.task.shape())
            for step in self.trial.steps
        }
        if not found:
            raise BadInput(f"figure: trial {self.trial.trial_id} has no checkpoint.")
        norms = [
            (of_weights.component_norms(each.W_E), of_weights.component_norms(each.W_L)) for each in found.values()
        ]
        residues = next(iter(found.values())).residues
        title = self._title("Fourier norms over training")
        return figure(of_weights.fourier_norms_over_steps(list(found), norms, residues, title))

    def logit_spectrum(self, step: int | str = "end", answer: int = 0) -> CircuitFigure:
        """2D Fourier coefficients over (a, b) of the logit of one answer."""
        return figure(over_inputs.logit_spectrum(self._subject(step), answer, self._title("2D Fourier spectrum", step)))

    def neuron_spectrum(self, step: int | str = "end", neuron: int | None = None) -> CircuitFigure:
        """2D Fourier coefficients over (a, b) of one neuron; None = the one of largest variance."""
        title = self._title("2D Fourier spectrum", step)
        return figure(over_inputs.neuron_spectrum(self._subject(step), neuron, title))

    def neuron_clusters(self, step: int | str = "end") -> CircuitFigure:
        """Neurons by the frequency that explains most of their variance: histogram and sorted matrix."""
        return figure(over_inputs.neuron_clusters(self._subject(step), self._title("neuron frequencies", step)))

    def attention(self, step: int | str = "end") -> CircuitFigure:
        """Attention from the last position to a for every (a, b), one panel per head."""
        return figure(over_inputs.attention(self._subject(step), self._title("attention", step)))

    def neurons(self, step: int | str = "end", neurons: Sequence[int] | None = None) -> CircuitFigure:
        """Activations for every (a, b), one panel per neuron; None = the six of largest variance."""
        return figure(over_inputs.neurons(self._subject(step), neurons, self._title("neurons", step)))

    def embedding_circles(self, step: int | str = "end") -> CircuitFigure:
        """Embeddings of the residues on the plane of each key frequency."""
        matrices = self._matrices(step)
        title = self._title("embedding circles", step)
        return figure(of_weights.embedding_circles(matrices, self.trial.key_freqs, title))

    def singular_values(self, step: int | str = "end") -> CircuitFigure:
        """Singular values of W_E and W_L, and their first directions in the Fourier basis."""
        return figure(of_weights.singular_values(self._matrices(step), self._title("singular values", step)))

    def _title(self, what: str, step: int | str | None = None) -> str:
        at = "" if step is None else f", step {self.trial.checkpoint(step).step:,}"
        return f"{self.trial.study} {self.trial.trial_id[:8]}: {what}{at}"

    def _subject(self, step: int | str) -> Subject:
        subject = self.trial.subject(step)
        self._check_finite(subject, step)
        return subject

    def _matrices(self, step: int | str) -> of_weights.ResidueMatrices:
        subject = self._subject(step)
        return of_weights.residue_matrices(subject.spec, subject.params, subject.data.shape)

    def _check_finite(self, subject: Subject, step: int | str) -> None:
        if not all(bool(tensor.isfinite().all()) for tensor in subject.params.values()):
            raise BadInput(
                f"step: the weights of trial {self.trial.trial_id} at {step} are not finite (it diverged); choose an "
                f"earlier one of its {len(self.trial.steps)} checkpoints."
            )


NAMES = tuple(name for name in vars(Figures) if not name.startswith("_") and name != "trial")
"""Names of the figures."""


def _progress(trial: Trial) -> TrialProgress:
    row, measures = trial.row, trial.measures()
    numbers = measures.apply(pd.to_numeric, errors="coerce")
    ends = [_last(numbers, name) for name in PHASES]
    return TrialProgress(
        trial_id=trial.trial_id,
        t_mem=_number(row["t_mem"]),
        t_gen=_number(row["t_gen"]),
        phases=(ends[0], ends[1], ends[2]),
        curves=trial.curves(),
        measures=numbers,
    )


def _coefficients(trial: Trial) -> over_steps.CosineCoefficients | None:
    """Cosine coefficients of the logits at the key frequencies, where `logit_alphas` was measured."""
    table = trial.measures_long()
    found = table[(table["measure"] == "logit_alphas") & table["values"].notna()] if len(table) else table
    if found.empty or not trial.key_freqs:
        return None
    alphas = np.array(found["values"].tolist(), dtype=float)  # of all frequencies 1 .. p // 2
    return over_steps.CosineCoefficients(
        steps=found["step"].to_numpy(dtype=float), by_key={key: alphas[:, key - 1] for key in trial.key_freqs}
    )


def _last(table: pd.DataFrame, name: str) -> float:
    known = table[name].dropna() if name in table else pd.Series(dtype=float)
    return float(known.iloc[-1]) if len(known) else float("nan")


def _number(value: object) -> float:
    return float("nan") if pd.isna(value) else float(value)  # type: ignore[arg-type]
