// What is drawn: axes, colour, settings held fixed, and the thresholds behind times and outcomes.

import { change } from "./address.js";
import { el } from "./dom.js";

const NUMBERS = [
  ["tau", "τ", "accuracy from which a trial has memorised or generalised"],
  ["ratio", "ratio", "t_gen / t_mem from which it is called grokking"],
  ["T", "T", "common number of steps at which trials are compared"],
  ["bins", "bins", "bins of an axis with many values"],
];
const TEXTS = [
  ["rule", "rule", "another rule for t_gen, such as test_loss<1e-3"],
  ["at", "at", "where measures are read: end, t_gen, 2*t_gen, step:900"],
];

/** `query` is what the server drew; null if it drew nothing, and then the address is shown as it is. */
export function showPickers(box, overview, query) {
  const params = new URLSearchParams(location.search);
  const paths = overview.settings.map((setting) => setting.path);
  const value = (name, field) => params.get(name) ?? (query ? query[field ?? name] : null);
  const [x, y, facet] = ["x", "y", "facet"].map((name) => full(value(name), paths));
  const axis = (name, text, chosen, options) => picker(name, text, paths, chosen, { ...options, choose: (path) => change(redrawn({ x, y, facet }, name, path, overview.settings)) });
  const held = new Map(query ? query.fix : []);
  for (const [name, text] of params) if (name.startsWith("fix.")) held.set(name.slice(4), text);
  const rest = overview.settings.filter(({ path }) => ![x, y, facet].includes(path) && path !== "seed" && !path.startsWith("seeds."));
  const more = el("details", { open: [...NUMBERS, ...TEXTS].some(([name]) => params.has(name)) },
    el("summary", {}, "thresholds"),
    el("div", { class: "row" }, ...[...NUMBERS, ...TEXTS].map(([name, text, help]) => field(name, text, help, params.get(name), placeholder(name, query)))));
  box.replaceChildren(
    el("div", { class: "row" },
      axis("x", "x axis", x),
      axis("y", "y axis", y, { none: "none" }),
      picker("value", "colour", overview.colours, value("value"), { choose: (name) => change({ value: name, trial: null }) }),
      paths.length > 2 || facet ? axis("facet", "facet", facet, { none: "none" }) : null,
      ...rest.map((setting) => fixed(setting, held.get(setting.path)))),
    more);
  box.dataset.ready = "yes";
}

/** The last word of a path, if it is the only one that ends so. */
function leaf(path, paths) {
  const last = path.split(".").at(-1);
  return paths.filter((other) => other.split(".").at(-1) === last).length > 1 ? path : last;
}

function full(name, paths) {
  return paths.includes(name) ? name : paths.find((path) => path.split(".").at(-1) === name) ?? name;
}

/** What the address says after an axis got another setting: axes that had it take its old one, and cells are closed. */
function redrawn(drawn, name, path, settings) {
  const paths = settings.map((setting) => setting.path);
  const [twin] = Object.keys(drawn).filter((other) => other !== name && path && drawn[other] === path);
  const free = paths.find((other) => !Object.values(drawn).includes(other));
  const moved = twin ? { [twin]: drawn[name] || (twin === "x" ? free : null) } : {};
  const text = path || (name === "y" ? "" : null); // `y=` is a diagram of one axis; without it the study's own is drawn
  const now = { ...drawn, ...moved, [name]: text };
  const left = settings.filter((setting) => setting.middle && Object.values(drawn).includes(setting.path) && !Object.values(now).includes(setting.path));
  const held = Object.fromEntries(left.map((setting) => [`fix.${setting.path}`, setting.middle])); // a slice there
  return { ...moved, ...held, [name]: text, [`fix.${path}`]: null, cell: null, trial: null };
}

/** `options` are names, or groups of names. */
function picker(name, text, options, chosen, { none = null, choose }) {
  const names = options.flatMap((option) => option.names ?? [option]);
  const shown = chosen && !names.includes(chosen) ? [chosen, ...options] : options;
  const one = (name) => el("option", { value: name, title: name, selected: name === chosen }, leaf(name, names));
  return el("label", {}, el("span", {}, text),
    el("select", { name, onchange: (event) => choose(event.target.value) },
      none ? el("option", { value: "", selected: !chosen }, none) : null,
      ...shown.map((option) => (option.names ? el("optgroup", { label: option.group }, ...option.names.map(one)) : one(option)))));
}

function fixed(setting, chosen) {
  const name = `fix.${setting.path}`;
  const levels = setting.levels;
  if (!levels.length) return held(name, setting, chosen);
  const now = levels.find((level) => level.value === chosen || level.text === chosen);
  return el("label", { class: "fixed", title: setting.path }, el("span", {}, setting.path.split(".").at(-1)),
    el("select", { name, onchange: (event) => change({ [name]: event.target.value || null, cell: null, trial: null }) },
      now ? null : el("option", { value: "", selected: true }, chosen ?? `${setting.n_levels} values`),
      ...levels.map((level) => el("option", { value: level.value, selected: level === now }, level.text))));
}

/** A continuous setting that is not drawn: where the slice lies. */
function held(name, setting, chosen) {
  return el("label", { class: "fixed", title: `${setting.path}: the diagram is a slice at this value` }, el("span", {}, setting.path.split(".").at(-1)),
    el("input", { name, value: chosen ?? "", placeholder: "value", size: 9, inputmode: "decimal", autocomplete: "off",
      onchange: (event) => change({ [name]: event.target.value.trim() || null, cell: null, trial: null }) }));
}

function field(name, text, help, value, hint) {
  return el("label", { title: help }, el("span", {}, text),
    el("input", { name, value: value ?? "", placeholder: hint ?? "", size: 9, autocomplete: "off", spellcheck: "false",
      onchange: (event) => change({ [name]: event.target.value.trim() || null }) }));
}

function placeholder(name, query) {
  const given = query?.[name === "T" ? "budget" : name];
  return given === null || given === undefined ? { T: "auto", rule: "none", at: "end", bins: "none" }[name] : String(given);
}
