// What one model says of a text: its label, the probabilities as bars, and the text shaded by where it looked.

import { element, labelText, percent } from "./dom.js";

const SHOWN = 8;
const HEAVIEST = 5;
const LEAST = 0.001;
const FULL = 0.62;

export function answerCard(answer, named) {
  const pieces = answer.pieces || [];
  const weighed = pieces.filter((piece) => piece.weight !== null);
  const most = Math.max(0, ...weighed.map((piece) => piece.weight));
  return element(
    "article",
    { class: "card answer", "data-model": answer.model },
    named ? element("h2", {}, answer.model) : null,
    said(answer),
    bars(answer),
    weighed.length ? shaded(pieces, most) : element("p", { class: "muted" }, nothing(answer)),
    weighed.length ? heaviest(weighed) : null,
    answer.cut
      ? element("p", { class: "muted small" }, `${answer.cut.toLocaleString("en")} tokens beyond the model's limit were not read.`)
      : null,
  );
}

function nothing(answer) {
  return answer.pieces ? "There is nothing to look at." : "This model was shipped without where it looked.";
}

function said(answer) {
  const sure = answer.probability === null ? null : element("span", { class: "muted" }, percent(answer.probability));
  return element("p", { class: "said" }, element("b", {}, labelText(answer.label)), sure);
}

function bars(answer) {
  const sorted = Object.entries(answer.probabilities).sort((a, b) => b[1] - a[1]);
  if (!sorted.length) return null;
  const chosen = new Set(Array.isArray(answer.label) ? answer.label : [answer.label]);
  const list = element("ul", { class: "bars" });
  sorted.forEach(([name, share], place) => {
    const filled = element("i");
    filled.style.width = `${100 * share}%`;
    const row = element(
      "li",
      { class: chosen.has(name) ? "first" : "", hidden: place >= SHOWN },
      element("span", { class: "name" }, name),
      element("span", { class: "track", "aria-hidden": "true" }, filled),
      element("span", { class: "share" }, percent(share)),
    );
    list.append(row);
  });
  if (sorted.length <= SHOWN) return list;
  const more = element("button", { type: "button", class: "more" }, `All ${sorted.length} classes`);
  more.addEventListener("click", () => {
    for (const row of list.children) row.hidden = false;
    more.remove();
  });
  const held = document.createDocumentFragment();
  held.append(list, more);
  return held;
}

function shaded(pieces, most) {
  const text = element("div", { class: "shaded", tabindex: "0", role: "region", "aria-label": "Where it looked" });
  for (const piece of pieces) {
    if (piece.weight === null || !most) {
      text.append(piece.text);
      continue;
    }
    const mark = element("mark", { title: percent(piece.weight) }, piece.text);
    mark.style.setProperty("--weight", (FULL * Math.sqrt(piece.weight / most)).toFixed(3));
    text.append(mark);
  }
  return text;
}

function heaviest(weighed) {
  const sorted = [...weighed].sort((a, b) => b.weight - a.weight).slice(0, HEAVIEST);
  const top = sorted.filter((piece, place) => !place || piece.weight >= LEAST);
  const items = top.map((piece) => element("li", {}, element("b", {}, piece.text.trim() || "␣"), ` ${percent(piece.weight)}`));
  const held = document.createDocumentFragment();
  const even = `Looked at most (an even share is ${percent(1 / weighed.length)}); where it looked is no proof of why it decided:`;
  held.append(element("p", { class: "muted small" }, even), element("ul", { class: "heaviest" }, ...items));
  return held;
}

export function verdict(answers) {
  const said = answers.map((answer) => labelText(answer.label));
  if (typeof answers[0].label === "number") {
    return { agree: null, text: answers.map((answer, at) => `${answer.model} says ${said[at]}`).join(", ") };
  }
  const agree = said.every((one) => one === said[0]);
  const text = agree ? `Both say ${said[0]}.` : `They disagree: ${answers.map((a, at) => `${a.model} says ${said[at]}`).join(", ")}.`;
  return { agree, text };
}
