// The text of one side: only the rows in sight are in the document, so that a book is as quick as a line.

import { element, fit, font } from "./canvas.js";
import { change, hoverOver, state } from "./state.js";
import { unitsOf } from "./words.js";

const ROW = 27;
const SPACE = 5;
const PADDING = 4;
const MOST_IN_ROW = 44;
const widths = new Map();

export class TextPanel {
  constructor(root, side) {
    Object.assign(this, { root, side, drawn: new Map(), reads: null, read: null, base: null, matches: null });
    this.rows = element("div", { class: "rows" });
    this.scroller = element(
      "div",
      { class: "scroller", tabindex: "0", role: "region", "aria-label": side === "key" ? "Text that is read" : "Text" },
      this.rows,
    );
    this.root.replaceChildren(this.scroller);
    this.onScroll = () => {};
    this.scroller.addEventListener("scroll", () => {
      this.render();
      this.onScroll();
    });
    this.rows.addEventListener("pointerover", (event) => {
      const unit = unitAt(event);
      if (unit >= 0) hoverOver(this.units.start[unit], this.side);
    });
    this.rows.addEventListener("pointerleave", () => hoverOver(-1, this.side));
    this.rows.addEventListener("click", (event) => {
      const unit = unitAt(event);
      if (unit < 0) return;
      const token = this.units.start[unit];
      change({ token: token === state.token && side === state.side ? -1 : token, side });
    });
  }

  set(tokens) {
    this.tokens = tokens;
    this.units = unitsOf(tokens, state.join);
    this.lower = null;
    this.layout();
  }

  // The first unit of each row; words are measured once each.
  layout() {
    if (!this.units) return;
    const width = this.scroller.clientWidth - 24;
    if (width <= 0) return;
    const context = fit(document.createElement("canvas"), 1, 1);
    context.font = font(15);
    const { text, glued, breaks } = this.units;
    this.first = [0];
    let used = 0;
    let inRow = 0;
    for (let u = 0; u < text.length; u += 1) {
      let wide = widths.get(text[u]);
      if (wide === undefined) {
        wide = Math.min(width, context.measureText(text[u]).width + PADDING);
        if (widths.size < 60000) widths.set(text[u], wide);
      }
      const space = glued[u] ? 0 : SPACE;
      if (u && (breaks[u - 1] || inRow >= MOST_IN_ROW || used + wide + space > width)) {
        this.first.push(u);
        used = 0;
        inRow = 0;
      }
      used += wide + space;
      inRow += 1;
    }
    this.first.push(text.length);
    this.rows.style.height = `${(this.first.length - 1) * ROW}px`;
    this.drawn.clear();
    this.rows.replaceChildren();
    this.render();
  }

  get rowCount() {
    return this.first ? this.first.length - 1 : 0;
  }

  rowOf(unit) {
    let from = 0;
    let to = this.rowCount - 1;
    while (from < to) {
      const middle = (from + to + 1) >> 1;
      if (this.first[middle] <= unit) from = middle;
      else to = middle - 1;
    }
    return from;
  }

  render() {
    if (!this.first) return;
    const from = Math.max(0, Math.floor(this.scroller.scrollTop / ROW) - 1);
    const to = Math.min(this.rowCount, Math.ceil((this.scroller.scrollTop + this.scroller.clientHeight) / ROW) + 1);
    for (const [row, line] of this.drawn) {
      if (row < from || row >= to) {
        line.remove();
        this.drawn.delete(row);
      }
    }
    for (let row = from; row < to; row += 1) {
      if (this.drawn.has(row)) continue;
      const line = element("div", { class: "row" });
      line.style.top = `${row * ROW}px`;
      for (let u = this.first[row]; u < this.first[row + 1]; u += 1) line.append(this.word(u));
      this.drawn.set(row, line);
      this.rows.append(line);
    }
  }

  word(u) {
    const word = element("span", { "data-u": String(u) });
    word.textContent = this.units.text[u];
    this.dress(word, u);
    return word;
  }

  // Sums over a unit's tokens of an array with a number a token.
  over(values, u) {
    if (!values) return 0;
    let sum = 0;
    for (let n = this.units.start[u]; n < this.units.start[u + 1]; n += 1) sum += values[n] || 0;
    return sum;
  }

