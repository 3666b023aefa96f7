// The phase diagram with what one does with it: open cells and trials, take it home.

import { base, change, diagramParams, read } from "./address.js";
import { ofStudy } from "./api.js";
import { cellText, parseCell } from "./cells.js";
import { copy, el } from "./dom.js";
import { mlflowButton } from "./mlflow.js";
import { draw, forget } from "./plot.js";

// Pixels from a dot within which a click means its trial; plotly's own 20 would leave little of a cell.
const DOT_REACH = 8;
const FRAME = "#E4572E";
// What the figures call ink; on the page ink is light where the paper is dark.
const INK = "#1A1A1A";

export async function showDiagram(box, name, diagram, params) {
  if (box.drawn !== diagram) build(box, name, diagram, params);
  const cells = params.getAll("cell").map(parseCell);
  const plots = [...box.querySelectorAll(".plot")];
  await Promise.all(plots.map((plot, facet) => {
    const { figure } = diagram.panels[facet];
    const frames = cells.flatMap((cell) => frame(diagram, cell, facet));
    const shapes = [...(figure.layout.shapes ?? []), ...frames];
    const data = [...figure.data, ...ring(diagram, params.get("trial"), facet)];
    return draw(plot, { data, layout: { ...figure.layout, shapes, hoverdistance: DOT_REACH } }, { key: diagramParams(params).toString() });
  }));
  for (const plot of plots) {
    if (!plot.listens) plot.on("plotly_click", clicked);
    plot.listens = true;
  }
  box.dataset.ready = "yes";
}

function build(box, name, diagram, params) {
  delete box.dataset.ready;
  box.querySelectorAll(".plot").forEach(forget);
  const panels = diagram.panels.map(({ title }, facet) =>
    el("figure", {},
      title ? el("figcaption", {}, title) : null,
      el("div", { class: "plot", id: facet ? null : "phase", "data-x": diagram.query.x, "data-value": diagram.query.value, role: "img", "aria-label": `phase diagram of ${name} ${title}` })));
  box.drawn = diagram;
  box.replaceChildren(
    legend(diagram.keys),
    el("div", { class: "panels" }, ...panels),
    el("p", { class: "note quiet" }, diagram.note, diagram.y.length ? `   ·   ${diagram.panels[0].boundary}` : ""),
    el("div", { class: "row actions" }, ...actions(name, diagram, params)));
}

/** What the marks mean, as text beside marks of the same shape. */
export function legend(keys) {
  return el("ul", { class: "legend" }, ...keys.map(({ name, colour, shape, sign }) =>
    el("li", {}, el("span", { class: `mark ${shape}`, style: shape === "line" || colour === INK ? null : `--mark:${colour}`, "aria-hidden": "true" }, sign || null), name)));
}

/** A dot opens its trial; a cell opens itself, with Shift or "+ cell" beside those that are open. */
function clicked({ points, event }) {
  const diagram = document.getElementById("diagram").drawn;
  const dot = points.find(({ customdata }) => typeof customdata === "string");
  const heat = points.find(({ customdata }) => Array.isArray(customdata));
  const beside = event?.shiftKey || document.getElementById("add-cell")?.ariaPressed === "true";
  if (dot && !beside) {
    change({ trial: dot.customdata, tab: null, step: null, figure: null });
  } else if (heat) {
    const [x, y, facet] = heat.customdata;
    const text = cellText({ x: diagram.x[x].value, y: diagram.y[y]?.value, facet: diagram.facet[facet]?.value });
    const open = read().params.getAll("cell");
    const cells = beside ? [...open.filter((cell) => cell !== text), text] : [text];
    change({ cell: cells, trial: null, step: null, figure: null });
  }
}

/** Dims every dot but those of the given trials; null shows all alike again. */
export function mark(trials) {
  for (const plot of document.querySelectorAll("#diagram .plot")) {
    plot.data.forEach(({ customdata }, trace) => {
      if (!customdata?.length || typeof customdata[0] !== "string") return;
      const chosen = trials && [...customdata.keys()].filter((i) => trials.has(customdata[i]));
      globalThis.Plotly.restyle(plot, { selectedpoints: [chosen] }, [trace]);
    });
  }
}

/** A rectangle round an open cell, if it lies in this facet. */
function frame(diagram, cell, facet) {
  const x = diagram.x.findIndex((level) => level.value === cell.x);
  const y = diagram.y.length ? diagram.y.findIndex((level) => level.value === cell.y) : 0;
  const panel = diagram.facet.length ? diagram.facet.findIndex((level) => level.value === cell.facet) : 0;
  if (x < 0 || y < 0 || panel !== facet) return [];
  const { edges } = diagram;
  const shape = { type: "rect", line: { color: FRAME, width: 3 }, x0: edges.x[x], x1: edges.x[x + 1], layer: "above" };
  if (!diagram.y.length) return [{ ...shape, yref: "y domain", y0: 0, y1: 1 }];
  return [{ ...shape, y0: edges.y[y], y1: edges.y[y + 1] }];
}

/** A ring round the open trial, where trials lie without cells. */
function ring(diagram, trial, facet) {
  const point = trial ? diagram.points.find((one) => one.trial.startsWith(trial)) : null;
  if (!point || point.facet !== facet) return [];
  const marker = { size: 20, symbol: "circle-open", color: FRAME, line: { width: 3, color: FRAME } };
  return [{ type: "scatter", mode: "markers", x: [point.x], y: [point.y], marker, hoverinfo: "skip", showlegend: false, cliponaxis: false }];
}

function actions(name, diagram, params) {
  const query = diagramParams(params).toString();
  const file = (kind) => `${base}/api/${ofStudy(name, "download", `phase.${kind}`)}${query ? `?${query}` : ""}`;
  return [
    el("button", { type: "button", id: "copy-link", onclick: () => copy(location.href, "Link") }, "Copy link"),
    el("button", { type: "button", id: "copy-python", onclick: () => copy(diagram.python, "Python"), title: diagram.python }, "Copy Python"),
    el("button", { type: "button", id: "copy-command", onclick: () => copy(diagram.command, "Command"), title: diagram.command }, "Copy command"),
    mlflowButton(name, null),
    ...["svg", "pdf", "csv"].map((kind) => el("a", { class: "button", href: file(kind), download: "" }, kind.toUpperCase())),
  ];
}
