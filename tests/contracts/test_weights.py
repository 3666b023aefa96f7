"""Weights of other code bases: equal logits by a forward pass of their own, and every way a file can be wrong."""

from __future__ import annotations

import json
import math
import os
import random
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from grokstudy.circuits._json import as_json
from grokstudy.circuits._network import network
from grokstudy.measure_jobs.layouts import Layout
from grokstudy.measure_jobs.splits import row_numbers, split_json, with_split
from grokstudy.measure_jobs.weights import measure_weights, weights_subject
from grokstudy.spec.errors import BadInput, DamagedFile
from grokstudy.spec.trial import Seeds
from grokstudy.tasks.modular import Modular, Operation

torch.set_num_threads(1)

P, HEADS, D, D_HEAD, D_MLP = 7, 2, 6, 3, 10
SPLIT = "python_random:1:0.4"
ONLY = ["cross_entropy", "gini", "norms"]


def config(p: int = P, op: Operation = "add", **model: Any) -> dict[str, Any]:
    return {
        "task": {"name": "modular", "op": op, "p": p, "frac_train": 0.5},
        "model": {"name": "transformer", **model},
        "optimizer": {"name": "adamw"},
        "loss": {"name": "ce64"},
    }


def nanda(p: int = P, dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    """Tensors of a one-layer network as the progress-measures paper's code stores them."""
    draw = torch.Generator().manual_seed(p)
    shapes: dict[str, tuple[int, ...]] = {
        "embed.W_E": (D, p + 1),
        "pos_embed.W_pos": (3, D),
        "blocks.0.attn.W_K": (HEADS, D_HEAD, D),
        "blocks.0.attn.W_Q": (HEADS, D_HEAD, D),
        "blocks.0.attn.W_V": (HEADS, D_HEAD, D),
        "blocks.0.attn.W_O": (D, HEADS * D_HEAD),
        "blocks.0.mlp.W_in": (D_MLP, D),
        "blocks.0.mlp.b_in": (D_MLP,),
        "blocks.0.mlp.W_out": (D, D_MLP),
        "blocks.0.mlp.b_out": (D,),
        "unembed.W_U": (D, p + 1),
    }
    weights = {name: torch.randn(size, generator=draw, dtype=torch.float64).to(dtype) for name, size in shapes.items()}
    return {**weights, "blocks.0.attn.mask": torch.tril(torch.ones(3, 3))}


def nanda_logits(w: Mapping[str, Tensor], tokens: Tensor) -> Tensor:
    """Logits at "=", [rows, p], written from the paper's equations and the shapes above."""
    p = w["embed.W_E"].shape[1] - 1
    x = torch.cat([tokens, torch.full((len(tokens), 1), p)], 1)
    x = w["embed.W_E"].T[x] + w["pos_embed.W_pos"]
    q, k, v = (torch.einsum("ihd,bpd->biph", w[f"blocks.0.attn.W_{part}"], x) for part in "QKV")
    scores = torch.einsum("biqh,biph->biqp", q, k) / math.sqrt(D_HEAD)
    scores = scores.masked_fill(torch.triu(torch.ones(3, 3, dtype=torch.bool), 1), -math.inf)
    z = torch.einsum("biqp,biph->bqih", scores.softmax(-1), v).flatten(2)
    x = x + z @ w["blocks.0.attn.W_O"].T
    hidden = (x @ w["blocks.0.mlp.W_in"].T + w["blocks.0.mlp.b_in"]).relu()
    x = x + hidden @ w["blocks.0.mlp.W_out"].T + w["blocks.0.mlp.b_out"]
    return (x @ w["unembed.W_U"])[:, -1, :p]


def hooked(p: int = P) -> dict[str, Tensor]:
    """Tensors as TransformerLens's demo of grokking stores them: no logit for "=", biases of zero, buffers."""
    draw = torch.Generator().manual_seed(p + 1)
    block = "blocks.0"
    shapes: dict[str, tuple[int, ...]] = {
        "embed.W_E": (p + 1, D),
        "pos_embed.W_pos": (3, D),
        **{f"{block}.attn.W_{part}": (HEADS, D, D_HEAD) for part in "QKV"},
        f"{block}.attn.W_O": (HEADS, D_HEAD, D),
        f"{block}.mlp.W_in": (D, D_MLP),
        f"{block}.mlp.W_out": (D_MLP, D),
        "unembed.W_U": (D, p),
    }
    zeros: dict[str, tuple[int, ...]] = {
        **{f"{block}.attn.b_{part}": (HEADS, D_HEAD) for part in "QKV"},
        f"{block}.attn.b_O": (D,),
        f"{block}.mlp.b_in": (D_MLP,),
        f"{block}.mlp.b_out": (D,),
        "unembed.b_U": (p,),
    }
    weights = {name: torch.randn(size, generator=draw, dtype=torch.float64) for name, size in shapes.items()}
    return {
        **weights,
        **{name: torch.zeros(size, dtype=torch.float64) for name, size in zeros.items()},
        f"{block}.attn.mask": torch.tril(torch.ones(3, 3)),
        f"{block}.attn.IGNORE": torch.tensor(-1e5),
    }


def hooked_logits(w: Mapping[str, Tensor], tokens: Tensor) -> Tensor:
    """Logits at "=", head by head in TransformerLens's shapes; the last position sees all others."""
    p = len(w["embed.W_E"]) - 1
    x = w["embed.W_E"][torch.cat([tokens, torch.full((len(tokens), 1), p)], 1)] + w["pos_embed.W_pos"]
    last = x[:, -1]
    out = last.clone()
    for head in range(HEADS):
        W_Q, W_K, W_V, W_O = (w[f"blocks.0.attn.W_{part}"][head] for part in "QKVO")
        scores = torch.stack([((last @ W_Q) * (x[:, i] @ W_K)).sum(1) for i in range(3)], 1) / math.sqrt(D_HEAD)
        weight = scores.exp() / scores.exp().sum(1, keepdim=True)
        out = out + sum(weight[:, i, None] * (x[:, i] @ W_V) for i in range(3)) @ W_O
    out = out + torch.clamp(out @ w["blocks.0.mlp.W_in"], min=0) @ w["blocks.0.mlp.W_out"]
    return out @ w["unembed.W_U"]


def safetensors_file(folder: Path, tensors: Mapping[str, Tensor]) -> Path:
    path = folder / "net.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return path


def torch_file(folder: Path, stored: object) -> Path:
    path = folder / "net.pth"
    torch.save(stored, path)
    return path


def logits_of(path: Path, layout: Layout, p: int = P) -> tuple[Tensor, Tensor]:
    """Logits as measures read them, and the inputs."""
    subject = weights_subject(path, layout, config(p), SPLIT, "neuron")
    return network(subject).logits, torch.from_numpy(subject.data.inputs)


@pytest.mark.parametrize("p", [P, 6, 2])
def test_the_papers_layout_gives_the_papers_logits(tmp_path: Path, p: int) -> None:
    logits, inputs = logits_of(safetensors_file(tmp_path, nanda(p)), "nanda", p)
    # Sums of at most 10 products of float64 numbers of size 10, added in another order.
    torch.testing.assert_close(logits, nanda_logits(nanda(p), inputs), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("p", [P, 6, 2])
def test_the_transformer_lens_layout_gives_its_logits(tmp_path: Path, p: int) -> None:
    logits, inputs = logits_of(safetensors_file(tmp_path, hooked(p)), "transformer_lens", p)
    torch.testing.assert_close(logits, hooked_logits(hooked(p), inputs), rtol=1e-11, atol=1e-11)


def test_two_layers_of_the_papers_layout_are_turned_alike(tmp_path: Path) -> None:
    first = nanda()
    second = {name.replace("blocks.0", "blocks.1"): x for name, x in nanda(8).items() if name.startswith("blocks.0")}
    subject = weights_subject(safetensors_file(tmp_path, {**first, **second}), "nanda", config(), SPLIT, "neuron")
    W_O = subject.params["blocks.1.attn.W_O"]
    torch.testing.assert_close(W_O.flatten(0, 1).T, second["blocks.1.attn.W_O"], rtol=0, atol=0)
    assert network(subject).logits.isfinite().all()


RUN = {
    "optimizer": {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 1e-3}]},
    "train_losses": [np.float64(0.5), np.float32(0.25), 0.1],
    "epoch": np.int64(40_000),
}
"""What lies beside the weights in a training script's file."""


