// The right answer to a text, where the service keeps such answers.

import { askJson } from "./asking.js";
import { busy, complain, element } from "./dom.js";

export function feedbackForm(model, text, answer) {
  const choice = choiceOf(model, answer);
  const button = element("button", {}, "Keep as right answer");
  const said = element("span", { class: "muted small", role: "status" });
  const form = element("form", { class: "row feedback" }, element("label", {}, "Right answer ", choice), button, said);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    busy(button, async () => {
      try {
        const label = labelOf(model, choice);
        await askJson("feedback", { text, label, prediction: answer.label, model: model.name });
        said.textContent = "Kept.";
        complain("");
      } catch (trouble) {
        complain(trouble.message);
      }
    });
  });
  return form;
}

function choiceOf(model, answer) {
  if (model.kind === "score") return element("input", { type: "number", step: "any", value: answer.label, required: true });
  const chosen = new Set([answer.label].flat());
  const options = model.classes.map((name) => element("option", { value: name, selected: chosen.has(name) }, name));
  return element("select", { multiple: model.kind === "multi" }, ...options);
}

function labelOf(model, choice) {
  if (model.kind === "score") return Number(choice.value);
  const names = [...choice.selectedOptions].map((option) => option.value);
  return model.kind === "multi" ? names : names[0];
}
