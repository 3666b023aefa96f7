// The studies under the storage root: names first, then each one's numbers as they come.

import { base, studyPath } from "./address.js";
import { ask, ofStudy } from "./api.js";
import { count, duration, el, message } from "./dom.js";
import { header } from "./header.js";

export async function showList(main, signal) {
  document.title = "grokstudy";
  header();
  const { root, studies } = await ask("studies", {}, { signal });
  if (!studies.length) {
    main.replaceChildren(
      message(`There is no study in \`${root}\` yet. \`grokstudy demo\` makes a first one in under a minute.`),
    );
    return;
  }
  const rows = studies.map((name) => el("tr", { "data-study": name }, nameCell(name), el("td", { colspan: 4, class: "quiet" }, "...")));
  main.replaceChildren(
    el("h1", {}, "Studies"),
    el("div", { class: "scroll" },
      el("table", { class: "rows", id: "studies" },
        el("thead", {}, el("tr", {}, ...["study", "state", "trials", "axes", "outcomes"].map((text) => el("th", {}, text)))),
        el("tbody", {}, ...rows))),
    el("p", { class: "quiet" }, `${studies.length} ${studies.length === 1 ? "study" : "studies"} in ${root}`),
  );
  for (const row of rows) fill(row, signal); // each in its own time
}

function nameCell(name) {
  return el("td", {}, el("a", { href: studyPath(name) }, name));
}

async function fill(row, signal) {
  const name = row.dataset.study;
  try {
    const study = await ask(ofStudy(name), {}, { signal });
    const planned = study.counts.planned;
    const trials = planned && planned > study.counts.trials ? `${count(study.counts.trials)} of ${count(planned)}` : count(study.counts.trials);
    row.replaceChildren(
      nameCell(name),
      el("td", {}, stateOf(study)),
      el("td", { class: "number" }, trials),
      el("td", {}, study.settings.map((setting) => `${setting.path} (${setting.n_levels})`).join(", ")),
      el("td", {}, outcomes(study.counts.by_outcome)),
    );
  } catch (error) {
    if (error.name === "AbortError") return;
    row.replaceChildren(nameCell(name), el("td", { colspan: 4, class: "error" }, error.message));
  }
}

/** One or two words about how far a study is. */
export function stateOf(study) {
  const { counts, activity } = study;
  if (activity?.state === "live") {
    const left = activity.seconds_left ? `, ${duration(activity.seconds_left)} left` : "";
    return el("span", { class: "state live" }, `${activity.stage}${left}`);
  }
  if (!counts.trials) return el("span", { class: "state quiet" }, "empty");
  if (counts.by_status.failed) return el("span", { class: "state error" }, `${count(counts.by_status.failed)} failed`);
  if (counts.planned && counts.trials < counts.planned) return el("span", { class: "state" }, "unfinished");
  return el("span", { class: "state" }, "finished");
}

/** Outcomes as a bar whose parts have their numbers as text for those who do not see it. */
export function outcomes(byOutcome) {
  const order = ["comprehension", "grokking", "memorization", "confusion", "inversion", "diverged"];
  const total = Object.values(byOutcome).reduce((sum, n) => sum + n, 0);
  const parts = order.filter((name) => byOutcome[name]);
  const text = parts.map((name) => `${count(byOutcome[name])} ${name}`).join(", ");
  return el("span", { class: "outcomes", title: text },
    el("span", { class: "bar", "aria-hidden": "true" },
      ...parts.map((name) => el("i", { class: `outcome-${name}`, style: `flex-grow:${byOutcome[name] / total}` }))),
    el("span", {}, text));
}

export const listHref = `${base}/`;
