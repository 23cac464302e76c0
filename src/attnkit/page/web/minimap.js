// The whole text as a strip: what is shaded where, what was found, and which part is in sight.

import { at, fit } from "./canvas.js";
import { ink } from "./colors.js";

const WIDTH = 30;

export class Minimap {
  constructor(canvas, panel) {
    Object.assign(this, { canvas, panel });
    panel.onScroll = () => this.draw();
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.go(event);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (event.buttons) this.go(event);
    });
  }

  go(event) {
    const { scroller } = this.panel;
    const share = at(this.canvas, event)[1] / this.height;
    scroller.scrollTop = share * scroller.scrollHeight - scroller.clientHeight / 2;
  }

  // A line of the strip is as dark as the strongest shade of its tokens; reading at the left, readers at the right.
  draw() {
    const { panel } = this;
    const height = panel.scroller.clientHeight;
    if (!height || !panel.first) return;
    this.height = height;
    const context = fit(this.canvas, WIDTH, height);
    context.fillStyle = ink("wash");
    context.fillRect(0, 0, WIDTH, height);
    const rows = panel.rowCount;
    const all = Math.max(panel.scroller.scrollHeight, 1);
    const used = Math.min(height, (height * panel.rows.offsetHeight) / all);
    this.stripe(context, panel.reads || panel.base, "read", 3, used);
    this.stripe(context, panel.read, "second-rgb", 17, used);
    if (panel.found) {
      context.fillStyle = ink("found");
      for (const u of panel.found) context.fillRect(0, (panel.rowOf(u) / rows) * used, WIDTH, 2);
    }
    context.strokeStyle = ink("muted");
    const top = (panel.scroller.scrollTop / all) * height;
    context.strokeRect(0.5, top + 0.5, WIDTH - 1, Math.max(6, (panel.scroller.clientHeight / all) * height - 1));
  }

  stripe(context, values, hue, x, used) {
    if (!values) return;
    const { panel } = this;
    const lines = new Float32Array(Math.ceil(used) + 1);
    const rows = panel.rowCount;
    for (let row = 0; row < rows; row += 1) {
      let most = 0;
      const to = panel.units.start[panel.first[row + 1]];
      for (let n = panel.units.start[panel.first[row]]; n < to; n += 1) most = Math.max(most, Math.abs(values[n]) || 0);
      const [from, end] = [Math.floor((row / rows) * used), Math.max(1, Math.ceil(used / rows))];
      for (let y = from; y < from + end; y += 1) lines[y] = Math.max(lines[y], most);
    }
    const colours = ink(hue);
    lines.forEach((most, y) => {
      if (most < 0.01) return;
      context.fillStyle = `rgba(${colours}, ${(0.15 + 0.85 * Math.min(1, most)).toFixed(2)})`;
      context.fillRect(x, y, 11, 1);
    });
  }
}
