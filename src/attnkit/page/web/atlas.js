// The atlas: layers x heads, each cell a head, coloured by a statistic or by role, in the model's order or ranked.

import { at, clipped, element, fit, font, hatch, tip } from "./canvas.js";
import { colour, ink, inkOn, kindColour } from "./colors.js";
import { bounds, show } from "./numbers.js";
import { change, state } from "./state.js";

const LARGEST = 34;
const GUTTER = 30;
const TOP = 18;
const TALLEST = 620;

export class Atlas {
  // `which` is 0 or 1 for a capture, "diff" for the second less the first.
  constructor(canvas, model, which) {
    Object.assign(this, { canvas, model, which, cells: [], letters: roleLetters(roleNames(model)) });
    canvas.addEventListener("pointermove", (event) => this.point(event));
    canvas.addEventListener("pointerleave", () => tip(null));
    canvas.addEventListener("click", (event) => {
      const cell = this.hit(event);
      if (cell) change({ layer: cell.layer, head: cell.head });
    });
  }

  value(layer, head) {
    const { stat, summary, item } = state;
    if (stat === "role") return NaN;
    if (this.which === "diff") return this.model.difference(layer, head, stat, summary, item);
    return this.model.value(this.which, layer, head, stat, summary, item);
  }

  role(layer, head) {
    const c = this.which === 1 ? 1 : 0;
    const n = this.model.partner(c, layer);
    return n < 0 ? null : this.model.captures[c].role(n, head);
  }

  // [{layer, head, value, row, column}], ranked where that was asked for.
  arranged() {
    const { layers } = this.model.groupOf(state.layer);
    const cells = [];
    layers.forEach((layer, row) => {
      for (let head = 0; head < this.model.first.layers[layer].heads; head += 1) {
        cells.push({ layer, head, row, column: head, value: this.value(layer, head), role: this.role(layer, head) });
      }
    });
    if (state.sort === "layer") return cells;
    const columns = Math.max(...cells.map((cell) => cell.column)) + 1;
    const ranked = (a, b) => (Number.isNaN(b.value) ? -1e39 : b.value) - (Number.isNaN(a.value) ? -1e39 : a.value);
    const byRole = (a, b) =>
      (a.role ? a.role.role : "~").localeCompare(b.role ? b.role.role : "~") || score(b) - score(a) || ranked(a, b);
    cells.sort(state.sort === "role" ? byRole : ranked);
    cells.forEach((cell, n) => Object.assign(cell, { row: Math.floor(n / columns), column: n % columns }));
    return cells;
  }

  // The range of colours is one for both captures, so that they can be compared.
  scale() {
    const { layers } = this.model.groupOf(state.layer);
    const all = [];
    for (const layer of layers) {
      for (let head = 0; head < this.model.first.layers[layer].heads; head += 1) {
        if (this.which === "diff") all.push(this.value(layer, head));
        else
          this.model.captures.forEach((_, c) =>
            all.push(this.model.value(c, layer, head, state.stat, state.summary, state.item)),
          );
      }
    }
    const known = all.filter((value) => !Number.isNaN(value));
    const { low, high } = bounds(known);
    if (this.which === "diff" || low < 0) {
      const top = Math.max(Math.abs(low), Math.abs(high)) || 1;
      return { share: (v) => v / top, diverging: true, low: -top, high: top };
    }
    return { share: (v) => (high > low ? (v - low) / (high - low) : 0.5), diverging: false, low, high };
  }

  draw() {
    const width = this.canvas.parentElement.clientWidth;
    if (!width) return;
    this.cells = this.arranged();
    const columns = Math.max(...this.cells.map((cell) => cell.column)) + 1;
    const rows = this.cells.at(-1).row + 1;
    const grid = state.sort === "layer";
    const cellWidth = Math.min(LARGEST, (width - GUTTER - 2) / columns);
    const cellHeight = Math.max(5, Math.min(LARGEST, cellWidth, TALLEST / rows));
    const context = fit(this.canvas, width, TOP + rows * cellHeight + 4);
    Object.assign(this, { cellWidth, cellHeight });
    const scale = this.scale();
    const gap = cellWidth > 12 ? 1.5 : 0.5;
    for (const cell of this.cells) this.drawCell(context, cell, scale, gap);
    this.drawLabels(context, rows, columns, grid);
    this.drawChosen(context);
    return scale;
  }

  drawCell(context, cell, scale, gap) {
    const [x, y] = this.corner(cell);
    const [w, h] = [this.cellWidth - gap, this.cellHeight - gap];
    let fill = null;
    if (state.stat === "role") fill = cell.role ? kindColour(roleNames(this.model).indexOf(cell.role.role)) : null;
    else if (!Number.isNaN(cell.value)) fill = colour(scale.share(cell.value), scale.diverging);
    if (!fill) {
      hatch(context, x, y, w, h);
      return;
    }
    context.fillStyle = fill;
    context.beginPath();
    context.roundRect(x, y, w, h, Math.min(3, w / 5));
    context.fill();
    context.strokeStyle = ink("line");
    context.lineWidth = 1;
    if (w > 8) context.stroke();
    if (h < 14 || w < 16) return;
    context.fillStyle = inkOn(fill);
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.font = font(Math.min(11, w / 2.4));
    const ranked = state.sort !== "layer" && w >= 26;
    const letter = cell.role && this.which !== "diff" ? this.letters.get(cell.role.role) : "";
    if (ranked) context.fillText(`${cell.layer}·${cell.head}`, x + w / 2, y + h / 2 + 0.5);
    else if (letter) context.fillText(letter, x + w / 2, y + h / 2 + 0.5);
  }

