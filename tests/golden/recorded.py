"""What the golden files hold and how it is computed anew."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from grokstudy.spec.compose import compose_study
from grokstudy.spec.identity import trial_id
from tests.packs import run
from tests.trials import TINY

FOLDER = Path(__file__).parent
IDS = FOLDER / "trial_ids.txt"
COLUMNS = "step train_loss test_loss train_acc test_acc"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A training whose curve is kept."""

    words: tuple[str, ...]
    steps: int


CURVES: Mapping[str, Curve] = {
    "quad23": Curve(words=("preset=quad23",), steps=300),
    "quad23-noisy-batches": Curve(words=("preset=quad23", "batch_size=100", "task.label_noise=0.1"), steps=60),
    "tiny-transformer": Curve(words=("preset=small31", *(f"{key}={value}" for key, value in TINY.items())), steps=100),
    "two-layers-l2": Curve(
        words=(
            "preset=small31",
            "task.p=7",
            "model.n_layers=2",
            "model.d_model=8",
            "model.d_mlp=16",
            "regularization.l2=0.001",
            "regularization.weight_decay=0",
            "init.scale=0.8",
            "engine.dtype=float64",
        ),
        steps=40,
    ),
}


def curve_path(name: str) -> Path:
    return FOLDER / "curves" / f"{name}.txt"


def numerics() -> str:
    """What bits depend on besides the code: the torch version, and the processor that its kernels are chosen by."""
    return f"torch={torch.__version__} capability={torch.backends.cpu.get_cpu_capability()} processor={_processor()}"


def curve_text(curve: Curve) -> str:
    """The file: two comment lines, then one line per evaluation with every float in full (repr round-trips)."""
    trained = run([compose_study(curve.words).trial({})], curve.steps).trials[0]
    lines = [f"# {numerics()}", f"# {COLUMNS}"]
    for step, row in zip(trained.steps.tolist(), trained.columns[:, :4].tolist(), strict=True):
        lines.append(" ".join([str(step), *map(repr, row)]))
    return "\n".join(lines) + "\n"


def numbers(text: str) -> Float[np.ndarray, "evaluations 5"]:
    return np.array([[float(word) for word in line.split()] for line in text.splitlines() if not line.startswith("#")])


def recorded_ids() -> dict[str, str]:
    """trial_id by the words that describe the trial."""
    lines = [line for line in IDS.read_text().splitlines() if line and not line.startswith("#")]
    return {words: identity for identity, words in (line.split("  ", 1) for line in lines)}


def id_of(words: str) -> str:
    return trial_id(compose_study(words.split()).trial({}))


def _processor() -> str:
    """Vendor, family and model: the vendor's libraries choose kernels by them."""
    try:
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    except OSError:
        return "unknown"
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    return "-".join(facts.get(key, "unknown") for key in ("vendor_id", "cpu family", "model"))
