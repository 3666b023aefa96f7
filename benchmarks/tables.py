"""The tables of README.md, made from results.json; a script that writes results puts its table there by itself.

python benchmarks/tables.py
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

HERE = Path(__file__).resolve().parent
RESULTS, PAGE = HERE / "results.json", HERE / "README.md"

Columns: TypeAlias = Sequence[tuple[str, Callable[[Mapping[str, Any]], str]]]
"""Heading, and the text of its cell."""


def number(name: str, spec: str = ".3g") -> Callable[[Mapping[str, Any]], str]:
    """The cell of a number that a setting may lack."""
    return lambda row: "" if row[name] is None else format(row[name], spec)


STEP_COLUMNS: Columns = (
    ("setting", lambda row: f"{row['name']} (`{row['key']}`)"),
    ("members", lambda row: str(row["members"])),
    ("threads", lambda row: str(row["threads"])),
    ("plain ms", number("plain")),
    ("engine ms", number("eager")),
    ("times faster", number("eager_ratio", ".2f")),
    ("compiled ms", number("compiled")),
    ("times faster", number("compiled_ratio", ".2f")),
    ("one evaluation ms", number("evaluation")),
    ("all evaluations", number("evaluation_share", ".1%")),
)
PRODUCT_COLUMNS: Columns = (
    ("setting", lambda row: f"{row['name']} (`{row['key']}`)"),
    ("threads", lambda row: str(row["threads"])),
    ("plain GFLOP", number("plain_gflop")),
    ("engine GFLOP", number("gflop")),
    ("engine GFLOP/s", number("gflops")),
    ("peak GFLOP/s", number("peak")),
    ("share of peak", lambda row: f"{row['gflops'] / row['peak']:.0%}"),
)
COST_COLUMNS: Columns = (
    ("study", lambda row: row["name"]),
    ("updates s", number("updates", ".1f")),
    ("evaluations", number("evaluations", ".1%")),
    ("curves, rows", number("rows", ".1%")),
    ("checkpoints", number("checkpoints", ".1%")),
    ("ring", number("ring", ".1%")),
    ("snapshots", number("snapshots", ".1%")),
    ("all of it", number("all", ".1%")),
)
MEMORY_COLUMNS: Columns = (
    ("pack", lambda row: row["name"]),
    ("members", lambda row: str(row["members"])),
    ("peak GB", number("peak_gb", ".2f")),
    ("of it before the pack GB", number("before_gb", ".2f")),
)
MEASURE_COLUMNS: Columns = (
    ("networks", lambda row: row["name"]),
    ("values compared", lambda row: str(row["values"])),
    ("notebook s", number("plain")),
    ("measures s", number("ours")),
    ("times faster", number("ratio", ".1f")),
    ("all default measures s", number("default")),
)

QUERY_COLUMNS: Columns = (
    ("question", lambda row: row["question"]),
    ("seconds", number("seconds")),
    ("asked for", number("bar", "g")),
)
BOUNDARY_COLUMNS: Columns = (
    ("truth", lambda row: f"{row['truth']}, {row['target']:.0%}"),
    ("sampler", lambda row: reached(row, "sampler")),
    ("each seed", lambda row: ", ".join("-" if n is None else str(n) for n in row["sampler_each"])),
    ("Sobol", lambda row: reached(row, "sobol")),
    ("grid", lambda row: reached(row, "grid")),
    ("grid's pixels", lambda row: reached(row, "pixels")),
    ("times fewer than Sobol", lambda row: fewer(row, "sobol")),
    ("times fewer than grid", lambda row: fewer(row, "grid")),
    ("full runs: sampler", number("sampler_spent")),
    ("full runs: Sobol", number("sobol_spent")),
)
BOUNDARY_TRUST_COLUMNS: Columns = (
    ("truth", lambda row: row["truth"]),
    ("checks", number("checks", "d")),
    ("area", number("area", ".1%")),
    ("boundary distance", number("distance")),
    ("expected / true", number("expected_over_true", ".2f")),
    ("within a factor 2", number("within_two", ".0%")),
    ("in band: t_mem", number("coverage_mem", ".0%")),
    ("t_gen", number("coverage_gen", ".0%")),
    ("delay", number("coverage_delay", ".0%")),
    ("all", number("coverage", ".0%")),
)
SIDE_COLUMNS: Columns = (
    ("", lambda row: row["way"]),
    ("trials", number("trials", ",d")),
    ("updates", number("steps", ",d")),
    ("CPU-s of stepping", number("cpu_seconds", ",.0f")),
)
REFILL_COLUMNS: Columns = (
    ("finished trials", number("trials", "d")),
    ("first of a process, s", number("cold")),
    ("later, s", number("warm")),
    ("asked for", number("bar", "g")),
)
WAY_COLUMNS: Columns = (
    ("", lambda row: row["way"]),
    ("trials", number("trials", ",d")),
    ("seconds", number("seconds", ",.0f")),
    ("trials per hour", number("per_hour", ",.0f")),
    ("peak memory of all processes GB", number("all_pss", ".2f")),
    ("of it the driver GB", number("driver_pss", ".2f")),
)
SCALE_COLUMNS: Columns = (
    ("", lambda row: row["what"]),
    ("trials", number("trials", ",d")),
    ("value", lambda row: f"{_digits(row['value'])} {row['unit']}".rstrip()),
    ("asked for", lambda row: "" if row["bar"] is None else f"at most {row['bar']:g}"),
)


def _digits(value: float) -> str:
    """A count in full, a measured number with three digits."""
    return f"{value:,d}" if isinstance(value, int) else f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def reached(row: Mapping[str, Any], design: str) -> str:
    """Trials to the target; or the most that were tried, and the area then missed."""
    if design not in row:
        return ""
    if row[design] is not None:
        return format(row[design], ".0f")
    return f"> {row[f'{design}_cap']} ({row[f'{design}_last']:.1%})"


def fewer(row: Mapping[str, Any], design: str) -> str:
    """How many times the sampler's trials another design takes; a bound if that never arrived."""
    if design not in row or row["sampler"] is None:
        return ""
    if row[design] is None:
        return f"> {row[f'{design}_cap'] / row['sampler']:.1f}"
    return format(row[design] / row["sampler"], ".1f")


