"""What one update of a trial costs on this machine."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch

from grokstudy.engine.batch import PackData
from grokstudy.engine.loop import DTYPES
from grokstudy.engine.state import Member, PackState
from grokstudy.engine.step import Update
from grokstudy.spec.settings import EngineSettings
from grokstudy.spec.trial import TrialSpec

TIMED_SECONDS = 1.0
"""At most about so long per call, the first update aside."""
MOST_UPDATES = 50


def seconds_per_update(specs: Sequence[TrialSpec], engine: EngineSettings, *, compiled: bool) -> float:
    """Seconds per member and update of a pack of these trials. Forks are timed from drawn weights."""
    device, dtype = torch.device(engine.device), DTYPES[specs[0].engine.dtype]
    threads = torch.get_num_threads()
    torch.set_num_threads(engine.threads)
    try:
        state = PackState.start([Member(trial_id=str(i), spec=spec) for i, spec in enumerate(specs)], dtype, device)
        data = PackData.build(specs, dtype, device, state.layout, state.params)
        update = Update(specs, state.layout, data.shape, state.params, state.params, compiled=compiled)
        update(state.params, state.optimizer, 0, data.batch(0))  # the first one allocates, or compiles
        start, count = time.monotonic(), 0
        while count < 1 or (time.monotonic() - start < TIMED_SECONDS and count < MOST_UPDATES):
            count += 1
            update(state.params, state.optimizer, count, data.batch(count))
        return (time.monotonic() - start) / count / len(specs)
    finally:
        torch.set_num_threads(threads)
