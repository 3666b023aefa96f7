"""Answers as JSON: figures, arrays and records become what plotly.js and the page read; NaN becomes null."""

from __future__ import annotations

import dataclasses
from typing import Any

from fastapi.responses import Response
from plotly.basedatatypes import BaseFigure
from plotly.io.json import to_json_plotly


class Answer(Response):
    """A JSON document that may hold plotly figures, numpy arrays and frozen records."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        text: str = to_json_plotly(_plain(content))
        return text.encode()


def _plain(value: Any) -> Any:
    if isinstance(value, BaseFigure):
        return value.to_dict()  # arrays as typed binary: four times smaller than text
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
