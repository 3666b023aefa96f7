"""What came out of one claim: its checks judged, the rows of its figure, and how much was trained for it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import duckdb
import pandas as pd

from grokstudy.claims.judge import Judged, Thresholds, Verdict, judged_by, overall, rows_of, with_arms
from grokstudy.claims.library import Claim
from grokstudy.store.folder import StudyFolder
from grokstudy.store.views import asked


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Account:
    """A claim after its studies were read under some thresholds."""

    claim: Claim
    thresholds: Thresholds
    judged: tuple[Judged, ...]
    rows: pd.DataFrame | None
    """Of the figure."""
    trials: int
    seconds: float
    """Of one core, all arms."""

    @property
    def verdict(self) -> Verdict:
        return overall(self.judged)


def thresholds_of(
    claim: Claim,
    tau: float | None = None,
    ratio: float | None = None,
    budget: int | None = None,
    rule: str | None = None,
) -> Thresholds:
    """Those of the claim, but for what is given."""
    record = claim.record
    return Thresholds(
        tau=record.tau if tau is None else tau,
        ratio=record.ratio if ratio is None else ratio,
        budget=budget,
        rule=rule,
    )


def account(claim: Claim, folders: Mapping[str, StudyFolder], thresholds: Thresholds) -> Account:
    """Judges a claim by the studies that were run for it.

    Raises:
        BadInput: a SELECT of the claim cannot be answered, or a threshold cannot be used.
    """

    def read(connection: duckdb.DuckDBPyConnection) -> Account:
        with_arms(connection, folders, thresholds)
        figure = claim.record.figure
        seconds = [own for (own,) in connection.execute("SELECT seconds FROM trials").fetchall()]
        return Account(
            claim=claim,
            thresholds=thresholds,
            judged=judged_by(connection, claim.record),
            rows=None if figure is None else rows_of(connection, figure.sql, "figure"),
            trials=len(seconds),
            seconds=math.fsum(seconds),  # in any order the same
        )

    return asked(list(folders.values()), read)
