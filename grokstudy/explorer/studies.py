"""The studies of one storage root, as the routes reach them."""

from __future__ import annotations

import dataclasses
from typing import Annotated

from fastapi import Depends, Path, Request

from grokstudy.store.folder import StudyFolder
from grokstudy.store.storage import Storage
from grokstudy.study.api import find


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Studies:
    """A storage root that is only read."""

    root: str

    @property
    def uri(self) -> str:
        """Where it is, for people."""
        return Storage.open(self.root).uri

    def names(self) -> list[str]:
        """Names of its studies, sorted."""
        return Storage.open(self.root).studies()


def _studies(request: Request) -> Studies:
    found: Studies = request.app.state.studies
    return found


def _folder(request: Request, study: Annotated[str, Path()]) -> StudyFolder:
    """The study of an address. Raises BadInput: there is none; names the nearest."""
    return find(study, _studies(request).root)


TheStudies = Annotated[Studies, Depends(_studies)]
TheFolder = Annotated[StudyFolder, Depends(_folder)]
