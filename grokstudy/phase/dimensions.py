"""Names of a diagram's dimensions: short where that is clear."""

from __future__ import annotations

from collections.abc import Collection, Sequence


def dimension_names(paths: Sequence[str], taken: Collection[str]) -> tuple[str, ...]:
    """Leaves of the paths; full paths where leaves are equal or already `taken` by variables."""
    leaves = [path.rpartition(".")[2] for path in paths]
    return tuple(
        path if leaves.count(leaf) > 1 or leaf in taken or (leaf == "seed" and path != "seed") else leaf
        for path, leaf in zip(paths, leaves, strict=True)
    )
