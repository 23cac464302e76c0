// An image's patches in the place of a text: a grid on a canvas, shaded as words would be.

import { at, element, fit, font, tip } from "./canvas.js";
import { colour, ink } from "./colors.js";
import { show } from "./numbers.js";
import { change, hoverOver, state } from "./state.js";

const LARGEST = 40;

export class PatchPanel {
  constructor(root, side, grid) {
    Object.assign(this, { root, side, grid, onScroll: () => {}, found: null });
    this.canvas = element("canvas", { role: "img", "aria-label": `Patches of an image, ${grid[0]} by ${grid[1]}` });
    this.scroller = element("div", { class: "scroller patches", tabindex: "0" }, this.canvas);
    root.replaceChildren(this.scroller);
    this.canvas.addEventListener("pointermove", (event) => {
      const token = this.hit(event);
      hoverOver(token, this.side);
      tip(token < 0 ? null : this.told(token), event);
    });
    this.canvas.addEventListener("pointerleave", () => {
      hoverOver(-1, this.side);
      tip(null);
    });
    this.canvas.addEventListener("click", (event) => {
      const token = this.hit(event);
      if (token >= 0) change({ token: token === state.token ? -1 : token, side: this.side });
    });
  }

  // Tokens before the patches (a class token, registers) stand in a line above the grid.
  set(tokens) {
    this.tokens = tokens;
    this.extra = Math.max(0, tokens.length - this.grid[0] * this.grid[1]);
    this.units = {
      start: tokens.map((_, n) => n).concat(tokens.length),
      unitOf: tokens.map((_, n) => n),
      text: tokens,
    };
    this.layout();
  }

  layout() {
    const [rows, columns] = this.grid;
    const width = this.scroller.clientWidth - 20;
    if (width <= 0 || !this.tokens) return;
    this.size = Math.max(3, Math.min(LARGEST, width / columns, 520 / rows));
    this.top = this.extra ? this.size + 12 : 0;
    this.render();
  }

  corner(token) {
    if (token < this.extra) return [token * (this.size + 2), 0];
    const n = token - this.extra;
    return [(n % this.grid[1]) * this.size, this.top + Math.floor(n / this.grid[1]) * this.size];
  }

  hit(event) {
    const [x, y] = at(this.canvas, event);
    if (y < this.size && this.extra) {
      const token = Math.floor(x / (this.size + 2));
      return token < this.extra ? token : -1;
    }
    const [row, column] = [Math.floor((y - this.top) / this.size), Math.floor(x / this.size)];
    const inside = row >= 0 && column >= 0 && row < this.grid[0] && column < this.grid[1];
    const token = this.extra + row * this.grid[1] + column;
    return inside && token < this.tokens.length ? token : -1;
  }

  told(token) {
    const n = token - this.extra;
    const place = n < 0 ? this.tokens[token] : `row ${Math.floor(n / this.grid[1])}, column ${n % this.grid[1]}`;
    const lines = [`token ${token}: ${place}`];
    if (this.reads && this.reads[token]) lines.push(`shade ${show(this.reads[token])} of the largest`);
    return lines;
  }

  render() {
    const width = Math.max(this.grid[1] * this.size, this.extra * (this.size + 2)) + 2;
    const context = fit(this.canvas, width, this.top + this.grid[0] * this.size + 2);
    const values = this.reads || this.base;
    const gap = this.size > 10 ? 1 : 0;
    for (let token = 0; token < this.tokens.length; token += 1) {
      const [x, y] = this.corner(token);
      const value = values ? values[token] || 0 : 0;
      context.fillStyle = value ? colour(Math.abs(value)) : ink("wash");
      context.fillRect(x, y, this.size - gap, this.size - gap);
      if (this.read && this.read[token] > 0.02) {
        context.fillStyle = `rgba(${ink("second-rgb")}, ${(0.3 + 0.7 * this.read[token]).toFixed(2)})`;
        const dot = Math.max(2, this.size * 0.45 * Math.sqrt(this.read[token]));
        context.fillRect(x + this.size - gap - dot, y + this.size - gap - dot, dot, dot);
      }
      if (token === this.spoken || (token === state.token && state.side === this.side)) {
        context.strokeStyle = ink("second");
        context.lineWidth = 2;
        context.strokeRect(x + 1, y + 1, this.size - gap - 2, this.size - gap - 2);
      }
    }
    if (this.extra && this.size >= 22) {
      context.fillStyle = ink("muted");
      context.font = font(11);
      context.textBaseline = "middle";
      context.fillText("tokens before the patches", this.extra * (this.size + 2) + 6, this.size / 2);
    }
  }

  shade(reads, read, base, spoken) {
    Object.assign(this, { reads, read, base, spoken });
    if (this.tokens) this.render();
  }

  reveal() {}

  search() {
    return 0;
  }

  goTo() {
    return -1;
  }
}
