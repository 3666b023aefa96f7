// Keys: arrows move the open cell, s copies the link, Escape closes what is open, ? says so.

import { change, read } from "./address.js";
import { cellText, parseCell } from "./cells.js";
import { copy, toast } from "./dom.js";
import { CLOSED } from "./drawer.js";
import { currentDiagram } from "./study.js";

const MOVES = { ArrowLeft: ["x", -1], ArrowRight: ["x", 1], ArrowUp: ["y", 1], ArrowDown: ["y", -1] };

export const HELP = "arrows: move the cell · Shift and arrows: open the next beside it · s: copy the link · p: copy Python · Esc: close · ?: this line";

export function keys(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, select, textarea")) return;
  const diagram = currentDiagram();
  if (event.key in MOVES && diagram && !event.target.closest(".scroll")) move(event, diagram);
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

function place(levels, value) {
  return Math.max(levels.findIndex((level) => level.value === value), 0);
}
