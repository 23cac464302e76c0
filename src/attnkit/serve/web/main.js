// The page: what the service is, a text to ask about, and what its models answer.

import { answerCard, verdict } from "./answer.js";
import { askJson, keepToken } from "./asking.js";
import { busy, by, complain, element } from "./dom.js";
import { feedbackForm } from "./feedback.js";
import { uploads } from "./upload.js";

const root = document.documentElement;
let told = null;

function theme(name) {
  root.dataset.theme = name;
}

async function begin() {
  try {
    told = await askJson("model");
  } catch (trouble) {
    by("token-form").hidden = trouble.status !== 401;
    if (trouble.status === 401) by("token").focus();
    complain(trouble.status === 401 && !by("token").value ? "" : trouble.message);
    root.dataset.ready = "";
    return;
  }
  complain("");
  by("token-form").hidden = true;
  document.querySelector("main").hidden = false;
  choices();
  describe();
  uploads(told, () => by("model").value);
  root.dataset.ready = "";
  by("text").focus();
}

function choices() {
  const names = told.models.map((model) => model.name);
  by("model").replaceChildren(...names.map((name) => element("option", { value: name }, name)));
  const none = element("option", { value: "" }, "none");
  by("beside").replaceChildren(none, ...names.map((name) => element("option", { value: name }, name)));
  by("beside").value = names[1] || "";
  by("chosen").hidden = names.length < 2;
  for (const one of [by("model"), by("beside")]) one.addEventListener("change", describe);
}

function describe() {
  const model = modelOf(by("model").value);
  by("title").textContent = model.name;
  document.title = `${model.name} · predictions`;
  by("second").hidden = !model.paired;
  by("text-label").textContent = model.paired ? "First text" : "Text";
  by("facts").textContent = [whatIsPredicted(model), built(model), figure(model)].filter(Boolean).join(" · ");
}

function modelOf(name) {
  return told.models.find((model) => model.name === name);
}

function whatIsPredicted(model) {
  if (model.kind === "score") return "a number";
  return model.kind === "multi" ? `any of ${model.classes.length} classes` : `one of ${model.classes.length} classes`;
}

function built(model) {
  if (!model.encoder) return model.source;
  return model.encoder === "none" ? `${model.pooling} pooling over words` : `${model.encoder}, ${model.pooling} pooling`;
}

function figure(model) {
  const [first] = (model.figures && model.figures.measures) || [];
  if (!first) return "";
  const interval = first.low === null ? "" : ` [${first.low.toFixed(3)}, ${first.high.toFixed(3)}]`;
  return `${first.name.replaceAll("_", " ")} ${first.value.toFixed(3)}${interval} on ${first.n.toLocaleString("en")} ${model.figures.of} rows`;
}

async function predict() {
  const names = [...new Set([by("model").value, by("beside").value].filter(Boolean))];
  const single = by("text").value;
  complain("");
  try {
    const answers = await Promise.all(
      names.map((model) => askJson(modelOf(model).attention ? "attention" : "predict", { model, text: modelOf(model).paired ? [single, by("pair").value] : single })),
    );
    by("answers").replaceChildren(...answers.map((answer) => card(answer, single, names.length > 1)));
    const said = names.length > 1 ? verdict(answers) : null;
    by("verdict").hidden = !said;
    by("verdict").textContent = said ? said.text : "";
    by("verdict").className = `verdict ${said && said.agree ? "good" : "unknown"}`;
  } catch (trouble) {
    complain(trouble.message);
  }
}

function card(answer, single, named) {
  const made = answerCard(answer, named);
  const model = modelOf(answer.model);
  if (told.feedback) made.append(feedbackForm(model, model.paired ? [single, by("pair").value] : single, answer));
  return made;
}

theme(matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
by("theme").addEventListener("click", () => theme(root.dataset.theme === "dark" ? "light" : "dark"));
by("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  busy(by("go"), predict);
});
for (const box of [by("text"), by("pair")]) {
  box.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) by("ask").requestSubmit();
  });
}
by("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  keepToken(by("token").value.trim());
  begin();
});
begin();
