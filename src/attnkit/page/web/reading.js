// The text beside the map: one panel, or two where one text reads another; shades, search, and words about a token.

import { element } from "./canvas.js";
import { drawNamed } from "./details.js";
import { verdictOf } from "./explain.js";
import { Minimap } from "./minimap.js";
import { count } from "./numbers.js";
import { PatchPanel } from "./patches.js";
import { baseOf, shadesOf, spokenTokens, weightsOf } from "./shading.js";
import { change, state } from "./state.js";
import { TextPanel } from "./text.js";

const byId = (id) => document.getElementById(id);

export class Reading {
  constructor(model, explanations) {
    Object.assign(this, { model, explanations, panels: {}, maps: [], made: "", base: {}, hit: 0 });
    byId("search").addEventListener("input", () => this.search());
    byId("search").addEventListener("keydown", (event) => {
      if (event.key === "Enter") this.step(event.shiftKey ? -1 : 1);
    });
  }

  // Panels are made anew only where other texts stand on the two sides.
  show(head, capture, n) {
    this.head = head;
    const layer = head.layer;
    const self = layer.kind === "self";
    const [queries, keys] = [capture.tokens(n, head.item, "query"), capture.tokens(n, head.item, "key")];
    this.keyTokens = keys;
    this.queryTokens = queries;
    const sides = self ? ["query"] : ["query", "key"];
    const made = JSON.stringify([
      sides,
      layer.query_stream,
      layer.key_stream,
      head.T,
      head.S,
      head.item,
      state.join,
      state.show,
    ]);
    if (made !== this.made) {
      this.made = made;
      this.build(sides, layer, capture, { query: queries, key: keys });
      this.fillShades();
    }
    return this.rebase();
  }

  build(sides, layer, capture, tokens) {
    this.panels = {};
    this.maps = [];
    const boxes = sides.map((side) => {
      const holder = element("div", { class: "holder" });
      const stream = layer[`${side}_stream`];
      const grid = stream ? capture.header.images[stream] : null;
      const panel = grid ? new PatchPanel(holder, side, grid) : new TextPanel(holder, side);
      this.panels[side] = panel;
      const strip = element("canvas", { class: "minimap", "aria-hidden": "true" });
      if (!grid) this.maps.push(new Minimap(strip, panel));
      const title =
        sides.length > 1
          ? [element("h3", {}, `${side === "query" ? "reads" : "is read"}: ${stream || "learned queries"}`)]
          : [];
      return element("div", { class: "panel" }, ...title, element("div", {}, holder, ...(grid ? [] : [strip])));
    });
    byId("panels").className = sides.length > 1 ? "panels two" : "panels";
    byId("panels").replaceChildren(...boxes);
    byId("search").disabled = sides.every((side) => this.panels[side] instanceof PatchPanel);
    for (const side of sides) this.panels[side].set(tokens[side]);
    if (byId("search").value) this.search();
  }

  fillShades() {
    const choices = [["attention", "nothing, until a word is pointed at"]];
    for (const name of this.head.names) {
      const stat = this.model.statistics.get(name);
      choices.push([`stat:${name}`, `${stat ? stat.title : name}, of this head`]);
    }
    for (const one of this.explanations.all) {
      if ((one.item || 0) === state.item)
        choices.push([`explain:${one.n}`, `${String(one.method).replaceAll("_", " ")} (${verdictOf(one).word})`]);
    }
    byId("shade").replaceChildren(...choices.map(([value, label]) => new Option(label, value)));
    byId("shade").value = state.shade;
  }

  // What lies beneath the shades of a spoken word: a statistic, or an explanation.
  async rebase() {
    const [kind, name] = state.shade.split(":");
    this.base = {};
    if (kind === "stat") {
      const values = await this.head.statistic(name);
      const stat = this.model.statistics.get(name);
      if (values) this.base[stat && stat.axis === "key" && this.panels.key ? "key" : "query"] = baseOf(values);
    } else if (kind === "explain" && this.explanations.scoresOf(Number(name))) {
      const one = this.explanations.scoresOf(Number(name));
      const side = this.head.layer.key_stream === one.stream && this.panels.key ? "key" : "query";
      this.base[side] = baseOf(one.scores);
    }
    this.shade();
  }

