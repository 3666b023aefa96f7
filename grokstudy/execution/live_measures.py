"""Measures of a pack's members at their checkpoints, while they train."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import torch
from torch import Tensor

from grokstudy.circuits._measure import measures, values_of
from grokstudy.engine.state import Member, PackState, start_params
from grokstudy.spec.errors import BadInput
from grokstudy.spec.measure import Measure, Subject
from grokstudy.spec.rows import MeasureRow


def check_while_training(names: Sequence[str]) -> None:
    """Raises BadInput for a measure that does not exist, or that needs what is known only at the trial's end."""
    for name, measure in measures(names):
        if _needs_end(measure):
            fit = ", ".join(other for other, kind in measures() if not _needs_end(kind))
            raise BadInput(
                f"measures.while_training: {name} reads key frequencies or weights of the trial's end, which are not "
                f"known yet; put it into measures.names, or choose among {fit}."
            )


@dataclasses.dataclass(slots=True, eq=False, kw_only=True)
class LiveMeasures:
    """What has been measured of a pack and is not yet stored."""

    names: tuple[str, ...]
    chosen: list[tuple[str, Measure]] = dataclasses.field(init=False)
    rows: list[MeasureRow] = dataclasses.field(default_factory=list)
    subjects: dict[str, Subject] = dataclasses.field(default_factory=dict)
    """By trial: its task's data and its weights at step 0."""

    def __post_init__(self) -> None:
        self.chosen = measures(self.names)

    def look(self, state: PackState) -> None:
        """Measures every member at the state's step."""
        if not self.names:
            return
        views = state.layout.views(state.params)
        written = datetime.now(UTC).isoformat()
        for lane, member in enumerate(state.members):
            params = {name: tensor[lane].detach().cpu().to(torch.float64, copy=True) for name, tensor in views.items()}
            if member.trial_id not in self.subjects:
                data = member.spec.task.data(member.spec.seeds)
                start = _start(member, state.params.dtype)
                self.subjects[member.trial_id] = Subject(
                    spec=member.spec, data=data, params=params, key_freqs=None, keys_reason="not_ended", start=start
                )
            subject = dataclasses.replace(self.subjects[member.trial_id], params=params)
            self.rows += [
                MeasureRow(trial_id=member.trial_id, step=state.step, value=value, written_at=written)
                for value in values_of(self.chosen, subject)
            ]

    def taken(self) -> list[MeasureRow]:
        """What is to be stored now; forgotten here."""
        rows, self.rows = self.rows, []
        return rows


def _start(member: Member, dtype: torch.dtype) -> Mapping[str, Tensor]:
    """Weights at step 0 as they were trained: drawn again, since a resumed pack has only those of now."""
    return {name: tensor.to(dtype).double() for name, tensor in start_params(member).items()}


def _needs_end(measure: Measure) -> bool:
    return measure.needs_end or hasattr(measure, "rule")
