"""Randomness: every draw is a function of (seed, purpose, name) and of nothing else."""

from __future__ import annotations

import hashlib

import numpy as np


def generator(seed: int, purpose: str, name: str = "") -> np.random.Generator:
    """The generator of one stream.

    Streams with another seed, purpose or name are independent; no other setting enters, so that trials with equal
    seeds share split and start and their difference is the effect of the setting that differs.

    Args:
        seed: one of the trial's four seeds (data, init, batch, noise).
        purpose: what the draw is for, e.g. "split".
        name: the tensor, epoch or row group that is drawn.
    """
    digest = hashlib.blake2b(f"{seed}/{purpose}/{name}".encode(), digest_size=16).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest, "little")))
