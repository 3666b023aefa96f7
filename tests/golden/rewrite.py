"""Writes the golden curves anew and the ids of new lines: `python -m tests.golden.rewrite`.

For a change that is meant to change numbers; say in its commit why. An id that is recorded never changes: it names rows
that people have stored.
"""

from __future__ import annotations

import torch

from tests.golden.recorded import CURVES, IDS, curve_path, curve_text, id_of


def main() -> None:
    torch.set_num_threads(1)
    for name, curve in CURVES.items():
        curve_path(name).write_text(curve_text(curve))
        print(f"wrote {curve_path(name).name}")
    IDS.write_text("\n".join(_with_id(line) for line in IDS.read_text().splitlines()) + "\n")


def _with_id(line: str) -> str:
    """A line that starts with `?` gets its id; all others stay as they are."""
    mark, _, words = line.partition("  ")
    return f"{id_of(words)}  {words}" if mark == "?" else line


if __name__ == "__main__":
    main()
