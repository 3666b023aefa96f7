"""The address of a view: what the explorer shows is a function of the study and of these query parameters alone."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Callable, Sequence

from grokstudy.phase.query import PhaseQuery
from grokstudy.spec.axes import Value
from grokstudy.spec.errors import BadInput, unknown

FIX = "fix."
"""Start of parameters that hold a setting at one value: `fix.optimizer.lr=0.01`."""
CELL_SEPARATOR = "|"
"""Between the values of a cell on x, y and facet: `cell=0.3|0.55`."""
ON_THE_PAGE = ("cell", "trial", "tab", "step", "figure", "dark")
"""Parameters that say what else of the study is open; the diagram does not depend on them."""


@dataclasses.dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a diagram, by the texts of its levels; None where there is no such axis."""

    x: str
    y: str | None = None
    facet: str | None = None


def phase_query(parameters: Sequence[tuple[str, str]], default: PhaseQuery | None) -> PhaseQuery:
    """The diagram that an address asks for.

    Args:
        parameters: name and value of each query parameter, in order.
        default: what is drawn without `x`; None if the study has nothing to draw by itself.

    `y=` (empty) is a diagram of one dimension. Settings that the default holds fixed stay so, unless they are drawn.

    Raises:
        BadInput: an unknown or repeated name, a value of the wrong kind, or no axis at all.
    """
    given: dict[str, str] = {}
    fix: dict[str, Value] = {}
    for name, value in parameters:
        if name in ON_THE_PAGE:
            continue
        known = FIX if name.startswith(FIX) else name
        if known not in _READERS and known != FIX:
            raise unknown("address", name, [*_READERS, *ON_THE_PAGE, f"{FIX}SETTING"])
        if name in given or name.removeprefix(FIX) in fix:
            raise BadInput(f"address: '{name}' is there twice; it must be there once.")
        if known == FIX:
            fix[name.removeprefix(FIX)] = value
        else:
            given[name] = value
    settings = {_FIELDS.get(name, name): _READERS[name](name, value) for name, value in given.items() if value}
    if default is None:
        if "x" not in settings:
            raise BadInput("x: this study has no axis to draw by itself; choose the setting on the x axis.")
        return PhaseQuery(**settings, fix=tuple(fix.items()))  # type: ignore[arg-type]
    base = dataclasses.replace(default, y=None) if "y" in given else default
    drawn = {settings.get(key, getattr(base, key)) for key in ("x", "y", "facet")}
    held = {path: value for path, value in default.fix if path not in drawn}
    return dataclasses.replace(base, **settings, fix=tuple((held | fix).items()))  # type: ignore[arg-type]


def cell(text: str) -> Cell:
    """The cell that `cell=...` names.

    Raises:
        BadInput: not one to three values.
    """
    parts = text.split(CELL_SEPARATOR)
    if not 1 <= len(parts) <= 3 or not parts[0]:
        raise BadInput(f"cell: got '{text}', must be its value on x, then on y, as in cell=0.3{CELL_SEPARATOR}0.55.")
    y, facet = [*(part or None for part in parts[1:]), None, None][:2]
    return Cell(x=parts[0], y=y, facet=facet)


def python_call(study: str, query: PhaseQuery) -> str:
    """The Python that computes this diagram."""
    arguments = [f"{name}={value!r}" for name, value in _changed(query)]
    return f"import grokstudy as gs\n\ndiagram = gs.open({study!r}).phase_diagram({', '.join(arguments)})"


def command(study: str, query: PhaseQuery) -> str:
    """The command that draws this diagram."""
    words = ["grokstudy", "phases", study]
    for name, value in _changed(query):
        if isinstance(value, dict):
            words += [word for setting, held in value.items() for word in ("--fix", f"{setting}={held}")]
        else:
            words += [f"--{name}", str(value)]
    return shlex.join([*words, "--out", "phase.pdf"])


def _changed(query: PhaseQuery) -> list[tuple[str, str | float | dict[str, Value]]]:
    """Fields of the query that are not at their default, in its order; `fix` as a mapping."""
    plain = {field.name: getattr(query, field.name) for field in dataclasses.fields(query)}
    default = {field.name: field.default for field in dataclasses.fields(query)}
    changed = [(name, value) for name, value in plain.items() if value != default[name]]
    return [(name, dict(value) if name == "fix" else value) for name, value in changed]


def _text(name: str, value: str) -> str:
    return value


def _number(name: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise BadInput(f"{name}: got '{value}', must be a number.") from None


def _whole(name: str, value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise BadInput(f"{name}: got '{value}', must be a whole number.") from None


_READERS: dict[str, Callable[[str, str], str | float | int]] = {
    "x": _text,
    "y": _text,
    "value": _text,
    "facet": _text,
    "rule": _text,
    "at": _text,
    "boundary": _text,
    "tau": _number,
    "ratio": _number,
    "T": _whole,
    "bins": _whole,
}
_FIELDS = {"T": "budget"}
"""Fields of the query that have another name in an address."""
