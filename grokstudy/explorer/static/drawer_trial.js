// A trial: its curves with phases, its circuits along a slider over checkpoints, its config, its verification.

import { change, read } from "./address.js";
import { Refusal, ask, ofStudy } from "./api.js";
import { copy, count, el, message, refusal } from "./dom.js";
import { chosenTab, tabs } from "./drawer.js";
import { mlflowButton } from "./mlflow.js";
import { draw } from "./plot.js";

const TABS = [["curves", "Curves"], ["circuits", "Circuits"], ["verify", "Verify"], ["config", "Config"]];
const FIRST_FIGURE = "fourier_norms";
const MOST_KEPT = 60;

// Figures already seen, so that the slider goes back and forth without asking again; the oldest is forgotten first.
const kept = new Map();
let open = null;

export async function showTrial(box, { name, params }) {
  const id = params.get("trial");
  if (open?.id !== id || open.study !== name || !box.querySelector("#trial")) {
    const page = await ask(ofStudy(name, "trial", id));
    if (read().params.get("trial") !== id) return; // closed again meanwhile
    open = { id, study: name, page };
    box.replaceChildren(el("div", { id: "trial" }));
    kept.clear();
  }
  const tab = chosenTab(TABS, params);
  const place = box.querySelector("#trial");
  const given = params.get("tab") ?? tab;
  const body = place.dataset.tab === given ? place.querySelector(".body") : el("div", { class: "body" });
  if (place.dataset.tab !== given) {
    place.dataset.tab = given;
    place.replaceChildren(head(open.page), tabs(TABS, params), body);
  }
  const show = { curves: showCurves, circuits: showCircuits, verify: showVerification, config: showConfig }[tab];
  await show(body, open, params);
}

function head(page) {
  return el("div", { class: "row head" },
    el("h2", {}, el("span", { class: `outcome outcome-${page.outcome}`, "aria-hidden": "true" }), `trial ${page.trial_id.slice(0, 8)}`),
    el("span", {}, page.outcome),
    page.t_mem === null ? null : el("span", {}, `t_mem ${count(page.t_mem)}`),
    page.t_gen === null ? null : el("span", {}, `t_gen ${count(page.t_gen)}`),
    el("button", { type: "button", onclick: () => copy(page.python, "Python"), title: page.python }, "Copy Python"),
    mlflowButton(page.study, page.trial_id),
    el("button", { type: "button", id: "close-trial", onclick: () => change({ trial: null, tab: null, step: null, figure: null }) }, "Close"));
}

async function showCurves(body, { study, page }) {
  await showFigure(body, study, page, "curves", null);
}

async function showCircuits(body, { study, page }, params) {
  const figures = page.figures.filter((figure) => figure.name !== "curves");
  const chosen = figures.find((figure) => figure.name === params.get("figure")) ?? figures.find((figure) => figure.name === FIRST_FIGURE);
  const last = page.steps.length - 1;
  const at = params.has("step") ? nearest(page.steps, Number(params.get("step"))) : last;
  let plot = body.querySelector(".figure");
  if (!plot) {
    const picker = el("select", { id: "figure", "aria-label": "figure", onchange: (event) => change({ figure: event.target.value }) },
      ...figures.map((figure) => el("option", { value: figure.name, title: figure.text }, figure.name.replaceAll("_", " "))));
    const slider = el("input", { id: "step", type: "range", min: 0, max: last, step: 1, "aria-label": "checkpoint",
      oninput: (event) => change({ step: String(page.steps[event.target.value]) }, { replace: true }) });
    plot = el("div", { class: "figure" });
    body.replaceChildren(el("div", { class: "row" }, picker, el("span", { class: "quiet", id: "figure-text" })),
      el("div", { class: "row slider" }, slider, el("output", { id: "step-text" }), ...jumps(page)), el("div", { id: "circuits-note" }), plot);
  }
  body.querySelector("#figure").value = chosen.name;
  body.querySelector("#figure-text").textContent = chosen.text;
  const slider = body.querySelector("#step");
  slider.value = at;
  slider.disabled = !chosen.at_step;
  body.querySelector("#step-text").textContent = chosen.at_step && last >= 0 ? `step ${count(page.steps[at])}` : "all steps";
  body.querySelector("#circuits-note").replaceChildren(...corrections(params, chosen, page.steps, at));
  await showFigure(plot, study, page, chosen.name, chosen.at_step && last >= 0 ? page.steps[at] : null);
}

/** Buttons that lead to the checkpoint at or after an event. */
function jumps(page) {
  return [["t_mem", page.t_mem], ["t_gen", page.t_gen]].filter(([, time]) => time !== null && page.steps.some((step) => step >= time)).map(([text, time]) =>
    el("button", { type: "button", onclick: () => change({ step: String(page.steps.find((step) => step >= time)) }, { replace: true }) }, text));
}

