// Numbers as people read them, and the scales by which a number becomes a share of a colour ramp.

export function show(value, unit = "") {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const size = Math.abs(value);
  let text;
  if (size === 0) text = "0";
  else if (size >= 1e5 || size < 1e-3) text = value.toExponential(1).replace("e", "e").replace("+", "");
  else if (size >= 100) text = value.toFixed(0);
  else if (size >= 10) text = value.toFixed(1);
  else text = value.toFixed(size >= 1 ? 2 : 3);
  return unit ? `${text} ${unit}` : text;
}

export function count(n) {
  return Math.round(n).toLocaleString("en-US");
}

export function bounds(values) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low <= high ? { low, high } : { low: 0, high: 0 };
}

const MOST_RANKED = 4096;

// {name, signed, share(value, row), low, high}: share is 0 to 1, or -1 to 1 where some value is negative.
export function scaleOf(name, values, rowMaxima = null) {
  const { low, high } = bounds(values);
  const top = Math.max(Math.abs(low), Math.abs(high)) || 1;
  const signed = low < 0;
  const sign = (value) => (value < 0 ? -1 : 1);
  if (name === "log") {
    let least = top;
    for (const value of values) if (value !== 0 && Math.abs(value) < least) least = Math.abs(value);
    least = Math.max(least, top * 1e-4);
    const span = Math.log(top / least) || 1;
    const share = (v) => (v === 0 ? 0 : sign(v) * Math.min(1, Math.max(0, Math.log(Math.abs(v) / least) / span)));
    return { name, signed, share, low: least, high: top };
  }
  if (name === "row" && rowMaxima) {
    const share = (v, row) => (rowMaxima[row] ? Math.max(-1, Math.min(1, v / rowMaxima[row])) : 0);
    return { name, signed, share, low: 0, high: 1 };
  }
  if (name === "percentile") {
    const step = Math.max(1, Math.floor(values.length / MOST_RANKED));
    const sorted = [];
    for (let n = 0; n < values.length; n += step) if (values[n] !== 0) sorted.push(Math.abs(values[n]));
    sorted.sort((a, b) => a - b);
    const share = (v) => (v === 0 ? 0 : sign(v) * rank(sorted, Math.abs(v)));
    return { name, signed, share, low: 0, high: 100 };
  }
  return { name: "linear", signed, share: (v) => v / top, low: signed ? -top : 0, high: top };
}

function rank(sorted, value) {
  let from = 0;
  let to = sorted.length;
  while (from < to) {
    const middle = (from + to) >> 1;
    if (sorted[middle] <= value) from = middle + 1;
    else to = middle;
  }
  return sorted.length ? from / sorted.length : 0;
}

// Round steps for an axis of tokens: about `most` of them between from and to.
export function ticks(from, to, most) {
  const rough = (to - from) / Math.max(1, most);
  const power = 10 ** Math.floor(Math.log10(Math.max(rough, 1)));
  const step = Math.max(1, [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough) || 1);
  const found = [];
  for (let n = Math.ceil(from / step) * step; n < to; n += step) found.push(n);
  return found;
}
