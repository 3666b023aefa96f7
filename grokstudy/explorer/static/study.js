// The page of a study: its head, the pickers, the diagram, and the drawer of what is open.

import { diagramParams, read, studyPath } from "./address.js";
import { Refusal, ask, ofStudy } from "./api.js";
import { showDiagram } from "./diagram.js";
import { el, keepFocus, message, refusal } from "./dom.js";
import { showDrawer } from "./drawer.js";
import { header } from "./header.js";
import { showHead } from "./head.js";
import { keys } from "./keyboard.js";
import { showPickers } from "./pickers.js";

const LIVE_MS = 2000;
const WAITING_MS = 10000;

// What is on the page now; nothing here is state that the address does not have.
let page = null;
let opening = null;

export async function showStudy(main, { name }, signal) {
  opening ??= build(main, name, signal);
  try {
    await opening;
  } catch (error) {
    opening = null;
    throw error;
  }
  if (page?.signal === signal) await update(read().params); // the address may have changed meanwhile
}

export function leaveStudy() {
  opening = null;
  if (!page) return;
  clearTimeout(page.timer);
  page.drawing?.abort();
  page = null;
  document.removeEventListener("keydown", keys);
}

async function build(main, name, signal) {
  const overview = await ask(ofStudy(name), {}, { signal });
  document.title = `${name} · grokstudy`;
  header(el("span", { class: "quiet" }, "/"), el("strong", {}, name));
  const boxes = {
    head: el("section", { id: "head" }),
    pickers: el("section", { id: "pickers", "aria-label": "axes and thresholds" }),
    diagram: el("section", { id: "diagram", "aria-label": "phase diagram" }),
    drawer: el("section", { id: "drawer", "aria-label": "cells and trials" }),
  };
  main.replaceChildren(
    boxes.head,
    el("div", { id: "work" }, el("div", { id: "plane" }, boxes.pickers, boxes.diagram), boxes.drawer),
  );
  page = { name, signal, overview, boxes, drawn: null };
  document.addEventListener("keydown", keys);
  schedule();
}

/** Brings every part of the page to what the address says; parts whose parameters did not change stay as they are. */
async function update(params) {
  const { name, overview, boxes } = page;
  const refocus = keepFocus();
  showHead(boxes.head, overview);
  if (!overview.counts.trials) {
    boxes.pickers.replaceChildren();
    boxes.drawer.replaceChildren();
    boxes.diagram.replaceChildren(emptyState(overview));
    return;
  }
  document.getElementById("work").classList.toggle("compare", params.getAll("cell").length > 1 && !params.get("trial"));
  const diagram = plane(page, params); // the drawer does not wait for it
  await Promise.all([diagram, showDrawer(boxes.drawer, { name, overview, diagram, params })]);
  refocus();
}

/** Draws the diagram of the address; gives null where there is none, and says why in its place. */
async function plane(mine, params) {
  const { name, overview, boxes } = mine;
  const asked = diagramParams(params).toString();
  if (mine.drawn?.asked === asked && mine.drawn.version === overview.version) {
    await showDiagram(boxes.diagram, name, mine.drawn.diagram, params);
    return mine.drawn.diagram;
  }
  mine.drawing?.abort();
  if (!overview.default && !params.get("x")) {
    boxes.pickers.replaceChildren();
    boxes.diagram.replaceChildren(message("All trials of this study have equal settings, so there is no plane to draw."));
    return null;
  }
  const drawing = new AbortController();
  mine.drawing = drawing;
  boxes.diagram.classList.add("busy");
  try {
    const diagram = await ask(ofStudy(name, "diagram"), diagramParams(params), { signal: drawing.signal });
    mine.drawn = { asked, version: overview.version, diagram };
    showPickers(boxes.pickers, overview, diagram.query);
    await showDiagram(boxes.diagram, name, diagram, read().params);
    return diagram;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    mine.drawn = null;
    showPickers(boxes.pickers, overview, overview.default);
    const reset = el("p", {}, el("a", { href: studyPath(name) }, "Back to the study's own diagram"));
    boxes.diagram.replaceChildren(refusal(error, reset));
    return null;
  } finally {
    if (mine.drawing === drawing) boxes.diagram.classList.remove("busy");
  }
}

function emptyState(overview) {
  const planned = overview.counts.planned ? `${overview.counts.planned} planned trials` : "its trials";
  if (overview.activity?.state === "live") {
    return message(`None of ${planned} has finished yet. The diagram appears with the first ones, by itself.`);
  }
  return message(`This study has no trials yet. \`grokstudy run study=${overview.name}\` (or the command that began it) runs ${planned}.`);
}

/** A study that is being run is looked at every two seconds, one that has trials left now and then; a finished one never. */
function schedule() {
  const { counts, activity } = page.overview;
  clearTimeout(page.timer);
  if (activity?.state === "live") page.timer = setTimeout(poll, LIVE_MS);
  else if (!counts.trials || counts.planned > counts.trials) page.timer = setTimeout(poll, WAITING_MS);
}

/** Reads the head again, and the diagram if rows were added. */
async function poll() {
  const mine = page;
  try {
    if (!document.hidden) {
      const overview = await ask(ofStudy(mine.name), {}, { signal: mine.signal });
      if (page !== mine) return;
      const added = overview.version !== mine.overview.version;
      mine.overview = overview;
      if (added) await update(read().params);
      else showHead(mine.boxes.head, overview);
    }
  } catch (error) {
    if (error.name !== "AbortError" && page === mine) mine.boxes.head.replaceChildren(refusal(error));
  }
  if (page === mine) schedule();
}

/** The levels of the drawn axes, for moving from cell to cell by keys. */
export function currentDiagram() {
  return page?.drawn?.diagram ?? null;
}
