"""Plotly figures as one HTML page: plotly.js inside, light or dark as the reader's system is, any width, no network."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from string import Template
from typing import Literal, NamedTuple

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from grokstudy.phase.palette import INK
from grokstudy.phase.theme import DARK, LIGHT, dark_colours, themed


class Figure(NamedTuple):
    """A plotly figure with its place on the page."""

    figure: go.Figure
    title: str = ""
    least: int = 320
    """Pixels; on a narrower screen the figure scrolls sideways, alone."""
    most: int = 1000


class Key(NamedTuple):
    """One entry of the legend."""

    name: str
    colour: str
    shape: Literal["dot", "square", "hatch", "cross", "plus", "sign", "line"]
    """`sign`: the letter `sign` in the colour; `line`: the same in ink, wider."""
    sign: str = ""


_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>$title</title>
<style>
:root { --ink: $ink; --quiet: $quiet; --paper: $paper; --line: $grid; }
@media (prefers-color-scheme: dark) {
  :root { --ink: $dark_ink; --quiet: $dark_quiet; --paper: $dark_paper; --line: $dark_grid; }
}
body { margin: 0 auto; padding: 1.2rem clamp(.6rem, 2.5vw, 2.5rem); max-width: 1760px; color: var(--ink);
       background: var(--paper); font: 15px/1.5 system-ui, "Open Sans", sans-serif; }
h1 { font-size: 1.25rem; margin: 0 0 .5rem; overflow-wrap: anywhere; }
h2 { font-size: .95rem; margin: 0 0 .2rem; overflow-wrap: anywhere; }
.keys { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; margin: 0 0 .9rem; padding: 0; list-style: none;
        font-size: .85rem; }
.keys i { display: inline-block; width: .8em; height: .8em; margin-right: .45em; vertical-align: -.06em;
          font-style: normal; line-height: .8em; text-align: center; }
.keys .dot { border-radius: 50%; border: 1px solid var(--quiet); }
.keys .square { border: 1px solid var(--quiet); }
.keys .sign { font-size: 1.05em; -webkit-text-stroke: .6px var(--quiet); }
.keys .line { width: auto; letter-spacing: -.05em; }
.keys .hatch { border: 1px solid var(--line);
               background: repeating-linear-gradient(-45deg, transparent 0 2px, var(--quiet) 2px 3px); }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, $column), 1fr)); gap: 1.2rem; }
.figures > section { min-width: 0; overflow-x: auto; }
.note { color: var(--quiet); font-size: .82rem; max-width: 72rem; margin: .8rem 0 0; }
@media print { body { max-width: none; } section { break-inside: avoid; } }
</style>
</head>
<body>
<h1>$title</h1>
$keys
<main class="figures">
$figures
</main>
<p class="note">$note</p>
<script>$library</script>
<script type="application/json" id="figures">$data</script>
<script type="application/json" id="dark">$dark</script>
<script>
"use strict";
const figures = document.getElementById("figures").textContent;
const dark = JSON.parse(document.getElementById("dark").textContent);
const plain = new Set(["x", "y", "z", "text", "customdata", "ticktext", "tickvals"]);
// Every colour that is not data's; a list of colours was chosen against what lies below each point.
function repainted(key, part) {
  if (plain.has(key) && Array.isArray(part)) return part;
  if (typeof part === "string") return dark.colours[part.toUpperCase()] ?? part;
  if (part === null || typeof part !== "object") return part;
  if (key === "color" && Array.isArray(part)) return part.map((each) => (each === "$quiet" ? "$dark_quiet" : each));
  if (Array.isArray(part)) return part.map((each) => repainted(key, each));
  return Object.fromEntries(Object.entries(part).map(([name, each]) => [name, repainted(name, each)]));
}
const night = matchMedia("(prefers-color-scheme: dark)");
function draw() {
  const paper = night.matches && !matchMedia("print").matches;
  JSON.parse(figures).forEach((figure, number) => {
    const { data, layout } = paper ? repainted("", figure) : figure;
    if (paper) Object.assign(layout, { template: dark.template });
    const clear = "rgba(0,0,0,0)";
    Object.assign(layout, { paper_bgcolor: clear, plot_bgcolor: clear, modebar: { bgcolor: clear } });
    const options = { responsive: true, displaylogo: false, toImageButtonOptions: { format: "svg" } };
    Plotly.react("figure-" + number, data, layout, options);
  });
}
night.addEventListener("change", draw);
draw();
</script>
</body>
</html>
""")
_SECTION = Template(
    '<section style="max-width: ${most}px">$title'
    '<div id="figure-$number" style="min-width: ${least}px"></div></section>'
)
_SIGNS = {"cross": "×", "plus": "✚"}


def page(title: str, note: str, figures: Sequence[Figure], keys: Sequence[Key] = ()) -> str:
    """The page. Figures stand side by side as far as the screen is wide, else below each other."""
    least = max((one.least for one in figures), default=0)
    return _PAGE.substitute(
        title=html.escape(title),
        note=html.escape(note),
        keys=_legend(keys),
        figures="\n".join(_section(number, one) for number, one in enumerate(figures)),
        column=f"{max(least, 460 if len(figures) > 1 else 320)}px",
        library=get_plotlyjs(),
        data=_inert("[" + ",".join(one.figure.to_json() for one in figures) + "]"),
        dark=_inert(_dark()),
        **_colours(),
    )


def _section(number: int, one: Figure) -> str:
    title = f"<h2>{html.escape(one.title)}</h2>" if one.title else ""
    return _SECTION.substitute(number=number, title=title, least=one.least, most=one.most)


def _legend(keys: Sequence[Key]) -> str:
    if not keys:
        return ""
    items = (
        f'<li><i class="{key.shape}"{_painted(key)}>{key.sign or _SIGNS.get(key.shape, "")}</i>'
        f"{html.escape(key.name)}</li>"
        for key in keys
    )
    return f'<ul class="keys">{"".join(items)}</ul>'


def _painted(key: Key) -> str:
    if key.shape == "sign" and key.colour != INK:  # ink follows the page's own
        return f' style="color: {key.colour}"'
    return f' style="background: {key.colour}"' if key.shape in ("dot", "square") else ""


def _colours() -> dict[str, str]:
    names = ("ink", "quiet", "paper", "grid")
    return {name: getattr(LIGHT, name) for name in names} | {f"dark_{name}": getattr(DARK, name) for name in names}


def _dark() -> str:
    """What a script needs to repaint figures: colours by colours, and the template of dark figures."""
    template = themed(go.Figure(), dark=True).layout.template.to_plotly_json()
    return json.dumps({"colours": dark_colours(), "template": template})


def _inert(text: str) -> str:
    """JSON that says nothing to an HTML parser: neither an end tag nor a comment can begin in it."""
    return text.replace("<", "\\u003c")
