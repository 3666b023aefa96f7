// Which page an address is.

import { base, go, onChange, read, studyPath } from "./address.js";
import { ask, onDarkChange } from "./api.js";
import { el, refusal } from "./dom.js";
import { showList } from "./list.js";
import { leaveStudy, showStudy } from "./study.js";

const main = document.getElementById("main");
let shown = null;
let leaving = new AbortController();

async function show(address) {
  const same = shown && shown.page === address.page && shown.name === address.name;
  if (!same) {
    leaving.abort(); // what was asked for the page before must not be drawn over this one
    leaving = new AbortController();
    leaveStudy();
    main.replaceChildren(el("p", { class: "quiet" }, "Loading ..."));
  }
  shown = address;
  try {
    if (address.page === "list") await showList(main, leaving.signal);
    else if (address.page === "study") await showStudy(main, address, leaving.signal);
    else if (address.page === "trial") await showTrialOfAnyStudy(address, leaving.signal);
    else throw new Error(`There is no page '${address.name}' here.`);
  } catch (error) {
    if (error.name === "AbortError") return;
    main.replaceChildren(refusal(error, el("p", {}, el("a", { href: `${base}/` }, "All studies"))));
    if (error instanceof TypeError) console.error(error);
  }
}

async function showTrialOfAnyStudy(address, signal) {
  const found = await ask(`t/${encodeURIComponent(address.name)}`, {}, { signal });
  go(studyPath(found.study, new URLSearchParams({ trial: found.trial_id })), { replace: true });
}

// Links inside the explorer change the address without loading the page anew.
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href]");
  if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey) return;
  const url = new URL(link.href, location.href);
  const inside = url.origin === location.origin && url.pathname.startsWith(`${base}/`);
  if (!inside || link.target || link.hasAttribute("download") || url.pathname.includes("/api/") || url.hash) return;
  event.preventDefault();
  go(url.pathname + url.search);
});

onChange(show);
onDarkChange(() => location.reload());
show(read());
