// Elements of the page; words become text and never markup.

export function by(id) {
  return document.getElementById(id);
}

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

export function percent(share) {
  const hundredths = 100 * share;
  if (hundredths > 0 && hundredths < 0.1) return "< 0.1 %";
  if (hundredths < 100 && hundredths > 99.9) return "> 99.9 %";
  return `${hundredths.toFixed(1)} %`;
}

export function labelText(label) {
  if (Array.isArray(label)) return label.length ? label.join(", ") : "none of its classes";
  return typeof label === "number" ? String(Number(label.toPrecision(4))) : label;
}

export function complain(sentence) {
  const said = by("failed");
  said.hidden = !sentence;
  said.textContent = sentence ? `${sentence[0].toUpperCase()}${sentence.slice(1)}.` : "";
}

export async function busy(button, work) {
  button.disabled = true;
  try {
    return await work();
  } finally {
    button.disabled = false;
  }
}
