"""The proposals of a study as typed values."""

from __future__ import annotations

import dataclasses

from grokstudy.spec.rows import ProposalRow
from grokstudy.store.counting import quoted
from grokstudy.store.folder import StudyFolder
from grokstudy.store.views import asked


def proposal_rows(folder: StudyFolder) -> list[ProposalRow]:
    """All proposals in their order; none for a study whose sampler is index-based."""
    names = [field.name for field in dataclasses.fields(ProposalRow)]
    sql = f"SELECT {', '.join(map(quoted, names))} FROM proposals ORDER BY number"
    rows = asked([folder], lambda connection: connection.execute(sql).fetchall(), ("proposals",))
    return [ProposalRow(**dict(zip(names, row, strict=True))) for row in rows]
