"""The one HTML document of the explorer. Everything in it is drawn by the scripts in static/ from data of /api."""

from __future__ import annotations

import functools
import html
from pathlib import Path
from string import Template

STATIC = Path(__file__).parent / "static"

_PAGE = Template("""<!doctype html>
<html lang="en" data-root="$root" data-sql="$sql">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>grokstudy</title>
<link rel="icon" href="$root/static/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="$root/static/explorer.css">
<script src="$root/plotly.min.js" defer></script>
<script src="$root/static/main.js" type="module"></script>
$modules
</head>
<body>
<a class="skip" href="#main">Skip to the diagram</a>
<header id="top"></header>
<main id="main" tabindex="-1"><p class="quiet">Loading ...</p></main>
<div id="toast" role="status" aria-live="polite"></div>
<noscript><p class="message">The explorer needs JavaScript; everything it shows is also in
<code>grokstudy phases</code>, <code>trials</code> and <code>report</code>.</p></noscript>
</body>
</html>
""")


def page(root_path: str, *, sql: bool) -> str:
    """The document, for an explorer below this path of a proxy."""
    root = html.escape(root_path.rstrip("/"))
    return _PAGE.substitute(root=root, sql="yes" if sql else "no", modules=_modules(root))


@functools.cache
def _modules(root: str) -> str:
    """All scripts asked for at once: else the browser finds each one's imports only after reading it."""
    names = sorted(path.name for path in STATIC.glob("*.js"))
    return "\n".join(f'<link rel="modulepreload" href="{root}/static/{name}">' for name in names)
