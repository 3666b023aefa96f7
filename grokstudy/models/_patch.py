"""Activation patching: a named activation of a forward pass is replaced before the pass goes on.

Source: Vig et al. 2020 (arXiv 2004.12265), section 3; the word is that of Zhang & Nanda 2023 (arXiv 2309.16042).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from jaxtyping import Num

from grokstudy.spec.errors import BadInput, unknown

if TYPE_CHECKING:
    from torch import Tensor

EMBED = "hook_embed"
"""[rows, positions, width]: the embedding of every token of the task, before anything is added to it."""
NEURONS = "neurons"


def replaced(patch: Mapping[str, Tensor], name: str, value: Num[Tensor, "*size"]) -> Num[Tensor, "*size"]:
    """The activation `name`: what `patch` holds under that name, or else `value`, which the pass has computed.

    Raises:
        BadInput: the patch has another shape.
    """
    new = patch.get(name)
    if new is None:
        return value
    if new.shape != value.shape:
        raise BadInput(f"patch: {name} is {list(value.shape)} here, got {list(new.shape)}.")
    return new


def check_names(patch: Mapping[str, Tensor], names: Collection[str]) -> None:
    """Raises BadInput for a patch of anything but the activations in `names`."""
    for name in patch:
        if name not in names:
            raise unknown("patch", name, sorted(names))
