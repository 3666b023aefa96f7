"""Parts of a report on planted trials: cells, example runs, survival, escaping, and tables that are too long."""

from __future__ import annotations

import io

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from scipy.stats import CensoredData, ecdf

from grokstudy.phase.evenly import evenly
from grokstudy.phase.report_document import MOST_ROWS, Document, Points, Section, Table, Text, table
from grokstudy.phase.report_html import to_html
from grokstudy.phase.report_markdown import escaped, to_markdown
from grokstudy.phase.report_pictures import as_picture, survival_figure
from grokstudy.phase.report_tables import cell_table, outcome_table
from grokstudy.phase.report_trials import ReportTrials, grouped, report_trials
from grokstudy.study.report_commands import word
from tests.contracts.phase_planted import FRAC, WD, T, connected, planted, trial


@pytest.fixture(scope="module")
def trials() -> ReportTrials:
    found = report_trials(connected(planted()), (WD, FRAC))
    assert found is not None
    return found


def test_a_cell_counts_the_diverged_and_takes_medians_of_the_censored(trials: ReportTrials) -> None:
    found = cell_table(trials, (WD, FRAC), "")
    statistics = ("trials", "p_gen", "95 % interval", "t_mem", "t_gen", "delay")
    assert found.header[:8] == ("weight_decay", "frac_train", *statistics)
    rows = {row[:2]: row[2:] for row in found.rows}
    assert rows[("0.1", "0.3")][:6] == ("4", "0.75", "0.30 to 0.95", "10", "100", "10")
    assert rows[("10", "0.3")][:3] == ("4", "0.00", "0.00 to 0.49")
    assert dict(zip(found.header[8:], rows[("10", "0.3")][6:], strict=True))["diverged"] == "1"
    assert ("10", "0.7") not in rows


def test_every_trial_is_counted_once(trials: ReportTrials) -> None:
    for paths in ((), (WD,), (WD, FRAC)):
        assert sum(int(row[len(paths)]) for row in cell_table(trials, paths, "").rows) == len(planted())
    assert sum(int(row[2]) for row in outcome_table(trials).rows) == len(planted())


def test_a_setting_with_many_values_is_counted_in_bins() -> None:
    rows = [trial(1.0, 0.5, 0, 10, 20, **{"optimizer.lr": 10 ** (-4 + i / 100)}) for i in range(300)]
    found = report_trials(connected(rows), ("optimizer.lr",))
    assert found is not None
    cells = grouped(found, found.varied)
    assert cells.binned == ("optimizer.lr",)
    assert len(cells.names) == 6
    assert all(names[0].startswith("≈") for names in cells.names)


def test_ten_thousand_trials_make_a_table_that_is_cut_with_a_note() -> None:
    rows = [trial(1.0, 0.5, seed, 10, 20, **{"model.width": f"w{width}"}) for seed in range(4) for width in range(2500)]
    found = report_trials(connected(rows), ("model.width",))
    assert found is not None
    cells = cell_table(found, found.varied, "All: --format csv.")
    assert len(cells.rows) == MOST_ROWS
    assert cells.note.startswith(f"The first {MOST_ROWS} of 2,500 rows. All: --format csv.")


def test_survival_curves_are_drawn_of_whatever_was_seen() -> None:
    """All generalised, none did, one trial, and trials that were not watched to the end."""
    frames = [
        pd.DataFrame({"t_gen": times, "censored_at": ends}).astype(float)
        for times, ends in (
            ([10, 20, 900], [T, T, T]),
            ([np.nan] * 3, [T, 40, 1]),
            ([0], [T]),
            ([5, np.nan], [T, 30]),
        )
    ]
    parts = [ReportTrials(table=frame, budget=None, varied=()) for frame in frames]  # type: ignore[arg-type]
    for count in (1, 4):
        curves = [(f"{i}", part) for i, part in enumerate(parts[:count])]
        figure = survival_figure([("one", curves), ("two", curves)], float(T), "planted", WD)
        drawn = matplotlib.image.imread(io.BytesIO(as_picture(figure, "s", "s").data))
        assert drawn[..., :3].std() > 0.02


def test_the_curve_of_a_survival_figure_is_kaplan_meiers() -> None:
    frame = pd.DataFrame({"t_gen": [10.0, 20.0, np.nan, 40.0], "censored_at": [T, T, 15.0, T]})
    part = ReportTrials(table=frame, budget=None, varied=())  # type: ignore[arg-type]
    (axes,) = survival_figure([("", [("", part)])], float(T), "planted", None).axes
    steps, shares = axes.lines[0].get_data()
    known = 1 - ecdf(CensoredData(uncensored=[10, 20, 40], right=[15])).sf.evaluate([10, 20, 40])
    assert [shares[list(steps).index(step)] for step in (10, 20, 40)] == pytest.approx(known.tolist())
    assert shares[list(steps).index(10)] == pytest.approx(1 / 4)
    assert shares[list(steps).index(20)] == pytest.approx(1 - 3 / 4 * 1 / 2)  # of two still watched, one


def test_nothing_that_is_told_becomes_markup() -> None:
    nasty = "a|b <script>alert(1)</script> `x` **y** [z](javascript:1) \\ # 1\n## two"
    document = Document(
        title=nasty,
        written="",
        facts=((nasty, nasty),),
        warnings=(nasty,),
        sections=(
            Section("One", (Text(nasty), Points((nasty,)), Table(header=(nasty,), rows=((nasty,),), note=nasty))),
        ),
    )
    page = to_html(document)
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 8
    text = to_markdown(document)
    assert "\n## two" not in text
    row = next(line for line in text.splitlines() if line.startswith("| a"))
    assert row.replace(r"\|", "").count("|") == 2
    assert r"\<script\>" in text
    assert r"\`x\`" in text
    assert r"\[z\](javascript:1)" in text


def test_plain_names_stay_readable_in_markdown() -> None:
    assert escaped("task.frac_train") == "task.frac_train"
    assert escaped("_under_ a_b") == r"\_under\_ a_b"
    assert escaped("1. first") == r"1\. first"
    assert escaped("- item") == r"\- item"
    assert escaped("0.5 - 1") == "0.5 - 1"


def test_spread_keeps_both_ends() -> None:
    assert evenly(3, 8).tolist() == [0, 1, 2]
    assert evenly(100, 5).tolist() == [0, 25, 50, 74, 99]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (0.1, "0.1"),
        (1e-8, "1e-08"),
        ([0.9, 0.98], "[0.9,0.98]"),
        ("add", "add"),
        ("it's", r"'it\'s'"),
        ("parent@30", "'parent@30'"),
    ],
)
def test_a_setting_is_written_as_the_command_line_reads_it(value: object, text: str) -> None:
    assert word(value) == text


def test_a_short_table_has_no_word_about_rows() -> None:
    assert table(("a",), [("1",)], rest="elsewhere").note == ""
