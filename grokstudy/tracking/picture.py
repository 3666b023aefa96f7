"""A picture made small."""

from __future__ import annotations

import io

WIDTH = 900
"""Pixels that fit beside MLflow's menus on a laptop."""
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"


def small(png: bytes, width: int = WIDTH) -> bytes:
    """A PNG at most `width` pixels wide; smaller ones, and what is no PNG, as they are."""
    if not png.startswith(PNG_MAGIC):
        return png
    from PIL import Image

    with Image.open(io.BytesIO(png)) as picture:
        if picture.width <= width:
            return png
        made = io.BytesIO()
        picture.resize((width, round(picture.height * width / picture.width))).save(made, "PNG", optimize=True)
    return made.getvalue()
