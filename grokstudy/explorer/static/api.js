// Data of the server. A mistake in what was asked comes back as a sentence for the person, thrown as Refusal.

import { base } from "./address.js";

export class Refusal extends Error {}

/**
 * Asks /api for `path` ("s/demo/diagram") with parameters (URLSearchParams or an object).
 * Throws Refusal with a sentence; a signal's abort throws AbortError.
 */
export async function ask(path, params, { signal } = {}) {
  const query = new URLSearchParams(params ?? {});
  if (dark()) query.set("dark", "true");
  let answer;
  try {
    answer = await fetch(`${base}/api/${path}${query.size ? `?${query}` : ""}`, { signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal("The explorer does not answer. Is `grokstudy ui` still running?");
  }
  const text = await answer.text();
  let document;
  try {
    document = JSON.parse(text);
  } catch {
    throw new Refusal(`The explorer answered ${answer.status} without data; its terminal says more.`);
  }
  if (!answer.ok) throw new Refusal(document.error ?? `The explorer answered ${answer.status}.`);
  return document;
}

/** Path of a part of a study, its names made safe. */
export function ofStudy(name, ...rest) {
  return ["s", name, ...rest].map(encodeURIComponent).join("/");
}

export function dark() {
  return matchMedia("(prefers-color-scheme: dark)").matches;
}

export function onDarkChange(listener) {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", listener);
}