def step_table(numbers: Mapping[str, Any]) -> str:
    """ms per member and update."""
    columns = STEP_COLUMNS
    if all(row["compiled"] is None for row in numbers["results"]):
        columns = [column for i, column in enumerate(STEP_COLUMNS) if i not in (6, 7)]
    return _table(columns, numbers["results"])


def product_table(numbers: Mapping[str, Any]) -> str:
    """Matrix products of an update."""
    return _table(PRODUCT_COLUMNS, numbers["results"])


def profile_table(numbers: Mapping[str, Any]) -> str:
    """Shares of an update's time."""
    by_setting: Mapping[str, Mapping[str, float]] = numbers["shares"]
    kinds = next(iter(by_setting.values()))
    lines = [f"| {kind} | {' | '.join(f'{own[kind]:.0%}' for own in by_setting.values())} |" for kind in kinds]
    heads = [f"| share of an update | {' | '.join(by_setting)} |", "|---" + "|---:" * len(by_setting) + "|"]
    return "\n".join([*heads, *lines])


def cost_table(numbers: Mapping[str, Any]) -> str:
    """What there is besides updates, as shares of their time."""
    return _table(COST_COLUMNS, numbers["costs"])


def memory_table(numbers: Mapping[str, Any]) -> str:
    """Peak memory of a worker."""
    return _table(MEMORY_COLUMNS, numbers["memory"])


def measure_table(numbers: Mapping[str, Any]) -> str:
    """Seconds per network."""
    return _table(MEASURE_COLUMNS, numbers["results"])


def overhead_table(numbers: Mapping[str, Any]) -> str:
    """Stages of a study."""
    stages = {name: value for name, value in numbers.items() if isinstance(value, float) and name != "load"}
    lines = [f"{name:36} {value:8.2f}" for name, value in stages.items()]
    return "\n".join(["```", *lines, "```"])


def query_table(numbers: Mapping[str, Any]) -> str:
    """Seconds of questions."""
    return _table(QUERY_COLUMNS, numbers["results"])


def boundary_table(numbers: Mapping[str, Any]) -> str:
    """Trials to the target."""
    return _table(BOUNDARY_COLUMNS, numbers["effort"])


def boundary_trust_table(numbers: Mapping[str, Any]) -> str:
    """Calibration and coverage."""
    return _table(BOUNDARY_TRUST_COLUMNS, numbers["trust"])


def boundary_study_table(numbers: Mapping[str, Any]) -> str:
    """What a real plane took, and whether both ways see the same."""
    one = numbers["agreement"]
    sides = _table(SIDE_COLUMNS, numbers["results"])
    return (
        f"{sides}\n\nThe sampler's map differs from the grid's majorities in {one['differ']:.1%} of {one['cells']} "
        f"cells; it expects to be wrong in {one['expected_error']:.1%} of the plane. Its 95 % band of p_gen = .5 "
        f"({one['half_width']:.3g} in frac_train on either side) meets the two train fractions, {one['spacing']:.2g} "
        f"apart, between which the grid's share passes .5 at {one['within']} of {one['columns']} weight decays."
    )


def refill_table(numbers: Mapping[str, Any]) -> str:
    """Seconds of a refill."""
    return _table(REFILL_COLUMNS, numbers["refill"])


