// The text of a cell in an address: its values on x, y and facet.

const SEPARATOR = "|";

export function cellText({ x, y, facet }) {
  const parts = [x, y ?? "", facet ?? ""];
  while (parts.length > 1 && !parts.at(-1)) parts.pop();
  return parts.join(SEPARATOR);
}

export function parseCell(text) {
  const [x, y, facet] = text.split(SEPARATOR);
  return { x, y: y || undefined, facet: facet || undefined };
}
