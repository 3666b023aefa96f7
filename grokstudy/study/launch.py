"""Running studies from Python: the words of the command line, the same engine, the same folder."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import torch

from grokstudy.spec.compose import check_folder, compose_study
from grokstudy.spec.errors import BadInput
from grokstudy.spec.study import StudySpec
from grokstudy.store.storage import Storage
from grokstudy.study.board import Board
from grokstudy.study.estimate import multiplications
from grokstudy.study.forks import Parents
from grokstudy.study.live_line import live_line
from grokstudy.study.plan import planned_trials
from grokstudy.study.run import StudyResult, run_study

Plain: TypeAlias = str | int | float | bool | None
Setting: TypeAlias = Plain | list[Plain] | tuple[Plain, ...]

SMALL_UPDATE = 1e7
"""Multiplications of an update (parameters x rows) below which one thread is fastest."""


def composed(
    words: tuple[str, ...],
    settings: Mapping[str, Setting],
    *,
    name: str | None,
    steps: int | None,
    root: str | None,
    config_dir: Path | str | None,
) -> StudySpec:
    """The study that words and settings describe.

    Raises:
        BadInput: any key, value or name that cannot be used.
    """
    folder = None if config_dir is None else Path(config_dir)
    check_folder("config_dir", folder)
    named = {
        **settings,
        **({} if steps is None else {"budget": steps}),
        **({} if root is None else {"storage.root": root}),
    }
    all_words = [*words, *(f"{key}={as_word(key, value)}" for key, value in named.items())]
    return compose_study(all_words, name=name, config_dir=folder)


def as_word(key: str, value: Setting) -> str:
    """A Python value in the grammar of the command line: a list is an axis, a tuple one setting with several numbers.

    Raises:
        BadInput: an empty list, or a type that no setting has.
    """
    if isinstance(value, list):
        if not value:
            raise BadInput(f"{key}: got an empty list, an axis needs at least one value.")
        return ",".join(as_word(key, each) for each in value)
    if isinstance(value, tuple):
        return f"[{','.join(as_word(key, each) for each in value)}]"
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, str):
        return value
    raise BadInput(
        f"{key}: got a {type(value).__name__}, must be text, a number, a list of values (an axis) or a tuple."
    )


def one_trial(spec: StudySpec, *, name: str | None, threads_given: bool) -> StudySpec:
    """The study of a single training: named after its trial, with as many threads as its size is worth.

    Raises:
        BadInput: it has an axis.
    """
    if spec.axes:
        raise BadInput(
            f"{spec.axes[0].path}: `train` takes one value, got {len(spec.axes[0].values) or 'an interval'}. "
            "Use `grokstudy run` (`gs.run`) for a study with axes."
        )
    if not threads_given:
        threads = os.cpu_count() or 1 if multiplications(spec.trial({})) > SMALL_UPDATE else 1
        spec = dataclasses.replace(spec, engine=dataclasses.replace(spec.engine, threads=threads))
    if name is not None:
        return spec
    (trial,) = planned_trials(spec, [{}], Parents(Storage.open(spec.storage.root), None))
    return dataclasses.replace(spec, name=f"train-{trial.trial_id[:8]}")


def launched(
    spec: StudySpec, *, only_censored: bool = False, max_hours: float | None = None, progress: bool = True
) -> StudyResult:
    """Runs what is missing of the study, with a line of progress.

    Raises:
        BadInput: a setting that cannot be used here.
        StudyBusy: another live process runs this study.
        KeyboardInterrupt: it was interrupted; everything finished is kept.
    """
    board, threads = Board(study=spec.name), torch.get_num_threads()
    try:
        with live_line(board, shown=progress):
            result = run_study(spec, board, only_censored=only_censored, max_hours=max_hours)
    finally:  # training sets it for itself
        torch.set_num_threads(threads)
    if result.stopped and max_hours is None:
        raise KeyboardInterrupt(f"{spec.name}: stopped; everything finished is kept, the same call goes on.")
    return result
