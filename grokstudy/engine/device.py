"""Whether this machine has what the engine settings ask for."""

from __future__ import annotations

import os
import shutil

import torch

from grokstudy.spec.errors import BadInput
from grokstudy.spec.settings import EngineSettings

COMPILERS = ("g++", "c++", "clang++")


def has_compiler(settings: EngineSettings) -> bool:
    """Whether gradients can be compiled for the device."""
    return settings.device == "cuda" or any(map(shutil.which, COMPILERS))


def check_device(settings: EngineSettings) -> None:
    """Raises BadInput if the device or the compiler is not there."""
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise BadInput("engine.device: got cuda, but torch sees no CUDA device here. Use engine.device=cpu.")
    if settings.device == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # deterministic products; read when CUDA starts
    if settings.compile and not has_compiler(settings):
        names = ", ".join(COMPILERS)
        raise BadInput(f"engine.compile: got true, needs a C++ compiler ({names}). Use engine.compile=false.")
