"""A claim on a terminal and as JSON: what is planned, what came out."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

from grokstudy.cli.show import Format, out, print_entries, print_json

if TYPE_CHECKING:
    from grokstudy.claims.account import Account
    from grokstudy.claims.library import Claim
    from grokstudy.spec.study import StudySpec


def show_account(account: Account, studies: Mapping[str, StudySpec], form: Format) -> None:
    """Verdict, checks and what is still to be trained."""
    from grokstudy.claims.library import planned
    from grokstudy.claims.words import bounds, duration, interval

    all_trials = planned(studies)
    if form is Format.json:
        print_json({**document(account.claim, account), "planned": all_trials})
        return
    record = account.claim.record
    done = "" if account.trials >= all_trials else f", {account.trials} of {all_trials} are done"
    out.print(f"{record.number}. {record.statement}", markup=False)
    out.print(f"   {record.source}", markup=False, style="dim")
    took = f"{account.trials} trials, {duration(account.seconds)} of one core{done}"
    out.print(f"   {account.verdict}  ({took})", markup=False)
    out.print(f"   {_read_at(account, studies)}", markup=False, style="dim")
    entries = []
    for one in account.judged:
        check = one.check
        control = "control; " if check.control else ""
        published = f"{control}published {check.published} ({check.provenance}), equivalent {bounds(check.equivalence)}"
        entries.append((f"   {check.name}", [f"{interval(one.found)}: {one.verdict}", published]))
    print_entries(entries)
    if record.tried:
        out.print(f"   {record.tried}", markup=False, style="dim")


def _read_at(account: Account, studies: Mapping[str, StudySpec]) -> str:
    """Thresholds and T, with the budget of an arm that was not trained so far: `never` means little there."""
    arms = ", ".join(
        f"{arm} {steps:,}" + (f" of {studies[arm].budget:,}" if steps < studies[arm].budget else "")
        for arm, steps in account.steps.items()
    )
    asked = account.thresholds
    rule = "" if asked.rule is None else f", generalised: {asked.rule}"
    return f"read with tau {asked.tau:g}, R {asked.ratio:g}{rule}, at step T: {arms}"


def describe(claim: Claim, studies: Mapping[str, StudySpec], form: Format) -> None:
    """What a run would train."""
    from grokstudy.claims.library import planned, updates
    from grokstudy.spec.claim import COSTS

    if form is Format.json:
        arms = {arm: {"study": spec.name, "budget": spec.budget} for arm, spec in studies.items()}
        sizes = {"trials": planned(studies), "updates": updates(studies)}
        print_json({"claim": claim.name, "studies": arms, **sizes, "cost": claim.record.cost})
        return
    cost = COSTS[claim.record.cost]
    out.print(f"{claim.name}: {planned(studies)} trials, {updates(studies):,} member updates, {cost}", markup=False)
    for arm, spec in studies.items():
        out.print(f"  {arm:16} study {spec.name}, {spec.budget:,} steps", markup=False)


def document(claim: Claim, account: Account | None) -> dict[str, object]:
    """A claim as plain data."""
    record = claim.record
    plain: dict[str, object] = {
        "claim": claim.name,
        "number": record.number,
        "statement": record.statement,
        "source": record.source,
        "cost": record.cost,
        "verdict": "not run" if account is None else account.verdict,
    }
    if account is None:
        return plain
    checks = [
        {
            "name": one.check.name,
            "published": one.check.published,
            "provenance": one.check.provenance,
            "equivalence": list(one.check.equivalence),
            "control": one.check.control,
            **dataclasses.asdict(one.found),
            "verdict": one.verdict,
        }
        for one in account.judged
    ]
    thresholds = dataclasses.asdict(account.thresholds)
    read = {"thresholds": thresholds, "steps": dict(account.steps)}
    return {**plain, **read, "trials": account.trials, "seconds": account.seconds, "checks": checks}
