"""Rows as Parquet parts. NULL, never NaN: NaN stays out of Parquet statistics and DuckDB then answers wrongly."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import math
import secrets
import time
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from grokstudy.spec.axes import Value
from grokstudy.spec.rows import (
    CURVE_COLUMNS,
    SLICE_COLUMNS,
    CheckpointRow,
    CurveRows,
    MeasureRow,
    MeasureValue,
    ProposalRow,
    TrialRow,
)

ROW_GROUP = 200_000
"""Rows per group: one trial's curve is found by reading one group of a compacted part."""
SETTLED: Mapping[bytes, bytes] = {b"grokstudy.settled": b"every row counts"}
"""Metadata of the schema of a part in which no two rows are about the same thing."""
Kind = Literal["trials", "curves", "measures", "checkpoints", "proposals"]
PREFIXES: dict[Kind, str] = {
    "trials": "trials/part-",
    "curves": "curves/part-",
    "measures": "measures/part-",
    "checkpoints": "checkpoints/index-",
    "proposals": "proposals/part-",
}
KEYS: dict[Kind, tuple[str, ...]] = {
    "trials": ("trial_id", "steps_run", "status", "written_at"),
    "curves": ("trial_id", "step"),
    "measures": ("trial_id", "step", "measure", "protocol", "version", "value", "written_at"),
    "checkpoints": ("trial_id", "step", "file", "lane", "kind"),
    "proposals": ("number", "trial_id", "point", "budget"),
}
"""Columns without which a part says nothing; any other is NULL in a part that is older than the column."""


def _arrow_types(record: type) -> dict[str, pa.DataType]:
    """Column types of a row's dataclass, from its annotations."""
    plain = {str: pa.string(), int: pa.int64(), float: pa.float64(), tuple[float, ...]: pa.list_(pa.float64())}
    hints = typing.get_type_hints(record)

    def arrow(hint: Any) -> pa.DataType:
        if typing.get_origin(hint) is Literal:
            return pa.string()
        options = [option for option in typing.get_args(hint) if option is not types.NoneType]
        return plain[options[0] if isinstance(hint, types.UnionType) else hint]

    return {field.name: arrow(hints[field.name]) for field in dataclasses.fields(record) if field.name != "config"}


TRIAL_TYPES = _arrow_types(TrialRow)
CURVE_TYPES: dict[str, pa.DataType] = {
    **{name: {"trial_id": pa.string(), "step": pa.int64()}.get(name, pa.float64()) for name in CURVE_COLUMNS},
    **dict.fromkeys(SLICE_COLUMNS, pa.list_(pa.float64())),
}
MEASURE_TYPES: dict[str, pa.DataType] = {
    "trial_id": pa.string(),
    "step": pa.int64(),
    **{
        name: _arrow_types(MeasureValue)[name]
        for name in ("measure", "protocol", "version", "value", "values", "reason")
    },
    "written_at": pa.string(),
}
CHECKPOINT_TYPES = _arrow_types(CheckpointRow)
PROPOSAL_TYPES = _arrow_types(ProposalRow)
TYPES: dict[Kind, dict[str, pa.DataType]] = {
    "trials": TRIAL_TYPES,
    "curves": CURVE_TYPES,
    "measures": MEASURE_TYPES,
    "checkpoints": CHECKPOINT_TYPES,
    "proposals": PROPOSAL_TYPES,
}


def part_name(kind: Kind, data: bytes | None = None, stamp: str | None = None) -> str:
    """A name that no other part has; names sort by `stamp`, by default the time of writing.

    With `data` it ends with their digest, so that one changed byte is found without asking anything else.
    """
    digest = "" if data is None else f"-{digest_of(data)}"
    return f"{PREFIXES[kind]}{stamp or f'{time.time_ns():016x}'}-{secrets.token_hex(6)}{digest}.parquet"


def digest_of(data: bytes) -> str:
    """What the name of a part says of its bytes."""
    return hashlib.sha256(data).hexdigest()[:16]


def digest_in(name: str) -> str | None:
    """The digest that a part's name ends with; None for a part that was written before names had one."""
    pieces = name.rpartition("/")[2].removesuffix(".parquet").split("-")
    return pieces[3] if len(pieces) == 4 else None


def stamp_of(name: str) -> str:
    """The time-ordered piece of a part's name."""
    return name.rpartition("/")[2].split("-")[1]


