"""Tensors of a weights file: safetensors, or a state dict that torch saved. Nothing in a file is ever run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from grokstudy.spec.errors import BadInput, DamagedFile

SAVED_BY_TORCH = (".pt", ".pth", ".ckpt", ".bin")
ENTRIES = ("model", "state_dict", "model_state_dict")
"""Where a training script's file holds the state dict; whatever lies beside it is ignored."""
NUMPY_SCALARS: list[Any] = [
    (np.float64(0).__reduce__()[0], "numpy.core.multiarray.scalar"),  # as numpy 1 names it
    np.float64(0).__reduce__()[0],
    np.dtype,
    *(type(np.dtype(kind)) for kind in (np.float64, np.float32, np.int64)),
]
"""Loss lists beside the weights often hold them. They are numbers, no code."""


def stored_tensors(file: Path) -> dict[str, Tensor]:
    """Every tensor by the file's own names, on the CPU wherever it was saved.

    Raises:
        BadInput: there is no such file, reading it would run code, or it holds no state dict.
        DamagedFile: it cannot be read.
    """
    if not file.is_file():
        raise BadInput(f"--weights: no file '{file}'.")
    if file.suffix in SAVED_BY_TORCH:
        return _state_dict(file, _saved_by_torch(file))
    try:
        return load_file(file)
    except (SafetensorError, OSError, ValueError) as error:
        raise DamagedFile(
            f"--weights: '{file}' is no readable safetensors file ({_line(error)}). A file saved by torch must end in "
            f"{', '.join(SAVED_BY_TORCH)}."
        ) from error


def _saved_by_torch(file: Path) -> object:
    try:
        with torch.serialization.safe_globals(NUMPY_SCALARS):
            return torch.load(file, weights_only=True, map_location="cpu")
    except Exception as error:  # the reader raises what a foreign file makes it raise
        if type(error).__name__ != "UnpicklingError":
            raise DamagedFile(f"--weights: '{file}' is no readable torch file ({_line(error)}).") from error
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        holds = f"it holds objects of {named[1]}" if named else "it holds more than tensors and plain values"
        raise BadInput(
            f"--weights: '{file}' is refused, because reading it can run code: {holds}. If you trust it, load it with "
            "weights_only=False in the environment that made it, and save its state dict alone: "
            "safetensors.torch.save_file({k: v.contiguous() for k, v in model.state_dict().items()}, FILE)."
        ) from error


def _state_dict(file: Path, stored: object) -> dict[str, Tensor]:
    """The mapping of names to tensors: under one of `ENTRIES`, or the whole file."""
    if not isinstance(stored, Mapping):
        raise BadInput(f"--weights: '{file}' holds a {type(stored).__name__}, must be a state dict or {{'model': it}}.")
    for found in (*(stored.get(entry) for entry in ENTRIES), stored):
        if isinstance(found, Mapping) and found and all(isinstance(value, Tensor) for value in found.values()):
            return {str(name): tensor for name, tensor in found.items()}
    entries = ", ".join(map(str, list(stored)[:8])) or "nothing"
    raise BadInput(
        f"--weights: '{file}' holds {entries}; must be a state dict (tensors by name), or have one as its entry "
        f"{' or '.join(ENTRIES)}."
    )


def _line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
