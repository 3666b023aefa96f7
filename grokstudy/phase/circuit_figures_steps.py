"""Pictures of one trial over its steps: curves with phases, and progress measures."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import pandas as pd
from jaxtyping import Float

from grokstudy.phase.circuit_figures_data import FIRST_STEP, SERIES, Axis, Band, Line, Panel, Picture, Rule, on_log_axis
from grokstudy.phase.palette import INK, QUIET, TEST, TRAIN
from grokstudy.phase.progress import TrialProgress
from grokstudy.spec.errors import BadInput

RESTRICTED, EXCLUDED = SERIES[4], SERIES[5]
BANDS = (("memorization", "#FBF3E4"), ("circuit formation", "#E9F2F8"), ("cleanup", "#E8F4F0"))


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class CosineCoefficients:
    """Coefficients of cos(w_k (answer - c)) in the logits, by key frequency k, at some checkpoints."""

    steps: Float[np.ndarray, " checkpoints"]
    by_key: Mapping[int, Float[np.ndarray, " checkpoints"]]


def curves(seen: TrialProgress, title: str) -> Picture:
    """Loss, accuracy and size of the weights against log steps, with t_mem, t_gen and the phases where they are known.

    Source: Nanda et al. 2023 (arXiv 2301.05217), section 5.
    """
    table = seen.curves
    losses = (_line(table, "train_loss", "train", TRAIN), _line(table, "test_loss", "test", TEST))
    accuracies = (_line(table, "train_acc", "train", TRAIN), _line(table, "test_acc", "test", TEST))
    panels = (
        _panel(seen, _loss_axis("loss", losses), losses, "loss", named=True),
        _panel(seen, Axis(label="accuracy", low=-0.03, high=1.03), accuracies, "accuracy"),
        _size(seen),
    )
    return Picture(title=title, note=_note(seen), panels=panels)


def progress(seen: TrialProgress, coefficients: CosineCoefficients | None, title: str) -> Picture:
    """Restricted and excluded loss, sparsity, cosine coefficients, number of keys and size of the weights over steps.

    Source: Nanda et al. 2023 (arXiv 2301.05217), section 5.

    Raises:
        BadInput: nothing was measured yet.
    """
    if seen.measures.empty:
        raise BadInput("figure: nothing was measured yet; run `grokstudy measure STUDY --checkpoints all` first.")
    measured = seen.measures
    losses = (
        # Not the curves' losses: these are over the p answers in nats, as the restricted and excluded ones are.
        *_known(measured, ("ce_train", "train", TRAIN), ("ce_test", "test", TEST)),
        *_known(
            measured, ("restricted_loss.all", "restricted", RESTRICTED), ("excluded_loss.train", "excluded", EXCLUDED)
        ),
    )
    shares = _known(
        measured,
        ("gini_W_E", "Gini of W_E", RESTRICTED),
        ("gini_W_L", "Gini of W_L", EXCLUDED),
        ("fve", "FVE of logits", INK),
    )
    keys = _known(measured, ("key_freqs", "key frequencies", INK))
    panels = []
    if losses:
        panels.append(_panel(seen, _loss_axis("cross entropy (nats)", losses), losses, "losses", named=True))
    if shares:
        panels.append(_panel(seen, Axis(label="share", low=-0.03, high=1.03), shares, "sparsity and fit"))
    if coefficients is not None and coefficients.by_key:
        panels.append(
            _panel(seen, Axis(label="coefficient"), _by_key(coefficients), "cosine coefficients of the logits")
        )
    if keys:
        panels.append(_panel(seen, _count_axis(keys), keys, "key frequencies of each checkpoint"))
    return Picture(title=title, note=_note(seen), panels=(*panels, _size(seen)), height=2.2)


def _count_axis(lines: tuple[Line, ...]) -> Axis:
    """Whole numbers."""
    most = int(max(line.y.max() for line in lines))
    ticks = tuple((float(count), str(count)) for count in range(0, most + 1, max(1, most // 5)))
    return Axis(label="count", low=-0.2, high=max(most, 1) + 0.2, ticks=ticks)


def _loss_axis(label: str, lines: tuple[Line, ...]) -> Axis:
    """A log axis with room above the lines for the names of the phases."""
    values = np.concatenate([line.y for line in lines])
    positive = values[np.isfinite(values) & (values > 0)]
    if not len(positive):
        return Axis(label=label, log=True)
    least, most = float(positive.min()), float(positive.max())
    decades = max(np.log10(most / least), 1.0)
    return Axis(label=label, log=True, low=most * 10 ** (-1.05 * decades), high=most * 10 ** (0.18 * decades))


def _size(seen: TrialProgress) -> Panel:
    line = _line(seen.curves, "sum_sq_weights", "", QUIET)
    return _panel(seen, Axis(label="Σ w²", log=True), (line,), "sum of squared weights")


def _panel(seen: TrialProgress, y: Axis, lines: tuple[Line, ...], title: str, *, named: bool = False) -> Panel:
    last = max(float(seen.curves["step"].max()), 1.0) if len(seen.curves) else 1.0
    return Panel(
        title=title,
        x=Axis(label="step", log=True, low=FIRST_STEP, high=last * 1.05),
        y=y,
        marks=lines,
        rules=tuple(
            Rule(at=max(time, FIRST_STEP), colour=colour)
            for time, colour in ((seen.t_mem, TRAIN), (seen.t_gen, TEST))
            if np.isfinite(time)
        ),
        bands=_bands(seen.phases, last, named=named),
    )


def _bands(ends: tuple[float, float, float], last: float, *, named: bool) -> tuple[Band, ...]:
    """The phases that are known and have a length."""
    bands, start = [], FIRST_STEP
    for (name, colour), end in zip(BANDS, ends, strict=True):
        stop = min(end, last)
        if np.isfinite(start) and np.isfinite(stop) and stop > start:
            bands.append(Band(start=start, end=stop, colour=colour, name=name if named else ""))
        start = stop
    return tuple(bands)


def _by_key(found: CosineCoefficients) -> tuple[Line, ...]:
    return tuple(
        Line(x=on_log_axis(found.steps), y=y, name=f"k = {k}", colour=SERIES[i % len(SERIES)], markers=True)
        for i, (k, y) in enumerate(found.by_key.items())
    )


def _known(table: pd.DataFrame, *wanted: tuple[str, str, str]) -> tuple[Line, ...]:
    """Lines of the measures that have values."""
    return tuple(
        dataclasses.replace(_line(table, column, name, colour), markers=True)
        for column, name, colour in wanted
        if column in table and table[column].notna().any()
    )


def _line(table: pd.DataFrame, column: str, name: str, colour: str) -> Line:
    known = table[table[column].notna()]
    return Line(
        x=on_log_axis(known["step"].to_numpy(dtype=float)),
        y=known[column].to_numpy(dtype=float),
        name=name,
        colour=colour,
    )


def _note(seen: TrialProgress) -> str:
    times = [
        f"{name} = {time:,.0f} steps (dashed, {colour})" if np.isfinite(time) else f"{name} was not reached"
        for name, time, colour in (("t_mem", seen.t_mem, "orange"), ("t_gen", seen.t_gen, "blue"))
    ]
    phases = (
        " Shaded: memorization, circuit formation and cleanup."
        if np.isfinite(seen.phases[0])
        else " Phases are not known: they need excluded losses at all checkpoints."
    )
    return f"{'; '.join(times)}. Step 0 is drawn at {FIRST_STEP:g}.{phases}"
