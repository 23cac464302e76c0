// The captures of the page: layers in groups, figures per head, and the numbers of the opened head.

import { Binary } from "./decode.js";
import { isSpecial } from "./words.js";

const SUMMARIES = ["mean", "low", "high"];
const KINDS = { self: "self-attention", cross: "cross-attention", pooling: "pooling" };

export class Model {
  static async open(bytes) {
    const binary = await Binary.open(bytes);
    const model = new Model(binary);
    await Promise.all(model.captures.map((capture) => capture.load()));
    return model;
  }

  constructor(binary) {
    this.header = binary.header;
    this.captures = binary.header.captures.map((header) => new Capture(binary, header));
    this.statistics = new Map(binary.header.statistics.map((one) => [one.name, one]));
    this.first = this.captures[0];
    this.second = this.captures[1] || null;
    this.groups = this.grouped();
  }

  // Layers that read and are read by the same texts stand together: encoder, decoder, cross.
  grouped() {
    const groups = new Map();
    this.first.layers.forEach((layer, n) => {
      const key = [layer.kind, layer.query_stream, layer.key_stream].join("\u0000");
      if (!groups.has(key)) groups.set(key, { label: groupLabel(layer), layers: [] });
      groups.get(key).layers.push(n);
    });
    return [...groups.values()];
  }

  groupOf(layer) {
    return this.groups.find((group) => group.layers.includes(layer)) || this.groups[0];
  }

  // The number of a layer of the first capture in capture c: by name, else by place.
  partner(c, layer) {
    if (c === 0) return layer;
    const named = this.second.layers.findIndex((one) => one.name === this.first.layers[layer].name);
    return named >= 0 ? named : layer < this.second.layers.length ? layer : -1;
  }

  value(c, layer, head, stat, summary, item) {
    const n = this.partner(c, layer);
    return n < 0 ? NaN : this.captures[c].value(n, head, stat, summary, item);
  }

  difference(layer, head, stat, summary, item) {
    return this.value(1, layer, head, stat, summary, item) - this.value(0, layer, head, stat, summary, item);
  }
}

function groupLabel(layer) {
  const kind = KINDS[layer.kind] || layer.kind;
  const [from, to] = [layer.query_stream, layer.key_stream];
  if (layer.kind === "self") return from && from !== "text" ? `${from} ${kind}` : kind;
  return to ? `${kind}: ${from || "learned queries"} → ${to}` : kind;
}

class Capture {
  constructor(binary, header) {
    this.binary = binary;
    this.header = header;
    this.layers = header.layers;
    this.summaries = [];
    this.streams = {};
    this.heads = new Map();
  }

  async load() {
    const [streams, all] = await Promise.all([
      this.binary.json(this.header.streams),
      this.binary.array(this.header.summary),
    ]);
    this.streams = streams;
    let from = 0;
    this.summaries = this.layers.map((layer) => {
      const size = layer.names.length * SUMMARIES.length * layer.batch * layer.heads;
      from += size;
      return all.subarray(from - size, from);
    });
  }

  value(n, head, stat, summary, item) {
    const layer = this.layers[n];
    const at = layer.names.indexOf(stat);
    if (at < 0 || head >= layer.heads || item >= layer.batch) return NaN;
    const which = SUMMARIES.indexOf(summary);
    return this.summaries[n][((at * 3 + which) * layer.batch + item) * layer.heads + head];
  }

  role(n, head) {
    const roles = this.layers[n].roles;
    const best = roles && roles[head] && roles[head][0];
    return best && best.named !== false ? best : null;
  }

  // The tokens of one side; where nobody said them, their numbers.
  tokens(n, item, side) {
    const layer = this.layers[n];
    const length = side === "query" ? layer.T : layer.S;
    const stream = this.streams[layer[`${side}_stream`]];
    const said = (stream && stream[item]) || [];
    if (said.length === length) return said;
    return Array.from({ length }, (_, t) => said[t] ?? (layer[`${side}_stream`] ? `${t}` : `query ${t}`));
  }

  // Opened once, then remembered for as long as a few others were not.
  head(n, head, item) {
    const key = [n, head, item].join();
    if (!this.heads.has(key)) {
      this.heads.set(key, this.open(n, head, item));
      if (this.heads.size > 24) this.heads.delete(this.heads.keys().next().value);
    }
    return this.heads.get(key);
  }

  async open(n, head, item) {
    const layer = this.layers[n];
    const { binary } = this;
    const names = layer.statistics ? Object.keys(layer.statistics.of) : [];
    const whole = layer.exact[String(head)];
    const [pooled, sink, edges, exact, rows, queryKeep, keyKeep] = await Promise.all([
      binary.array(layer.pooled),
      binary.array(layer.sink),
      binary.edges(layer.edges),
      binary.array(whole),
      binary.array(layer.rows),
      binary.array(layer.query_keep),
      binary.array(layer.key_keep),
    ]);
    return new Head(layer, head, item, { pooled, sink, edges, exact, rows, queryKeep, keyKeep, names }, binary);
  }
}

