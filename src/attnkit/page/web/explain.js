// Explanations beside each other, each with its verdict: no ranking of words without its score against a random one.

import { clipped, element, fit, font } from "./canvas.js";
import { ink } from "./colors.js";
import { show } from "./numbers.js";
import { change, state } from "./state.js";
import { unitsOf } from "./words.js";

const ROW = 22;
const MOST_ROWS = 9;

// {cards}: a card an explanation of the chosen item.
export class Explanations {
  constructor(root, model) {
    Object.assign(this, { root, model, all: [] });
  }

  async load() {
    for (const [c, capture] of this.model.captures.entries()) {
      for (const told of capture.header.explanations) {
        const scores = await capture.binary.array(told.scores);
        this.all.push({ ...told, scores, capture, c, n: this.all.length });
      }
    }
  }

  // Of the whole page, by the number that `shade=explain:n` holds.
  scoresOf(n) {
    return this.all[n] || null;
  }

  draw() {
    const shown = this.all.filter((one) => (one.item || 0) === state.item).slice(0, 24);
    this.root.parentElement.hidden = !shown.length;
    const cards = shown.map((one) => this.card(one));
    this.root.replaceChildren(...cards.map((made) => made.card));
    cards.forEach((made) => made.paint());
  }

  card(one) {
    const canvas = element("canvas", { role: "img" });
    const { word, reason, good } = verdictOf(one);
    const pressed = state.shade === `explain:${one.n}`;
    const button = element(
      "button",
      { type: "button", class: "small", "aria-pressed": String(pressed) },
      pressed ? "Shading the text" : "Shade the text",
    );
    button.addEventListener("click", () => change({ shade: pressed ? "attention" : `explain:${one.n}` }));
    const name = `${this.model.second ? `${"AB"[one.c]}: ` : ""}${String(one.method).replaceAll("_", " ")}`;
    const figures = details(one).map(([name, value]) =>
      element(
        "div",
        { class: "figure" },
        element("span", { class: "name" }, name),
        element("span", { class: "value" }, value),
      ),
    );
    const card = element(
      "article",
      { class: "explanation" },
      element("header", {}, element("h3", {}, name), button),
      element("p", { class: `verdict ${good ? "good" : "unknown"}` }, `${good ? "✓" : "?"} ${word}`),
      ...(reason ? [element("p", { class: "muted small reason" }, reason)] : []),
      canvas,
      element("div", { class: "figures" }, ...figures),
    );
    return { card, paint: () => this.paint(canvas, one) };
  }

  paint(canvas, one) {
    const stream = (one.capture.streams[one.stream] || [])[one.item || 0] || [];
    const tokens = Array.from(one.scores, (_, n) => stream[n] ?? String(n));
    const units = unitsOf(tokens, true);
    const values = units.text.map((_, u) => {
      let sum = 0;
      for (let n = units.start[u]; n < units.start[u + 1]; n += 1) sum += one.scores[n];
      return sum;
    });
    const most = values.reduce((a, b) => Math.max(a, Math.abs(b)), 0) || 1;
    const width = canvas.parentElement.clientWidth - 28;
    const rows = lines(fit(canvas, width, 1), units, width);
    // A long text is shown from the line before its heaviest word.
    const top = values.reduce((best, v, u) => (Math.abs(v) > Math.abs(values[best]) ? u : best), 0);
    const peak = rows.findIndex((row) => row.some((word) => word.u === top));
    const from = rows.length > MOST_ROWS ? Math.max(0, Math.min(rows.length - MOST_ROWS, peak - 1)) : 0;
    const shown = rows.slice(from, from + MOST_ROWS);
    const context = fit(canvas, width, shown.length * ROW + 4);
    context.font = font(13.5);
    context.textBaseline = "middle";
    shown.forEach((row, r) => {
      for (const word of row) {
        const share = values[word.u] / most;
        context.fillStyle = `rgba(${ink(share < 0 ? "second-rgb" : "read")}, ${(Math.abs(share) * 0.56).toFixed(3)})`;
        if (Math.abs(share) > 0.01) context.fillRect(word.x, r * ROW + 2, word.width, ROW - 4);
        context.fillStyle = ink("ink");
        context.fillText(clipped(context, units.text[word.u], width), word.x + 2, r * ROW + ROW / 2 + 1);
      }
    });
    const order = values.map((v, u) => [v, u]).sort((a, b) => Math.abs(b[0]) - Math.abs(a[0]));
    const named = order.slice(0, 5).map(([v, u]) => `${units.text[u]} ${show(v)}`);
    canvas.setAttribute("aria-label", `${one.method}: ${named.join(", ")}`);
  }
}

const GAINS = ["deletion", "insertion", "comprehensiveness", "sufficiency"];

// [name, value] of what is worth a line: the gains over random rankings, the target, and numbers of the method's own.
function details(one) {
  const { verdict, target, ...rest } = one.details || {};
  const found = [];
  if (target && typeof target === "object") {
    const name = target.name ?? target.label ?? target.index ?? "";
    found.push(["explained answer", `${name}${typeof target.share === "number" ? ` (${show(target.share)})` : ""}`]);
  }
  for (const gain of GAINS)
    if (verdict && verdict[gain]) found.push([`${gain}, more than random`, told(verdict[gain])]);
  for (const [name, value] of Object.entries(rest)) {
    if (value !== null && value !== "" && name !== "seconds") found.push([name.replaceAll("_", " "), told(value)]);
  }
  return found.slice(0, 10);
}

function told(value) {
  if (typeof value === "number") return show(value);
  if (Array.isArray(value)) return value.slice(0, 3).map(told).join(" to ");
  if (value && typeof value === "object" && "low" in value && "high" in value) {
    return `${show(value.value)} [${show(value.low)}, ${show(value.high)}]`;
  }
  return typeof value === "object" && value ? JSON.stringify(value).slice(0, 60) : String(value);
}

// "faithful: deletes ..." is a word and its reason.
export function verdictOf(one) {
  const [word, ...reason] = String(one.verdict || "no verdict").split(": ");
  return { word, reason: reason.join(": "), good: /^faithful/i.test(word) };
}

function lines(context, units, width) {
  context.font = font(13.5);
  const rows = [[]];
  let x = 0;
  units.text.forEach((text, u) => {
    const wide = Math.min(width, context.measureText(text).width + 4);
    const space = units.glued[u] ? 0 : 3;
    if (x && x + space + wide > width) {
      rows.push([]);
      x = 0;
    }
    rows.at(-1).push({ u, x: x ? x + space : 0, width: wide });
    x += (x ? space : 0) + wide;
  });
  return rows;
}
