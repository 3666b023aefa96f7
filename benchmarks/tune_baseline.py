"""A grid of trainings as it is written today: Ray Tune, one trial per process, and MLflow's callback.

    python benchmarks/tune_baseline.py [--wd FIRST LAST N] [--frac FIRST LAST N] [--seeds N] [--steps N] [--to FOLDER]

Modular addition at p = 23 with the network and the settings of `preset=quad23`, over weight decay x train fraction x
seeds. Nothing is slowed down, and nothing that one has to know Ray or MLflow from inside for is done:

- `tune.Tuner` with `tune.grid_search`, as on the first page of Tune's guide. Everything else is at its default: one CPU
  per trial, a new process for every trial (`reuse_actors=False`), CSV, JSON and TensorBoard logs.
- `MLflowLoggerCallback` into an SQLite file, as on the page about MLflow of the same guide, without `save_artifact`,
  which would only take more time. MLflow's own default, a file in the working directory, is SQLite too. The callback
  runs in this one process, so that nothing races for the creation of the database.
- plain torch: `nn.Parameter`s, `torch.optim.AdamW`, `LambdaLR`, the full batch on tensors prepared beforehand.
- a report every 100 updates: with one at the end nobody sees a trial learn, and grokking is seen in curves.
- evaluations at the same updates as grokstudy's, since 20 and 200 must be told apart; each trial saves its curve.

Weights and split are drawn from the streams of grokstudy (`spec.draws`, which loads nothing but numpy): the same trial
on both sides, so that its outcome can be compared.
"""

from __future__ import annotations

import argparse
import itertools
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from grokstudy.spec.draws import generator
from grokstudy.spec.schedule import evaluations

P, WIDTH = 23, 128
REPORT_EVERY = 100
CURVES = "curves"
"""Folder with one .npz file per trial: its settings and its evaluations."""


class QuadraticMLP(nn.Module):
    """W (U e_a + V e_b)^2 (Gromov 2023)."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        std = 0.5 / (2 * WIDTH) ** (1 / 3)
        for name, shape in {"U": (P, WIDTH), "V": (P, WIDTH), "W": (WIDTH, P)}.items():
            drawn = generator(seed, "init", name).normal(0.0, std, shape)
            self.register_parameter(name, nn.Parameter(torch.from_numpy(drawn).float()))

    def forward(self, pairs: Tensor) -> Tensor:
        return (pairs[:, 0] @ self.U + pairs[:, 1] @ self.V) ** 2 @ self.W


def dataset(frac_train: float, seed: int) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """One-hot pairs and one-hot sums: the train rows, the test rows."""
    pairs = torch.from_numpy(np.array(list(itertools.product(range(P), repeat=2))))
    inputs, labels = F.one_hot(pairs, P).float(), F.one_hot(pairs.sum(1) % P, P).float()
    order = torch.from_numpy(generator(seed, "split").permutation(P * P))
    train, test = order.split([n := int(frac_train * P * P + 1e-9), P * P - n])
    return (inputs[train], labels[train]), (inputs[test], labels[test])


@torch.no_grad()
def evaluate(model: nn.Module, inputs: Tensor, labels: Tensor) -> tuple[float, float]:
    """Loss and accuracy."""
    logits = model(inputs)
    return F.mse_loss(logits, labels).item(), (logits.argmax(1) == labels.argmax(1)).float().mean().item()


def training(config: Mapping[str, float], steps: int) -> Iterator[dict[str, float]]:
    """Trains one network, and yields what every evaluation shows."""
    seed = int(config["seed"])
    model = QuadraticMLP(seed)
    train, test = dataset(config["frac_train"], seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, betas=(0.9, 0.98), weight_decay=config["weight_decay"])
    warmup = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(step / 10, 1.0))
    evaluated = set(evaluations(steps))
    for step in range(steps + 1):
        if step in evaluated:
            (train_loss, train_acc), (test_loss, test_acc) = evaluate(model, *train), evaluate(model, *test)
            yield {
                "step": step,
                "train_loss": train_loss,
                "train_acc": train_acc,
                "test_loss": test_loss,
                "test_acc": test_acc,
            }
        if step < steps:
            optimizer.zero_grad()
            F.mse_loss(model(train[0]), train[1]).backward()
            optimizer.step()
            warmup.step()


def trainable(config: dict[str, Any], steps: int, curves: str) -> None:
    """What Tune runs in a worker."""
    from ray import tune

    curve = []
    for evaluation in training(config, steps):
        curve.append(evaluation)
        if evaluation["step"] and evaluation["step"] % REPORT_EVERY == 0:
            tune.report(evaluation)
    columns = {name: np.array([evaluation[name] for evaluation in curve]) for name in curve[0]}
    np.savez(Path(curves) / f"{tune.get_context().get_trial_id()}.npz", **config, **columns)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wd", nargs=3, type=float, default=[0.1, 10, 2], help="weight decays, log-spaced")
    parser.add_argument("--frac", nargs=3, type=float, default=[0.3, 0.8, 2], help="train fractions, evenly spaced")
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="seeds 0 to N - 1")
    parser.add_argument("--steps", type=int, default=2000, help="updates per trial")
    parser.add_argument("--to", type=Path, metavar="FOLDER", help="keep the results in this folder")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tune-baseline-") as scratch:
        to, since = (given.to or Path(scratch)).resolve(), time.monotonic()
        trials = fit(given.wd, given.frac, given.seeds, given.steps, to)
        seconds = time.monotonic() - since
    print(f"{trials} trials in {seconds:.1f} s: {trials / seconds * 3600:,.0f} trials per hour")


def fit(wd: list[float], frac: list[float], seeds: int, steps: int, to: Path) -> int:
    """Runs the grid; the number of its trials."""
    from ray import tune
    from ray.air.integrations.mlflow import MLflowLoggerCallback

    (to / CURVES).mkdir(parents=True, exist_ok=True)
    tuner = tune.Tuner(
        tune.with_parameters(trainable, steps=steps, curves=str(to / CURVES)),
        param_space={
            "weight_decay": tune.grid_search(np.geomspace(wd[0], wd[1], int(wd[2])).tolist()),
            "frac_train": tune.grid_search(np.linspace(frac[0], frac[1], int(frac[2])).tolist()),
            "seed": tune.grid_search(list(range(seeds))),
        },
        run_config=tune.RunConfig(
            name="baseline",
            storage_path=str(to / "ray"),
            callbacks=[MLflowLoggerCallback(tracking_uri=f"sqlite:///{to / 'mlflow.db'}", experiment_name="baseline")],
        ),
    )
    results = tuner.fit()
    if results.num_errors:
        raise SystemExit(f"{results.num_errors} of {len(results)} trials failed: {results.errors[0]}")
    return len(results)


if __name__ == "__main__":
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing phones home
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    main()
