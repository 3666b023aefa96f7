// Keys: arrows move the open cell, s copies the link, Escape closes what is open, ? says so.

import { change, read } from "./address.js";
import { cellText, parseCell } from "./cells.js";
import { copy, toast } from "./dom.js";
import { CLOSED } from "./drawer.js";
import { currentDiagram } from "./study.js";

const MOVES = { ArrowLeft: ["x", -1], ArrowRight: ["x", 1], ArrowUp: ["y", 1], ArrowDown: ["y", -1] };

export const HELP = "arrows: move the cell (or to the next trial) · Shift and arrows: open the next beside it · s: copy the link · p: copy Python · Esc: close · ?: this line";

export function keys(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, select, textarea")) return;
  const diagram = currentDiagram();
  if (event.key in MOVES && diagram && !event.target.closest(".scroll")) (diagram.points.length ? step : move)(event, diagram);
  else if (event.key === "s") copy(location.href, "Link");
  else if (event.key === "p" && diagram) copy(diagram.python, "Python");
  else if (event.key === "?") toast(HELP);
  else if (event.key === "Escape") change(read().params.get("trial") ? { ...CLOSED, cell: read().params.getAll("cell") } : CLOSED);
}

function move(event, diagram) {
  const [axis, by] = MOVES[event.key];
  if (!diagram[axis].length) return;
  event.preventDefault();
  const given = read().params.getAll("cell");
  const cell = given.length ? parseCell(given.at(-1)) : null;
  const next = { x: place(diagram.x, cell?.x), y: place(diagram.y, cell?.y), facet: cell?.facet ?? diagram.facet[0]?.value };
  if (cell) next[axis] = Math.min(Math.max(next[axis] + by, 0), diagram[axis].length - 1);
  const text = cellText({ x: diagram.x[next.x].value, y: diagram.y[next.y]?.value, facet: next.facet });
  const kept = (event.shiftKey ? given : given.slice(0, -1)).filter((other) => other !== text);
  change({ cell: [...kept, text], trial: null, step: null }, { replace: true });
}

/** Without cells: from the open trial to the nearest one in the direction of the arrow; the first to begin with. */
function step(event, { points }) {
  if (event.target.closest(".slider")) return;
  const [axis, by] = MOVES[event.key];
  const shown = points.map((point) => ({ ...point, ...onPage(point) }));
  const here = shown.find(({ trial }) => trial === read().params.get("trial"));
  event.preventDefault();
  const [along, across] = axis === "x" ? ["left", "up"] : ["up", "left"];
  const ahead = here ? shown.filter((one) => one.facet === here.facet && (one[along] - here[along]) * by > 0) : shown.slice(0, 1);
  const far = (one) => (here ? Math.hypot(one[along] - here[along], 2 * (one[across] - here[across])) : 0);
  ahead.sort((a, b) => far(a) - far(b));
  if (ahead.length) change({ trial: ahead[0].trial, cell: null, tab: null, step: null, figure: null }, { replace: true });
}

/** Pixels of a point from the left and from below, in its panel. */
function onPage({ facet, x, y }) {
  const { xaxis, yaxis } = document.querySelectorAll("#diagram .plot")[facet]._fullLayout;
  return { left: xaxis.d2p(x), up: -yaxis.d2p(y) };
}

function place(levels, value) {
  return Math.max(levels.findIndex((level) => level.value === value), 0);
}
