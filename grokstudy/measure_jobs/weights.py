"""Measuring one weights file of another code base: released checkpoints, TransformerLens exports."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Int
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from grokstudy.circuits._keys import keys_of, rule_of
from grokstudy.circuits._measure import measure_network
from grokstudy.spec.decode import decode_trial
from grokstudy.spec.errors import BadInput, DamagedFile
from grokstudy.spec.interfaces import TaskData
from grokstudy.spec.measure import Subject
from grokstudy.spec.rows import MeasureValue

Layout = Literal["nanda", "transformer_lens"]
UNUSED = ("mask", "IGNORE", "b_Q", "b_K", "b_V", "b_O", "b_U")
"""Tensors that a file may hold without our model having them: masks, and biases if they are zero."""


def measure_weights(
    file: Path, layout: Layout, trial: Mapping[str, Any], split: str, rule: str, only: Sequence[str] | None
) -> tuple[list[MeasureValue], tuple[int, ...] | None]:
    """All measures of a one-layer transformer in a safetensors file, keys from the file itself.

    Args:
        file: safetensors.
        layout: whose tensor shapes: `nanda` (the paper's code) or `transformer_lens`.
        trial: plain config with the task; the model's sizes come from the file.
        split: `python_random:SEED:FRAC` (the paper's split) or a split.json with row numbers.

    Raises:
        BadInput: tensors are missing or have wrong shapes, or the split cannot be read.
        DamagedFile: not a readable safetensors file.
    """
    params = _params(file, layout)
    spec = decode_trial({**trial, "model": _model(params)})
    shape = spec.task.shape()
    if params["embed.W_E"].shape[0] != shape.vocab + 1:
        raise BadInput(
            f"{file}: embeds {params['embed.W_E'].shape[0]} tokens, task.p={shape.vocab} needs {shape.vocab + 1}; "
            "give the file's modulus as task.p."
        )
    data = spec.task.data(spec.seeds)
    train, test = _split(split, data.shape.vocab, data.inputs)
    data = TaskData(
        shape=data.shape,
        inputs=data.inputs,
        labels=data.labels,
        train=train,
        test=test,
        train_labels=data.labels[train],
    )
    subject = Subject(spec=spec, data=data, params=params, key_freqs=None)
    keys, reason = keys_of(subject, rule_of(rule))
    subject = Subject(spec=spec, data=data, params=params, key_freqs=keys, keys_reason=reason)
    return measure_network(subject, only=only, rule=rule), keys


def _params(file: Path, layout: Layout) -> dict[str, Tensor]:
    if not file.is_file():
        raise BadInput(f"--weights: no file '{file}'.")
    try:
        stored = load_file(file)
    except (SafetensorError, OSError, ValueError) as error:
        raise DamagedFile(
            f"--weights: '{file}' is no readable safetensors file ({error}). Pickled .pt/.pth files are not read; "
            "save the state dict with safetensors.torch.save_file."
        ) from error
    params = {}
    for name, tensor in stored.items():
        leaf = name.rpartition(".")[2]
        if leaf in UNUSED:
            if leaf.startswith("b_") and bool(tensor.any()):
                raise BadInput(f"{file}: {name} is not zero; such a bias is not part of the model that is measured.")
            continue
        params[name] = _ours(leaf, tensor.double(), layout)
    needed = {"embed.W_E", "pos_embed.W_pos", "unembed.W_U"} | {
        f"blocks.0.{part}"
        for part in ("attn.W_Q", "attn.W_K", "attn.W_V", "attn.W_O", "mlp.W_in", "mlp.b_in", "mlp.W_out", "mlp.b_out")
    }
    if missing := sorted(needed - params.keys()):
        raise BadInput(f"{file}: has no tensor {missing[0]} (layout {layout}); found {', '.join(sorted(params))}.")
    if layout == "nanda":
        heads = params["blocks.0.attn.W_Q"].shape[0]
        params["blocks.0.attn.W_O"] = params["blocks.0.attn.W_O"].unflatten(0, (heads, -1))
    return params


def _ours(leaf: str, tensor: Tensor, layout: Layout) -> Tensor:
    """The tensor in TransformerLens orientation, which is ours; the paper's code transposes all matrices but these
    two."""
    if layout == "transformer_lens" or leaf in ("W_pos", "W_U") or tensor.ndim < 2:
        return tensor
    return tensor.transpose(-1, -2).contiguous()


def _model(params: Mapping[str, Tensor]) -> dict[str, Any]:
    heads, d_model, d_head = params["blocks.0.attn.W_Q"].shape
    layers = 1 + max(int(name.split(".")[1]) for name in params if name.startswith("blocks."))
    return {
        "name": "transformer",
        "n_layers": layers,
        "n_heads": heads,
        "d_model": d_model,
        "d_head": d_head,
        "d_mlp": params["blocks.0.mlp.W_in"].shape[1],
    }


def _split(
    text: str, p: int, inputs: Int[np.ndarray, "rows 2"]
) -> tuple[Int[np.ndarray, " train"], Int[np.ndarray, " test"]]:
    """Train and test rows."""
    rows = len(inputs)
    kind, *numbers = text.split(":")
    if kind == "python_random":
        seed, share = _numbers(text, numbers)
        order = list(range(rows))
        random.Random(seed).shuffle(order)
        count = int(share * rows)
        return np.array(order[:count]), np.array(order[count:])
    if not Path(text).is_file():
        raise BadInput(
            f"--split: got '{text}', must be python_random:SEED:FRAC or a split.json with train and test rows."
        )
    try:
        stored = json.loads(Path(text).read_text())
        train, test = np.array(stored["train"], dtype=int), np.array(stored["test"], dtype=int)
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f'--split: \'{text}\' must hold {{"train": [a*p+b ...], "test": [...]}} ({error}).') from error
    if len(train) == 0 or min(train.min(), test.min(initial=0)) < 0 or max(train.max(), test.max(initial=0)) >= rows:
        raise BadInput(
            f"--split: '{text}' must name rows 0..{rows - 1} (a*p+b with p={p}) and at least one to train on."
        )
    return train, test


def _numbers(text: str, numbers: Sequence[str]) -> tuple[int, float]:
    try:
        seed, share = int(numbers[0]), float(numbers[1])
    except (IndexError, ValueError) as error:
        raise BadInput(f"--split: got '{text}', must be python_random:SEED:FRAC, e.g. python_random:1:0.3.") from error
    if not 0 < share <= 1:
        raise BadInput(f"--split: got a share of {share}, must be in (0, 1].")
    return seed, share
