// The page: opens its data, makes its parts, and draws what a change of state concerns.

import { drawAbout, drawHelp } from "./about.js";
import { Atlas, drawLegend, drawRamp } from "./atlas.js";
import { clipped, element, fit, font } from "./canvas.js";
import { ink } from "./colors.js";
import { setTheme, showState, wireControls, wireKeys, wireTheme } from "./controls.js";
import { bytesOf, decodeArray, decodeEdges } from "./decode.js";
import { drawFigures, drawHeading } from "./details.js";
import { Explanations } from "./explain.js";
import { Heatmap, resetView, view, zoom } from "./heatmap.js";
import { Model } from "./model.js";
import { show, scaleOf } from "./numbers.js";
import { Reading } from "./reading.js";
import { change, defaults, hover, onChange, queue, readHash, state } from "./state.js";
import { convention, unitsOf } from "./words.js";

const byId = (id) => document.getElementById(id);
const touches = (names, ...those) => those.some((name) => names.has(name));

class Page {
  constructor(model) {
    this.model = model;
    this.explanations = new Explanations(byId("explanations"), model);
    this.reading = new Reading(model, this.explanations);
    this.opened = "";
  }

  async begin() {
    const { model } = this;
    document.body.classList.toggle("two", Boolean(model.second));
    this.restore(location.hash);
    this.figures();
    wireControls(model);
    wireKeys(model, this.atlases[0], () => this.reading.panels);
    drawAbout(model);
    drawHelp(byId("help"));
    await this.explanations.load();
    showState(model);
    onChange((names) => this.changed(names));
    window.addEventListener("hashchange", () => {
      const before = new Set(Object.keys(state));
      this.restore(location.hash);
      queue([...before]);
    });
    let width = window.innerWidth;
    new ResizeObserver(() => {
      if (width !== window.innerWidth) queue(["size"]);
      width = window.innerWidth;
    }).observe(document.body);
    this.wirePrint();
    this.drawAtlas();
    this.explanations.draw();
    await this.open();
    const panel = this.reading.panels[state.side] || this.reading.panels.query;
    panel.reveal(state.token);
  }

  // What an address asks for, as far as this capture has it.
  restore(hash) {
    const { model } = this;
    const asked = { ...defaults(), ...readHash(hash) };
    const within = (value, size) => Math.max(0, Math.min(size - 1, Math.floor(value) || 0));
    asked.layer = within(asked.layer, model.first.layers.length);
    const layer = model.first.layers[asked.layer];
    asked.head = within(asked.head, layer.heads);
    asked.item = within(asked.item, layer.batch);
    const size = asked.side === "key" ? layer.S : layer.T;
    asked.token = asked.token < 0 ? -1 : within(asked.token, size);
    asked.threshold = Math.max(0, Math.min(0.95, asked.threshold));
    const names = [...model.statistics.keys()];
    if (!model.statistics.has(asked.stat) && asked.stat !== "role")
      asked.stat = names.includes("entropy") ? "entropy" : names[0] || "";
    Object.assign(state, asked);
  }

  // The canvases of atlas and maps, with captions where there are two captures.
  figures() {
    const named = (c) => `${"AB"[c]}: ${this.model.captures[c].header.title || ["first", "second"][c]}`;
    const captions = this.model.second ? [named(0), named(1), "B − A"] : [null];
    const figure = (caption, canvas) =>
      element("figure", {}, ...(caption ? [element("figcaption", {}, caption)] : []), element("div", {}, canvas));
    const canvases = (label) =>
      captions.map((caption) =>
        element("canvas", {
          tabindex: "0",
          role: "application",
          "aria-label": caption ? `${label}, ${caption}` : label,
        }),
      );
    const [atlases, maps] = [
      canvases("Atlas of layers and heads; arrows choose a head"),
      canvases("Map of the opened head; rows are queries, columns keys"),
    ];
    byId("atlases").replaceChildren(...atlases.map((canvas, n) => figure(captions[n], canvas)));
    byId("maps").replaceChildren(...maps.map((canvas, n) => figure(captions[n], canvas)));
    this.atlases = atlases.map((canvas, n) => new Atlas(canvas, this.model, n === 2 ? "diff" : n));
    this.maps = maps.map((canvas) => new Heatmap(canvas));
  }

  changed(names) {
    if (touches(names, "layer", "head", "item", "join", "show")) this.open();
    if (touches(names, "layer", "head", "stat", "summary", "sort", "item", "theme", "size")) this.drawAtlas();
    if (touches(names, "scale", "threshold", "sinks", "specials", "view", "theme", "size", "hover", "token", "side"))
      this.drawMaps();
    if (touches(names, "size")) this.reading.relayout();
    if (touches(names, "shade")) this.reading.rebase();
    if (touches(names, "hover", "token", "side", "sinks", "specials", "theme")) this.reading.shade();
    if (touches(names, "item", "shade", "theme", "size")) this.explanations.draw();
    if (touches(names, "stat", "summary")) drawFigures(byId("figures"), this.model);
  }

