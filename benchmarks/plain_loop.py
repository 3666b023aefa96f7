"""The loop to beat: one trial as the papers' authors train it, a module over every position and torch.optim.

It starts from the weights and the split of the trial that the engine trains, so that both can be checked to agree.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
import torch
from plain_mlps import PlainEmbedMLP, PlainLayers, PlainQuadMLP, PlainTMS
from plain_rules import plain_loss, plain_rule
from plain_transformer import PlainTransformer
from torch import Tensor

from grokstudy.engine.batch import minibatch
from grokstudy.models.embed_mlp import EmbedMLP
from grokstudy.models.mlp import MLP
from grokstudy.models.onehot_mlp import OneHotMLP
from grokstudy.models.quad_mlp import QuadMLP
from grokstudy.models.tms import TMSNetwork
from grokstudy.models.transformer import Transformer
from grokstudy.optimizers.muon import Muon
from grokstudy.spec.trial import TrialSpec

PlainModule: TypeAlias = PlainTransformer | PlainQuadMLP | PlainLayers | PlainEmbedMLP | PlainTMS
BATCHES = 64
"""Mini-batches are drawn before the clock starts, and used again after so many."""


class PlainLoop:
    """One trial, full batch or mini-batches, without test loss."""

    def __init__(self, spec: TrialSpec) -> None:
        assert spec.engine.dtype == "float32"
        data = spec.task.data(spec.seeds)
        self._module, self._loss, self._scale = _module(spec), plain_loss(spec, data), spec.model.output_scale
        self._inputs = self._module.prepare(torch.from_numpy(data.inputs[data.train]))
        labels = torch.from_numpy(np.ascontiguousarray(data.train_labels))
        self._labels = labels.float() if labels.is_floating_point() else labels
        with torch.no_grad():
            self._start = self._module(self._inputs) if spec.model.subtract_start else None
        self._update = plain_rule(spec, self._module)
        self._batches = _batches(spec, len(self._labels))
        self._keeps_gradients = isinstance(spec.optimizer, Muon)  # its rule holds views of them

    def step(self) -> float:
        """One update; the loss before it."""
        loss = self._loss_of(next(self._batches))
        loss.backward()
        self._update()
        self._module.zero_grad(set_to_none=not self._keeps_gradients)
        return loss.item()

    @torch.no_grad()
    def train_loss(self) -> float:
        """Of all train rows."""
        return self._loss_of(None).item()

    def _loss_of(self, rows: Tensor | None) -> Tensor:
        inputs, labels, start = self._inputs, self._labels, self._start
        if rows is not None:
            inputs, labels, start = inputs[rows], labels[rows], None if start is None else start[rows]
        logits = self._module(inputs)
        return self._loss(self._scale * (logits if start is None else logits - start), labels)


def _module(spec: TrialSpec) -> PlainModule:
    """The trial's network with the trial's initial weights."""
    model, shape = spec.model, spec.task.shape()
    module: PlainModule
    if isinstance(model, Transformer):
        module = PlainTransformer(model, shape)
    elif isinstance(model, QuadMLP):
        module = PlainQuadMLP(model, shape)
    elif isinstance(model, EmbedMLP):
        module = PlainEmbedMLP(model, shape)
    elif isinstance(model, TMSNetwork):
        module = PlainTMS(model, shape)
    else:
        assert isinstance(model, (MLP, OneHotMLP))
        module = PlainLayers(model, shape)
    drawn = model.init(shape, spec.seeds.init)
    module.load({name: tensor.float() * spec.init.scale for name, tensor in drawn.items()})
    return module


def _batches(spec: TrialSpec, rows: int) -> Iterator[Tensor | None]:
    """Train rows of every update; None = all of them."""
    if spec.batch_size is None:
        return itertools.repeat(None)
    drawn = [minibatch(spec.seeds.batch, rows, spec.batch_size, step) for step in range(BATCHES)]
    return itertools.cycle([torch.from_numpy(chosen) for chosen in drawn])
