// Figures come whole from the server; the page only puts them into a box and says when they stand.

import { message } from "./dom.js";

const CONFIG = {
  responsive: true,
  displaylogo: false,
  showSendToCloud: false, // plotly's own button would upload the figure
  plotlyServerURL: "",
  modeBarButtonsToRemove: ["lasso2d", "select2d", "autoScale2d"],
};

// Whether this browser draws by WebGL; known once a figure wanted it. Many on remote desktops do not.
let webgl = true;

/**
 * Draws a figure into a box, or changes the one that is there. Zoom is kept while `key` stays the same.
 * `name` is that of the file which the camera button saves, as SVG. The box gets data-ready when it stands, and data-ms,
 * how long drawing took. Gives false, and a sentence in the box, where this browser cannot draw it.
 */
export async function draw(box, figure, { key = "", name = "figure" } = {}) {
  const started = performance.now();
  delete box.dataset.ready;
  const layout = { ...figure.layout, uirevision: key, autosize: true };
  delete layout.width;
  const config = { ...CONFIG, toImageButtonOptions: { format: "svg", filename: `grokstudy-${name}` } };
  const react = () => globalThis.Plotly.react(box, webgl ? figure.data : figure.data.map(withoutWebgl), layout, config);
  await react();
  if (webgl && box.querySelector(".no-webgl")) {
    webgl = false;
    forget(box);
    await react();
  }
  if (box.querySelector(".no-webgl")) { // a kind of figure that has no other way
    forget(box);
    box.replaceChildren(message("This browser has WebGL switched off, which this figure needs."));
    return false;
  }
  box.dataset.ms = Math.round(performance.now() - started);
  box.dataset.ready = "yes";
  return true;
}

/** Slower lines are better than none. */
function withoutWebgl(trace) {
  return trace.type === "scattergl" ? { ...trace, type: "scatter" } : trace;
}

/** Frees what a figure holds before its box goes away. */
export function forget(box) {
  if (box.classList.contains("js-plotly-plot")) globalThis.Plotly.purge(box);
}
