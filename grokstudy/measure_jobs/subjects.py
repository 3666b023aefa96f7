"""Stored checkpoints as what measures look at, and what the networks of one trial share."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import torch
from torch import Tensor

from grokstudy.circuits._keys import Rule, keys_of
from grokstudy.spec.measure import NEVER_GENERALISED, Subject
from grokstudy.spec.rows import CheckpointRow
from grokstudy.spec.trial import TrialSpec
from grokstudy.store.checkpoints import load_lane
from grokstudy.store.folder import StudyFolder


def weights(folder: StudyFolder, checkpoint: CheckpointRow) -> dict[str, Tensor]:
    """Float64 weights by name.

    Raises:
        DamagedFile: the checkpoint's file cannot be read.
    """
    return {name: tensor.double() for name, tensor in load_lane(folder, checkpoint).items()}


def at_end(
    spec: TrialSpec,
    rule: Rule,
    *,
    start: Mapping[str, Tensor] | None,
    final: Mapping[str, Tensor] | None,
    generalised: bool,
) -> Subject:
    """The network at a trial's end with its key frequencies; `dataclasses.replace` its params for other checkpoints.

    Args:
        spec: the trial.
        rule: how key frequencies are found.
        start: weights at step 0, if they are known.
        final: weights of the last generalised checkpoint, or of the last one (None: not known, then without params).
        generalised: whether `final` is a generalised checkpoint; only such a one has the trial's keys.
    """
    data = spec.task.data(spec.seeds)
    end = Subject(
        spec=spec,
        data=data,
        params=final or {},
        key_freqs=None,
        keys_reason=NEVER_GENERALISED,
        start=start,
        final=final,
    )
    if not generalised:
        return end
    with torch.no_grad():
        keys, reason = keys_of(end, rule)
    return dataclasses.replace(end, key_freqs=keys, keys_reason=reason)
