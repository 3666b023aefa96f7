"""Data of studies: their list, the head of one, its phase diagram, and the diagram as a file."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response

from grokstudy.explorer.answer import Answer
from grokstudy.explorer.diagram import downloaded, drawn
from grokstudy.explorer.overview import default_query, overview
from grokstudy.explorer.sql import rows
from grokstudy.explorer.studies import TheFolder, TheStudies
from grokstudy.explorer.view import phase_query
from grokstudy.phase.query import PhaseQuery

router = APIRouter(default_response_class=Answer)

_MEDIA = {
    "svg": "image/svg+xml",
    "pdf": "application/pdf",
    "png": "image/png",
    "csv": "text/csv",
    "json": "application/json",
}


def asked(folder: TheFolder, request: Request) -> PhaseQuery:
    """The diagram that a request asks for; the study's own where its address does not say."""
    return phase_query(request.query_params.multi_items(), default_query(folder))


TheQuery = Annotated[PhaseQuery, Depends(asked)]


@router.get("/studies")
def studies(studies: TheStudies) -> Answer:
    """Names of all studies and where they lie."""
    return Answer({"root": studies.uri, "studies": studies.names()})


@router.get("/s/{study}")
def study(folder: TheFolder) -> Answer:
    """Counts, settings and values of a study."""
    return Answer(overview(folder))


@router.get("/s/{study}/diagram")
def diagram(folder: TheFolder, query: TheQuery, dark: Annotated[bool, Query()] = False) -> Answer:
    """The phase diagram of the address."""
    return Answer(drawn(folder, query, dark=dark))


@router.get("/s/{study}/download/phase.{kind}")
def download(folder: TheFolder, query: TheQuery, kind: Literal["svg", "pdf", "png", "csv", "json"]) -> Response:
    """The phase diagram of the address as a file."""
    name = f"{folder.name}-phase.{kind}"
    return Response(
        downloaded(folder, query, kind),
        media_type=_MEDIA[kind],
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


@router.get("/s/{study}/mlflow")
def mlflow(folder: TheFolder, request: Request, trial: str | None = None) -> Answer:
    """Where MLflow shows the study, or one of its trials."""
    from grokstudy.explorer.mlflow_link import mlflow_link  # loads MLflow: seconds that few visits need

    return Answer({"url": mlflow_link(folder, trial, request.app.state.mlflow)})


@router.get("/s/{study}/sql")
def sql(folder: TheFolder, request: Request, q: str = "") -> Answer:
    """Rows of one SELECT over the study's views."""
    return Answer(rows(folder, q, allowed=request.app.state.sql))
