"""Noise of a running pack: every draw is a function of (noise seed, purpose, updates made), so nothing has to be stored
to resume, and packmates cannot shift each other's streams."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor


def stream(seed: int, purpose: str, number: int, device: torch.device) -> torch.Generator:
    """The generator of one draw. Bits differ between device types, as those of all arithmetic do."""
    digest = hashlib.blake2b(f"{seed}/{purpose}/{number}".encode(), digest_size=8).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest, "little", signed=True))


def normal(
    seeds: Sequence[int], purpose: str, number: int, like: Float[Tensor, "members size"]
) -> Float[Tensor, "members size"]:
    """Standard normal numbers in the shape and dtype of `like`, one stream per member."""
    out = torch.empty_like(like, memory_format=torch.contiguous_format)
    for lane, seed in zip(out, seeds, strict=True):
        lane.normal_(generator=stream(seed, purpose, number, like.device))
    return out


def add_normal(
    params: Float[Tensor, "members size"],
    seeds: Sequence[int],
    purpose: str,
    number: int,
    amplitudes: Float[Tensor, "members 1"],
) -> None:
    """Adds normal numbers with each member's standard deviation, in place. A member with none draws nothing."""
    drawn = torch.empty_like(params[0])  # of one member, so that it stays cached
    for lane, seed, amplitude in zip(params, seeds, amplitudes.flatten().tolist(), strict=True):
        if amplitude > 0:
            drawn.normal_(0.0, amplitude, generator=stream(seed, purpose, number, params.device))
            lane.add_(drawn)


def uniform(seeds: Sequence[int], purpose: str, number: int, device: torch.device) -> Float[Tensor, "members 1"]:
    """One float64 number in [0, 1) per member."""
    out = torch.empty(len(seeds), 1, dtype=torch.float64, device=device)
    for lane, seed in zip(out, seeds, strict=True):
        lane.uniform_(generator=stream(seed, purpose, number, device))
    return out


def keep_masks(
    seeds: Sequence[int], rates: Float[Tensor, "members 1"], site: str, number: int, size: Sequence[int], like: Tensor
) -> Float[Tensor, "members rows *size"]:
    """Dropout masks [members, *size]: 0 with the member's rate, else 1 / (1 - rate)."""
    out = torch.empty(len(seeds), *size, dtype=like.dtype, device=like.device)
    for lane, seed, rate in zip(out, seeds, rates.flatten().tolist(), strict=True):
        lane.uniform_(generator=stream(seed, f"dropout/{site}", number, like.device)).ge_(rate).div_(1 - rate)
    return out
