"""The verb `verify`: the hand-written algorithm against the trained network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from grokstudy.cli.measure import WeightsLayout, Which
from grokstudy.cli.read import Output, Storage, Target
from grokstudy.cli.run import Plugins
from grokstudy.cli.show import Format, err, out, print_json, print_rows, progress
from grokstudy.spec import plugins
from grokstudy.spec.errors import BadInput, DamagedFile
from grokstudy.study.board import Board

if TYPE_CHECKING:
    from grokstudy.study.verify import Verified

Json: TypeAlias = "float | int | str | list[int] | list[float] | list[list[float]] | None"
Row: TypeAlias = "dict[str, Json]"


def add_to(app: typer.Typer) -> None:
    """Registers the verb."""
    app.command()(verify)


def verify(
    words: Annotated[
        list[str],
        typer.Argument(
            help="name of a study, start of a trial_id, or weights file (then settings such as task.p=113)",
            metavar="STUDY|TRIAL|FILE",
        ),
    ],
    step: Annotated[list[int] | None, typer.Option("--step", help="a checkpoint's step; may be repeated")] = None,
    checkpoints: Annotated[
        Which, typer.Option("--checkpoints", help="start, last generalised and end; or all")
    ] = Which.final,
    key_freq_rule: Annotated[str, typer.Option("--key-freq-rule", help="neuron, w_l or w_e")] = "neuron",
    emit: Annotated[
        Path | None, typer.Option("--emit", help="file to write the last verified network to, as a numpy program")
    ] = None,
    layout: Annotated[
        WeightsLayout | None, typer.Option("--layout", help="of FILE; default: as exported, else transformer_lens")
    ] = None,
    split: Annotated[
        str | None, typer.Option("--split", help="of FILE: python_random:SEED:FRAC or a split.json")
    ] = None,
    plugin: Plugins = None,
    format: Output = Format.table,
    target: Target = None,
    storage: Storage = None,
) -> None:
    """Compares networks with the hand-written algorithm of their task, and says what of them is proved.

    Examples: grokstudy verify demo --checkpoints all ; grokstudy verify 3f2a --step 900 --emit algorithm.py ;
    grokstudy verify net.pth --layout nanda task=modular task.p=113 --split python_random:1:0.3
    """
    from grokstudy.circuits._keys import rule_of
    from grokstudy.study.verify import is_file

    for path in plugin or []:
        plugins.add_file(path)
    rule = rule_of(key_freq_rule)
    if is_file(words[0]):
        if step:
            raise BadInput("--step: a weights file is one network; leave it out.")
        last = _file(Path(words[0]), layout, words[1:], split, rule)
        rows, damaged = [row_of(last)], list[str]()
    else:
        if len(words) > 1:
            raise BadInput(f"verify: got '{words[1]}' beside '{words[0]}'; only a FILE is followed by settings.")
        last, rows, damaged = _stored(words[0], step or [], checkpoints, rule, storage, format, emit is not None)
    program = None if emit is None else _emit(last, emit)
    if format is Format.json and target is None:
        print_json({**rows[-1], "checkpoints": rows})
    else:
        _rows(rows, format, target)
    if format is Format.table:
        _summary(rows)
        if program is not None:
            out.print(program, markup=False)
    if damaged:
        raise DamagedFile(f"verify: {len(damaged)} checkpoints could not be read: {damaged[0]}")


def row_of(one: Verified) -> Row:
    """One verification as plain values; what is not defined is None, and `reason` says why."""
    from grokstudy.circuits._verification import missing

    found, fit = one.found, one.found.fit
    keys = found.choice == "keys" or found.fit is not None
    return {
        "study": one.study,
        "trial_id": one.trial_id,
        "step": one.step,
        "algorithm": found.algorithm,
        "key_freqs": list(found.frequencies) if keys else None,
        "frequencies": found.choice,
        "algorithm_accuracy": found.algorithm_accuracy,
        "margin": found.margin,
        "error_bound": found.error_bound,
        "proved": found.margin > 2 * found.error_bound,
        "agreement": found.agreement_test,
        "agreement_all": found.agreement_all,
        "logit_fve": None if fit is None else fit.logit_fve,
        "fve_random_keys": None if fit is None else fit.fve_random_keys,
        "runner_up_agreement": None if fit is None else fit.runner_up_agreement,
        "certified_share": None if fit is None else fit.certified_share,
        "kl": None if fit is None else fit.kl,
        "coefficients": None if fit is None else list(fit.coefficients),
        "fitted_margin": one.fitted_margin,
        "n": found.n,
        "n_test": found.n_test,
        "disagreements": [[*each.inputs, each.network, each.algorithm] for each in one.disagreements],
        "reason": missing(found) if fit is None or found.agreement_test is None else None,
    }


def _stored(
    target: str, steps: list[int], which: Which, rule: str, storage: str | None, form: Format, one_trial: bool
) -> tuple[Verified, list[Row], list[str]]:
    from grokstudy.measure_jobs.run import MeasureProgress
    from grokstudy.study.api import storage_root
    from grokstudy.study.verify import plan, verified

    planned = plan(target, storage_root(storage), steps, which.value)
    if one_trial and len(planned.trials) > 1:
        raise BadInput(
            f"--emit: '{target}' has {len(planned.trials)} trials and a program is one network; name one, e.g. "
            f"{planned.trials[0].trial.trial_id}."
        )
    board = Board(study=target, stage="measuring", notices=list(planned.left_out))
    rows: list[Row] = []
    damaged: list[str] = []
    last = None
    with progress(board, quiet=form is Format.json):
        for one in verified(planned, rule):
            if isinstance(one, DamagedFile):
                damaged.append(str(one))
            else:
                rows.append(row_of(one))
                last = one
            board.measuring(MeasureProgress(done=len(rows), total=planned.total))
    if last is None:
        raise DamagedFile(f"verify: no checkpoint could be read: {damaged[0]}")
    return last, rows, damaged


def _file(file: Path, layout: WeightsLayout | None, settings: list[str], split: str | None, rule: str) -> Verified:
    from grokstudy.cli.measure import trial_of
    from grokstudy.measure_jobs.weights import weights_subject
    from grokstudy.study.verify import verified_subject

    trial = trial_of(settings) if settings else None
    return verified_subject(weights_subject(file, None if layout is None else layout.value, trial, split, rule))


def _emit(last: Verified, target: Path) -> str:
    """Writes the program; returns a line that says how well it does."""
    from grokstudy.circuits._decompile import decompile

    program = decompile(last.subject, last.found, last.origin)
    target.write_text(program.text)
    return f"{target}: the network's answer on {program.same} of {program.inputs} inputs, right on {program.right}."


COLUMNS = (
    "trial_id", "step", "algorithm_accuracy", "agreement", "agreement_all", "logit_fve", "fve_random_keys",
    "runner_up_agreement", "certified_share", "kl", "key_freqs",
)  # fmt: skip
"""What the table shows; the other formats hold everything."""


def _rows(rows: list[Row], form: Format, target: Path | None) -> None:
    import pandas as pd

    frame = pd.DataFrame(rows)
    print_rows(frame[list(COLUMNS)] if form is Format.table else frame, form, target, most=None)


def _summary(rows: list[Row]) -> None:
    """What is proved, and why values are missing."""
    for reason in sorted({str(row["reason"]) for row in rows if row["reason"]}):
        err.print(f"Some values are missing: {reason}.", markup=False)
    proofs = {(str(row["algorithm"]), str(row["frequencies"]), str(row["margin"])): row for row in rows}
    for row in proofs.values():
        which = "with these frequencies" if row["frequencies"] == "keys" else "with all frequencies"
        verdict = "is right on every input: proved" if row["proved"] else "is NOT right on every input: classes tie"
        out.print(
            f"{row['algorithm']} {which} {verdict} (margin {row['margin']:.4g}, rounding {row['error_bound']:.1g}).",
            markup=False,
        )
