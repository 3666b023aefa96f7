// The line at the top: where one is.

import { base } from "./address.js";
import { el } from "./dom.js";

export function header(...parts) {
  document.getElementById("top").replaceChildren(
    el("a", { href: `${base}/`, class: "home" }, "grokstudy"),
    ...parts,
  );
}