@pytest.mark.parametrize("wrapped", [{"model": nanda(), **RUN}, {"state_dict": nanda(), **RUN}, nanda()])
def test_a_torch_file_is_read_like_a_safetensors_file(tmp_path: Path, wrapped: object) -> None:
    from_torch, _ = measure_weights(torch_file(tmp_path, wrapped), "nanda", config(), SPLIT, "neuron", ONLY)
    plain, _ = measure_weights(safetensors_file(tmp_path, nanda()), "nanda", config(), SPLIT, "neuron", ONLY)
    assert from_torch == plain
    assert any(value.value is not None for value in plain)


def test_a_file_saved_on_a_gpu_is_read_on_the_cpu(tmp_path: Path) -> None:
    path = saved_on_cuda(torch_file(tmp_path, {"model": nanda(), **RUN}))
    if not torch.cuda.is_available():
        with pytest.raises(RuntimeError, match="CUDA"):
            torch.load(path, weights_only=False)
    logits, inputs = logits_of(path, "nanda")
    torch.testing.assert_close(logits, nanda_logits(nanda(), inputs), rtol=1e-11, atol=1e-11)


def saved_on_cuda(path: Path) -> Path:
    """The file with every storage said to lie on the first GPU, which is all that distinguishes such files.

    A pickled short string is `X`, its length in four bytes and its characters; a repeated one refers to the first.
    """
    target = path.with_name("cuda.pth")
    with zipfile.ZipFile(path) as read, zipfile.ZipFile(target, "w") as write:
        for name in read.namelist():
            data = read.read(name)
            if name.endswith("data.pkl"):
                assert data.count(b"X\x03\x00\x00\x00cpu") >= 1
                data = data.replace(b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:0")
            write.writestr(name, data)
    return target


class Trap:
    """An object whose unpickling would make a folder."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.target),))


def test_a_file_that_runs_code_is_refused_and_runs_none(tmp_path: Path) -> None:
    path = torch_file(tmp_path, {"model": nanda(), "config": Trap(tmp_path / "ran")})
    with pytest.raises(BadInput) as refused:
        weights_subject(path, "nanda", config(), SPLIT, "neuron")
    assert not (tmp_path / "ran").exists()
    message = str(refused.value)
    assert "\n" not in message
    for word in ("net.pth", "refused", "mkdir", "safetensors.torch.save_file"):
        assert word in message


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        ([nanda()], ["list", "state dict"]),
        ({"losses": [1.0], "epoch": 3}, ["losses, epoch", "model"]),
        ({}, ["nothing", "state dict"]),
    ],
)
def test_a_torch_file_without_a_state_dict_says_what_it_holds(tmp_path: Path, stored: object, words: list[str]) -> None:
    assert_refused(torch_file(tmp_path, stored), "nanda", config(), words)


@pytest.mark.parametrize("name", ["net.pth", "net.pt", "net.safetensors"])
def test_a_file_of_rubbish_is_damaged(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"rubbish" * 9)
    with pytest.raises(DamagedFile, match=name):
        weights_subject(path, "nanda", config(), SPLIT, "neuron")


def assert_refused(path: Path, layout: Layout | None, trial: Mapping[str, Any] | None, words: list[str]) -> None:
    with pytest.raises(BadInput) as refused:
        weights_subject(path, layout, trial, SPLIT, "neuron")
    message = str(refused.value)
    assert "\n" not in message
    for word in words:
        assert word in message, message


def changed(name: str, tensor: Tensor | None, base: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
    tensors = dict(base or nanda())
    tensors.pop(name, None)
    return tensors if tensor is None else {**tensors, name: tensor}


IN = "blocks.0.mlp.W_in"
WRONG: dict[str, tuple[dict[str, Tensor], Layout, dict[str, Any], list[str]]] = {
    "a missing tensor": (changed("unembed.W_U", None), "nanda", config(), ["unembed.W_U [6, 8]", "Found:"]),
    "no attention": (changed("blocks.0.attn.W_O", None), "nanda", config(), ["no tensor blocks.0.attn.W_O", "nanda"]),
    "a wrong shape": (changed(IN, torch.ones(10, 5)), "nanda", config(), [IN, "[5, 10]", "[6, 10]"]),
    "another modulus": (nanda(), "nanda", config(p=11), ["embeds 8 tokens", "needs 12", "task.p=7"]),
    "the other layout": (nanda(), "transformer_lens", config(), ["W_O", "2 axes", "--layout nanda"]),
    "the other layout too": (hooked(), "nanda", config(), ["W_O", "3 axes", "--layout transformer_lens"]),
    "a bias": (
        changed("unembed.b_U", torch.ones(P), hooked()),
        "transformer_lens",
        config(),
        ["unembed.b_U [7]", "not zero"],
    ),
    "a norm": (
        changed("ln_final.w", torch.ones(D), hooked()),
        "transformer_lens",
        config(),
        ["ln_final.w", "model.norm_site"],
    ),
    "another model": (
        nanda(),
        "nanda",
        {**config(), "model": {"name": "quad_mlp"}},
        ["quad_mlp", "--layout grokstudy"],
    ),
    "no layer": ({"x": torch.ones(2)}, "transformer_lens", config(), ["blocks.0.attn.W_Q", "found: x"]),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_tensors_that_do_not_fit_are_refused(tmp_path: Path, case: str) -> None:
    tensors, layout, trial, words = WRONG[case]
    assert_refused(safetensors_file(tmp_path, tensors), layout, trial, words)


def test_a_file_without_its_task_is_refused(tmp_path: Path) -> None:
    assert_refused(safetensors_file(tmp_path, hooked()), None, None, ["net.safetensors", "task=modular"])


def test_a_norm_that_the_settings_name_is_read(tmp_path: Path) -> None:
    gain = torch.linspace(0.5, 1.5, D, dtype=torch.float64)
    tensors = {**hooked(), "ln_final.w": gain, "ln_final.b": torch.zeros(D, dtype=torch.float64)}
    trial = config(norm_site="final", norm_affine=True)
    subject = weights_subject(safetensors_file(tmp_path, tensors), "transformer_lens", trial, SPLIT, "neuron")
    assert torch.equal(subject.params["ln_final.w"], gain)


@pytest.mark.parametrize("fill", [math.nan, math.inf])
def test_broken_weights_give_null_with_a_reason(tmp_path: Path, fill: float) -> None:
    tensors = {name: torch.full_like(x, fill) for name, x in nanda().items()}
    values, keys = measure_weights(safetensors_file(tmp_path, tensors), "nanda", config(), SPLIT, "neuron", ONLY)
    assert keys is None
    assert {value.value for value in values} == {None}
    assert all(value.reason for value in values)


@pytest.mark.parametrize("p", [P, 6, 2])
def test_the_json_has_its_keys_for_every_modulus(tmp_path: Path, p: int) -> None:
    values, keys = measure_weights(safetensors_file(tmp_path, nanda(p)), "nanda", config(p), SPLIT, "neuron", ONLY)
    document = as_json(values, keys, "neuron")
    assert set(document) == {
        "key_freqs", "key_freq_rule", "restricted_loss", "excluded_loss", "excluded_loss_by_freq", "fve", "gini_W_E",
        "gini_W_L", "sum_sq_weights", "neuron_freq_fraction", "ce_train", "ce_test", "acc_train", "acc_test",
        "keys_saturated", "protocol",
    }  # fmt: skip
    assert document["ce_train"] is not None
    json.dumps(document, allow_nan=False)


def task_data(op: Operation = "add", **settings: Any) -> Any:
    return Modular(op=op, p=P, **settings).data(Seeds())


def test_a_split_by_pythons_random_is_the_papers() -> None:
    pairs = [(a, b) for a in range(P) for b in range(P)]
    random.seed(5)
    random.shuffle(pairs)
    data = with_split(task_data(), "python_random:5:0.3")
    count = int(0.3 * P * P)
    assert data.inputs[data.train].tolist() == [list(pair) for pair in pairs[:count]]
    assert data.inputs[data.test].tolist() == [list(pair) for pair in pairs[count:]]
    assert (data.train_labels == data.labels[data.train]).all()


@pytest.mark.parametrize("op", ["add", "div"])
@pytest.mark.parametrize("label_noise", [0.0, 0.5])
def test_a_split_file_gives_the_split_back(tmp_path: Path, op: Operation, label_noise: float) -> None:
    data = task_data(op, frac_train=0.4, holdout=0.2, label_noise=label_noise)
    path = tmp_path / "split.json"
    path.write_text(split_json(data))
    stored = json.loads(path.read_text())
    assert stored["train"] == [int(a * P + b) for a, b in data.inputs[data.train]]
    assert ("train_labels" in stored) == (label_noise > 0)
    other = task_data(op, frac_train=1.0)
    back = with_split(other, str(path))
    for field in ("train", "test", "train_labels"):
        assert (getattr(back, field) == getattr(data, field)).all()


def test_rows_of_a_division_are_numbered_by_their_pair() -> None:
    data = task_data("div")
    assert row_numbers(data)[:3].tolist() == [1, 2, 3]
    assert row_numbers(data)[P - 1] == P + 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("python_random:1", ["python_random:1", "SEED:FRAC"]),
        ("python_random:x:0.3", ["python_random:x:0.3"]),
        ("python_random:1:1.5", ["1.5", "(0, 1]"]),
        ("python_random:1:0.001", ["0.001", "none to train on"]),
        ("absent.json", ["absent.json", "python_random:SEED:FRAC"]),
    ],
)
def test_a_split_that_is_none_is_refused(text: str, words: list[str]) -> None:
    with pytest.raises(BadInput) as refused:
        with_split(task_data(), text)
    assert all(word in str(refused.value) for word in words)


@pytest.mark.parametrize(
    ("stored", "word"),
    [
        ("{", "must hold"),
        ("[1]", "must hold"),
        ('{"train": [0]}', "must hold"),
        ('{"train": [0], "test": ["x"]}', "must hold"),
        ('{"train": [], "test": [1]}', "got none"),
        ('{"train": [0], "test": [49]}', "got 49"),
        ('{"train": [-1], "test": [4]}', "got -1"),
        ('{"train": [0, 1], "test": [1]}', "twice"),
        ('{"train": [0, 1], "test": [2], "train_labels": [0]}', "train_labels"),
        ('{"train": [0, 1], "test": [2], "train_labels": [0, 7]}', "train_labels"),
    ],
)
def test_a_split_file_that_does_not_fit_is_refused(tmp_path: Path, stored: str, word: str) -> None:
    path = tmp_path / "split.json"
    path.write_text(stored)
    with pytest.raises(BadInput, match="--split") as refused:
        with_split(task_data(), str(path))
    assert word in str(refused.value)
