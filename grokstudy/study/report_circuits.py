"""Sections of a report about the networks: measures, key frequencies, algorithms, and what of them is verified."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import duckdb
import pandas as pd

from grokstudy.circuits._labels import LABELS as ALGORITHMS
from grokstudy.phase.circuit_figures_matplotlib import drawn
from grokstudy.phase.circuit_figures_plotly import CircuitFigure
from grokstudy.phase.columns import columns_of
from grokstudy.phase.report_document import Block, Commands, Picture, Section, Table, Text, table
from grokstudy.phase.report_pictures import as_picture
from grokstudy.phase.report_tables import number
from grokstudy.phase.report_trials import ReportTrials
from grokstudy.phase.times import OUTCOMES
from grokstudy.spec.errors import BadInput
from grokstudy.study.report_source import ReportSource
from grokstudy.study.trial import Trial, trial_of

VERIFIED = (
    "algorithm_accuracy",
    "algorithm_agreement.test",
    "algorithm_agreement.all",
    "algorithm_margin",
    "algorithm_logit_fve",
    "algorithm_fve_random_keys",
    "algorithm_runner_up_agreement",
    "algorithm_kl",
    "certified_share",
)
FIRST = (
    "ce_train",
    "ce_test",
    "acc_test",
    "restricted_loss.all",
    "excluded_loss.train",
    "fve",
    "gini_W_E",
    "gini_W_L",
    "key_freqs",
    "sum_sq_weights",
)
"""Measures that a reader looks for; they stand first."""
MOST_MEASURES = 40
LEAST_CHECKPOINTS = 4
"""Measured checkpoints of one trial from which a picture over steps says something."""
MOST_FREQUENCIES = 12


def last_measures(connection: duckdb.DuckDBPyConnection, trials: ReportTrials) -> pd.DataFrame:
    """Every measure at the last measured checkpoint of each trial, with its outcome; empty if nothing was measured."""
    if not columns_of(connection, "measures"):
        return pd.DataFrame()
    last: pd.DataFrame = connection.execute(
        "SELECT * FROM measures QUALIFY row_number() OVER (PARTITION BY trial_id ORDER BY step DESC) = 1"
    ).df()
    names = [name for name in last if name != "trial_id"]
    last[names] = last[names].apply(pd.to_numeric, errors="coerce")
    return last.merge(trials.table[["trial_id", "outcome"]], on="trial_id").sort_values("trial_id", ignore_index=True)


def circuits(source: ReportSource, trials: ReportTrials, last: pd.DataFrame, *, pictures: bool) -> Section:
    """Measures by outcome, key frequencies, algorithm labels; pictures of one trial."""
    name = source.folder.name
    if last.empty:
        remedy = Commands(((f"grokstudy measure {name} --checkpoints all", "measures of every checkpoint"),))
        return Section("Circuits", (Text("Nothing was measured."), remedy))
    blocks: list[Block] = [_medians(last), *_labels(last), *_keys(source, last)]
    if pictures:
        blocks += _pictures(source, trials, set(last["trial_id"]))
    return Section("Circuits", tuple(blocks))


def verification(source: ReportSource, last: pd.DataFrame) -> Section:
    """How far networks follow the hand-written algorithm of their task, where that was computed."""
    name = source.folder.name
    found = [each for each in VERIFIED if each in last and last[each].notna().any()]
    command = Commands(
        (
            (f"grokstudy verify {name}", "every trial against the algorithm of its task"),
            (f"grokstudy measure {name} --only algorithm", "the same, stored with the study"),
        )
    )
    if not found:
        why = "No network of this study was compared with a hand-written algorithm."
        return Section("Verification", (Text(why), command))
    note = (
        "Medians at the last measured checkpoint. agreement: share of inputs on which network and algorithm answer the "
        "same; certified_share: share of inputs on which the network is proved to follow the algorithm; "
        "fve_random_keys: the control with random frequencies. Agreement alone proves nothing: a table learned by "
        "heart agrees too."
    )
    return Section("Verification", (_by_outcome(last, found, note), command))


def _medians(last: pd.DataFrame) -> Block:
    hidden = {*VERIFIED, "trial_id", "step", "outcome", "algorithm_label", "algorithm_frequencies"}
    names = [name for name in last if name not in hidden and last[name].notna().any()]
    ordered = [*(name for name in FIRST if name in names), *(name for name in sorted(names) if name not in FIRST)]
    if not ordered:
        return Text("Measures are stored, but none is defined for these networks.")
    steps = last["step"]
    place = f"step {steps.min():,.0f}" if steps.nunique() == 1 else f"steps {steps.min():,.0f} to {steps.max():,.0f}"
    note = f"Medians at the last measured checkpoint of each trial ({place}), over the trials where it is defined."
    if len(ordered) > MOST_MEASURES:
        note += f" {MOST_MEASURES} of {len(ordered)} measures; all: grokstudy measures STUDY --format csv."
    return _by_outcome(last, ordered[:MOST_MEASURES], note)


def _by_outcome(last: pd.DataFrame, names: Sequence[str], note: str) -> Table:
    """Median of each measure per outcome, with the number of trials behind it where some lack it."""
    present = [name for name in OUTCOMES if (last["outcome"] == name).any()]
    groups = {name: last[last["outcome"] == name] for name in present}
    header = ("measure", *(f"{name} ({len(groups[name]):,})" for name in present))
    rows = [(name, *(_median(groups[outcome][name]) for outcome in present)) for name in names]
    return table(header, rows, note=note)


def _median(column: pd.Series) -> str:
    known = column.dropna()
    few = f" (n={len(known)})" if 0 < len(known) < len(column) else ""
    return number(float(known.median()) if len(known) else None, ".4g") + few


def _labels(last: pd.DataFrame) -> Iterator[Block]:
    """How often each algorithm was found, by outcome."""
    if "algorithm_label" not in last or last["algorithm_label"].isna().all():
        return
    known = last[last["algorithm_label"].notna()]
    present = [name for name in OUTCOMES if (known["outcome"] == name).any()]
    found = sorted(known["algorithm_label"].astype(int).unique().tolist())
    rows = [
        (
            ALGORITHMS[index],
            *(f"{((known['algorithm_label'] == index) & (known['outcome'] == name)).sum():,}" for name in present),
        )
        for index in found
    ]
    yield table(("algorithm found", *present), rows, note="Trials by the algorithm that the detectors name.")


def _keys(source: ReportSource, last: pd.DataFrame) -> Iterator[Block]:
    """How many key frequencies trials have, and which."""
    protocol = f"keys={source.spec.measures.key_freq_rule}"
    rows = source.connection.execute(
        "SELECT values, reason FROM measures_long WHERE measure = 'key_freqs' AND protocol = ? "
        "QUALIFY row_number() OVER (PARTITION BY trial_id ORDER BY step DESC) = 1",
        [protocol],
    ).fetchall()
    if not rows:
        return
    lists = [values for values, _ in rows if values is not None]
    saturated = sum(reason == "keys_saturated" for _, reason in rows)
    counts = pd.Series([len(values) for values in lists], dtype=int).value_counts().sort_index()
    numbers = [(f"{count} keys" if count != 1 else "1 key", f"{trials:,}") for count, trials in counts.items()]
    if saturated:
        numbers.append(("saturated: more than half of all frequencies", f"{saturated:,}"))
    if other := len(rows) - len(lists) - saturated:
        numbers.append(("not defined", f"{other:,}"))
    each = pd.Series([int(key) for values in lists for key in values], dtype=int).value_counts()
    note = f"Key frequencies at the last measured checkpoint (rule {source.spec.measures.key_freq_rule})."
    if len(each):
        often = ", ".join(f"{key} ({count:,})" for key, count in each.head(MOST_FREQUENCIES).items())
        note += f" Most frequent, with the number of trials: {often}."
    yield table(("key frequencies", "trials"), numbers, note=note)


def _pictures(source: ReportSource, trials: ReportTrials, measured: set[str]) -> Iterator[Block]:
    """Progress, embedding and spectrum of the measured trial in the middle by t_gen, as far as they are defined."""
    own = trials.table[trials.table["trial_id"].isin(measured) & trials.table["t_gen"].notna()]
    if own.empty:
        return
    chosen = own.sort_values(["t_gen", "trial_id"]).iloc[len(own) // 2]
    trial = trial_of(source.folder, str(chosen["trial_id"]))
    rule = f"trial {trial.trial_id}, in the middle by t_gen among the measured ones"
    wanted: list[tuple[str, Callable[[], CircuitFigure], str]] = [
        ("fourier-norms", trial.figures.fourier_norms, f"Fourier norms of the weights at the end: {rule}."),
        ("embedding", trial.figures.embedding_circles, f"Embedding of the residues at the end: {rule}."),
    ]
    if len(trial.measures()) >= LEAST_CHECKPOINTS:
        wanted.insert(0, ("progress", trial.figures.progress, f"Progress measures over training: {rule}."))
    for name, figure, caption in wanted:
        picture = _picture(trial, name, figure, caption)
        if picture is not None:
            yield picture


def _picture(trial: Trial, name: str, figure: Callable[[], CircuitFigure], caption: str) -> Picture | None:
    """The figure; None where it is not defined for this task or model, or its checkpoint cannot be read."""
    try:
        picture = figure().picture
    except BadInput:
        return None
    return None if picture is None else as_picture(drawn(picture), name, picture.title, caption)
