// Menus, switches and keys: each says a change of state, and shows the state there is.

import { roleNames } from "./atlas.js";
import { element } from "./canvas.js";
import { resetView, view, zoomPinned } from "./heatmap.js";
import { change, onChange, queue, state } from "./state.js";

const byId = (id) => document.getElementById(id);
const MOST_CHOICES = 200;
const SCALES = ["linear", "log", "row", "percentile"];

export function wireControls(model) {
  fill(
    "stat",
    [...model.statistics.values()].map((one) => [one.name, one.title]),
  );
  if (roleNames(model).length) byId("stat").append(new Option("Role", "role"));
  else byId("sort").querySelector('[value="role"]').remove();
  for (const id of ["stat", "summary", "sort", "scale", "shade", "show"]) {
    byId(id).addEventListener("change", () => change({ [id]: byId(id).value }));
  }
  for (const id of ["sinks", "specials", "join"])
    byId(id).addEventListener("change", () => change({ [id]: byId(id).checked }));
  byId("threshold").addEventListener("input", () => change({ threshold: Number(byId("threshold").value) }));
  byId("zoom-in").addEventListener("click", () => zoomPinned(0.5));
  byId("zoom-out").addEventListener("click", () => zoomPinned(2));
  byId("zoom-all").addEventListener("click", () => resetView(view.T, view.S));
  byId("theme").addEventListener("click", toggleTheme);
  byId("help-open").addEventListener("click", () => byId("help").showModal());
  byId("show-label").hidden = !model.second;
  wireItems(model);
  wireGroups(model);
  onChange(() => showState(model));
}

function fill(id, choices) {
  byId(id).replaceChildren(...choices.map(([value, label]) => new Option(label, value)));
}

function wireItems(model) {
  const batch = Math.max(...model.first.layers.map((layer) => layer.batch));
  byId("item-label").hidden = batch < 2;
  const beginning = (item) => {
    const layer = model.first.layers[0];
    const words = layer.key_stream ? model.first.tokens(0, item, "key").slice(0, 9).join(" ") : "";
    return `${item + 1} of ${batch}: ${words
      .replace(/[▁Ġ\s]+/g, " ")
      .replaceAll(" ##", "")
      .slice(0, 44)}`;
  };
  fill(
    "item",
    Array.from({ length: Math.min(batch, MOST_CHOICES) }, (_, item) => [String(item), beginning(item)]),
  );
  byId("item").addEventListener("change", () => change({ item: Number(byId("item").value), token: -1 }));
}

function wireGroups(model) {
  byId("groups").hidden = model.groups.length < 2;
  if (model.groups.length < 2) return;
  byId("groups").replaceChildren(
    ...model.groups.map((group) => {
      const button = element("button", { type: "button" }, group.label);
      button.addEventListener("click", () =>
        change({ layer: group.layers[0], head: 0, token: -1, shade: "attention" }),
      );
      return button;
    }),
  );
}

export function showState(model) {
  for (const id of ["stat", "summary", "sort", "scale", "shade", "show"]) byId(id).value = state[id];
  for (const id of ["sinks", "specials", "join"]) byId(id).checked = state[id];
  byId("item").value = String(state.item);
  byId("threshold").value = String(state.threshold);
  byId("threshold-said").textContent = state.threshold ? `${Math.round(state.threshold * 100)} %` : "off";
  const group = model.groupOf(state.layer);
  [...byId("groups").children].forEach((button, n) =>
    button.setAttribute("aria-pressed", String(model.groups[n] === group)),
  );
}

export function setTheme(name) {
  document.documentElement.dataset.theme = name;
  queue(["theme"]);
}

export function toggleTheme() {
  const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  try {
    localStorage.setItem("attn-theme", next);
  } catch {
    // Pages from a file may have no storage; the choice then lasts as long as the page.
  }
  setTheme(next);
}

export function wireTheme() {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  let chosen = null;
  try {
    chosen = localStorage.getItem("attn-theme");
  } catch {
    chosen = null;
  }
  document.documentElement.dataset.theme =
    chosen === "dark" || chosen === "light" ? chosen : dark.matches ? "dark" : "light";
  dark.addEventListener("change", () => setTheme(dark.matches ? "dark" : "light"));
}

// Arrows go through the atlas as it is drawn; letters are left to whoever types.
export function wireKeys(model, atlas, panels) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || byId("help").open) return;
    if (event.target.closest("input, select, textarea")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const vertical = event.key === "ArrowUp" || event.key === "ArrowDown";
    if (vertical && event.target.closest(".scroller, ul")) return;
    const done = act(event.key, model, atlas, panels);
    if (done) event.preventDefault();
  });
}

function act(key, model, atlas, panels) {
  const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
  if (key in steps) return goHead(atlas, ...steps[key]);
  if (key === "j" || key === "k") return goToken(panels(), key === "j" ? 1 : -1);
  if (key === "/") byId("search").focus();
  else if (key === "?") byId("help").showModal();
  else if (key === "t") toggleTheme();
  else if (key === "s") change({ scale: SCALES[(SCALES.indexOf(state.scale) + 1) % SCALES.length] });
  else if (key === "+" || key === "=") zoomPinned(0.5);
  else if (key === "-") zoomPinned(2);
  else if (key === "0") resetView(view.T, view.S);
  else if (key === "Escape") change({ token: -1 });
  else return false;
  return true;
}

function goHead(atlas, down, right) {
  const chosen = atlas.cells.find((cell) => cell.layer === state.layer && cell.head === state.head);
  if (!chosen) return false;
  const next = atlas.cells.find((cell) => cell.row === chosen.row + down && cell.column === chosen.column + right);
  if (next) change({ layer: next.layer, head: next.head });
  return true;
}

function goToken(panels, step) {
  const panel = panels[state.side] || panels.query;
  if (!panel || !panel.units) return false;
  const last = panel.units.start.length - 2;
  const unit = state.token < 0 ? (step > 0 ? 0 : last) : panel.units.unitOf[state.token] + step;
  const token = panel.units.start[Math.max(0, Math.min(last, unit))];
  change({ token, side: panel.side });
  panel.reveal(token);
  return true;
}
