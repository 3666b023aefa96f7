"""One network of a study as three files that other code bases read: weights, config and split."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
from torch import Tensor

from grokstudy.measure_jobs.exported import CONFIG, SPLIT, WEIGHTS, Exported, config_json
from grokstudy.measure_jobs.hooked_transformer import hooked_config, hooked_state, unless_hooked
from grokstudy.measure_jobs.splits import split_json
from grokstudy.models.transformer import Transformer
from grokstudy.spec.decode import decode_trial
from grokstudy.spec.errors import BadInput
from grokstudy.spec.interfaces import Shape
from grokstudy.spec.trial import TrialSpec
from grokstudy.store.checkpoints import load_lane
from grokstudy.study.lookup import checkpoint_at, find_trial


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What an export wrote."""

    network: Exported
    study: str
    to: Path
    tensors: int


def export_trial(prefix: str, root: str, step: int | None, to: Path, *, force: bool = False) -> Written:
    """Writes model.safetensors, config.json and split.json of one trial at one step.

    Transformers that a HookedTransformer can be have TransformerLens's names and shapes; all others, and all other
    models, their own names.

    Args:
        prefix: of the trial's id, unique over all studies under `root`.
        root: storage root.
        step: one of the trial's checkpoints; None = the last.
        to: folder, made if it is not there.
        force: replace files of an earlier export.

    Raises:
        BadInput: no such trial or step, or the folder holds such files already.
        DamagedFile: the checkpoint cannot be read.
    """
    if to.exists() and not to.is_dir():
        raise BadInput(f"--to: '{to}' is a file, must be a folder.")
    there = [name for name in (WEIGHTS, CONFIG, SPLIT) if (to / name).exists()]
    if there and not force:
        raise BadInput(
            f"--to: '{to}' holds {', '.join(there)} already; choose another folder, or replace with --force."
        )
    trial = find_trial(prefix, root)
    checkpoint = checkpoint_at(trial, step)
    spec = decode_trial(trial.config)
    params = load_lane(trial.folder, checkpoint)
    network = Exported(
        trial_id=trial.trial_id,
        step=checkpoint.step,
        layout="grokstudy" if unless_hooked(spec.model) else "transformer_lens",
        trial=trial.config,
        reason=unless_hooked(spec.model),
    )
    tensors, model = _as_hooked(spec, params) if network.reason is None else (params, {})
    to.mkdir(parents=True, exist_ok=True)
    _write(to / SPLIT, split_json(spec.task.data(spec.seeds)).encode())
    _write(to / CONFIG, config_json(network, model).encode())
    _write(to / WEIGHTS, safetensors.torch.save({name: tensor.contiguous() for name, tensor in tensors.items()}))
    return Written(network=network, study=trial.folder.name, to=to, tensors=len(tensors))


def _as_hooked(spec: TrialSpec, params: Mapping[str, Tensor]) -> tuple[Mapping[str, Tensor], Mapping[str, object]]:
    assert isinstance(spec.model, Transformer)
    state = hooked_state(spec.model, params, _positions(spec.model, spec.task.shape()))
    return state, hooked_config(spec.model, state)


def _positions(model: Transformer, shape: Shape) -> int:
    """Tokens of a row as the network sees them."""
    return shape.positions + (model.read == "equals" and not shape.answers)


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all."""
    beside = path.with_name(f".{path.name}.tmp")
    beside.write_bytes(data)
    os.replace(beside, path)
