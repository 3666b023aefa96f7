// The drawer beside the diagram: open cells, an open trial, or what else there is to see of the study.

import { change } from "./address.js";
import { Refusal } from "./api.js";
import { el, message, refusal } from "./dom.js";
import { showCells } from "./drawer_cells.js";
import { showWhole } from "./drawer_study.js";
import { showTrial } from "./drawer_trial.js";

export const CLOSED = { cell: null, trial: null, tab: null, step: null, figure: null };

/** The tab that an address names (`tab=survival`), or the first one. */
export function chosenTab(names, params) {
  return names.some(([key]) => key === params.get("tab")) ? params.get("tab") : names[0][0];
}

/** Tabs, and a sentence under them if the address names one that is not there. */
export function tabs(names, params) {
  const chosen = chosenTab(names, params);
  const given = params.get("tab") ?? chosen;
  const buttons = names.map(([key, text]) =>
    el("button", { type: "button", role: "tab", "data-tab": key, "aria-selected": String(key === chosen), onclick: () => change({ tab: key }, { replace: true }) }, text));
  const there = names.map(([key]) => key).join(", ");
  return el("div", {},
    el("div", { class: "tabs", role: "tablist" }, ...buttons),
    given === chosen ? null : message(`tab: got '${given}', must be one of ${there}; this is ${chosen}.`, { kind: "message error" }));
}

/** `page.diagram` is a promise: the diagram, or null where none can be drawn. */
export async function showDrawer(box, page) {
  const { params } = page;
  const [show, key] = params.get("trial")
    ? [showTrial, "trial"]
    : params.getAll("cell").length ? [showCells, "cells"] : [showWhole, "study"];
  if (box.dataset.shows !== key) {
    box.replaceChildren(el("p", { class: "busy" }));
    box.dataset.shows = key;
    delete box.dataset.key;
  }
  try {
    await show(box, page);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    delete box.dataset.key;
    box.replaceChildren(refusal(error, el("p", {}, el("button", { type: "button", id: "close", onclick: () => change(CLOSED) }, "Close"))));
  }
}
