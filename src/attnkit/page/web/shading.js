// From weights to shades: what the spoken token reads and who reads it, as a number a token, and in words.

import { spokenOf, state } from "./state.js";

// Square roots, so that a tenth of the largest weight can still be seen.
function shares(weights, length) {
  const made = new Float32Array(length);
  let most = 0;
  for (const weight of weights.values()) most = Math.max(most, Math.abs(weight));
  for (const [token, weight] of weights) made[token] = most ? Math.sqrt(Math.abs(weight) / most) : 0;
  return made;
}

// {from, to, side}: the tokens that are spoken of, a whole word where sub-words are joined; null where there are none.
export function spokenTokens(head, panels) {
  let { token, side } = spokenOf();
  if (token < 0 && head.T <= 4 && head.layer.kind !== "self") [token, side] = [0, "query"];
  const panel = panels[side] || panels.query;
  if (token < 0 || !panel || !panel.units || token >= panel.tokens.length) return null;
  const unit = panel.units.unitOf[token];
  return { from: panel.units.start[unit], to: panel.units.start[unit + 1], side, token };
}

// {reads, readers, blocks}: Maps of token to weight; `blocks` is true where only the overview knows what is read.
export function weightsOf(head, spoken, keyTokens) {
  const reads = new Map();
  const readers = new Map();
  const hide = head.hidden(state.sinks, state.specials, keyTokens);
  const self = head.layer.kind === "self";
  let blocks = false;
  const add = (map, token, weight) => map.set(token, (map.get(token) || 0) + weight);
  if (spoken.side === "query" || self) {
    const parts = spoken.to - spoken.from;
    for (let t = spoken.from; t < spoken.to; t += 1) {
      head.reads(t, (s, weight) => {
        if (!hide[s]) add(reads, s, weight / parts);
      });
    }
    if (!reads.size && head.pooled) {
      blocks = true;
      head.blocks(spoken.from, (from, to, mass) => {
        for (let s = from; s < to; s += 1) if (mass && !hide[s]) reads.set(s, mass / (to - from));
      });
    }
  }
  if (spoken.side === "key" || self) {
    head.readers(spoken.from, spoken.to, (t, weight) => add(readers, t, weight));
  }
  return { reads, readers, blocks };
}

export function shadesOf(head, found) {
  const reads = found.reads.size ? shares(found.reads, head.S) : null;
  if (reads && found.blocks) for (let s = 0; s < reads.length; s += 1) reads[s] *= 0.45;
  return { reads, readers: found.readers.size ? shares(found.readers, head.T) : null };
}

// Between 0 and 1 over what is known, or -1 and 1 where there are negative numbers.
export function baseOf(values) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (Number.isNaN(value)) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  const top = Math.max(Math.abs(low), Math.abs(high)) || 1;
  if (low < 0) return Float32Array.from(values, (value) => value / top);
  return Float32Array.from(values, (value) => (high > low ? (value - low) / (high - low) : 0));
}
