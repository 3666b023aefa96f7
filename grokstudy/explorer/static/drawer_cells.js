// Open cells side by side: every seed's curves, survival, their trials, and in what two of them differ.

import { change, diagramParams } from "./address.js";
import { Refusal, ask, ofStudy } from "./api.js";
import { el, refusal } from "./dom.js";
import { chosenTab, tabs } from "./drawer.js";
import { draw } from "./plot.js";
import { plainTable, trialsTable } from "./table.js";

const TABS = [["curves", "Curves"], ["survival", "Survival"], ["trials", "Trials"], ["differences", "Differences"]];

export async function showCells(box, { name, overview, params }) {
  const cells = params.getAll("cell");
  const tab = chosenTab(TABS, params);
  const asked = diagramParams(params);
  for (const cell of cells) asked.append("cell", cell);
  const key = `${params.get("tab")}?${asked}#${overview.version}`;
  if (box.dataset.key === key) return;
  box.dataset.key = key;
  const body = el("div", { class: "body" });
  box.querySelector(".body")?.classList.add("busy");
  const show = { curves, survival, trials, differences }[tab];
  let shown;
  try {
    shown = await show(name, asked, body);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    shown = [refusal(error)];
  }
  if (box.dataset.key !== key || box.dataset.shows !== "cells") return; // another cell was opened meanwhile
  body.replaceChildren(...shown.map((part) => part.node ?? part));
  box.replaceChildren(head(cells), tabs(TABS, params), body);
  for (const part of shown) if (part.figure) await drawn(part);
  body.dataset.ready = "yes";
}

function head(cells) {
  const text = cells.length === 1 ? "1 cell" : `${cells.length} cells`;
  return el("div", { class: "row head" }, el("h2", {}, text),
    el("button", { type: "button", id: "add-cell", "aria-pressed": "false", title: "or hold Shift and click, or Shift and an arrow key",
      onclick: ({ currentTarget: button }) => button.setAttribute("aria-pressed", String(button.ariaPressed !== "true")) }, "+ cell"),
    el("span", { class: "quiet hint" }, "the next cell you click opens beside"),
    el("button", { type: "button", id: "close-cells", onclick: () => change({ cell: null, tab: null }) }, "Close"));
}

async function drawn({ node, figure }) {
  await draw(node, figure, { key: node.dataset.cell ?? "", name: node.dataset.cell ?? "survival" });
  node.on("plotly_click", ({ points }) => {
    const id = points.map((point) => trialOf(point)).find(Boolean);
    if (id) change({ trial: id, tab: null, step: null });
  });
}

/** The trial of a point: on the point, or on the whole curve. */
function trialOf(point) {
  const given = point.customdata ?? point.data.customdata ?? point.data.meta;
  const first = Array.isArray(given) ? given[0] : given;
  return typeof first === "string" ? first : null;
}

async function curves(name, asked) {
  const { cells } = await ask(ofStudy(name, "cells", "curves"), asked);
  return cells.map(({ cell, n, figure }) =>
    n ? { node: el("div", { class: "plot cell-curves", "data-cell": cell }), figure } : el("p", { class: "message" }, `${cell}: no trial has finished here yet.`));
}

async function survival(name, asked) {
  const { figure } = await ask(ofStudy(name, "cells", "survival"), asked);
  return [{ node: el("div", { class: "plot", id: "survival" }), figure }];
}

async function trials(name, asked) {
  return [trialsTable(await ask(ofStudy(name, "cells", "trials"), asked))];
}

async function differences(name, asked) {
  const { a, b, differences: found } = await ask(ofStudy(name, "cells", "differences"), asked);
  return [
    plainTable(["setting", a, b], found.rows.map((row) => [row.path, row.a, row.b]), "differences"),
    el("p", { class: "quiet" }, `${found.same} settings are the same everywhere. ${found.n_a} and ${found.n_b} trials.`),
  ];
}