def side_by_side_table(numbers: Mapping[str, Any]) -> str:
    """Trials per hour of two ways, and whether they show the same phases."""
    one = numbers["agreement"]
    counts = ", ".join(f"{count} {name}" for name, count in sorted(one["outcomes"].items()))
    different = "; ".join(
        f"weight decay {cell['setting'][0]:g}, train fraction {cell['setting'][1]:g}: {cell['ours']} here, "
        f"{cell['theirs']} there, {'at' if cell['at_boundary'] else 'NOT at'} a boundary"
        for cell in one["different"]
    )
    return (
        f"{_table(WAY_COLUMNS, numbers['results'])}\n\n{numbers['ratio']:.3g} times as many trials per hour (asked "
        f"for: {numbers['bar']:g}, hoped for: {numbers['goal']:g}). The same outcome in {one['share']:.1%} of "
        f"{one['cells']} cells ({counts}){f'; {different}' if different else ''}. "
        + ("The two agree." if one["holds"] else "The two do NOT agree.")
    )


def scale_table(numbers: Mapping[str, Any]) -> str:
    """What grows with a study."""
    return _table(SCALE_COLUMNS, numbers["results"])


def pair_table(numbers: Mapping[str, Any]) -> str:
    """The plane by one process per trial, and by packs."""
    cells = {(row["rows"], row["neurons"]): row["trial"] for row in numbers["results"]}
    rows, neurons = (sorted({key[i] for key in cells}) for i in (0, 1))
    heads = [
        f"| seconds of a trial | {' | '.join(f'{n} neurons' for n in neurons)} |",
        "|---" + "|---:" * len(neurons) + "|",
    ]
    lines = [f"| {n:,} rows | {' | '.join(f'{cells[n, width]:.3g}' for width in neurons)} |" for n in rows]
    return "\n".join([*heads, *lines]) + (
        f"\n\n{numbers['trials']:,} trials on {numbers['slots']} cores: {numbers['alone_hours']:.3g} hours with one "
        f"process per trial, {numbers['packs_hours']:.3g} hours in packs, {numbers['ratio']:.3g} times faster."
    )


TABLES: Mapping[str, tuple[str, Callable[[Mapping[str, Any]], str]]] = {
    "step_time": ("step_time", step_table),
    "products": ("step_time", product_table),
    "profile": ("profile", profile_table),
    "costs": ("costs", cost_table),
    "memory": ("costs", memory_table),
    "measures": ("measures", measure_table),
    "study_overhead": ("study_overhead", overhead_table),
    "query": ("query", query_table),
    "boundary_study": ("boundary_study", boundary_study_table),
    "boundary": ("boundary", boundary_table),
    "boundary_trust": ("boundary", boundary_trust_table),
    "refill": ("boundary", refill_table),
    "side_by_side_36": ("side_by_side_36", side_by_side_table),
    "side_by_side_360": ("side_by_side_360", side_by_side_table),
    "scale": ("scale", scale_table),
    "pair_plane": ("pair_plane", pair_table),
}
"""By its name in the page: the question in results.json that it answers."""
COMMANDS = {
    "step_time": "python benchmarks/step_time.py",
    "profile": "python benchmarks/step_time.py --profile",
    "costs": "python benchmarks/costs.py",
    "measures": "python benchmarks/measures.py",
    "study_overhead": "python benchmarks/study_overhead.py",
    "query": "python benchmarks/query.py",
    "boundary_study": "python benchmarks/boundary_study.py",
    "boundary": "python benchmarks/boundary.py",
    "side_by_side_36": "python benchmarks/side_by_side.py --trials 36",
    "side_by_side_360": "python benchmarks/side_by_side.py --trials 360",
    "scale": "python benchmarks/scale.py",
    "pair_plane": "python benchmarks/pair_plane.py",
}


def rendered(page: str, results: Mapping[str, Any]) -> str:
    """The page with every block `<!-- table: NAME --> ... <!-- /table -->` filled anew."""

    def block(found: re.Match[str]) -> str:
        question, table = TABLES[found[1]]
        numbers = results.get(question)
        text = "Not run yet." if numbers is None else f"{_origin(question, numbers)}\n\n{table(numbers)}"
        return f"<!-- table: {found[1]} -->\n{text}\n<!-- /table -->"

    return re.sub(r"<!-- table: (\w+) -->\n.*?<!-- /table -->", block, page, flags=re.DOTALL)


def head(columns: Columns) -> str:
    """The two first lines of a table."""
    return f"| {' | '.join(name for name, _ in columns)} |\n|---{'|---:' * (len(columns) - 1)}|"


def row(columns: Columns, values: Mapping[str, Any]) -> str:
    """One more line."""
    return f"| {' | '.join(cell(values) for _, cell in columns)} |"


def _table(columns: Columns, rows: Sequence[Mapping[str, Any]]) -> str:
    return "\n".join([head(columns), *(row(columns, values) for values in rows)])


def _origin(question: str, numbers: Mapping[str, Any]) -> str:
    return (
        f"`{COMMANDS[question]}` on {numbers['cores']} cores of {numbers['cpu']}, torch {numbers['torch']}, commit "
        f"{numbers['commit']}, {numbers['date']}, load {numbers['load']}:"
    )


def write() -> None:
    """Fills the page's tables."""
    PAGE.write_text(rendered(PAGE.read_text(), json.loads(RESULTS.read_text())))


if __name__ == "__main__":
    write()
