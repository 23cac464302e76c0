// Colours: ramps whose lightness runs one way, so that they also read in grey and to the colour-blind.

const RAMPS = {
  light: ["#ffffff", "#e3f1d4", "#b4dec1", "#6fc0bd", "#3592b4", "#2a5f9e", "#253478", "#150f45"],
  dark: ["#171b22", "#2b2a54", "#38498a", "#2f6f8e", "#219a8b", "#4fc16b", "#a8db4b", "#fde725"],
};
const DIVERGING = {
  light: ["#0b3c78", "#2f73b8", "#8dbbe0", "#f5f4f0", "#f4b578", "#d0701a", "#7d3602"],
  dark: ["#8cc8ff", "#3f8fd6", "#22507f", "#1b2028", "#7d4714", "#d6802a", "#ffc27a"],
};
// Okabe and Ito's colours; a role's letter is written on it too, so colour is never alone.
const KINDS = [
  "#0072b2",
  "#e69f00",
  "#009e73",
  "#cc79a7",
  "#56b4e9",
  "#d55e00",
  "#b8a900",
  "#7f7f7f",
  "#8250c4",
  "#a0522d",
];
const STEPS = 256;
const tables = new Map();

export function theme() {
  return document.documentElement.dataset.theme || "light";
}

const inks = new Map();

// A colour of the style sheet; asked for once a theme, since each question makes the browser settle all styles.
export function ink(name) {
  const key = `${theme()} ${name}`;
  if (!inks.has(key)) inks.set(key, getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim());
  return inks.get(key);
}

function parse(hex) {
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
}

function table(stops) {
  const key = stops.join();
  if (!tables.has(key)) {
    const made = new Uint8Array(3 * STEPS);
    for (let n = 0; n < STEPS; n += 1) {
      const place = (n / (STEPS - 1)) * (stops.length - 1);
      const left = Math.min(Math.floor(place), stops.length - 2);
      const [a, b] = [parse(stops[left]), parse(stops[left + 1])];
      for (let c = 0; c < 3; c += 1) made[3 * n + c] = Math.round(a[c] + (b[c] - a[c]) * (place - left));
    }
    tables.set(key, made);
  }
  return tables.get(key);
}

// 256 colours as bytes: magnitudes from 0 to 1, or differences from -1 to 1.
export function ramp(diverging = false) {
  return table((diverging ? DIVERGING : RAMPS)[theme()]);
}

export function place(share, diverging) {
  const unit = diverging ? (share + 1) / 2 : share;
  return Math.max(0, Math.min(STEPS - 1, Math.round(unit * (STEPS - 1))));
}

export function colour(share, diverging = false) {
  const colours = ramp(diverging);
  const at = 3 * place(share, diverging);
  return `rgb(${colours[at]},${colours[at + 1]},${colours[at + 2]})`;
}

// Black or white, whichever reads better on that colour.
export function inkOn(css) {
  const [r, g, b] = css.startsWith("#") ? parse(css) : css.match(/\d+/g).map(Number);
  return 0.299 * r + 0.587 * g + 0.114 * b > 140 ? "#14161a" : "#ffffff";
}

export function kindColour(n) {
  return KINDS[n % KINDS.length];
}
