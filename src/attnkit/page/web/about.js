// What whoever looks should know first: whether the pictures were checked, what is missing, and how the page is used.

import { element } from "./canvas.js";
import { count, show } from "./numbers.js";
import { checkKind, checkSentence } from "./details.js";

const MOST_LINES = 200;

const KEYS = [
  ["← → ↑ ↓", "another head, another layer"],
  ["j k", "next, previous token"],
  ["/", "search the text (Enter: next hit)"],
  ["+ − 0", "zoom in, out, show all of the map"],
  ["s", "next scale of the map"],
  ["t", "light or dark"],
  ["Esc", "let go of the token"],
  ["?", "this help"],
];

export function drawAbout(model) {
  const layers = model.captures.flatMap((capture, c) => capture.layers.map((layer) => ({ layer, c })));
  const worst = layers.filter(({ layer }) => checkKind(layer.check) === "bad");
  const unknown = layers.filter(({ layer }) => checkKind(layer.check) === "unknown");
  const known = layers.filter(({ layer }) => layer.check.error !== null);
  const most = known.reduce((largest, { layer }) => Math.max(largest, layer.check.error), 0);
  const badge = document.getElementById("badge");
  const where = layers.length === 1 ? "in the one layer" : `in all ${count(layers.length)} layers`;
  if (worst.length) {
    badge.className = "badge bad";
    badge.textContent = `✗ ${count(worst.length)} of ${count(layers.length)} layers differ from the model's output`;
  } else if (unknown.length) {
    badge.className = "badge unknown";
    badge.textContent = `? ${count(unknown.length)} of ${count(layers.length)} layers could not be checked`;
  } else {
    badge.className = "badge good";
    badge.textContent = `✓ Map × values equals the kernel's output within ${show(most)} ${where}`;
  }
  const notes = model.captures.flatMap((capture, c) =>
    [...capture.header.notes, ...capture.header.dropped].map((note) => (model.second ? `${"AB"[c]}: ${note}` : note)),
  );
  document.getElementById("notes-count").textContent = notes.length
    ? `${count(notes.length)} ${notes.length === 1 ? "note" : "notes"}, and each layer's check`
    : "Each layer's check";
  document
    .getElementById("notes")
    .replaceChildren(...notes.slice(0, MOST_LINES).map((note) => element("li", {}, note)));
  document
    .getElementById("checks")
    .replaceChildren(
      ...layers
        .slice(0, MOST_LINES)
        .map(({ layer, c }) =>
          element(
            "li",
            { class: checkKind(layer.check) },
            element("b", {}, `${model.second ? `${"AB"[c]}: ` : ""}${layer.name}`),
            ` ${checkSentence(layer.check)}`,
          ),
        ),
    );
  document.getElementById("facts").textContent = factsOf(model);
}

function factsOf(model) {
  const { layers } = model.first;
  const heads = layers.reduce((sum, layer) => sum + layer.heads, 0);
  const [longest, batch] = [
    Math.max(...layers.map((l) => Math.max(l.T, l.S))),
    Math.max(...layers.map((l) => l.batch)),
  ];
  const parts = [
    `${count(layers.length)} ${layers.length === 1 ? "layer" : "layers"}`,
    `${count(heads)} ${heads === 1 ? "head" : "heads"}`,
    `${count(longest)} tokens`,
  ];
  if (batch > 1) parts.push(`${count(batch)} texts`);
  if (model.second)
    parts.push(`A: ${model.first.header.title || "first"}`, `B: ${model.second.header.title || "second"}`);
  return parts.join("  ·  ");
}

export function drawHelp(dialog) {
  const list = element("dl", {}, ...KEYS.flatMap(([keys, what]) => [element("dt", {}, keys), element("dd", {}, what)]));
  const close = element("button", { type: "button", class: "primary" }, "Close");
  close.addEventListener("click", () => dialog.close());
  dialog.replaceChildren(
    element("h2", { id: "help-title" }, "How to read this page"),
    element(
      "p",
      {},
      "Each cell of the atlas is a head. Open one to see its map: a row is a query, a column a key it may read. " +
        "Point at a word: what it reads is filled blue, who reads it is underlined orange. A click pins it. " +
        "Scroll on the map to come closer, drag to move.",
    ),
    list,
    close,
  );
}
