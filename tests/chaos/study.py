"""The study that is disturbed: enough packs that something is always running, short enough to be run many times."""

from __future__ import annotations

import dataclasses

SETTINGS = (
    "preset=quad23",
    "regularization.weight_decay=0.3,1,3",
    "measures.names=[cross_entropy,fourier_losses,fve]",
    "measures.checkpoints=final",
    "cluster.snapshot_seconds=1",
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large a study is; equal sizes have equal results."""

    seeds: int
    steps: int
    pack_size: int
    fractions: tuple[float, ...] = (0.4, 0.5, 0.6, 0.7)

    @property
    def trials(self) -> int:
        return 3 * len(self.fractions) * self.seeds

    def words(self, name: str, *more: str) -> list[str]:
        """The command line, the same every time it is started."""
        return [
            "run",
            *SETTINGS,
            f"task.frac_train={','.join(map(str, self.fractions))}",
            f"seed=seeds({self.seeds})",
            f"cluster.pack_size={self.pack_size}",
            *more,
            "--steps",
            str(self.steps),
            "--name",
            name,
        ]
