// What is chosen, kept in the address so that a link or a reload shows the same; and who wants to know of changes.

const DEFAULTS = {
  layer: 0,
  head: 0,
  item: 0,
  token: -1,
  side: "query",
  stat: "",
  summary: "mean",
  sort: "layer",
  scale: "linear",
  threshold: 0,
  sinks: false,
  specials: false,
  join: true,
  shade: "attention",
  show: "a",
};

export const state = { ...DEFAULTS };
export const hover = { token: -1, side: "query" };
const listeners = [];
let queued = null;

export function onChange(listener) {
  listeners.push(listener);
}

// Listeners are called once a frame with the names of what changed; "hover" is one, and stays out of the address.
export function change(values) {
  const names = Object.keys(values).filter((name) => state[name] !== values[name]);
  if (!names.length) return;
  Object.assign(state, values);
  queue(names);
}

export function hoverOver(token, side) {
  if (hover.token === token && hover.side === side) return;
  Object.assign(hover, { token, side });
  queue(["hover"]);
}

export function queue(names) {
  if (!queued) {
    queued = new Set();
    requestAnimationFrame(flush);
  }
  for (const name of names) queued.add(name);
}

function flush() {
  const names = queued;
  queued = null;
  if ([...names].some((name) => name in DEFAULTS)) writeHash();
  for (const listener of listeners) listener(names);
}

function writeHash() {
  const parts = Object.keys(DEFAULTS)
    .filter((name) => state[name] !== DEFAULTS[name] || name === "layer" || name === "head")
    .map(
      (name) =>
        `${name}=${encodeURIComponent(Number(state[name]) === state[name] ? state[name] : String(state[name]))}`,
    );
  const hash = `#${parts.join("&")}`;
  if (hash !== location.hash) {
    try {
      history.replaceState(null, "", hash);
    } catch {
      // A page shown inside another, as notebooks do, may have no address of its own.
    }
  }
}

// {name: value} of an address's hash; what has another type than the default, or is unknown, is left out.
export function readHash(hash) {
  const found = {};
  for (const part of hash.replace(/^#/, "").split("&")) {
    const [name, raw] = part.split("=");
    if (!Object.hasOwn(DEFAULTS, name) || raw === undefined) continue;
    let text;
    try {
      text = decodeURIComponent(raw);
    } catch {
      continue;
    }
    const kind = typeof DEFAULTS[name];
    if (kind === "number" && text !== "" && Number.isFinite(Number(text))) found[name] = Number(text);
    else if (kind === "boolean") found[name] = text === "true";
    else if (kind === "string") found[name] = text;
  }
  return found;
}

export function defaults() {
  return { ...DEFAULTS };
}

// The token that text and map speak of: the one under the pointer, else the pinned one.
export function spokenOf() {
  return hover.token >= 0 ? hover : { token: state.token, side: state.side };
}
