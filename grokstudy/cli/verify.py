"""The verb `verify`: the hand-written algorithm against the trained network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from grokstudy.cli.live import Mode, Progress, shown
from grokstudy.cli.measure import WeightsLayout, Which
from grokstudy.cli.read import Output, Storage, Target
from grokstudy.cli.run import Plugins
from grokstudy.cli.show import Format, err, out, print_json, print_rows
from grokstudy.spec import plugins
from grokstudy.spec.errors import BadInput, DamagedFile
from grokstudy.study.board import Board

if TYPE_CHECKING:
    from grokstudy.circuits._keys import Rule
    from grokstudy.spec.trial import TrialSpec
    from grokstudy.study.verify import Plan, Verified

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
    step: Annotated[
        list[int] | None, typer.Option("--step", min=0, help="a checkpoint's step; may be repeated")
    ] = None,
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
    progress: Progress = Mode.auto,
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
    _check_emit(emit)
    if is_file(words[0]):
        if step or checkpoints is Which.all:
            raise BadInput("--step, --checkpoints: a weights file is one network; leave them out.")
        last = _file(Path(words[0]), layout, words[1:], split, rule, emits=emit is not None)
        rows, damaged = [row_of(last)], list[str]()
    else:
        if len(words) > 1:
            raise BadInput(f"verify: got '{words[1]}' beside '{words[0]}'; only a FILE is followed by settings.")
        if layout is not None or split is not None:
            raise BadInput("--layout, --split: say how to read a FILE; a study knows both.")
        planned = _plan(words[0], step or [], checkpoints, storage, emits=emit is not None)
        last, rows, damaged = _stored(planned, words[0], rule, format, progress)
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
    from grokstudy.circuits._values import NO_ROWS

    found, fit = one.found, one.found.fit
    why = [*([found.reason] if found.reason else []), *([NO_ROWS] if found.n_test == 0 else [])]
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
        "reason": ", ".join(why) or None,
    }


def _plan(target: str, steps: list[int], which: Which, storage: str | None, *, emits: bool) -> Plan:
    """Which networks to verify; refuses a program that cannot be written before the work and not after it."""
    from grokstudy.study.api import storage_root
    from grokstudy.study.verify import plan

    planned = plan(target, storage_root(storage), steps, which.value)
    if not emits:
        return planned
    if len(planned.trials) > 1:
        raise BadInput(
            f"--emit: '{target}' has {len(planned.trials)} trials and a program is one network; name one, e.g. "
            f"{planned.trials[0].trial.trial_id}."
        )
    _check_program(planned.trials[0].spec)
    return planned


def _stored(planned: Plan, target: str, rule: Rule, form: Format, mode: Mode) -> tuple[Verified, list[Row], list[str]]:
    from grokstudy.measure_jobs.run import MeasureProgress
    from grokstudy.study.verify import verified

    board = Board(study=target, stage="verifying", notices=list(planned.left_out))
    rows: list[Row] = []
    damaged: list[str] = []
    last = None
    with shown(board, mode, form):
        board.measuring(MeasureProgress(done=0, total=planned.total))
        for one in verified(planned, rule):
            if isinstance(one, DamagedFile):
                damaged.append(str(one))
            else:
                rows.append(row_of(one))
                last = one
            board.measuring(MeasureProgress(done=len(rows) + len(damaged), total=planned.total))
        board.stage = "finished"
    if last is None:
        raise DamagedFile(f"verify: no checkpoint could be read: {damaged[0]}")
    return last, rows, damaged


def _file(
    file: Path, layout: WeightsLayout | None, settings: list[str], split: str | None, rule: Rule, *, emits: bool
) -> Verified:
    from grokstudy.cli.measure import trial_of
    from grokstudy.measure_jobs.weights import weights_subject
    from grokstudy.study.verify import verified_subject

    trial = trial_of(settings) if settings else None
    try:
        subject = weights_subject(file, None if layout is None else layout.value, trial, split, rule)
    except BadInput as error:  # which names the option of `measure`
        raise type(error)(str(error).replace("--weights", "FILE")) from error
    if emits:
        _check_program(subject.spec)
    return verified_subject(subject)


def _check_program(spec: TrialSpec) -> None:
    """Refuses a task that no program is written for, before the work and not after it."""
    from grokstudy.spec.trial import plugin_name

    if (name := plugin_name(spec.task)) != "modular":
        raise BadInput(f"--emit: writes programs for task=modular, this trial has task={name}.")


def _check_emit(target: Path | None) -> None:
    """Says what is wrong with the file before the work and not after it."""
    if target is None:
        return
    if target.is_dir() or not target.parent.is_dir():
        raise BadInput(f"--emit: '{target}' must be a file in a folder that exists.")
    if target.exists() and BY_US not in target.read_bytes():
        raise BadInput(f"--emit: '{target}' exists and is no program written by --emit; choose another name.")


def _emit(last: Verified, target: Path) -> str:
    """Writes the program; returns a line that says how well it does."""
    from grokstudy.circuits._decompile import decompile

    program = decompile(last.subject, last.found, last.origin)
    target.write_text(program.text)
    return f"{target}: the network's answer on {program.same} of {program.inputs} inputs, right on {program.right}."


BY_US = b"Decompiled by grokstudy from"
"""Stands in every program that --emit wrote."""
COLUMNS = {
    "trial_id": "trial_id",
    "step": "step",
    "agreement": "agreement",
    "agreement_all": "agreement_all",
    "logit_fve": "logit_fve",
    "fve_random_keys": "random_keys",
    "runner_up_agreement": "runner_up",
    "certified_share": "certified_share",
    "kl": "kl",
    "key_freqs": "key_freqs",
}
"""What the table shows, by shorter names: a terminal is narrow. The other formats hold everything."""
DIGITS = 5
"""Enough not to show one wrong input of 44,521 (p = 211) as none."""
WHY = {
    "never_generalised": "no checkpoint generalised, so there are no key frequencies and nothing is fitted",
    "no_rows": "there are no test rows",
    "not_finite": "a logit is infinite or NaN",
    "no_keys": "no frequency is a key in the last generalised checkpoint",
}
ALL_FREQUENCIES = (
    "With all frequencies the algorithm is the table of right answers: these numbers do not tell waves from a table "
    "(docs/proof.md)."
)
FOURIER = "fourier_multiplication"
MOST_PROOFS = 5
"""Lines about different choices of frequencies."""


def _rows(rows: list[Row], form: Format, target: Path | None) -> None:
    import pandas as pd

    frame = pd.DataFrame(rows)
    if form is Format.table:
        frame = frame[list(COLUMNS)].rename(columns=COLUMNS)
        frame["key_freqs"] = ["all" if row["frequencies"] == "all" else row["key_freqs"] for row in rows]
        numbers = frame.select_dtypes("float").columns
        frame[numbers] = frame[numbers].map(lambda number: float(f"{number:.{DIGITS}g}"))
    print_rows(frame, form, target, most=None)


def _summary(rows: list[Row]) -> None:
    """What is proved, what it does not say, and why values are missing."""
    for reason in sorted({reason for row in rows if row["reason"] for reason in str(row["reason"]).split(", ")}):
        err.print(f"Some values are missing: {reason} ({WHY.get(reason, 'see docs/proof.md')}).", markup=False)
    verdicts = dict.fromkeys(map(_verdict, sorted(rows, key=lambda row: float(str(row["margin"])))))
    for verdict in list(verdicts)[:MOST_PROOFS]:
        out.print(verdict, markup=False)
    if len(verdicts) > MOST_PROOFS:
        out.print(f"{len(verdicts) - MOST_PROOFS} more choices of frequencies have larger margins.", markup=False)
    if any(row["frequencies"] == "all" and row["coefficients"] and row["algorithm"] == FOURIER for row in rows):
        err.print(ALL_FREQUENCIES, markup=False)


def _verdict(row: Row) -> str:
    """The algorithm, what it is made of, and what is proved of it."""
    numbers = f"margin {row['margin']:.4g}, rounding {row['error_bound']:.1g}"
    if row["proved"]:
        return f"{_algorithm(row)} is right on every input: proved ({numbers})."
    return f"{_algorithm(row)} is NOT right on every input for certain: on {row['algorithm_accuracy']:.4%} ({numbers})."


def _algorithm(row: Row) -> str:
    name, parts = str(row["algorithm"]), "frequencies" if row["algorithm"] == FOURIER else "irreps"
    if name == "parity":
        return name
    which = f"all {parts}" if row["frequencies"] == "all" else f"{parts} {str(row['key_freqs']).strip('[]')}"
    return f"{name} with {which}"
