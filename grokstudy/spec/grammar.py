"""Axes in Hydra's own sweep grammar plus `lin`, `log` and `seeds`.

`a=1,2,3`, `range(0,5)`, `interval(0,1)`, `tag(log, interval(1e-3, 1))` are Hydra's; lin(a, b, n) and log(a, b, n) are n
evenly spaced values (two arguments: an interval for samplers that choose their points), seeds(n) is 0 .. n-1.
"""

# No `from __future__ import annotations` here: Hydra checks the arguments of lin, log and seeds by live annotations.
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Union

import numpy as np
from hydra.core.override_parser.overrides_parser import OverridesParser, create_functions
from hydra.core.override_parser.types import ChoiceSweep, Glob, IntervalSweep, Override, QuotedString, RangeSweep
from hydra.errors import HydraException

from grokstudy.spec.axes import Axis, Value
from grokstudy.spec.errors import BadInput

EXAMPLES = "Settings are words like optimizer.lr=1e-3 or seed='seeds(3)'."
Number = Union[int, float]  # noqa: UP007  (Hydra checks arguments against typing.Union)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """Overrides from a command line or a study's `axes`, sorted into what is fixed and what varies."""

    fixed: tuple[Override, ...]
    axes: tuple[Axis, ...]


def parse(words: Sequence[str]) -> Words:
    """Sorts override words.

    Raises:
        BadInput: a word is not an override, or a sweep function got arguments that make no sense.
    """
    fixed, axes = [], []
    for word in words:
        override = _parsed(word)
        if override.is_sweep_override():
            axes.append(axis(override))
        else:
            fixed.append(override)
    return Words(fixed=tuple(fixed), axes=tuple(axes))


def axis(override: Override) -> Axis:
    """The axis of one sweep override."""
    path, sweep = override.get_key_element(), override.value()
    if isinstance(sweep, IntervalSweep):
        assert sweep.start is not None
        assert sweep.end is not None
        integer = isinstance(sweep.start, int) and isinstance(sweep.end, int)
        return Axis(path=path, low=float(sweep.start), high=float(sweep.end), log="log" in sweep.tags, integer=integer)
    return Axis(path=path, values=tuple(_flat(path, sweep)))


def axis_of(path: str, text: Any) -> Axis:
    """The axis that a study's YAML gives as `path: text`; a list is its values, a single value an axis of one."""
    if isinstance(text, (list, tuple)):
        return Axis(path=path, values=tuple(text))
    if not isinstance(text, str):
        return Axis(path=path, values=(text,))
    override = _parsed(f"{path}={text}")
    return axis(override) if override.is_sweep_override() else Axis(path=path, values=(_plain(path, override.value()),))


def _parsed(word: str) -> Override:
    functions = create_functions()
    own: dict[str, Callable[..., Any]] = {"lin": _lin, "log": _log, "seeds": _seeds}
    for name, function in own.items():
        functions.register(name, function)
    try:
        override = OverridesParser(functions=functions).parse_override(word)
    except HydraException as error:
        reason = next((str(cause) for cause in _causes(error) if isinstance(cause, BadInput)), None)
        if reason is None:
            text = str(error).strip().splitlines()[0].removesuffix(".") + "."
            reason = _explained(text)
        raise BadInput(f"'{word}': {reason} {EXAMPLES}") from error
    if not override.key_or_group:
        raise BadInput(f"'{word}': names no setting. {EXAMPLES}")
    return override


def _explained(text: str) -> str:
    """The parser's two most frequent complaints in a user's words."""
    if text.startswith("missing EQUAL"):
        return "has no '=' and value."
    if text.startswith("token recognition error"):
        return f"{text} Put such a value in quotes, twice for a shell: \"key='a;b'\"."
    return text


def _causes(error: BaseException | None) -> list[BaseException]:
    return [] if error is None else [error, *_causes(error.__cause__ or error.__context__)]


def _flat(path: str, sweep: Any) -> list[Value]:
    """Values of a sweep; nested ones (0,log(0.1,10,9)) are flattened, which Hydra leaves nested without a word."""
    if isinstance(sweep, ChoiceSweep):
        return [value for item in sweep.list for value in _flat(path, item)]
    if isinstance(sweep, RangeSweep):
        assert sweep.start is not None
        assert sweep.stop is not None
        steps = np.arange(float(sweep.start), float(sweep.stop), float(sweep.step))
        whole = all(isinstance(v, int) for v in (sweep.start, sweep.stop, sweep.step))
        return [int(v) if whole else _number(v) for v in steps.tolist()]
    if isinstance(sweep, (Glob, IntervalSweep)):
        raise BadInput(f"{path}: cannot mix {type(sweep).__name__} with values.")
    return [_plain(path, sweep)]


def _plain(path: str, value: Any) -> Value:
    if isinstance(value, QuotedString):
        return value.text
    if isinstance(value, (str, int, float, bool)) or value is None:
        return value
    raise BadInput(f"{path}: an axis takes numbers, words and booleans, got {value!r}.")


def _number(value: float) -> float:
    return float(f"{value:.11e}") if isinstance(value, float) else value


def _lin(start: Number, end: Number, n: int = 0) -> ChoiceSweep | IntervalSweep:
    if n == 0:
        return IntervalSweep(start=float(start), end=float(end))
    _check_count("lin", n)
    return _choices(np.linspace(start, end, n).tolist())


def _log(start: Number, end: Number, n: int = 0) -> ChoiceSweep | IntervalSweep:
    if start <= 0 or end <= 0:
        raise BadInput(f"log({start}, {end}): both ends must be > 0; write 0,log(...) to include zero.")
    if n == 0:
        return IntervalSweep(start=float(start), end=float(end), tags={"log"})
    _check_count("log", n)
    return _choices(np.geomspace(start, end, n).tolist())


def _seeds(n: int) -> ChoiceSweep:
    if n < 1:
        raise BadInput(f"seeds({n}): needs at least one seed.")
    return ChoiceSweep(list=list(range(n)), simple_form=True)


def _choices(values: list[float]) -> ChoiceSweep:
    return ChoiceSweep(list=[_number(value) for value in values], simple_form=True)


def _check_count(name: str, n: int) -> None:
    if n < 2:
        raise BadInput(f"{name}(..., {n}): needs at least 2 values.")