  dress(word, u) {
    const { units } = this;
    const reads = Math.min(1, this.over(this.reads, u));
    const read = Math.min(1, this.over(this.read, u));
    const base = this.base ? this.over(this.base, u) / (units.start[u + 1] - units.start[u]) : 0;
    const spoken = this.spoken >= units.start[u] && this.spoken < units.start[u + 1];
    const pinned = state.side === this.side && state.token >= units.start[u] && state.token < units.start[u + 1];
    word.className = [
      units.glued[u] ? "glued" : "",
      units.special[u] ? "special" : "",
      spoken ? "spoken" : "",
      pinned ? "pinned" : "",
      this.found && this.found.has(u) ? (u === this.current ? "found current" : "found") : "",
    ]
      .filter(Boolean)
      .join(" ");
    const fill = reads > 0 ? reads : Math.abs(base);
    const hue = reads > 0 || base >= 0 ? "--read" : "--second-rgb";
    word.style.backgroundColor = fill > 0.004 ? `rgba(var(${hue}), ${(0.06 + 0.5 * fill).toFixed(3)})` : "";
    word.style.boxShadow =
      read > 0.004
        ? `inset 0 -${(1.5 + 3 * read).toFixed(1)}px rgba(var(--second-rgb), ${(0.35 + 0.65 * read).toFixed(2)})`
        : "";
  }

  // Shares of 0 to 1 a token: what is read (filled), who reads (underlined), and what lies beneath the filling.
  shade(reads, read, base, spoken) {
    Object.assign(this, { reads, read, base, spoken });
    for (const line of this.drawn.values()) for (const word of line.children) this.dress(word, Number(word.dataset.u));
  }

  reveal(token, always = false) {
    if (!this.first || token < 0 || token >= this.tokens.length) return;
    const top = this.rowOf(this.units.unitOf[token]) * ROW;
    const { scrollTop, clientHeight } = this.scroller;
    if (!always && top >= scrollTop && top + ROW <= scrollTop + clientHeight) return;
    this.scroller.scrollTop = Math.max(0, top - clientHeight / 2 + ROW);
    this.render();
  }

  // Units that hold a searched text, which may run over several words.
  search(wanted) {
    this.found = new Set();
    this.hits = [];
    this.current = -1;
    if (wanted.trim()) {
      if (!this.lower) this.index();
      const sought = wanted.trim().toLowerCase().replaceAll(/\s+/g, " ");
      let at = this.lower.indexOf(sought);
      while (at >= 0) {
        const first = this.unitAtOffset(at);
        const last = this.unitAtOffset(at + sought.length - 1);
        this.hits.push(first);
        for (let u = first; u <= last; u += 1) this.found.add(u);
        at = this.lower.indexOf(sought, at + sought.length);
      }
    }
    this.shade(this.reads, this.read, this.base, this.spoken);
    return this.hits.length;
  }

  // Goes to hit n (counted around) and gives its number.
  goTo(n) {
    if (!this.hits || !this.hits.length) return -1;
    const which = (n + this.hits.length) % this.hits.length;
    this.current = this.hits[which];
    this.reveal(this.units.start[this.current]);
    this.shade(this.reads, this.read, this.base, this.spoken);
    return which;
  }

  index() {
    const parts = [];
    this.offset = new Uint32Array(this.units.text.length + 1);
    let at = 0;
    this.units.text.forEach((text, u) => {
      const piece = (this.units.glued[u] || !u ? "" : " ") + text.toLowerCase();
      this.offset[u] = at;
      parts.push(piece);
      at += piece.length;
    });
    this.offset[this.units.text.length] = at;
    this.lower = parts.join("");
  }

  unitAtOffset(place) {
    let from = 0;
    let to = this.units.text.length - 1;
    while (from < to) {
      const middle = (from + to + 1) >> 1;
      if (this.offset[middle] <= place) from = middle;
      else to = middle - 1;
    }
    return from;
  }
}

function unitAt(event) {
  const word = event.target.closest("span[data-u]");
  return word ? Number(word.dataset.u) : -1;
}
