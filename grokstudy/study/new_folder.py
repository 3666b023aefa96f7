"""A study folder that is made as a whole: it is empty before, and a failure leaves nothing behind."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from grokstudy.spec.errors import BadInput
from grokstudy.store.folder import StudyFolder
from grokstudy.store.lock import LOCK, study_lock


@contextlib.contextmanager
def new_folder(folder: StudyFolder, remedy: str) -> Iterator[None]:
    """Holds the new folder's lock while the caller fills it; write `study.yaml` last.

    Raises:
        BadInput: something is there already; nothing of it is touched.
        StudyBusy: another process is making it.
    """
    _refuse_overwriting(folder, remedy)
    with study_lock(folder):
        _refuse_overwriting(folder, remedy)
        try:
            yield
        except BaseException:
            folder.delete([name for name in folder.names("") if name != LOCK])
            raise


def _refuse_overwriting(folder: StudyFolder, remedy: str) -> None:
    if [name for name in folder.names("") if name != LOCK]:
        raise BadInput(f"{folder.where('')[:-1]} exists already and is never overwritten. {remedy}")
