// What there is to say of the opened head, and of the token that is pointed at.

import { element } from "./canvas.js";
import { show } from "./numbers.js";
import { change, state } from "./state.js";

export function drawHeading(model) {
  const layer = model.first.layers[state.layer];
  document.getElementById("head-title").textContent = `Layer ${state.layer} · head ${state.head}`;
  document.getElementById("head-name").textContent = `${layer.name} · ${layer.operator}`;
  document.getElementById("head-check").textContent = checkSentence(layer.check);
  document.getElementById("head-check").className = `check ${checkKind(layer.check)}`;
}

// An error over 1e-3 of the output's size is more than rounding: the picture is then not of what the model did.
export function checkKind(check) {
  if (!check.finite) return "bad";
  if (check.error === null) return "unknown";
  return check.error <= 1e-3 ? "good" : "bad";
}

export function checkSentence(check) {
  const rows = check.rows ? ` (${check.rows.toLocaleString("en-US")} rows compared)` : "";
  if (!check.finite) return "✗ map × values is not a finite number";
  if (check.error === null) return `? not checked: ${check.reason || "nothing to compare with"}`;
  const error = check.error === 0 ? "exactly" : `within ${show(check.error)}`;
  return checkKind(check) === "good"
    ? `✓ map × values equals the kernel's output ${error}${rows}`
    : `✗ map × values differs from the kernel's output by ${show(check.error)}${rows}`;
}

// A line a statistic; where there are two captures, both and their difference.
export function drawFigures(root, model) {
  const { layer, head, item, summary } = state;
  const lines = [];
  const role = (c) => {
    const n = model.partner(c, layer);
    return n < 0 ? null : (model.captures[c].layers[n].roles || [])[head];
  };
  const roles = element("div", { class: "roles" });
  model.captures.forEach((_, c) => {
    for (const one of (role(c) || []).slice(0, 3)) {
      const nearest = one.named === false ? "no role; nearest " : "";
      const label = `${model.second ? `${"AB"[c]}: ` : ""}${nearest}${String(one.role).replaceAll("_", " ")}`;
      roles.append(
        element("span", { class: "role", title: evidence(one) }, element("b", {}, label), ` ${show(one.score)}`),
      );
    }
  });
  const own = model.first.layers[layer];
  for (const stat of model.statistics.values()) {
    const value = model.value(0, layer, head, stat.name, summary, item);
    const cells = [element("span", { class: "name", title: stat.doc }, stat.title)];
    if (Number.isNaN(value) && !model.second) {
      cells.push(element("span", { class: "value muted", title: own.undefined[stat.name] || "" }, "undefined"));
    } else {
      cells.push(element("span", { class: "value" }, show(value)));
    }
    if (model.second) {
      cells.push(element("span", { class: "value" }, show(model.value(1, layer, head, stat.name, summary, item))));
      const change = model.difference(layer, head, stat.name, summary, item);
      cells.push(element("span", { class: "value delta" }, change > 0 ? `+${show(change)}` : show(change)));
    } else {
      cells.push(element("span", { class: "unit" }, stat.unit === "share" || stat.unit === "weight" ? "" : stat.unit));
    }
    const line = element("div", { class: stat.name === state.stat ? "figure chosen" : "figure" }, ...cells);
    line.addEventListener("click", () => change({ stat: stat.name }));
    lines.push(line);
  }
  const top = model.second
    ? [
        element(
          "div",
          { class: "figure top" },
          ...["", "A", "B", "B − A"].map((t) => element("span", { class: t ? "value" : "name" }, t)),
        ),
      ]
    : [];
  root.replaceChildren(roles, ...top, ...lines);
  roles.hidden = !roles.childNodes.length;
}

// The numbers behind a role, and pairs of tokens that show it.
function evidence(role) {
  const lines = Object.entries(role)
    .filter(([name, value]) => !["role", "score", "named", "examples"].includes(name) && typeof value !== "object")
    .map(([name, value]) => `${name}: ${typeof value === "number" ? show(value) : value}`);
  for (const one of role.examples || []) {
    if (one && "query_token" in one) lines.push(`${one.query_token} reads ${one.key_token} with ${show(one.weight)}`);
  }
  return lines.join("\n").slice(0, 600);
}

const MOST_NAMED = 6;

// "reads  the 0.41  cat 0.22": the heaviest of {first token of a word: weight}, each with a bar.
export function drawNamed(root, label, weights, nameOf, side) {
  const order = [...weights.entries()].sort((a, b) => Math.abs(b[1]) - Math.abs(a[1]));
  const most = order.length ? Math.abs(order[0][1]) : 1;
  const items = order.slice(0, MOST_NAMED).map(([token, weight]) => {
    const bar = element("i", {});
    bar.style.width = `${Math.round((46 * Math.abs(weight)) / (most || 1))}px`;
    const item = element(
      "button",
      { class: "named", type: "button", title: `token ${token}` },
      bar,
      element("b", {}, nameOf(token)),
      ` ${show(weight)}`,
    );
    item.addEventListener("click", () => change({ token, side }));
    return item;
  });
  const rest =
    order.length > MOST_NAMED ? [element("span", { class: "muted" }, `and ${order.length - MOST_NAMED} more`)] : [];
  root.replaceChildren(element("span", { class: "label" }, label), ...items, ...rest);
}
