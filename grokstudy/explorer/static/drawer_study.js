// Nothing is open: all trials of the diagram, parallel coordinates, and SQL.

import { diagramParams } from "./address.js";
import { Refusal, ask, ofStudy } from "./api.js";
import { count, el, refusal } from "./dom.js";
import { chosenTab, tabs } from "./drawer.js";
import { mark } from "./diagram.js";
import { draw } from "./plot.js";
import { plainTable, trialsTable } from "./table.js";

const SQL = document.documentElement.dataset.sql === "yes";
const TABS = [["trials", "Trials"], ["parallel", "Parallel"], ...(SQL ? [["sql", "SQL"]] : [])];
const EXAMPLE = "SELECT outcome, count(*) AS trials, median(t_gen) AS t_gen FROM trials GROUP BY 1 ORDER BY 2 DESC";

export async function showWhole(box, { name, overview, diagram, params }) {
  const tab = chosenTab(TABS, params);
  const asked = diagramParams(params);
  if (!overview.default && !asked.get("x")) asked.set("x", "seed"); // nothing varies: its trials are one cell
  const key = `${params.get("tab")}?${tab === "sql" ? "" : `${asked}#${overview.version}`}`;
  if (box.dataset.key === key) return;
  box.dataset.key = key;
  const body = el("div", { class: "body" });
  box.querySelector(".body")?.classList.add("busy");
  const hint = el("p", { class: "quiet" }, "Click a cell for its trials' curves, a dot for one trial.");
  diagram.then((drawn) => { if (drawn?.points.length) hint.textContent = "Click a point for its trial."; }, () => {});
  try {
    await { trials, parallel, sql }[tab](name, asked, body);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    body.replaceChildren((await diagram) ? refusal(error) : ""); // without a diagram the reason stands in its place
  }
  if (box.dataset.key !== key || box.dataset.shows !== "study") return;
  box.replaceChildren(hint, tabs(TABS, params), body);
  const plot = body.querySelector(".plot");
  if (plot?.pending && (await draw(plot, plot.pending, { key, name: tab }))) {
    plot.on("plotly_restyle", () => mark(chosen(plot)));
  }
  body.dataset.ready = "yes";
}

async function trials(name, asked, body) {
  body.replaceChildren(trialsTable(await ask(ofStudy(name, "cells", "trials"), asked)));
}

async function parallel(name, asked, body) {
  const { figure } = await ask(ofStudy(name, "parallel"), asked);
  const plot = el("div", { class: "plot", id: "parallel" });
  plot.pending = figure;
  body.replaceChildren(
    el("p", { class: "quiet" }, "Drag along an axis to choose trials: the diagram shows which."),
    el("div", { class: "scroll" }, plot));
}

/** Trials whose lines pass the ranges chosen on every axis; null if nothing is chosen. */
function chosen(plot) {
  const trace = plot.data[0];
  const ranges = trace.dimensions.map(({ constraintrange }) =>
    constraintrange === undefined || constraintrange === null ? null : Array.isArray(constraintrange[0]) ? constraintrange : [constraintrange]);
  if (!ranges.some(Boolean)) return null;
  const inside = (line) => trace.dimensions.every(({ values }, i) => !ranges[i] || ranges[i].some(([low, high]) => values[line] >= low && values[line] <= high));
  return new Set(trace.customdata.filter((_, line) => inside(line)));
}

async function sql(name, asked, body) {
  const text = el("textarea", { id: "sql", rows: 4, spellcheck: "false", "aria-label": "SQL" }, EXAMPLE);
  const answer = el("div", { id: "sql-answer" });
  const run = async () => {
    delete answer.dataset.ready;
    try {
      const { columns, rows, cut } = await ask(ofStudy(name, "sql"), { q: text.value });
      answer.replaceChildren(plainTable(columns, rows, "sql-rows"), el("p", { class: "quiet" }, cut ? `the first ${count(rows.length)} rows` : `${count(rows.length)} rows`));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      answer.replaceChildren(el("pre", { class: "message error", role: "alert" }, error.message));
    }
    answer.dataset.ready = "yes";
  };
  text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) run();
  });
  body.replaceChildren(
    text,
    el("div", { class: "row" }, el("button", { type: "button", id: "sql-run", onclick: run }, "Run"), el("span", { class: "quiet" }, "Ctrl-Enter runs; views: trials, curves, measures, measures_long, checkpoints")),
    answer);
}

