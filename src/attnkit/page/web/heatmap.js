// A head's map: the overview of block means, and closer by, pair for pair, the weights that the page holds exactly.

import { at, clipped, fit, font, tip } from "./canvas.js";
import { colour, ink, place, ramp } from "./colors.js";
import { count, scaleOf, show, ticks } from "./numbers.js";
import { change, hoverOver, onChange, queue, spokenOf, state } from "./state.js";

const LEFT = 46;
const BOTTOM = 20;
const LABEL = 11;
const EXACT = 3;
const NAMES = 82;

// What is in view, in tokens; both captures' maps and their difference share it.
export const view = { t0: 0, t1: 1, s0: 0, s1: 1, T: 1, S: 1 };

export function resetView(T, S) {
  Object.assign(view, { t0: 0, t1: T, s0: 0, s1: S, T, S });
  queue(["view"]);
}

// Nearer to (factor under 1), or farther from, the pinned token's place in the map, or its middle.
export function zoomPinned(factor) {
  const pinned = state.token >= 0 ? state.token + 0.5 : -1;
  const inside = (place, from, to) => (place >= from && place < to ? place : (from + to) / 2);
  zoom(factor, inside(pinned, view.t0, view.t1), inside(pinned, view.s0, view.s1));
}

// Nearer or farther around a point that keeps its place.
export function zoom(factor, t, s) {
  const least = (size) => Math.min(size, 6);
  const tall = Math.max(least(view.T), Math.min(view.T, (view.t1 - view.t0) * factor));
  const wide = Math.max(least(view.S), Math.min(view.S, (view.s1 - view.s0) * factor));
  move(t - ((t - view.t0) / (view.t1 - view.t0)) * tall, s - ((s - view.s0) / (view.s1 - view.s0)) * wide, tall, wide);
}

export function move(t0, s0, tall = view.t1 - view.t0, wide = view.s1 - view.s0) {
  const [t, s] = [Math.max(0, Math.min(view.T - tall, t0)), Math.max(0, Math.min(view.S - wide, s0))];
  Object.assign(view, { t0: t, t1: t + tall, s0: s, s1: s + wide });
  queue(["view"]);
}