/** Sentences about what the address asks for and this trial does not have. */
function corrections(params, chosen, steps, at) {
  const [figure, step] = [params.get("figure"), params.get("step")];
  return [
    figure && figure !== chosen.name ? `figure: there is no '${figure}'; this is ${chosen.name}.` : null,
    step && chosen.at_step && String(steps[at]) !== step ? `step: there is no checkpoint at '${step}'; this is the nearest, ${count(steps[at])}.` : null,
  ].filter(Boolean).map((text) => message(text, { kind: "message error" }));
}

/** The place of the step closest to the wanted one; of the last if that is no number. */
function nearest(steps, wanted) {
  if (Number.isNaN(wanted)) return steps.length - 1;
  return steps.reduce((best, step, i) => (Math.abs(step - wanted) < Math.abs(steps[best] - wanted) ? i : best), 0);
}

/** Draws one figure, or the sentence why there is none; what was asked last wins. */
async function showFigure(box, study, page, name, step) {
  const key = `${page.trial_id}/${name}/${step}`;
  box.dataset.asked = key;
  box.classList.add("busy");
  try {
    if (!kept.has(key)) {
      const path = ofStudy(study, "trial", page.trial_id, "figure", name);
      const drawn = await ask(path, step === null ? {} : { step });
      if (kept.size >= MOST_KEPT) kept.delete(kept.keys().next().value);
      kept.set(key, drawn);
    }
    if (box.dataset.asked !== key) return;
    const { figure, note, least } = kept.get(key);
    let plot = box.querySelector("#trial-figure");
    if (!plot) {
      plot = el("div", { class: "plot", id: "trial-figure" });
      box.replaceChildren(el("div", { class: "wide" }, plot), el("p", { class: "note quiet" }));
    }
    plot.style.minWidth = `${least}px`;
    box.querySelector(":scope > .note").textContent = note;
    await draw(plot, structuredClone(figure), { key: name, name: `${page.trial_id.slice(0, 8)}-${name}` });
    plot.dataset.key = key;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    if (box.dataset.asked === key) box.replaceChildren(refusal(error));
  } finally {
    if (box.dataset.asked === key) box.classList.remove("busy");
  }
}

const SHARE = (value) => (value === null || value === undefined ? "–" : Number(value).toFixed(3));
const COLUMNS = [
  ["step", (one) => count(one.step)],
  ["agreement", (one) => SHARE(one.found.agreement_test ?? one.found.agreement_all), "share of test inputs on which network and algorithm answer alike"],
  ["logit fve", (one) => SHARE(one.found.fit?.logit_fve), "share of the logits' variance that the fitted algorithm explains"],
  ["random keys", (one) => SHARE(one.found.fit?.fve_random_keys), "the same for as many random frequencies"],
  ["runner-up", (one) => SHARE(one.found.fit?.runner_up_agreement), "share of inputs with the same second choice"],
  ["certified", (one) => SHARE(one.found.fit?.certified_share), "share of inputs on which the algorithm provably decides the answer"],
];

async function showVerification(body, { study, page }) {
  if (body.querySelector("#verification")) return;
  body.replaceChildren(el("p", { class: "quiet" }, "Comparing the network with the algorithm of its task ..."));
  try {
    const { steps } = await ask(ofStudy(study, "trial", page.trial_id, "verification"));
    const last = steps.at(-1).found;
    body.replaceChildren(
      el("p", {}, `Algorithm: ${last.algorithm}`, last.frequencies.length ? `, frequencies ${last.frequencies.join(", ")} (${last.choice})` : "",
        `. Right on ${SHARE(last.algorithm_accuracy)} of ${count(last.n)} inputs, with a proved margin of ${Number(last.margin).toPrecision(3)}.`),
      el("div", { class: "scroll" }, el("table", { class: "rows", id: "verification" },
        el("thead", {}, el("tr", {}, ...COLUMNS.map(([text, , help]) => el("th", { title: help }, text)))),
        el("tbody", {}, ...steps.map((one) => el("tr", {}, ...COLUMNS.map(([, value]) => el("td", { class: "number" }, value(one)))))))),
      ...steps.filter((one) => one.found.reason).map((one) => el("p", { class: "quiet" }, `Step ${count(one.step)}: ${one.found.reason}`)),
      el("pre", {}, page.commands[0]));
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    body.replaceChildren(refusal(error));
  }
}

async function showConfig(body, { page }) {
  const table = (rows) => el("table", { class: "rows" }, el("tbody", {}, ...rows.map(({ name, value }) => el("tr", {}, el("td", {}, name), el("td", { class: "wrap" }, value)))));
  body.replaceChildren(
    el("h2", {}, "How it went"), el("div", { class: "scroll" }, table(page.facts)),
    el("h2", {}, "Settings"), el("div", { class: "scroll" }, table(page.config)),
    el("h2", {}, "Elsewhere"), el("pre", {}, page.commands.join("\n")));
}
