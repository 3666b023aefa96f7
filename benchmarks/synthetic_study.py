"""A study of any size whose curves were made up, not trained: for questions about large studies.

    python benchmarks/synthetic_study.py ROOT [--name NAME] [--trials 100000] [--columns 60] [--curve-rows 20000000]

Settings are those of preset quad23; weight decay and train fraction are the axes, and every cell has as many seeds as
are needed. Times are read from the curves by the rule of every other study. Ids are drawn, not hashed. Equal arguments
give equal rows.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float, Int
from synthetic_trials import Curves, Steps, Trials, drawn_curves, drawn_trials

from grokstudy.phase.crossings import Crossings, crossings
from grokstudy.spec.axes import Axis, Value
from grokstudy.spec.compose import compose_study
from grokstudy.spec.identity import config_columns
from grokstudy.spec.outcome import RETENTION_FACTOR, TAU
from grokstudy.spec.schedule import evaluations
from grokstudy.spec.study import StudySpec
from grokstudy.store.folder import StudyFolder
from grokstudy.store.parts import CURVE_TYPES, ROW_GROUP, SETTLED, TRIAL_TYPES, encode, encode_batches, part_name
from grokstudy.study.document import FILE, to_yaml

X, Y = "regularization.weight_decay", "task.frac_train"
EVALUATIONS = 200
"""Of a trial, if no number of rows is asked for."""
LONGEST = 1_000_000
AT_A_TIME = 5_000
"""Trials whose curves are in memory together."""
PACK = 64
BEGAN = np.datetime64("2026-01-01T00:00:00")
"""When the first pack was written; each one after it a second later."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large a study is."""

    trials: int = 100_000
    columns: int = 60
    """Stored columns of `trials`; the last settings are left out."""
    curve_rows: int | None = None
    """Rows of curves, about: every trial that ran to its end has equally many. None = no curves are stored."""
    across: int = 50
    """Values of weight decay ..."""
    up: int = 40
    """... and of the train fraction."""

    def steps(self) -> Steps:
        """Evaluated steps."""
        count = EVALUATIONS if self.curve_rows is None else max(self.curve_rows // self.trials, 8)
        return np.array(evaluations(LONGEST)[:count])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, nargs="?", help="storage root; without one nothing is made")
    parser.add_argument("--name", default="synthetic", help="of the study")
    parser.add_argument("--seed", type=int, default=0, help="another one draws another study")
    for field in dataclasses.fields(Size):
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=int, default=field.default)
    given = parser.parse_args()
    if given.root is None:
        parser.print_help()
        return
    if StudyFolder.open(str(given.root), given.name).exists():
        parser.error(f"{given.root / given.name} exists already and is never overwritten; give another --name.")
    size = Size(**{field.name: getattr(given, field.name) for field in dataclasses.fields(Size)})
    began = time.perf_counter()
    folder = write_study(str(given.root), given.name, size, given.seed)
    print(f"{folder.where('')[:-1]} in {time.perf_counter() - began:.1f} s")


def write_study(root: str, name: str, size: Size, seed: int = 0) -> StudyFolder:
    """Writes a study as compaction leaves it: one part of trials and one of curves, sorted by trial_id."""
    folder, steps = StudyFolder.open(root, name), size.steps()
    spec = study_spec(name, size, int(steps[-1]))
    across, up, _ = (np.array(axis.values, dtype=float) for axis in spec.axes)
    trials = drawn_trials(across, up, size.trials, steps, seed)
    tables: list[pa.Table] = []

    def curve_batches() -> Iterator[pa.RecordBatch]:
        for number, start in enumerate(range(0, size.trials, AT_A_TIME)):
            some = trials[start : start + AT_A_TIME]
            curves = drawn_curves(some, steps, seed=(seed + 1) * LONGEST + number)
            tables.append(trial_table(some, curves, spec, size, first=start))
            if size.curve_rows is not None:
                yield from curve_table(some, curves).to_batches(ROW_GROUP)

    encoded = encode_batches(pa.schema(list(CURVE_TYPES.items()), SETTLED), curve_batches())
    if size.curve_rows is not None:
        folder.put_bytes(part_name("curves"), encoded)
    folder.put_bytes(
        part_name("trials"), encode(pa.concat_tables(tables).combine_chunks().replace_schema_metadata(SETTLED))
    )
    folder.put_text(FILE, to_yaml(spec))
    return folder