export class Heatmap {
  constructor(canvas) {
    Object.assign(this, { canvas, head: null, other: null, images: new Map(), fingers: new Map() });
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.point(event));
    canvas.addEventListener("pointerup", (event) => this.up(event));
    canvas.addEventListener("pointercancel", (event) => this.fingers.delete(event.pointerId));
    canvas.addEventListener("dblclick", (event) => zoom(0.4, ...this.pair(event)));
    canvas.addEventListener("pointerleave", () => this.leave());
    onChange((names) => {
      if (["scale", "threshold", "sinks", "specials", "theme"].some((name) => names.has(name))) this.images.clear();
    });
  }

  // `other` is subtracted: then the map shows a difference.
  show(head, queryTokens, keyTokens, other = null) {
    Object.assign(this, { head, other, queryTokens, keyTokens });
    this.images.clear();
    this.draw();
  }

  get exactNow() {
    return (
      this.plot && this.plot.w / (view.s1 - view.s0) >= EXACT && (this.head.edges || this.head.exact) && !this.other
    );
  }

  draw() {
    const width = this.canvas.parentElement.clientWidth;
    if (!this.head || !width) return;
    const ratio = Math.min(1.15, Math.max(0.3, view.T / view.S));
    // A finger on the whole map scrolls the page; on a part of it, it moves the map.
    this.canvas.style.touchAction = wholeInView() ? "pan-y" : "none";
    const close = view.t1 - view.t0 <= 46 && view.s1 - view.s0 <= 46;
    const [left, bottom] = close ? [NAMES, NAMES] : [LEFT, BOTTOM];
    const w = width - left - 6;
    const h = Math.max(90, Math.min(560, w * ratio));
    this.plot = { x: left, y: 4, w, h };
    this.context = fit(this.canvas, width, h + bottom + 8);
    this.hide = this.head.hidden(state.sinks, state.specials, this.keyTokens);
    const { context, plot } = this;
    context.save();
    context.beginPath();
    context.rect(plot.x, plot.y, plot.w, plot.h);
    context.clip();
    context.fillStyle = colour(0, Boolean(this.other));
    context.fillRect(plot.x, plot.y, plot.w, plot.h);
    this.drawOverview();
    if (this.exactNow) this.drawPairs();
    this.drawSpoken();
    context.restore();
    context.strokeStyle = ink("line");
    context.lineWidth = 1;
    context.strokeRect(plot.x - 0.5, plot.y - 0.5, plot.w + 1, plot.h + 1);
    if (close) this.drawNames();
    else this.drawTicks();
  }

  // The masses of the overview as they are shown: hidden keys out of them, and the other capture's taken off.
  masses() {
    const { pooled } = this.head;
    const values = Float32Array.from(pooled.values);
    const block = Math.floor(this.head.firstKey / pooled.keyTokens);
    for (let n = 0; n < values.length; n += 1) {
      const [r, c] = [Math.floor(n / pooled.C), n % pooled.C];
      if (pooled.keyTokens === 1 && this.hide[c]) values[n] = 0;
      else if (state.sinks && c === block && pooled.sink) values[n] = Math.max(0, values[n] - pooled.sink[r]);
      if (this.other) values[n] -= this.other.pooled.values[n];
    }
    return values;
  }

  overview() {
    if (!this.images.has("overview")) {
      const { R, C } = this.head.pooled;
      const values = this.masses();
      const maxima = rowMaxima(values, R, C);
      const scale = scaleOf(state.scale, values, maxima);
      if (this.other) scale.signed = true;
      const image = new ImageData(C, R);
      const colours = ramp(scale.signed);
      for (let n = 0; n < values.length; n += 1) {
        const share = scale.share(values[n], Math.floor(n / C));
        const hidden = Math.abs(share) < state.threshold;
        const from = 3 * place(hidden ? 0 : share, scale.signed);
        for (let k = 0; k < 3; k += 1) image.data[4 * n + k] = colours[from + k];
        image.data[4 * n + 3] = 255;
      }
      const small = document.createElement("canvas");
      Object.assign(small, { width: C, height: R });
      small.getContext("2d").putImageData(image, 0, 0);
      this.images.set("overview", { small, scale, values });
    }
    return this.images.get("overview");
  }

  drawOverview() {
    const { pooled } = this.head;
    if (!pooled) return;
    const { small, scale } = this.overview();
    const { context, plot } = this;
    this.scale = scale;
    const [ct, cs] = [pooled.queryTokens, pooled.keyTokens];
    context.imageSmoothingEnabled = false;
    context.globalAlpha = this.exactNow && (ct > 1 || cs > 1) ? 0.25 : 1;
    // Blocks are drawn one by one where they are large: browsers smear the edges of a source that is cut in a block.
    const x = plot.x - (view.s0 / (view.s1 - view.s0)) * plot.w;
    const y = plot.y - (view.t0 / (view.t1 - view.t0)) * plot.h;
    const wide = ((pooled.C * cs) / (view.s1 - view.s0)) * plot.w;
    const tall = ((pooled.R * ct) / (view.t1 - view.t0)) * plot.h;
    context.drawImage(small, x, y, wide, tall);
    context.globalAlpha = 1;
  }

  pairScale() {
    if (!this.images.has("pairs")) {
      const values = [];
      const maxima = new Float32Array(this.head.T);
      for (let t = 0; t < this.head.T; t += 1) {
        this.head.reads(t, (s, weight) => {
          if (this.hide[s]) return;
          values.push(weight);
          maxima[t] = Math.max(maxima[t], Math.abs(weight));
        });
      }
      this.images.set("pairs", scaleOf(state.scale, values, maxima));
    }
    return this.images.get("pairs");
  }

  drawPairs() {
    const { context, plot } = this;
    const scale = this.pairScale();
    this.scale = scale;
    const [px, py] = [plot.w / (view.s1 - view.s0), plot.h / (view.t1 - view.t0)];
    const gap = px > 9 ? 1 : 0;
    this.pairs = 0;
    for (let t = Math.floor(view.t0); t < Math.min(view.T, Math.ceil(view.t1)); t += 1) {
      this.head.reads(t, (s, weight) => {
        if (s < view.s0 - 1 || s >= view.s1 || this.hide[s]) return;
        const share = scale.share(weight, t);
        if (Math.abs(share) < state.threshold) return;
        this.pairs += 1;
        context.fillStyle = colour(share, scale.signed);
        context.fillRect(plot.x + (s - view.s0) * px, plot.y + (t - view.t0) * py, px - gap, Math.max(1, py - gap));
      });
    }
  }

  // The query's row and the key's column of what is spoken of.
  drawSpoken() {
    const { token, side } = spokenOf();
    if (token < 0) return;
    const { context, plot } = this;
    const [px, py] = [plot.w / (view.s1 - view.s0), plot.h / (view.t1 - view.t0)];
    context.lineWidth = 1;
    if (side === "query" || this.head.layer.kind === "self") {
      context.strokeStyle = ink("accent");
      context.strokeRect(plot.x - 2, plot.y + (token - view.t0) * py - 0.5, plot.w + 4, Math.max(1, py));
    }
    if (side === "key" || this.head.layer.kind === "self") {
      context.strokeStyle = ink("second");
      context.strokeRect(plot.x + (token - view.s0) * px - 0.5, plot.y - 2, Math.max(1, px), plot.h + 4);
    }
  }

  drawTicks() {
    const { context, plot } = this;
    context.fillStyle = ink("muted");
    context.font = font(10.5);
    context.textAlign = "right";
    context.textBaseline = "middle";
    for (const t of ticks(view.t0, view.t1, plot.h / 48)) {
      context.fillText(
        String(t),
        plot.x - 6,
        Math.max(plot.y + 6, plot.y + ((t - view.t0) / (view.t1 - view.t0)) * plot.h),
      );
    }
    context.textAlign = "center";
    context.textBaseline = "top";
    for (const s of ticks(view.s0, view.s1, plot.w / 64)) {
      const x = plot.x + ((s - view.s0) / (view.s1 - view.s0)) * plot.w;
      context.fillText(String(s), Math.min(Math.max(x, plot.x + 4), plot.x + plot.w - 8), plot.y + plot.h + 6);
    }
  }

  // Close by, the axes say tokens instead of numbers.
  drawNames() {
    const { context, plot } = this;
    const [px, py] = [plot.w / (view.s1 - view.s0), plot.h / (view.t1 - view.t0)];
    context.fillStyle = ink("muted");
    context.font = font(LABEL);
    context.textBaseline = "middle";
    context.textAlign = "right";
    const skip = (size) => Math.max(1, Math.ceil(LABEL / size));
    for (let t = Math.ceil(view.t0); t < view.t1; t += skip(py)) {
      const y = plot.y + (t + 0.5 - view.t0) * py;
      if (y < plot.y + plot.h)
        context.fillText(clipped(context, shown(this.queryTokens[t]), NAMES - 12), plot.x - 6, y);
    }
    for (let s = Math.ceil(view.s0); s < view.s1; s += skip(px)) {
      const x = plot.x + (s + 0.5 - view.s0) * px;
      if (x > plot.x + plot.w) break;
      context.save();
      context.translate(x, plot.y + plot.h + 6);
      context.rotate(-Math.PI / 2);
      context.fillText(clipped(context, shown(this.keyTokens[s]), NAMES - 12), 0, 0);
      context.restore();
    }
  }

  // [query, key] under the pointer, with fractions.
  pair(event) {
    const [x, y] = at(this.canvas, event);
    const { plot } = this;
    const t = view.t0 + ((y - plot.y) / plot.h) * (view.t1 - view.t0);
    return [t, view.s0 + ((x - plot.x) / plot.w) * (view.s1 - view.s0)];
  }

  wheel(event) {
    if (!this.head || (event.deltaY > 0 && wholeInView())) return;
    event.preventDefault();
    zoom(Math.exp(Math.max(-60, Math.min(60, event.deltaY)) * 0.006), ...this.pair(event));
  }

  down(event) {
    if (!this.head) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.fingers.set(event.pointerId, event);
    this.held = { pair: this.pair(event), x: event.clientX, y: event.clientY, moved: false, apart: this.apart() };
  }

  apart() {
    const [a, b] = [...this.fingers.values()];
    return a && b ? Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY) : 0;
  }

  point(event) {
    if (!this.head) return;
    if (!this.fingers.has(event.pointerId)) {
      this.tell(event);
      return;
    }
    this.fingers.set(event.pointerId, event);
    if (this.fingers.size === 2) {
      const apart = this.apart();
      if (this.held.apart > 0 && apart > 0) zoom(this.held.apart / apart, ...this.pair(event));
      Object.assign(this.held, { apart, moved: true });
      return;
    }
    if (Math.hypot(event.clientX - this.held.x, event.clientY - this.held.y) > 4) this.held.moved = true;
    if (!this.held.moved) return;
    const [t, s] = this.pair(event);
    move(view.t0 + this.held.pair[0] - t, view.s0 + this.held.pair[1] - s);
  }

  up(event) {
    this.fingers.delete(event.pointerId);
    if (!this.head || !this.held || this.held.moved) return;
    const [t] = this.pair(event).map(Math.floor);
    if (t >= 0 && t < view.T) change({ token: t === state.token ? -1 : t, side: "query" });
  }

  leave() {
    tip(null);
    hoverOver(-1, "query");
  }

  tell(event) {
    const [t, s] = this.pair(event).map(Math.floor);
    if (t < Math.floor(view.t0) || t >= view.t1 || s < Math.floor(view.s0) || s >= view.s1) {
      this.leave();
      return;
    }
    hoverOver(t, "query");
    tip(this.told(t, s), event);
  }

  told(t, s) {
    const { pooled } = this.head;
    const lines = [`${shown(this.queryTokens[t])} (${t}) reads ${shown(this.keyTokens[s])} (${s})`];
    let weight = null;
    this.head.reads(t, (key, value) => {
      if (key === s) weight = value;
    });
    if (weight !== null) lines.push(`weight ${show(weight)}`);
    else if (this.head.exact) lines.push("weight 0");
    if (pooled && (weight === null || pooled.keyTokens > 1) && !this.head.exact) {
      const [r, c] = [Math.floor(t / pooled.queryTokens), Math.floor(s / pooled.keyTokens)];
      const mass = this.overview().values[r * pooled.C + c];
      const single = pooled.queryTokens === 1 && pooled.keyTokens === 1;
      if (single) lines.push(`${this.other ? "difference" : "weight"} ${show(mass)}`);
      else
        lines.push(
          `block of ${pooled.queryTokens} × ${pooled.keyTokens}: ${this.other ? "change of " : ""}mass ${show(mass)}`,
        );
    }
    return lines;
  }

  // What the picture is, in a sentence.
  described() {
    const { pooled } = this.head;
    if (this.exactNow) {
      if (this.head.exact) return "Every weight of this head.";
      if (!this.pairs) return "None of the pairs in sight is in this page; behind, faint: the overview.";
      const pairs = this.pairs === 1 ? "1 pair" : `${count(this.pairs)} pairs`;
      return `${pairs} in sight with their own weights: the heaviest of each query. Behind, faint: the overview.`;
    }
    if (!pooled)
      return this.head.edges
        ? "No overview was captured; zoom in for single pairs."
        : "No map was captured at this level.";
    const [a, b] = [pooled.queryTokens, pooled.keyTokens];
    if (a === 1 && b === 1) return "Every weight of this head, rounded.";
    return `Overview: each cell is the mean over ${a} queries of their weight on ${b} keys.`;
  }
}

function wholeInView() {
  return view.t1 - view.t0 >= view.T && view.s1 - view.s0 >= view.S;
}

function shown(token) {
  return token === undefined ? "" : token.trim() || "␣";
}

function rowMaxima(values, R, C) {
  const maxima = new Float32Array(R);
  for (let n = 0; n < R * C; n += 1) {
    const r = Math.floor(n / C);
    maxima[r] = Math.max(maxima[r], Math.abs(values[n]));
  }
  return maxima;
}
