"""The engine on a GPU. Bits differ from the CPU's, laws do not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from grokstudy.engine.loop import Leaving, run_pack
from grokstudy.engine.state import Member, PackState
from grokstudy.spec.identity import trial_id
from grokstudy.spec.settings import CheckpointSettings, EngineSettings
from grokstudy.spec.trial import TrialSpec
from tests.trials import tiny, trial

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="skip: torch sees no GPU on this machine")
every_mode = pytest.mark.parametrize("compiled", [False, True], ids=["eager", "graphs"])


def trained(specs: list[TrialSpec], steps: int, engine: EngineSettings) -> PackState:
    members = [Member(trial_id=trial_id(spec), spec=spec) for spec in specs]
    *_, last = run_pack(members, steps, engine, CheckpointSettings(ring=False, schedule=False))
    assert isinstance(last, Leaving)
    return last.state


@every_mode
@pytest.mark.parametrize("make", [trial, tiny], ids=["quad23", "transformer"])
def test_a_gpu_trains_what_a_cpu_trains(make: object, compiled: bool) -> None:
    """Float64, 30 steps: some 100 operations per step, each rounded to 1e-16, amplified by Adam to at most 1e-8."""
    base = {"engine.dtype": "float64"}
    spec = tiny(base) if make is tiny else trial("quad23", base)
    on_gpu = trained([spec], 30, EngineSettings(device="cuda", compile=compiled)).curve(0)[1]
    on_cpu = trained([spec], 30, EngineSettings()).curve(0)[1]
    np.testing.assert_allclose(on_gpu[:, :4], on_cpu[:, :4], rtol=1e-6)


@every_mode
def test_running_twice_on_a_gpu_gives_equal_bits(compiled: bool) -> None:
    specs = [trial("quad23", seed=seed) for seed in range(8)]
    engine = EngineSettings(device="cuda", compile=compiled)
    one, other = (trained(specs, 100, engine) for _ in range(2))
    assert torch.equal(one.params, other.params)


def test_quad23_groks_on_a_gpu() -> None:
    state = trained([trial("quad23", seed=seed) for seed in range(4)], 1500, EngineSettings(device="cuda"))
    assert all(watch.gen.crossing is not None for watch in state.watches)