  drawAtlas() {
    const scales = this.atlases.map((atlas) => atlas.draw());
    if (!scales[0]) return;
    drawLegend(byId("legend"), byId("chips"), this.model, scales[0]);
    const stat = this.model.statistics.get(state.stat);
    const how = { mean: "mean over all tokens", low: "lowest of all tokens", high: "highest of all tokens" }[
      state.summary
    ];
    byId("legend-label").textContent = stat
      ? `${stat.title}, ${how}`
      : state.stat === "role"
        ? "What a head does most"
        : "";
    if (this.model.second && stat)
      byId("legend-label").textContent +=
        `; B − A from ${show(scales[2].low)} (blue) to ${show(scales[2].high)} (orange)`;
    byId("stat-doc").textContent = stat ? stat.doc : "";
  }

  async open() {
    const { model } = this;
    const asked = JSON.stringify([state.layer, state.head, state.item, state.show, state.join]);
    this.asked = asked;
    const others = model.second ? model.partner(1, state.layer) : -1;
    const there =
      others >= 0 && state.head < model.second.layers[others].heads && state.item < model.second.layers[others].batch;
    const [first, second] = await Promise.all([
      model.first.head(state.layer, state.head, state.item),
      there ? model.second.head(others, state.head, state.item) : null,
    ]);
    if (this.asked !== asked) return;
    if (view.T !== first.T || view.S !== first.S) resetView(first.T, first.S);
    const tokens = (c, n) => [
      model.captures[c].tokens(n, state.item, "query"),
      model.captures[c].tokens(n, state.item, "key"),
    ];
    this.maps[0].show(first, ...tokens(0, state.layer));
    if (this.maps[1]) this.maps[1].show(second, ...(second ? tokens(1, others) : [[], []]));
    if (this.maps[2]) this.maps[2].show(comparable(first, second) ? second : null, ...tokens(0, state.layer), first);
    this.maps.slice(1).forEach((map) => (map.canvas.parentElement.parentElement.hidden = !map.head));
    const b = state.show === "b" && second;
    const rebased = this.reading.show(b ? second : first, model.captures[b ? 1 : 0], b ? others : state.layer);
    drawHeading(model);
    drawFigures(byId("figures"), model);
    this.mapLegend();
    await rebased;
    const stat = model.statistics.get(state.stat);
    const value = model.value(0, state.layer, state.head, state.stat, state.summary, state.item);
    byId("said").textContent =
      `Layer ${state.layer}, head ${state.head}${stat ? `: ${stat.title} ${show(value, stat.unit)}` : ""}`;
    document.documentElement.dataset.opened = `${state.layer}.${state.head}`;
  }

  drawMaps() {
    for (const map of this.maps) map.draw();
    this.mapLegend();
  }

  mapLegend() {
    const map = this.maps[0];
    if (!map.head) return;
    const change = this.maps[2] && this.maps[2].head && this.maps[2].scale;
    const said = change ? ` B − A: blue is less, orange more, up to ${show(change.high)} of mass.` : "";
    byId("map-said").textContent = map.described() + said;
    const width = Math.min(300, byId("map-legend").parentElement.clientWidth);
    const context = fit(byId("map-legend"), width, 32);
    const { scale } = map;
    if (!scale) return;
    drawRamp(context, 0, 2, width, 9, scale.signed);
    context.fillStyle = ink("muted");
    context.font = font(11);
    const unit =
      { percentile: "percent of cells are lighter", row: "of the row's largest" }[scale.name] ||
      (map.exactNow ? "weight" : "mass");
    context.fillText(show(scale.low), 0, 25);
    context.textAlign = "center";
    context.fillText(clipped(context, unit, width - 90), width / 2, 25);
    context.textAlign = "right";
    context.fillText(show(scale.high), width, 25);
  }

  // Paper is light: canvases are drawn again for it.
  wirePrint() {
    let before = null;
    const redraw = () => {
      this.drawAtlas();
      for (const map of this.maps) map.images.clear();
      this.drawMaps();
      this.explanations.draw();
    };
    window.addEventListener("beforeprint", () => {
      before = document.documentElement.dataset.theme;
      document.documentElement.dataset.theme = "light";
      redraw();
    });
    window.addEventListener("afterprint", () => {
      if (before) setTheme(before);
    });
  }
}

function comparable(first, second) {
  const [a, b] = [first.pooled, second && second.pooled];
  return Boolean(a && b && a.R === b.R && a.C === b.C && first.T === second.T && first.S === second.S);
}

async function start() {
  try {
    if (typeof DecompressionStream === "undefined")
      throw new Error("this browser is too old for it (it lacks DecompressionStream)");
    wireTheme();
    const data = byId("attn-data");
    const model = await Model.open(bytesOf(data.textContent));
    data.remove();
    const page = new Page(model);
    await page.begin();
    globalThis.attnPage = {
      page,
      model,
      state,
      hover,
      view,
      change,
      zoom,
      queue,
      unitsOf,
      convention,
      decodeArray,
      decodeEdges,
      bytesOf,
      scaleOf,
      readHash,
    };
    document.documentElement.dataset.ready = String(Math.round(performance.now()));
  } catch (error) {
    byId("failed").hidden = false;
    byId("failed").textContent = `This page cannot be drawn: ${error.message}.`;
    throw error;
  }
}

start();
