"""The plug-in rooms, their interfaces and the config groups whose options they hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from grokstudy.spec.interfaces import Loss, Model, Optimizer, Plugin, Regularizer, Sampler, Task
from grokstudy.spec.measure import Measure

ROOMS: Mapping[str, type[Plugin]] = {
    "tasks": Task,
    "models": Model,
    "losses": Loss,
    "optimizers": Optimizer,
    "regularizers": Regularizer,
    "samplers": Sampler,
    "circuits": Measure,
}
"""The plug-in rooms and the interface of each."""

GROUPS: Mapping[str, Literal["tasks", "models", "losses", "optimizers", "samplers"]] = {
    "task": "tasks",
    "model": "models",
    "loss": "losses",
    "optimizer": "optimizers",
    "sampler": "samplers",
}
"""Config groups whose options are plug-ins, with their rooms."""
