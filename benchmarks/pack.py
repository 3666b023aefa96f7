"""A pack stepped as `run_pack` steps it, without its evaluations and checkpoints."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from grokstudy.engine.batch import PackData
from grokstudy.engine.evaluate import TRAIN_LOSS, Evaluation
from grokstudy.engine.gradients import Gradient
from grokstudy.engine.loop import DTYPES
from grokstudy.engine.state import Member, PackState
from grokstudy.engine.step import Update
from grokstudy.spec.identity import trial_id
from grokstudy.spec.trial import TrialSpec

CPU = torch.device("cpu")


class Pack:
    """Trials of one signature on the CPU."""

    def __init__(self, specs: Sequence[TrialSpec], *, compiled: bool = False) -> None:
        dtype, first = DTYPES[specs[0].engine.dtype], specs[0]
        self.state = PackState.start([Member(trial_id=trial_id(spec), spec=spec) for spec in specs], dtype, CPU)
        start, layout = self.state.params.clone(), self.state.layout
        self._data = PackData.build(specs, dtype, CPU, layout, start)
        self._update = Update(specs, layout, self._data.shape, self.state.params, start, compiled=compiled)
        self._gradient = Gradient(first.model, first.loss, layout, self._data.shape, compiled=compiled)
        self._gradients = torch.empty_like(self.state.params)
        self._evaluation = Evaluation(layout, self._data)

    def step(self) -> None:
        """One update of every member."""
        state = self.state
        self._update(state.params, state.optimizer, state.step, self._data.batch(state.step))
        state.step += 1

    @torch.no_grad()
    def gradient(self) -> None:
        """The gradient of every member alone: what an update spends before its filter, terms and optimizer."""
        self._gradient(self.state.params, self._data.batch(self.state.step), self._gradients)

    def evaluate(self) -> float:
        """One evaluation of all members; the train loss of the first."""
        return float(self._evaluation(self.state.params)[0, TRAIN_LOSS])
