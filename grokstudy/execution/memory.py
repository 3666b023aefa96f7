"""Out of memory: how it shows, and what a person can lower."""

from __future__ import annotations

import dataclasses

import torch

from grokstudy.spec.trial import TrialSpec

TEXTS = (
    *("can't allocate memory", "cannot allocate memory", "out of memory", "bad_alloc"),  # torch on the CPU, C++
    *("could not create a primitive", "could not create a memory object"),  # oneDNN, which gives no reason
    "pointer is null",  # safetensors
)
"""How libraries without an exception of their own say that memory is short, in lower case."""


def claim(size: int) -> None:
    """Fails now if `size` more bytes cannot be had later.

    The library that writes checkpoints ends the whole process when it runs out of memory; torch raises. Nothing is
    touched, so the claim costs no memory.

    Raises:
        RuntimeError: they cannot.
    """
    torch.empty(size, dtype=torch.uint8)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed: in Python, numpy or Arrow (MemoryError), in torch, or in a library below them."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    library = isinstance(error, RuntimeError) or type(error).__name__ == "PanicException"
    return library and any(text in str(error).lower() for text in TEXTS)


def memory_remedy(spec: TrialSpec) -> str:
    """Which keys make a trial that does not fit smaller, with their values."""
    rows = spec.task.train_rows()
    batch = f"batch_size (now {spec.batch_size or f'null: all {rows} train rows'})"
    sizes = {
        f"model.{field.name}": value
        for field in dataclasses.fields(spec.model)
        if type(value := getattr(spec.model, field.name)) is int and value > 1
    }
    model = [f"{path} (now {value})" for path, value in sorted(sizes.items(), key=lambda size: -size[1])]
    return f"out of memory with this trial alone: lower {', '.join([*model, batch])}, or cluster.max_packs."