def trial_table(rows: Sequence[TrialRow]) -> pa.Table:
    """One column per field and per config path; a config column holds the narrowest type that fits its values."""
    table = _table(rows, TRIAL_TYPES)
    for path in dict.fromkeys(path for row in rows for path in row.config):
        table = table.append_column(path, _config_array([row.config.get(path) for row in rows]))
    return table


def curve_table(curves: Sequence[CurveRows]) -> pa.Table:
    """The evaluations of all trials below each other."""
    lengths = [len(curve.step) for curve in curves]
    columns: dict[str, pa.Array] = {
        "trial_id": pa.array(np.repeat([curve.trial_id for curve in curves], lengths), pa.string()),
        "step": pa.array(np.concatenate([curve.step for curve in curves]), pa.int64()),
    }
    for name in CURVE_COLUMNS:
        if name not in columns:
            values = np.concatenate([getattr(curve, name) for curve in curves]).astype(np.float64)
            columns[name] = pa.array(values, pa.float64(), mask=~np.isfinite(values))
    for i, name in enumerate(SLICE_COLUMNS):
        columns[name] = pa.concat_arrays([_slice_lists(curve, i) for curve in curves])
    return pa.table(columns)


def _slice_lists(curve: CurveRows, column: int) -> pa.Array:
    """One list per evaluation; NULL for a trial whose task has no slices."""
    if curve.slices is None:
        return pa.nulls(len(curve.step), pa.list_(pa.float64()))
    lists = curve.slices[:, :, column]
    values = lists.ravel().astype(np.float64)
    offsets = np.arange(len(lists) + 1, dtype=np.int32) * lists.shape[1]
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values, mask=~np.isfinite(values)))


def measure_table(rows: Sequence[MeasureRow]) -> pa.Table:
    """One row per measure; a value that is not finite is NULL with that as its reason."""
    values = _table([_reasoned(row.value) for row in rows], _arrow_types(MeasureValue))
    for name in ("trial_id", "step", "written_at"):
        values = values.append_column(name, pa.array([getattr(row, name) for row in rows], MEASURE_TYPES[name]))
    return values.select(list(MEASURE_TYPES))


def checkpoint_table(rows: Sequence[CheckpointRow]) -> pa.Table:
    return _table(rows, CHECKPOINT_TYPES)


def proposal_table(rows: Sequence[ProposalRow]) -> pa.Table:
    return _table(rows, PROPOSAL_TYPES)


def encode(table: pa.Table) -> bytes:
    """The table as one Parquet file. Raises ValueError if a NaN is in it."""
    return encode_batches(table.schema, table.to_batches())


def encode_batches(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> bytes:
    """As `encode`, for rows that arrive in batches."""
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, schema, compression="zstd") as writer:
        for batch in batches:
            refuse_nan(batch)
            writer.write_table(pa.Table.from_batches([batch], schema), row_group_size=ROW_GROUP)
    return sink.getvalue()


def _table(rows: Sequence[Any], columns: dict[str, pa.DataType]) -> pa.Table:
    return pa.table(
        {name: pa.array([_finite(getattr(row, name)) for row in rows], type) for name, type in columns.items()}
    )


def _finite(value: Any) -> Any:
    """The value, with NULL for numbers that are not finite."""
    if isinstance(value, tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, (float, np.floating)) and not math.isfinite(value) else value


def _reasoned(value: MeasureValue) -> MeasureValue:
    if value.value is None or math.isfinite(value.value):
        return value
    return dataclasses.replace(value, value=None, reason=value.reason or f"not finite ({value.value})")


def _config_array(values: Sequence[Value]) -> pa.Array:
    """Typed by the values that are given. Where none is, Arrow's null type, which unites with any other part's type."""
    given = {type(value) for value in values if value is not None}
    if not given:
        return pa.nulls(len(values))
    if given <= {int, float} and float in given:
        return pa.array([None if value is None or value != value else float(value) for value in values], pa.float64())
    for kind, type_ in ((bool, pa.bool_()), (int, pa.int64()), (str, pa.string())):
        if given == {kind}:
            return pa.array(values, type_)
    return pa.array([None if value is None else str(value) for value in values], pa.string())


def refuse_nan(batch: pa.RecordBatch) -> None:
    """Raises ValueError if a NaN is in it."""
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        flat = column.flatten() if pa.types.is_list(column.type) else column
        if pa.types.is_floating(flat.type) and pc.any(pc.is_nan(flat)).as_py():
            raise ValueError(f"column '{name}' holds NaN; parts hold NULL instead.")
