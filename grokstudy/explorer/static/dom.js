// Elements in one line. Text is always text: nothing of a study is ever read as HTML.

/** An element with properties ("class", "data-x", "onclick" ...) and children (nodes or texts; null is left out). */
export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

/** A sentence where the person looks; its text may hold `code`. */
export function message(text, { kind = "message", action = null } = {}) {
  const parts = text.split("`").map((part, i) => (i % 2 ? el("code", {}, part) : part));
  return el("div", { class: kind, role: kind === "message error" ? "alert" : null }, el("p", {}, ...parts), action);
}

/** A sentence about what could not be shown. */
export function refusal(error, action = null) {
  return message(error.message, { kind: "message error", action });
}

let fading;

/** A few words at the edge of the page that go away by themselves. */
export function toast(text) {
  const place = document.getElementById("toast");
  place.textContent = text;
  place.classList.add("shown");
  clearTimeout(fading);
  fading = setTimeout(() => place.classList.remove("shown"), 2500);
}

export async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    toast(`${what} copied`);
  } catch {
    toast("The browser does not allow copying; select the text instead.");
  }
}

/**
 * Call before parts of a page are built anew; what it returns puts the focus back where it was, or, if that is gone, on
 * the chosen tab of the same part: keys go on where they were.
 */
export function keepFocus() {
  const had = document.activeElement;
  const part = had?.closest("section")?.id;
  const same = ["id", "name", "data-tab"].filter((key) => had?.getAttribute(key)).map((key) => `[${key}="${CSS.escape(had.getAttribute(key))}"]`);
  return () => {
    if (!part || (document.activeElement && document.activeElement !== document.body)) return;
    const places = [...same, '[aria-selected="true"]'].map((place) => document.querySelector(`#${part} ${place}`));
    places.find(Boolean)?.focus({ preventScroll: true });
  };
}

/** A whole number with thousands separated. */
export function count(number) {
  return Number(number).toLocaleString("en");
}

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "";
  const s = Math.round(seconds);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)}:${String(s % 60).padStart(2, "0")} min`;
  return `${Math.floor(s / 3600)}:${String(Math.floor((s % 3600) / 60)).padStart(2, "0")} h`;
}
