"""Data of open cells, and of all trials behind a diagram."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from grokstudy.explorer import cells
from grokstudy.explorer.answer import Answer
from grokstudy.explorer.routes_study import TheQuery
from grokstudy.explorer.studies import TheFolder
from grokstudy.explorer.view import Cell, cell

router = APIRouter(default_response_class=Answer)

Dark = Annotated[bool, Query()]


def _cells(request: Request) -> tuple[Cell, ...]:
    """The open cells of an address."""
    return tuple(cell(text) for text in request.query_params.getlist("cell"))


TheCells = Annotated[tuple[Cell, ...], Depends(_cells)]


@router.get("/s/{study}/cells/curves")
def curves(folder: TheFolder, query: TheQuery, open: TheCells, dark: Dark = False) -> Answer:
    """The curves of every trial of each open cell."""
    return Answer({"cells": cells.curves(folder, query, open, dark=dark)})


@router.get("/s/{study}/cells/survival")
def survival(folder: TheFolder, query: TheQuery, open: TheCells, dark: Dark = False) -> Answer:
    """When the trials of the open cells memorised and generalised."""
    return Answer({"figure": cells.survival(folder, query, open, dark=dark)})


@router.get("/s/{study}/cells/trials")
def trials(folder: TheFolder, query: TheQuery, open: TheCells) -> Answer:
    """The trials of the open cells; of the whole diagram if none is open."""
    return Answer(cells.listed(folder, query, open))


@router.get("/s/{study}/cells/differences")
def differences(folder: TheFolder, query: TheQuery, open: TheCells) -> Answer:
    """In what the last two open cells differ."""
    return Answer(cells.compared(folder, query, open))


@router.get("/s/{study}/parallel")
def parallel(folder: TheFolder, query: TheQuery, dark: Dark = False) -> Answer:
    """Parallel coordinates of the trials behind the diagram."""
    return Answer({"figure": cells.parallel(folder, query, dark=dark)})
