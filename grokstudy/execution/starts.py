"""First weights of forks, read from their parents' study folders."""

from __future__ import annotations

from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor

from grokstudy.engine.state import Start
from grokstudy.execution.job import StartRef
from grokstudy.spec.errors import DamagedFile
from grokstudy.spec.trial import TrialSpec
from grokstudy.store.checkpoints import STATE, load_lane, load_state
from grokstudy.store.folder import StudyFolder
from grokstudy.store.snapshots import get_snapshot


def load_start(storage: str, ref: StartRef, spec: TrialSpec, *, resumed: bool) -> Start:
    """What a fork starts from, in the order of its model's own tensors (files keep an order of theirs).

    Args:
        storage: root of the parent's and the fork's study.
        ref: where it is stored; planning has checked that names and shapes are the fork's.
        resumed: the fork has made updates already and has an optimizer state of its own; only weights are read.

    Raises:
        DamagedFile: a file is missing or not what was written.
    """
    folder = StudyFolder.open(storage, ref.study)
    stored = load_lane(folder, ref.checkpoint)
    order = spec.model.init(spec.task.shape(), spec.seeds.init)
    params = {name: stored[name] for name in order}
    return Start(params=params, optimizer=_state(folder, ref) if ref.keeps_state and not resumed else None)


def _state(folder: StudyFolder, ref: StartRef) -> Mapping[str, Float[Tensor, " size"]]:
    if ref.state is None:
        return load_state(folder, ref.checkpoint)
    row = ref.checkpoint
    gone = (
        f"{folder.where('snapshots')}: the optimizer state of trial {row.trial_id} at step {row.step} is gone, the "
        "trial went on meanwhile. Run again to see from where it can still be forked."
    )
    try:
        meta, tensors = get_snapshot(folder, ref.state.pack_id)
    except FileNotFoundError:
        raise DamagedFile(gone) from None
    if meta.step != row.step or meta.trial_ids[ref.state.lane] != row.trial_id:
        raise DamagedFile(gone)
    return {
        name.removeprefix(STATE): tensor[ref.state.lane].clone()
        for name, tensor in tensors.items()
        if name.startswith(STATE)
    }
