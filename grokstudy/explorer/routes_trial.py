"""Data of trials: their page, their figures at a checkpoint, and their verification."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from grokstudy.explorer.answer import Answer
from grokstudy.explorer.studies import TheFolder, TheStudies
from grokstudy.explorer.trial import opened, parsed_step, trial_figure, trial_page, verification
from grokstudy.study.lookup import find_trial

router = APIRouter(default_response_class=Answer)


@router.get("/t/{prefix}")
def trial_of_any_study(studies: TheStudies, prefix: str) -> Answer:
    """Where the trial is whose id starts like this."""
    found = find_trial(prefix, studies.root)
    return Answer({"study": found.folder.name, "trial_id": found.trial_id})


@router.get("/s/{study}/trial/{prefix}")
def trial(folder: TheFolder, prefix: str) -> Answer:
    """Row, config and checkpoints of a trial, and the figures it may have."""
    return Answer(trial_page(opened(folder, prefix)))


@router.get("/s/{study}/trial/{prefix}/figure/{name}")
def figure(
    folder: TheFolder, prefix: str, name: str, step: str | None = None, dark: Annotated[bool, Query()] = False
) -> Answer:
    """One figure of a trial, of one checkpoint where it is of one."""
    return Answer(trial_figure(opened(folder, prefix), name, parsed_step(step), dark=dark))


@router.get("/s/{study}/trial/{prefix}/verification")
def verify(folder: TheFolder, prefix: str, step: int | None = None) -> Answer:
    """The hand-written algorithm against the network at some checkpoints."""
    return Answer({"steps": verification(opened(folder, prefix), step)})
