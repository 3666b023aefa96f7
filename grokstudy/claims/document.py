"""docs/claims.md: every claim in one table, then each with its figure, its checks and what was tried."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from grokstudy.claims.account import Account
from grokstudy.claims.figure import save_claim_figure
from grokstudy.claims.library import Claim, planned
from grokstudy.claims.words import bounds, duration, interval
from grokstudy.spec.claim import COSTS, MAIN

HEAD = """# Claims: published results as executable studies

Each row is a study in `conf/study/claims/` with a record of what was published, where the number was read, how it is
measured here, and which interval would count as the same. A **check** gives an effect with its 95 % interval, a seed
being the unit of replication: *reproduced* if the whole interval is equivalent to what was published, *not reproduced*
if none of it is, *undecided* otherwise. A claim is as good as its worst check, controls included (random labels, random
key sets, untrained networks, less decay): what the control shows too is not shown. Bands of shares are as wide as the
seeds can decide: that none of three generalises leaves shares up to .56 open, none of ten up to .28. Other thresholds
change times, outcomes and retention; checks that read losses, accuracies or measures themselves stay as they are.

<!-- checked only: a claim trains for minutes, and the report writes this very page -->

    grokstudy claim list
    grokstudy claim show parity --tau .9         # judged again under other thresholds, without training
    grokstudy claim run parity                   # from nothing; again = resume
    grokstudy claim run parity 'seed=seeds(20)'  # wider: only what is new
    grokstudy claim run parity --arm main        # without its controls, which another call runs
    grokstudy claim keep parity                  # rows run here become the committed ones
    grokstudy claim report                       # this page, from the rows in docs/claims/
    grokstudy problems                           # open problems on toy networks, and what there is for each

A claim of your own is one file `study/claims/NAME.yaml` in a folder that `--config-dir` names: a study with a `claim`
whose fields are those of `grokstudy/spec/claim.py`. Checks are SELECTs over `trials` (with a column `arm`), `curves`
and `measures`, one row per seed.

Two published results have no study. Row 1 of the list that these are from, the measures on weights released with
neelnanda-io/Grokking, needs those weights, which cannot be shipped: `measure --weights FILE --layout nanda` reads them.
Row 36 (Furuta et al. 2024, density of Fourier components of addition and multiplication) reads multiplication by
residues; our measure reads it by discrete logarithms.

Cost is that of the whole claim: {costs}.
*Trained* is what the committed rows took, in time of one core of the machine that ran them (2 cores of AMD EPYC, no
GPU; other work beside them).

"""


def write_document(claims: Sequence[Claim], accounts: Mapping[str, Account], target: Path, figures: Path) -> list[Path]:
    """Writes the page and one figure per judged claim; drops those of claims that are not. Returns what was written.

    Args:
        claims: all claims in their order.
        accounts: those that have results, by claim.
        target: the Markdown file.
        figures: folder of the figures.
    """
    accounts = {name: one for name, one in accounts.items() if one.verdict != "not run"}
    figures.mkdir(parents=True, exist_ok=True)
    written = [target]
    parts = [HEAD.format(costs="; ".join(f"{key} {text}" for key, text in COSTS.items())), _summary(claims, accounts)]
    parts.append(
        "\n| # | claim | published | ours (95 % interval, n) | verdict | cost | trained |\n"
        "|---|---|---|---|---|---|---|\n"
    )
    parts += [_row(claim, accounts.get(claim.name)) for claim in claims]
    for claim in claims:
        picture = figures / f"{claim.name}.png"
        found = accounts.get(claim.name)
        if found is None:
            picture.unlink(missing_ok=True)
        else:
            save_claim_figure(found, picture)
            written.append(picture)
        parts.append(_section(claim, found, os.path.relpath(picture, target.parent)))
    target.write_text("".join(parts))
    return written


def _summary(claims: Sequence[Claim], accounts: Mapping[str, Account]) -> str:
    counts = Counter(account.verdict for account in accounts.values())
    words = ", ".join(f"{counts[verdict]} {verdict}" for verdict in ("reproduced", "not reproduced", "undecided"))
    studies = {account.claim.study: account for account in accounts.values()}.values()  # several claims may share one
    trained = duration(sum(account.seconds for account in studies))
    trials = sum(account.trials for account in studies)
    return f"**{len(accounts)} of {len(claims)} claims run: {words}.** {trials:,} trials, {trained} of one core.\n"


def _row(claim: Claim, found: Account | None) -> str:
    record = claim.record
    published = "<br>".join(f"{check.name}: {check.published}" for check in record.checks if not check.control)
    ours = (
        "not run"
        if found is None
        else "<br>".join(f"{one.check.name}: {interval(one.found)}" for one in found.judged if not one.check.control)
    )
    verdict = "not run" if found is None else f"**{found.verdict}**"
    trained = "" if found is None else duration(found.seconds)
    cells = (f"[{record.number}](#{claim.name})", record.statement, published, ours, verdict, record.cost, trained)
    return "| " + " | ".join(_cell(text) for text in cells) + " |\n"


def _section(claim: Claim, found: Account | None, picture: str) -> str:
    record = claim.record
    lines = [f"\n## {claim.name}\n\n{record.number}. {record.statement}\n\n"]
    lines.append(f"- Source: {record.source}\n- Setting: {record.setting}\n- Measured: {record.measured}\n")
    for arm in record.arms:
        lines.append(f"- Arm `{arm.name}`: {arm.why} (`{' '.join(arm.words)}`)\n")
    studies = claim.composed()
    all_trials = planned(studies)
    trials = " + ".join(
        f"{spec.budget:,} steps" if arm == MAIN else f"{arm} {spec.budget:,}" for arm, spec in studies.items()
    )
    lines.append(f"- {all_trials} trials ({trials}), cost {record.cost}: `grokstudy claim run {claim.name}`\n")
    if found is None:
        lines.append("- **Not run.**\n")
    else:
        lines.append("\n| check | published (read in) | equivalent | ours | verdict |\n|---|---|---|---|---|\n")
        for one in found.judged:
            check = one.check
            name = f"{check.name} (control)" if check.control else check.name
            cells = (
                name,
                f"{check.published} ({check.provenance})",
                bounds(check.equivalence),
                interval(one.found),
                one.verdict,
            )
            lines.append("| " + " | ".join(_cell(text) for text in cells) + " |\n")
        if found.trials < all_trials:
            lines.append(f"\n{found.trials} of {all_trials} trials are done.\n")
        lines.append(f"\n![{claim.name}]({picture})\n")
    if record.tried:
        lines.append(f"\n{record.tried}\n")
    return "".join(lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
