"""Heads that look for what followed the token before."""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from grokstudy.circuits._network import network
from grokstudy.circuits.detectors._detector import Detector
from grokstudy.circuits.detectors._guards import above, generalisation, weakest
from grokstudy.models.transformer import Transformer
from grokstudy.spec.measure import Subject
from grokstudy.spec.trial import TrialSpec, plugin_name
from grokstudy.tasks.induction import Induction


class InductionHead(Detector):
    """A head of the last layer attends to the token after the earlier copy of the present one.

    The least of two pieces of evidence, on test rows. test: test accuracy above chance. head: the best head's mean
    attention to the place after the earlier copy, above its attention to that place of the next row - a head that
    always looks back equally far passes no control (with task.length = 2 task.block all places are alike, so nothing
    can be told and the score is 0).

    Source: Olsson et al. 2022 (arXiv 2209.11895), section on prefix matching.
    """

    evidence: ClassVar[str] = "test,head"

    def applies(self, spec: TrialSpec) -> str | None:
        if not (isinstance(spec.task, Induction) and isinstance(spec.model, Transformer)):
            names = f"task={plugin_name(spec.task)} model={plugin_name(spec.model)}"
            return f"defined for task=induction model=transformer, this trial has {names}"
        return None

    def score(self, subject: Subject) -> float:
        guard = generalisation(network(subject))
        if not guard > 0:
            return guard
        inputs = torch.from_numpy(subject.data.inputs[subject.data.test])
        answers = subject.data.shape.answers
        pattern, place = last_pattern(subject, inputs), after_earlier_copy(inputs, answers)
        heads, control = attention_to(pattern, place), attention_to(pattern, place.roll(1, dims=0))
        return weakest(guard, max(above(float(x), float(y)) for x, y in zip(heads, control, strict=True)))


def last_pattern(
    subject: Subject, inputs: Int[Tensor, "rows positions"]
) -> Float[Tensor, "rows heads answers positions"]:
    """Attention of the last layer at the positions that are read."""
    model = subject.spec.model
    assert isinstance(model, Transformer)
    with torch.no_grad():
        seen = model.activations(subject.params, inputs, answers=subject.data.shape.answers)
    return seen[f"blocks.{model.n_layers - 1}.attn.hook_pattern"]


def after_earlier_copy(inputs: Int[Tensor, "rows positions"], answers: int) -> Int[Tensor, "rows answers"]:
    """For each of the last `answers` positions the one after the first copy of its token."""
    present = inputs[:, -answers:]
    return (inputs[:, None, :] == present[:, :, None]).int().argmax(dim=2) + 1


def attention_to(
    pattern: Float[Tensor, "rows heads answers positions"], place: Int[Tensor, "rows answers"]
) -> Float[Tensor, " heads"]:
    """Each head's mean attention to these places."""
    index = place[:, None, :, None].expand(-1, pattern.shape[1], -1, 1)
    return pattern.gather(3, index).mean(dim=(0, 2, 3))