  shade() {
    if (!this.head) return;
    const { head } = this;
    const spoken = spokenTokens(head, this.panels);
    const found = spoken ? weightsOf(head, spoken, this.keyTokens) : null;
    const { reads, readers } = found ? shadesOf(head, found) : { reads: null, readers: null };
    for (const [side, panel] of Object.entries(this.panels)) {
      const self = head.layer.kind === "self";
      const here = spoken && (self || spoken.side === side) ? spoken.token : -1;
      panel.shade(
        self || side === "key" ? reads : null,
        self || side === "query" ? readers : null,
        this.base[side] || null,
        here,
      );
    }
    for (const map of this.maps) map.draw();
    this.tell(spoken, found);
  }

  tell(spoken, found) {
    const title = byId("spoken-title");
    if (!spoken) {
      title.className = "muted";
      title.textContent =
        "Point at a word to see what it reads (filled) and who reads it (underlined). A click pins it.";
      byId("spoken-reads").replaceChildren();
      byId("spoken-readers").replaceChildren();
      return;
    }
    const panel = this.panels[spoken.side] || this.panels.query;
    const word = panel.units.text[panel.units.unitOf[spoken.token]];
    const tokens =
      spoken.to - spoken.from > 1
        ? `tokens ${count(spoken.from)} to ${count(spoken.to - 1)}`
        : `token ${count(spoken.from)}`;
    title.className = "";
    title.replaceChildren(element("b", {}, word), element("span", { class: "muted" }, `  ${tokens}`));
    const keySide = this.panels.key ? "key" : "query";
    if (found.blocks) {
      byId("spoken-reads").replaceChildren(
        element(
          "span",
          { class: "muted" },
          "None of its single pairs is in this page; the shade is its block's in the overview.",
        ),
      );
    } else if (found.reads.size) drawNamed(byId("spoken-reads"), "reads", ...this.words(found.reads, keySide), keySide);
    else byId("spoken-reads").replaceChildren();
    if (found.readers.size)
      drawNamed(byId("spoken-readers"), "read by", ...this.words(found.readers, "query"), "query");
    else byId("spoken-readers").replaceChildren();
  }

  // [weights, name]: weights a unit, by the unit's first token, and how a unit is called.
  words(weights, side) {
    const { units } = this.panels[side];
    const summed = new Map();
    for (const [token, weight] of weights) {
      const first = units.start[units.unitOf[token]];
      summed.set(first, (summed.get(first) || 0) + weight);
    }
    return [summed, (token) => units.text[units.unitOf[token]]];
  }

  // `join` changes which tokens are one unit; the width changes where rows end.
  relayout() {
    for (const panel of Object.values(this.panels)) panel.layout();
    this.shade();
  }

  search() {
    const wanted = byId("search").value;
    this.hitsOf = Object.values(this.panels).map((panel) => panel.search(wanted));
    this.hit = 0;
    if (this.hitsOf.some((n) => n)) this.step(0);
    else byId("hits").textContent = wanted.trim() ? "not found" : "";
    for (const map of this.maps) map.draw();
  }

  // Hits are counted through the panels in order.
  step(by) {
    const all = (this.hitsOf || []).reduce((a, b) => a + b, 0);
    if (!all) return;
    this.hit = (this.hit + by + all) % all;
    let rest = this.hit;
    for (const [p, panel] of Object.values(this.panels).entries()) {
      if (rest < this.hitsOf[p]) {
        panel.goTo(rest);
        change({ token: panel.units.start[panel.current], side: panel.side });
        break;
      }
      rest -= this.hitsOf[p];
    }
    byId("hits").textContent = `${count(this.hit + 1)} of ${count(all)}`;
    for (const map of this.maps) map.draw();
  }
}
