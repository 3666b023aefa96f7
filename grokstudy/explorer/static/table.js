// Tables of trials: sorted by a click on a heading, a line opens its trial.

import { change } from "./address.js";
import { count, el } from "./dom.js";

const COLUMNS = [
  ["outcome", (line) => line.outcome],
  ["t_mem", (line) => line.t_mem],
  ["t_gen", (line) => line.t_gen],
  ["t_gen / t_mem", (line) => line.delay],
  ["retention", (line) => line.retention],
  ["train loss", (line) => line.train_loss],
  ["test loss", (line) => line.test_loss],
  ["test acc", (line) => line.test_acc],
  ["status", (line) => line.status],
  ["steps", (line) => line.steps_run],
  ["trial", (line) => line.trial_id.slice(0, 8)],
];

/** A table of what /cells/trials answers. */
export function trialsTable({ table, left_out: leftOut }) {
  const columns = [...table.names.map((name, i) => [name, (line) => line.settings[i]]), ...COLUMNS];
  const body = el("tbody");
  const heads = columns.map(([text], i) => el("th", { scope: "col" }, el("button", { type: "button", class: "sort", onclick: () => sort(i) }, text)));
  let sorted = { column: null, rising: true };
  fill(table.lines);

  function fill(lines) {
    body.replaceChildren(...lines.map((line) => el("tr", { "data-trial": line.trial_id, tabindex: "0", onclick: () => openTrial(line), onkeydown: (event) => event.key === "Enter" && openTrial(line) },
      ...columns.map(([, value]) => cellOf(value(line))))));
  }

  function sort(column) {
    sorted = { column, rising: sorted.column === column ? !sorted.rising : true };
    const value = columns[column][1];
    const lines = [...table.lines].sort((a, b) => compare(value(a), value(b), sorted.rising));
    heads.forEach((head, i) => head.setAttribute("aria-sort", i === column ? (sorted.rising ? "ascending" : "descending") : "none"));
    fill(lines);
  }

  return el("div", {},
    el("div", { class: "scroll" }, el("table", { class: "rows trials", id: "trials" }, el("thead", {}, el("tr", {}, ...heads)), body)),
    leftOut ? el("p", { class: "quiet" }, `${count(leftOut)} more trials are not listed; open a cell, or ask with SQL.`) : null);
}

function openTrial(line) {
  change({ trial: line.trial_id, tab: null, step: null });
}

function cellOf(value) {
  if (typeof value === "number") return el("td", { class: "number" }, Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(4))));
  return el("td", {}, value === null || value === undefined ? "–" : String(value));
}

/** What is missing comes last whichever way one sorts. */
function compare(a, b, rising) {
  if (a === null || b === null) return (a === null) - (b === null);
  const order = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
  return rising ? order : -order;
}

/** A table of plain rows. */
export function plainTable(columns, rows, id) {
  return el("div", { class: "scroll" }, el("table", { class: "rows", id },
    el("thead", {}, el("tr", {}, ...columns.map((name) => el("th", { scope: "col" }, name)))),
    el("tbody", {}, ...rows.map((row) => el("tr", {}, ...row.map(cellOf))))));
}
