// The head of a study's page: how far it is, live while it runs, and what is wrong with it.

import { count, duration, el } from "./dom.js";
import { outcomes, stateOf } from "./list.js";

export function showHead(box, overview) {
  const { counts, activity, errors } = overview;
  const planned = counts.planned && counts.planned > counts.trials ? ` of ${count(counts.planned)}` : "";
  const line = el("p", { class: "facts" },
    stateOf(overview),
    el("span", {}, `${count(counts.trials)}${planned} ${counts.trials === 1 && !planned ? "trial" : "trials"}`),
    counts.trials ? outcomes(counts.by_outcome) : null,
  );
  if (overview.search) line.append(searched(overview.search));
  const children = [line];
  if (activity?.state === "live") children.push(progress(activity));
  if (errors.length) {
    children.push(el("details", { class: "message error", open: counts.by_status.failed === counts.trials },
      el("summary", {}, `${count(counts.by_status.failed)} trials failed; running the study again runs them again`),
      el("ul", {}, ...errors.map(([text, n]) => el("li", {}, `${count(n)} × ${text}`)))));
  }
  for (const text of overview.damaged) children.push(el("p", { class: "message error" }, text));
  box.replaceChildren(...children);
  box.dataset.ready = "yes";
}

/** How far a sampler that chooses as it goes has come. */
function searched({ proposals, expected_error: error }) {
  const known = error === null ? "" : ` · expected error ${(100 * error).toPrecision(2)} %`;
  return el("span", { id: "search", class: "quiet", title: "share of the axes' volume that the sampler expects to be misclassified" }, `${count(proposals)} proposed${known}`);
}

function progress(activity) {
  const measuring = activity.stage === "measuring";
  const [done, all] = measuring ? [activity.measured, activity.to_measure] : [activity.updates, activity.updates_planned];
  const words = [
    measuring ? `${count(done)} of ${count(all)} checkpoints` : `${count(activity.done)} of ${count(activity.planned)} trials`,
    activity.rate && !measuring ? `${count(Math.round(activity.rate))} steps/s` : null,
    activity.seconds_left ? `${duration(activity.seconds_left)} left` : null,
  ].filter(Boolean).join(" · ");
  return el("div", { class: "live" },
    el("progress", { max: Math.max(all, 1), value: Math.min(done, all), "aria-label": activity.stage }),
    el("span", { class: "quiet" }, words));
}