def study_spec(name: str, size: Size, budget: int) -> StudySpec:
    """The study that would have such trials."""
    seeds = -(-size.trials // (size.across * size.up))
    axes = (
        Axis(path=X, values=tuple(np.geomspace(0.01, 10, size.across).tolist())),
        Axis(path=Y, values=tuple(np.linspace(0.2, 0.9, size.up).tolist())),
        Axis(path="seed", values=tuple(range(seeds))),
    )
    plain = compose_study(("preset=quad23",))
    return dataclasses.replace(plain, name=name, source="made up, not trained", axes=axes, budget=budget)


def trial_table(trials: Trials, curves: Curves, spec: StudySpec, size: Size, first: int) -> pa.Table:
    """Rows of `trials`; NaN becomes NULL. `first` is the number of the first of them in the study."""
    n = len(trials.ids)
    memorised, generalised = (
        crossings(curves.trial, curves.step, values >= TAU, n) for values in (curves.train_acc, curves.test_acc)
    )
    last = np.r_[np.flatnonzero(np.diff(curves.trial)), len(curves.trial) - 1]
    settings = config_columns(spec.trial({}))
    pack = (first + np.arange(n)) // PACK
    status = np.where(trials.diverged, "diverged", np.where(trials.stopped, "stopped", "done"))
    columns: dict[str, object] = {
        "trial_id": _hex(trials.ids),
        "study": spec.name,
        "pack_id": _hex(pack),
        **dict.fromkeys(("seed", "seed_data", "seed_init", "seed_batch", "seed_noise"), trials.seeds),
        "budget": spec.budget,
        "steps_run": trials.ends,
        "status": pa.array(status, pa.string()),
        "stop_reason": pa.array(np.where(trials.stopped, "interrupted", "diverged"), mask=status == "done"),
        **_times("t_mem", memorised, curves),
        **_times("t_gen", generalised, curves),
        "retention": _retention(generalised, trials.ends),
        "t_lose": _whole(generalised.lost),
        "diverged_step": pa.array(trials.ends, mask=~trials.diverged),
        **{
            name: _null(getattr(curves, name)[last])
            for name in ("train_loss", "test_loss", "train_acc", "test_acc", "sum_sq_weights")
        },
        "lr_wd": 0.01 * trials.weight_decay,
        "numerics": spec.engine.numerics(),
        "seconds": trials.ends * 2e-4,
        "written_at": pc.strftime(pa.array(BEGAN + pack.astype("m8[s]")), "%Y-%m-%dT%H:%M:%S+00:00"),
        **settings,
        X: trials.weight_decay,
        Y: trials.frac_train,
    }
    left_out = set([path for path in settings if path not in (X, Y)][size.columns - len(TRIAL_TYPES) - 2 :])
    names = [*TRIAL_TYPES, *(path for path in settings if path not in left_out)]
    return pa.table({name: _column(columns.get(name), TRIAL_TYPES.get(name), n) for name in names})


def curve_table(trials: Trials, curves: Curves) -> pa.Table:
    """Rows of `curves`; NaN becomes NULL, and so do columns that were not made up."""
    n = len(curves.step)
    columns: dict[str, object] = {
        "trial_id": _hex(trials.ids).take(pa.array(curves.trial)),
        **{field.name: getattr(curves, field.name) for field in dataclasses.fields(Curves) if field.name != "trial"},
    }
    return pa.table({name: _column(columns.get(name), type_, n) for name, type_ in CURVE_TYPES.items()})


def _times(name: str, found: Crossings, curves: Curves) -> dict[str, pa.Array]:
    """The time, and the evaluation before it."""
    before = np.full(len(found.time), np.nan)
    here = np.flatnonzero(curves.step == found.time[curves.trial])
    here = here[curves.step[here] > 0]
    before[curves.trial[here]] = curves.step[here - 1]
    return {name: _whole(found.time), f"{name}_lo": _whole(before)}


def _retention(found: Crossings, ends: Int[np.ndarray, " trials"]) -> pa.Array:
    watched = np.where(ends >= RETENTION_FACTOR * found.time, "kept", "unknown")
    return pa.array(np.where(np.isnan(found.lost), watched, "lost"), pa.string())


def _column(values: object, type_: pa.DataType | None, rows: int) -> pa.Array:
    """A column of `rows` from an array, or from one value for all of them; without a value it is NULL."""
    if isinstance(values, pa.Array):
        return values
    if isinstance(values, np.ndarray):
        return _null(values) if values.dtype.kind == "f" else pa.array(values, type_)
    one: Value = values  # type: ignore[assignment]
    return pa.nulls(rows, type_ or pa.null()) if one is None else pa.repeat(pa.scalar(one, type_), rows)


def _null(values: Float[np.ndarray, " n"]) -> pa.Array:
    return pa.array(values, pa.float64(), mask=np.isnan(values))


def _whole(times: Float[np.ndarray, " n"]) -> pa.Array:
    return pa.array(np.nan_to_num(times).astype(np.int64), mask=np.isnan(times))


def _hex(numbers: Int[np.ndarray, " n"]) -> pa.Array:
    """Sixteen hex digits each."""
    digits = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)
    nibbles = numbers.astype(np.uint64)[:, None] >> np.arange(60, -4, -4, dtype=np.uint64) & np.uint64(15)
    text = digits[nibbles.astype(np.int64)]
    offsets = np.arange(len(numbers) + 1, dtype=np.int32) * 16
    return pa.StringArray.from_buffers(len(numbers), pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(text)))


if __name__ == "__main__":
    main()