  drawLabels(context, rows, columns, grid) {
    context.fillStyle = ink("muted");
    context.font = font(10.5);
    context.textBaseline = "middle";
    context.textAlign = "right";
    const { layers } = this.model.groupOf(state.layer);
    const skip = Math.max(1, Math.ceil(12 / this.cellHeight));
    for (let row = 0; row < rows; row += skip) {
      const label = grid ? String(layers[row]) : row ? "" : "1st";
      context.fillText(label, GUTTER - 7, TOP + (row + 0.5) * this.cellHeight);
    }
    context.textAlign = "center";
    const step = Math.max(1, Math.ceil(18 / this.cellWidth));
    for (let column = 0; grid && column < columns; column += step) {
      context.fillText(String(column), GUTTER + (column + 0.5) * this.cellWidth - 1, 9);
    }
    if (grid) {
      context.textAlign = "left";
      context.fillText("L\\H", 2, 9);
    }
  }

  drawChosen(context) {
    const chosen = this.cells.find((cell) => cell.layer === state.layer && cell.head === state.head);
    if (!chosen) return;
    const [x, y] = this.corner(chosen);
    const gap = this.cellWidth > 12 ? 1.5 : 0.5;
    context.lineWidth = 2;
    context.strokeStyle = ink("card");
    context.strokeRect(x - 0.5, y - 0.5, this.cellWidth - gap + 1, this.cellHeight - gap + 1);
    context.strokeStyle = ink("second");
    context.strokeRect(x - 1.5, y - 1.5, this.cellWidth - gap + 3, this.cellHeight - gap + 3);
  }

  corner(cell) {
    return [GUTTER + cell.column * this.cellWidth, TOP + cell.row * this.cellHeight];
  }

  hit(event) {
    const [x, y] = at(this.canvas, event);
    const column = Math.floor((x - GUTTER) / this.cellWidth);
    const row = Math.floor((y - TOP) / this.cellHeight);
    return this.cells.find((cell) => cell.row === row && cell.column === column) || null;
  }

  point(event) {
    const cell = this.hit(event);
    this.canvas.style.cursor = cell ? "pointer" : "default";
    tip(cell && this.told(cell), event);
  }

  told(cell) {
    const layer = this.model.first.layers[cell.layer];
    const lines = [`${layer.name} · head ${cell.head}`];
    const stat = this.model.statistics.get(state.stat);
    if (stat && Number.isNaN(cell.value)) lines.push(`${stat.title}: ${layer.undefined[stat.name] || "not captured"}`);
    else if (stat)
      lines.push(`${this.which === "diff" ? "Change of " : ""}${stat.title}: ${show(cell.value, stat.unit)}`);
    if (cell.role) lines.push(`${cell.role.role.replaceAll("_", " ")} (${show(score(cell))})`);
    return lines;
  }
}

function score(cell) {
  return cell.role && typeof cell.role.score === "number" ? cell.role.score : 0;
}

export function roleNames(model) {
  const names = new Set();
  for (const capture of model.captures) {
    for (const layer of capture.layers)
      for (const head of layer.roles || []) if (head[0] && head[0].named !== false) names.add(head[0].role);
  }
  return [...names].sort();
}

// {role: letters}: two letters a role, the first and the earliest other by which no two roles are the same.
export function roleLetters(names) {
  const letters = new Map();
  const taken = new Set();
  for (const name of names) {
    const first = name[0].toUpperCase();
    const rest = [...name.slice(1)].filter((c) => /[\p{L}\p{N}]/u.test(c));
    const mark = [...rest.map((c) => first + c), first, name.slice(0, 3)].find((m) => !taken.has(m)) || first;
    taken.add(mark);
    letters.set(name, mark);
  }
  return letters;
}

// The ramp with its ends named, or the roles with their colours.
export function drawLegend(canvas, chips, model, scale) {
  const stat = model.statistics.get(state.stat);
  chips.hidden = state.stat !== "role";
  canvas.hidden = state.stat === "role";
  if (state.stat === "role") {
    const letters = roleLetters(roleNames(model));
    chips.replaceChildren(
      ...roleNames(model).map((name, n) => {
        const mark = element("b", {}, letters.get(name));
        mark.style.background = kindColour(n);
        mark.style.color = inkOn(kindColour(n));
        return element("span", { class: "chip" }, mark, name.replaceAll("_", " "));
      }),
    );
    return;
  }
  const width = Math.min(300, canvas.parentElement.clientWidth);
  const context = fit(canvas, width, 34);
  drawRamp(context, 0, 2, width, 10, scale.diverging);
  context.fillStyle = ink("muted");
  context.textBaseline = "alphabetic";
  context.font = font(11);
  context.fillText(show(scale.low), 0, 26);
  context.textAlign = "center";
  const unit = stat && stat.unit ? stat.unit : stat ? "share or plain number" : "";
  context.fillText(clipped(context, unit, width - 110), width / 2, 26);
  context.textAlign = "right";
  context.fillText(show(scale.high), width, 26);
}

export function drawRamp(context, x, y, width, height, diverging) {
  const fill = context.createLinearGradient(x, 0, x + width, 0);
  for (let n = 0; n <= 16; n += 1) fill.addColorStop(n / 16, colour(diverging ? n / 8 - 1 : n / 16, diverging));
  context.fillStyle = fill;
  context.fillRect(x, y, width, height);
  context.strokeStyle = ink("line");
  context.lineWidth = 1;
  context.strokeRect(x + 0.5, y + 0.5, width - 1, height - 1);
}