// One head on one text: its overview, its edges, and what there is per token.
export class Head {
  constructor(layer, head, item, parts, binary) {
    Object.assign(this, { layer, head, item, binary, T: layer.T, S: layer.S, edges: parts.edges, names: parts.names });
    const at = item * layer.heads + head;
    if (parts.pooled) {
      const [, , R, C] = layer.pooled.shape;
      const values = parts.pooled.subarray(at * R * C, (at + 1) * R * C);
      const sink = parts.sink ? parts.sink.subarray(at * R, (at + 1) * R) : null;
      this.pooled = { values, R, C, queryTokens: layer.pooled.query_tokens, keyTokens: layer.pooled.key_tokens, sink };
    }
    if (parts.exact) this.exact = parts.exact.subarray(item * layer.T * layer.S, (item + 1) * layer.T * layer.S);
    if (parts.rows) this.rowOf = new Map([...parts.rows].map((t, n) => [t, n]));
    this.queryKeep = parts.queryKeep && parts.queryKeep.subarray(item * layer.T, (item + 1) * layer.T);
    this.keyKeep = parts.keyKeep && parts.keyKeep.subarray(item * layer.S, (item + 1) * layer.S);
    this.firstKey = this.keyKeep
      ? Math.max(
          0,
          this.keyKeep.findIndex((kept) => kept > 0),
        )
      : 0;
  }

  row(t) {
    return this.rowOf && this.edges && this.edges.T !== this.T ? (this.rowOf.get(t) ?? -1) : t;
  }

  // Calls visit(key, weight) for what is known of a query's row: all of it, or its heaviest keys.
  reads(t, visit) {
    if (this.exact) {
      for (let s = 0; s < this.S; s += 1) if (this.exact[t * this.S + s] !== 0) visit(s, this.exact[t * this.S + s]);
      return;
    }
    const row = this.row(t);
    if (!this.edges || row < 0) return;
    const { start, key, weight, heads, T } = this.edges;
    const query = (this.item * heads + this.head) * T + row;
    for (let n = start[query]; n < start[query + 1]; n += 1) visit(key[n], weight[n]);
  }

  // Calls visit(query, weight) for who is known to read keys from..to - 1.
  readers(from, to, visit) {
    if (this.exact) {
      for (let t = 0; t < this.T; t += 1) {
        for (let s = from; s < to; s += 1) if (this.exact[t * this.S + s] !== 0) visit(t, this.exact[t * this.S + s]);
      }
      return;
    }
    const rows = !this.edges || this.edges.T === this.T ? null : [...this.rowOf.keys()];
    for (let n = 0; n < (rows ? rows.length : this.T); n += 1) {
      const t = rows ? rows[n] : n;
      this.reads(t, (s, weight) => {
        if (s >= from && s < to) visit(t, weight);
      });
    }
  }

  // Blocks of the overview that hold a query: [first key, end, mass] each.
  blocks(t, visit) {
    if (!this.pooled) return;
    const { values, C, queryTokens, keyTokens } = this.pooled;
    const r = Math.floor(t / queryTokens);
    for (let c = 0; c < C; c += 1) visit(c * keyTokens, Math.min(this.S, (c + 1) * keyTokens), values[r * C + c]);
  }

  // Keys that are hidden from pictures: the sink, and special tokens.
  hidden(sinks, specials, keyTokens) {
    const hide = new Uint8Array(this.S);
    if (specials) keyTokens.forEach((token, s) => (hide[s] = isSpecial(token) ? 1 : 0));
    if (sinks && this.S) hide[this.firstKey] = 1;
    return hide;
  }

  // Float32Array of a statistic per token, stretched where it is kept as means over several; null where it is not here.
  async statistic(name) {
    const held = this.layer.statistics;
    if (!held || !held.of[name]) return null;
    const meta = held.of[name];
    const all = await this.binary.array(meta);
    const length = meta.shape[2];
    const at = (this.item * this.layer.heads + this.head) * length;
    const own = all.subarray(at, at + length);
    if (this.rowOf && Math.ceil(this.rowOf.size / held.tokens) === length && this.rowOf.size !== this.T) {
      const spread = new Float32Array(this.T).fill(NaN);
      for (const [t, n] of this.rowOf) spread[t] = own[Math.floor(n / held.tokens)];
      return spread;
    }
    const size = Math.ceil(this.T / held.tokens) === length ? this.T : this.S;
    return Float32Array.from({ length: size }, (_, n) => own[Math.floor(n / held.tokens)]);
  }
}
