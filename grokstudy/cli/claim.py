"""The verbs of `claim`: published results as studies that judge them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from grokstudy.cli.claim_show import describe, document, show_account
from grokstudy.cli.live import Mode, Progress, shown
from grokstudy.cli.read import Budget, Rule, Storage
from grokstudy.cli.run import GOES_ON, INTERRUPTED, NOTHING_RAN, ConfigDir, errors_query, polite
from grokstudy.cli.show import Format, check_document, check_picture, err, out, print_entries, print_json
from grokstudy.spec.errors import BadInput, unknown
from grokstudy.study.board import Board

if TYPE_CHECKING:
    from grokstudy.claims.account import Account
    from grokstudy.claims.judge import Thresholds
    from grokstudy.claims.library import Claim
    from grokstudy.spec.study import StudySpec

verbs = typer.Typer(
    name="claim", help="Published results as studies that judge them (docs/claims.md).", no_args_is_help=True
)

Name = Annotated[str, typer.Argument(help="of a file in conf/study/claims/", metavar="NAME")]
Words = Annotated[list[str] | None, typer.Argument(help="settings for all arms, e.g. cluster=none seed='seeds(9)'")]
Output = Annotated[Format, typer.Option("--format", help="table, or json: one document on stdout")]
Tau = Annotated[float | None, typer.Option("--tau", help="accuracy of t_mem and t_gen; default the claim's")]
Ratio = Annotated[
    float | None, typer.Option("--ratio", help="R: t_gen / t_mem from which it is grokking; default the claim's")
]
Results = Annotated[
    Path | None, typer.Option("--results", help="committed results; default docs/claims of the repository")
]


def add_to(app: typer.Typer) -> None:
    """Registers the verbs."""
    for verb in (list_, run, show, keep, report):
        verbs.command(verb.__name__.rstrip("_"))(verb)
    app.add_typer(verbs)


def list_(config_dir: ConfigDir = None, results: Results = None, format: Output = Format.table) -> None:
    """Every claim with its verdict by the committed results, its cost and its source.

    Example: grokstudy claim list
    """
    from grokstudy.claims.library import every

    check_document(format)
    claims = every(config_dir)
    found = _accounts(claims, results)
    if format is Format.json:
        print_json([document(claim, found.get(claim.name)) for claim in claims])
        return
    entries = []
    for claim in claims:
        verdict = found[claim.name].verdict if claim.name in found else "not run"
        line = f"{claim.record.number}. {claim.record.statement} ({claim.record.cost}, {verdict})"
        entries.append((claim.name, [line, claim.record.source]))
    print_entries(entries)


def run(
    name: Name,
    words: Words = None,
    arms: Annotated[
        list[str] | None, typer.Option("--arm", help="only main, or a control by its name; may be given several times")
    ] = None,
    tau: Tau = None,
    ratio: Ratio = None,
    budget: Budget = None,
    rule: Rule = None,
    max_hours: Annotated[float | None, typer.Option("--max-hours", help="stop in time; run again to go on")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print what would be done and its cost")] = False,
    config_dir: ConfigDir = None,
    format: Output = Format.table,
    progress: Progress = Mode.auto,
) -> None:
    """Runs what is missing of a claim's studies, its controls included, and judges it; again = resume.

    Example: grokstudy claim run parity --max-hours 0.5
    """
    from grokstudy.claims.account import thresholds_of
    from grokstudy.claims.library import load
    from grokstudy.claims.results import unrun

    check_document(format)
    with polite():
        claim = load(name, config_dir)
        thresholds = thresholds_of(claim, tau, ratio, budget, rule)
        studies = claim.composed(words or [])
        chosen = _chosen(name, studies, arms)
        if dry_run:
            describe(claim, chosen, format)
            return
        until = None if max_hours is None else time.monotonic() + max_hours * 3600
        hours = max_hours  # as given: the first arm's run refuses what cannot be
        for spec in chosen.values():
            _train(spec, hours, until, format, progress)
            if until is not None and (hours := (until - time.monotonic()) / 3600) <= 0:
                break
    root = next(iter(studies.values())).storage.root
    if missing := unrun(claim, root):
        err.print(f"{name}: not judged; {', '.join(missing)} not run yet.", markup=False)
        if format is Format.json:
            print_json(document(claim, None))
        return
    show_account(_account(claim, studies, root, None, thresholds), studies, format)


def show(
    name: Name,
    tau: Tau = None,
    ratio: Ratio = None,
    budget: Budget = None,
    rule: Rule = None,
    target: Annotated[Path | None, typer.Option("--out", help="the figure: .png .svg .pdf")] = None,
    storage: Storage = None,
    results: Results = None,
    config_dir: ConfigDir = None,
    format: Output = Format.table,
) -> None:
    """Judges a claim under any thresholds, without training: by what was run here, else by the committed results.

    Example: grokstudy claim show parity --tau .9 --out parity.pdf
    """
    from grokstudy.claims.account import thresholds_of
    from grokstudy.claims.library import load
    from grokstudy.claims.results import committed_root
    from grokstudy.study.api import storage_root

    check_document(format)
    if target is not None:
        check_picture(target, (".png", ".svg", ".pdf"))
    claim = load(name, config_dir)
    thresholds, studies = thresholds_of(claim, tau, ratio, budget, rule), claim.composed()
    account = _account(claim, studies, storage_root(storage), results or committed_root(), thresholds)
    show_account(account, studies, format)
    if target is not None:
        from grokstudy.claims.figure import save_claim_figure

        save_claim_figure(account, target)


def keep(
    names: Annotated[list[str], typer.Argument(help="claims that were run here", metavar="NAME...")],
    storage: Storage = None,
    results: Results = None,
    fewer: Annotated[
        bool, typer.Option("--fewer", help="replace what is kept already by fewer trials, or shorter ones")
    ] = False,
    config_dir: ConfigDir = None,
) -> None:
    """Writes what was run here to the committed results: trials, accuracies and measures, as small Parquet files.

    Example: grokstudy claim keep parity
    """
    from grokstudy.claims.library import every, load
    from grokstudy.claims.results import check_current, here
    from grokstudy.claims.results import keep as write
    from grokstudy.cli.show import size
    from grokstudy.study.api import storage_root

    target, root = _root(results), storage_root(storage)
    for name in names:
        claim = load(name, config_dir)
        folders = here(claim, root)
        if folders is None:
            raise BadInput(
                f"claim: {name} has not been run under {root}, or not all of it; `grokstudy claim run {name}` goes on."
            )
        check_current(claim, claim.composed(), folders)
        sharing = [other for other in every(config_dir) if other.study == claim.study]
        kept = write(sharing, folders, target, fewer=fewer)
        out.print(f"{name}: {kept.trials} trials, {size(kept.size)} in {target}", markup=False)


def report(
    target: Annotated[
        Path | None, typer.Option("--out", help="the page; default docs/claims.md of the repository")
    ] = None,
    results: Results = None,
    config_dir: ConfigDir = None,
) -> None:
    """Writes the table of all claims with their figures from the committed results; nothing is trained.

    Example: grokstudy claim report
    """
    from grokstudy.claims.document import write_document
    from grokstudy.claims.library import every

    root = _root(results)
    page = target or root.with_suffix(".md")
    claims = every(config_dir)
    figures = page.parent / "images" / "claims"
    written = write_document(claims, _accounts(claims, root), page, figures)
    out.print(f"{page} and {len(written) - 1} figures in {figures}", markup=False)


def _chosen(name: str, studies: dict[str, StudySpec], arms: list[str] | None) -> dict[str, StudySpec]:
    """The arms asked for; all if none is.

    Raises:
        BadInput: the claim has no such arm.
    """
    for arm in arms or ():
        if arm not in studies:
            raise unknown("--arm", arm, list(studies), f"See `grokstudy claim run {name} --dry-run`.")
    return {arm: spec for arm, spec in studies.items() if not arms or arm in arms}


def _train(spec: StudySpec, hours: float | None, until: float | None, form: Format, mode: Mode) -> None:
    """Runs what is missing of one arm, for at most so many hours, which are over at `until`.

    Raises:
        BadInput: the hours, or a setting, cannot be used.
        typer.Exit: it was interrupted, or every trial that ran failed.
    """
    from grokstudy.study.begin import begin_study

    board = Board(study=spec.name)
    with shown(board, mode, form):
        result = begin_study(spec, board, max_hours=hours)
    if result.stopped and (until is None or time.monotonic() < until):
        err.print(f"{spec.name}: stopped. {GOES_ON}", markup=False)
        raise typer.Exit(INTERRUPTED)
    if result.all_failed:
        err.print(f"{spec.name}: every trial that ran failed; {errors_query(result)} says why.", markup=False)
        raise typer.Exit(NOTHING_RAN)


def _account(
    claim: Claim, studies: Mapping[str, StudySpec], root: str, committed: Path | None, thresholds: Thresholds
) -> Account:
    """The claim judged by what was run under the root, else by the committed results.

    Raises:
        BadInput: neither is there, or rows are of another study, or cannot be judged.
    """
    from grokstudy.claims.account import account
    from grokstudy.claims.results import check_current, found

    folders = found(claim, root, committed)
    check_current(claim, studies, folders)
    return account(claim, folders, thresholds)


def _accounts(claims: list[Claim], results: Path | None) -> dict[str, Account]:
    """Of the claims that have committed results."""
    from grokstudy.claims.account import account, thresholds_of
    from grokstudy.claims.results import committed_root, here

    root = results or committed_root()
    folders = {} if root is None else {claim.name: here(claim, str(root)) for claim in claims}
    return {
        claim.name: account(claim, own, thresholds_of(claim))
        for claim in claims
        if (own := folders.get(claim.name)) is not None
    }


def _root(results: Path | None) -> Path:
    from grokstudy.claims.results import committed_root

    root = results or committed_root()
    if root is None:
        raise BadInput("--results: there is no docs/claims beside this installation; give the folder of the results.")
    return root
