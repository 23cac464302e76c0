// Tokens as words: sub-words are put together as their tokenizer marks them, and nothing is ever taken for markup.

const SPECIAL = /^(\[(CLS|SEP|PAD|MASK|UNK|BOS|EOS)\]|<\/?(s|pad|unk|mask|bos|eos|cls|sep)>|<\|[^|<>]*\|>)$/i;
const WIDE = /[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\u3040-\u30ff]/;
const LETTER = /[\p{L}\p{N}\p{M}_]/u;
const MOST_PARTS = 32;

export function isSpecial(token) {
  return SPECIAL.test(token);
}

// "wordpiece" (##x goes on), "sentencepiece" (▁x begins), "bytes" (Ġx begins), "spaces" (" x" begins) or "plain".
export function convention(tokens) {
  let pieces = 0;
  let spaced = 0;
  for (const token of tokens) {
    if (token.startsWith("▁")) return "sentencepiece";
    if (token.startsWith("Ġ")) return "bytes";
    if (token.length > 2 && token.startsWith("##")) pieces += 1;
    if (token.length > 1 && token.startsWith(" ")) spaced += 1;
  }
  if (pieces) return "wordpiece";
  return spaced * 10 > tokens.length ? "spaces" : "plain";
}

let byteOf = null;

// GPT-2's table writes each byte as a printable character; undone, the bytes of a word are UTF-8 again.
function byteTable() {
  if (byteOf) return byteOf;
  byteOf = new Map();
  let extra = 0;
  for (let b = 0; b < 256; b += 1) {
    const printable = (b > 32 && b < 127) || (b > 160 && b < 173) || b > 173;
    byteOf.set(String.fromCodePoint(printable ? b : 256 + extra), b);
    if (!printable) extra += 1;
  }
  return byteOf;
}

// The text of byte-level tokens, or null where the bytes are not whole characters.
function unbyte(text) {
  const known = byteTable();
  const bytes = [];
  for (const character of text) {
    if (!known.has(character)) return text;
    bytes.push(known.get(character));
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(new Uint8Array(bytes));
  } catch {
    return null;
  }
}

function plain(token, how) {
  if (how === "sentencepiece") return token.replaceAll("▁", " ");
  if (how === "wordpiece" && token.length > 2 && token.startsWith("##")) return token.slice(2);
  return how === "bytes" ? unbyte(token) : token;
}

function begins(token, how) {
  if (how === "wordpiece") return !(token.length > 2 && token.startsWith("##"));
  if (how === "sentencepiece") return token.startsWith("▁");
  if (how === "bytes") return token.startsWith("Ġ");
  return how === "spaces" ? token.startsWith(" ") : true;
}

// {start, text, glued, breaks, special, unitOf}: unit u holds the tokens start[u] to start[u + 1] - 1; `glued` units
// follow without a space, after `breaks` a new line begins. With `join` false each token is a unit of its own.
export function unitsOf(tokens, join = true) {
  const how = convention(tokens);
  const made = { start: [], text: [], glued: [], breaks: [], special: [], unitOf: new Int32Array(tokens.length) };
  let waiting = "";
  let previous = "";
  for (let n = 0; n < tokens.length; n += 1) {
    const token = tokens[n];
    const special = isSpecial(token);
    let text = special ? token : plain(token, how);
    const broken = text === null;
    if (broken) text = plain(waiting + token, how) ?? "";
    const fresh = special || begins(token, how);
    const unit = made.start.length - 1;
    const letters =
      LETTER.test(previous) && LETTER.test(text.trim()[0] || "") && !WIDE.test(previous) && !WIDE.test(text[0] || "");
    const small = unit >= 0 && n - made.start[unit] < MOST_PARTS && !made.special[unit];
    const goesOn = waiting ? small : join && small && !fresh && (broken || letters);
    if (goesOn && (join || waiting)) {
      const more = text.replaceAll(/\s+/g, " ");
      made.text[unit] += made.text[unit] ? more : more.trimStart();
    } else {
      made.start.push(n);
      made.text.push(text.trim() ? text.trim().replaceAll(/\s+/g, " ") : "");
      made.glued.push(!fresh && how !== "plain");
      made.breaks.push(false);
      made.special.push(special);
    }
    const last = made.start.length - 1;
    if (text.includes("\n")) made.breaks[last] = true;
    waiting = broken && !text ? waiting + token : "";
    previous = made.text[last].slice(-1);
    made.unitOf[n] = last;
  }
  made.text = made.text.map((text, u) => text || (made.breaks[u] ? "⏎" : "␣"));
  made.start.push(tokens.length);
  return made;
}
