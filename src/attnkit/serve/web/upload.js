// A file goes to the service and comes back with predictions.

import { ask } from "./asking.js";
import { busy, by, complain, element } from "./dom.js";

let held = "";

export function uploads(told, chosenModel) {
  const { file_bytes: most, file_rows: rows } = told.limits;
  by("upload-said").textContent =
    "A .csv, .tsv, .jsonl, .json or .txt file comes back with the columns prediction and probability; " +
    `at most ${size(most)} and ${rows.toLocaleString("en")} rows.`;
  by("upload").addEventListener("submit", (event) => {
    event.preventDefault();
    busy(by("send"), () => send(most, chosenModel()));
  });
}

async function send(most, model) {
  const [file] = by("file").files;
  complain("");
  by("sent").replaceChildren();
  if (!file) return complain("choose a file first");
  if (file.size > most) return complain(`${file.name} has ${size(file.size)} and at most ${size(most)} are taken; send it in parts`);
  by("sent").textContent = "Predicting …";
  const asked = new URLSearchParams({ name: file.name, model, probabilities: by("probabilities").checked });
  if (by("column").value.trim()) asked.set("text", by("column").value.trim());
  try {
    const answer = await ask(`predict/file?${asked}`, file, "application/octet-stream");
    const name = /filename="([^"]+)"/.exec(answer.headers.get("content-disposition"))[1];
    const count = Number(answer.headers.get("x-rows")).toLocaleString("en");
    URL.revokeObjectURL(held);
    held = URL.createObjectURL(await answer.blob());
    const link = element("a", { href: held, download: name, id: "saved" }, `Save ${name}`);
    by("sent").replaceChildren(`${count} rows predicted. `, link);
    link.focus();
  } catch (trouble) {
    by("sent").replaceChildren();
    complain(trouble.message);
  }
  return undefined;
}

function size(bytes) {
  return bytes < 1 << 20 ? `${Math.ceil(bytes / 1024).toLocaleString("en")} KiB` : `${(bytes / (1 << 20)).toFixed(1).replace(".0", "")} MiB`;
}
