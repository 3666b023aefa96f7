"""What is stepped: every preset that fits a CPU, and every update rule and filter at least once."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """The plain loop always trains one trial; `members` are stepped together by the engine, with different seeds."""

    key: str
    """Name on the command line: `--only KEY`."""
    name: str
    words: tuple[str, ...]
    members: int = 1
    threads: int = 1
    agree: float | None = 1e-3
    """Largest relative difference of the train losses of engine and plain loop after the same updates: rounding gives
    1e-5, another network 1e-2. None where both draw noise of their own."""


SETTINGS: tuple[Setting, ...] = (
    # One-layer transformers
    Setting(key="nanda2023", name="transformer p=113 d=128", words=("preset=nanda2023",)),
    Setting(key="nanda2023-2t", name="transformer p=113 d=128", words=("preset=nanda2023",), threads=2),
    Setting(
        key="p59",
        name="transformer p=59 d=64",
        words=("preset=small31", "task.p=59", "task.frac_train=0.5", "optimizer.lr=0.001"),
    ),
    Setting(key="small31", name="transformer p=31 d=64", words=("preset=small31",), members=16),
    # torch.optim.Muon orthogonalises in bfloat16, eight bits, the engine in float32; their losses differ by 1e-3 or so.
    Setting(
        key="muon",
        name="transformer p=31 d=64, Muon",
        words=("preset=small31", "optimizer=muon"),
        members=16,
        agree=1e-2,
    ),
    Setting(key="zhong2023", name="transformer p=59 d=128, read at b", words=("preset=zhong2023",)),
    # Other transformers
    Setting(key="power2022", name="two layers, norms after sums, p=97 d=128, batch 512", words=("preset=power2022",)),
    Setting(key="grokfast", name="two layers, norms before, p=97 d=128, Grokfast EMA", words=("preset=grokfast",)),
    Setting(key="sort", name="one head without MLP: sorting, batch 256", words=("preset=sort",)),
    Setting(key="induction", name="two layers without MLPs: repeated blocks", words=("preset=induction",)),
    # Its 750 rows at once take the plain loop seconds per update; the ratio hardly depends on the rows.
    Setting(key="integer5", name="five-digit addition d=512, batch 128", words=("preset=integer5", "batch_size=128")),
    # Quadratic MLPs
    Setting(key="quad23", name="quadratic MLP p=23 N=128", words=("preset=quad23",), members=64),
    Setting(key="quad23-1", name="quadratic MLP p=23 N=128", words=("preset=quad23",)),
    Setting(key="quad41", name="quadratic MLP p=41 N=200", words=("preset=quad41",), members=16),
    Setting(key="doshi97", name="quadratic MLP p=97 N=500", words=("preset=doshi97",)),
    Setting(key="group_s4", name="quadratic MLP, group S4, N=256", words=("preset=group_s4",), members=16),
    Setting(key="kumar2024", name="quadratic MLP p=23 N=100, SGD, f - f0", words=("preset=kumar2024",), members=16),
    Setting(
        key="langevin",
        name="quadratic MLP p=23 N=128, Langevin",
        words=("preset=quad23", "optimizer=langevin", "noise.temperature=1e-6"),
        members=64,
        agree=None,
    ),
    # Other MLPs
    Setting(key="onehot59", name="one-hot MLP p=59, OrthoGrad", words=("preset=edge_orthograd59",)),
    Setting(key="onehot113", name="one-hot MLP p=113, OrthoGrad", words=("preset=edge_orthograd",)),
    Setting(
        key="embed_s4",
        name="embedding MLP, group S4",
        words=("preset=chughtai_s5", "task.group=S4", "task.frac_train=0.5", "engine.dtype=float32"),
        members=4,
    ),
    Setting(key="digits", name="MLP 64-100-100-10, digits", words=("preset=digits",), members=16),
    Setting(key="parity30", name="MLP 30-128-2, parity", words=("preset=parity30",), members=16),
    Setting(key="parity40", name="MLP 40-1000-2, parity, SGD, batch 32", words=("preset=parity40",), members=4),
    Setting(key="tms5", name="toy model of superposition 5-2-5", words=("preset=tms5",), members=16),
)
