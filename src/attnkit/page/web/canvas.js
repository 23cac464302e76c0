// Canvases that are sharp on any screen, and the one tip that follows the pointer.

import { ink } from "./colors.js";

export function fit(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  const [w, h] = [Math.max(1, Math.round(width * ratio)), Math.max(1, Math.round(height * ratio))];
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  Object.assign(context, { font: font(11), textAlign: "left", textBaseline: "alphabetic", lineWidth: 1 });
  return context;
}

let family = "";

export function font(size, weight = 400) {
  family = family || getComputedStyle(document.body).fontFamily;
  return `${weight} ${size}px ${family}`;
}

export function at(canvas, event) {
  const box = canvas.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
}

// Text that is cut, with an ellipsis, to a width.
export function clipped(context, text, width) {
  if (context.measureText(text).width <= width) return text;
  let end = text.length;
  while (end > 1 && context.measureText(`${text.slice(0, end)}…`).width > width) end -= 1;
  return `${text.slice(0, end)}…`;
}

// A cell for which there is no number.
export function hatch(context, x, y, width, height) {
  context.save();
  context.beginPath();
  context.rect(x, y, width, height);
  context.clip();
  context.strokeStyle = ink("line");
  context.beginPath();
  for (let n = -height; n < width; n += 5) {
    context.moveTo(x + n, y + height);
    context.lineTo(x + n + height, y);
  }
  context.stroke();
  context.restore();
}

export function tip(lines, event) {
  const box = document.getElementById("tip");
  if (!lines) {
    box.hidden = true;
    return;
  }
  box.textContent = lines.join("\n");
  box.hidden = false;
  const [width, height] = [box.offsetWidth, box.offsetHeight];
  const left = Math.min(event.clientX + 14, window.innerWidth - width - 8);
  const under = event.clientY + 18 + height < window.innerHeight;
  box.style.left = `${Math.max(8, left)}px`;
  box.style.top = `${under ? event.clientY + 18 : Math.max(8, event.clientY - height - 12)}px`;
}

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "class") made.className = value;
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}
