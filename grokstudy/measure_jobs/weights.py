"""Measuring one weights file: released checkpoints, TransformerLens models, our own exports."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from grokstudy.circuits._keys import keys_of, rule_of
from grokstudy.circuits._measure import measure_network
from grokstudy.measure_jobs.exported import SPLIT, exported_beside
from grokstudy.measure_jobs.layouts import Layout, fitted, in_our_layout, transformer_sizes
from grokstudy.measure_jobs.splits import with_split
from grokstudy.measure_jobs.weights_file import stored_tensors
from grokstudy.spec.decode import decode_trial
from grokstudy.spec.errors import BadInput
from grokstudy.spec.measure import Subject
from grokstudy.spec.rows import MeasureValue

DEFAULT_LAYOUT: Layout = "transformer_lens"
DEFAULT_SPLIT = "python_random:0:0.3"
"""Seed and share of the paper's main run."""


def measure_weights(
    file: Path,
    layout: Layout | None,
    trial: Mapping[str, Any] | None,
    split: str | None,
    rule: str,
    only: Sequence[str] | None,
) -> tuple[list[MeasureValue], tuple[int, ...] | None]:
    """All measures of the network in a file, and its key frequencies. Arguments and errors as `weights_subject`."""
    subject = weights_subject(file, layout, trial, split, rule)
    return measure_network(subject, only=only, rule=rule), subject.key_freqs


def weights_subject(
    file: Path, layout: Layout | None, trial: Mapping[str, Any] | None, split: str | None, rule: str
) -> Subject:
    """The network in a weights file on its task, with the key frequencies read from the file itself.

    Args:
        file: safetensors, or a state dict saved by torch (.pt, .pth).
        layout: whose names and shapes; None: what the config.json of an export says, else transformer_lens.
        trial: plain config with the task and what shapes do not say of the model; its sizes come from the file. None:
            the trial that the config.json of an export names.
        split: see `with_split`. None: the split.json of an export, else python_random:0:0.3.
        rule: key-frequency rule.

    Raises:
        BadInput: the file, its tensors or the split do not fit.
        DamagedFile: the file cannot be read.
    """
    exported = exported_beside(file) if trial is None else None
    where = f"--weights: '{file}'"
    layout = layout or (exported.layout if exported else DEFAULT_LAYOUT)
    params = in_our_layout(stored_tensors(file), layout, where)
    spec = decode_trial(exported.trial if exported else _config(trial, layout, params, where))
    params = fitted(params, spec.model, spec.task.shape(), where)
    beside = file.with_name(SPLIT)
    split = split or (str(beside) if exported and beside.is_file() else DEFAULT_SPLIT)
    found = Subject(
        spec=spec, data=with_split(spec.task.data(spec.seeds), split), params=params, key_freqs=None, final=params
    )
    keys, reason = keys_of(found, rule_of(rule))
    return dataclasses.replace(found, key_freqs=keys, keys_reason=reason)


def _config(
    trial: Mapping[str, Any] | None, layout: Layout, params: Mapping[str, Tensor], where: str
) -> Mapping[str, Any]:
    """The trial's config with the sizes that the file's shapes say."""
    if trial is None:
        raise BadInput(
            f"{where} does not say what it computes; add its task, e.g. task=modular task.op=add task.p=113."
        )
    name = trial["model"]["name"]
    if layout == "grokstudy":
        return trial
    if name != "transformer":
        raise BadInput(
            f"model: got {name}, layout {layout} holds transformers; use --layout grokstudy for its own names."
        )
    return {**trial, "model": {**trial["model"], **transformer_sizes(params)}}
