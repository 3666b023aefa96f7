// The address is the state of the page: every click changes it, and everything shown is read from it.

const root = document.documentElement.dataset.root;
const listeners = [];

/** Path of the server below which the explorer lies: "" or "/some/path". */
export const base = root;

/** What the address says: the page ("list", "study" or "trial"), its name, and the parameters. */
export function read() {
  const path = location.pathname.slice(root.length);
  const [, kind, ...rest] = path.split("/");
  const name = decoded(rest.join("/"));
  const params = new URLSearchParams(location.search);
  if (kind === "s" && name) return { page: "study", name, params };
  if (kind === "t" && name) return { page: "trial", name, params };
  if (kind) return { page: "unknown", name: path, params };
  return { page: "list", name: "", params };
}

/** A part of an address as text; one that is no valid escape stands for itself, and then names nothing. */
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export function studyPath(name, params) {
  const query = params ? params.toString() : "";
  return `${root}/s/${encodeURIComponent(name)}${query ? `?${query}` : ""}`;
}

/** Goes to another address of the explorer; `replace` leaves no step back (typing, arrow keys, sliders). */
export function go(path, { replace = false } = {}) {
  if (path === location.pathname + location.search) return;
  history[replace ? "replaceState" : "pushState"](null, "", path);
  announce();
}

/**
 * Changes parameters of the study's address: a text sets, null removes, a list sets several of one name.
 * Parameters that nobody names stay.
 */
export function change(changes, options) {
  const here = read();
  for (const [name, value] of Object.entries(changes)) {
    here.params.delete(name);
    for (const text of Array.isArray(value) ? value : [value]) {
      if (text !== null && text !== undefined) here.params.append(name, text);
    }
  }
  go(studyPath(here.name, here.params), options);
}

/** Parameters that the diagram depends on. */
export function diagramParams(params) {
  const other = new Set(["cell", "trial", "tab", "step", "figure"]);
  return new URLSearchParams([...params].filter(([name]) => !other.has(name)));
}

export function onChange(listener) {
  listeners.push(listener);
}

function announce() {
  for (const listener of listeners) listener(read());
}

window.addEventListener("popstate", announce);
