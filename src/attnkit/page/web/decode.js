// The page's binary: "ATTN", the length of a deflated JSON header, the header, and chunks deflated one by one.

export function bytesOf(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let n = 0; n < text.length; n += 1) bytes[n] = text.charCodeAt(n);
  return bytes;
}

export async function inflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

export class Binary {
  static async open(bytes) {
    if (String.fromCharCode(...bytes.subarray(0, 4)) !== "ATTN") throw new Error("the page's data is damaged");
    const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(4, true);
    const header = JSON.parse(new TextDecoder().decode(await inflate(bytes.subarray(8, 8 + length))));
    return new Binary(bytes, 8 + length, header);
  }

  constructor(bytes, start, header) {
    this.bytes = bytes;
    this.header = header;
    this.starts = [start];
    for (const size of header.sizes) this.starts.push(this.starts.at(-1) + size);
    this.arrays = new Map();
  }

  chunk(n) {
    return inflate(this.bytes.subarray(this.starts[n], this.starts[n + 1]));
  }

  // Float32Array of an array that Python's `encode` wrote; each is undone once.
  array(meta) {
    if (!meta) return Promise.resolve(null);
    if (!this.arrays.has(meta.chunk)) {
      this.arrays.set(
        meta.chunk,
        this.chunk(meta.chunk).then((bytes) => decodeArray(bytes, meta)),
      );
    }
    return this.arrays.get(meta.chunk);
  }

  edges(meta) {
    if (!meta) return Promise.resolve(null);
    if (!this.arrays.has(meta.chunk)) {
      this.arrays.set(
        meta.chunk,
        this.chunk(meta.chunk).then((bytes) => decodeEdges(bytes, meta)),
      );
    }
    return this.arrays.get(meta.chunk);
  }

  async json(meta) {
    return JSON.parse(new TextDecoder().decode(await this.chunk(meta.chunk)));
  }
}

export function decodeArray(bytes, meta) {
  const size = meta.shape.reduce((a, b) => a * b, 1);
  const values = new Float32Array(size);
  if (meta.kind === "exact") {
    const whole = new Uint8Array(4 * size);
    for (let p = 0; p < 4; p += 1) for (let n = 0; n < size; n += 1) whole[4 * n + p] = bytes[p * size + n];
    return new Float32Array(whole.buffer);
  }
  const ranges = new DataView(bytes.buffer, bytes.byteOffset);
  const start = 8 * meta.groups;
  const each = size / meta.groups;
  const top = 2 ** meta.bits - 1;
  for (let g = 0; g < meta.groups; g += 1) {
    const low = ranges.getFloat32(4 * g, true);
    const high = ranges.getFloat32(4 * (meta.groups + g), true);
    const grow = meta.kind === "log" ? Math.log(high / low) / (top - 1) : (high - low) / top;
    for (let n = g * each; n < (g + 1) * each; n += 1) {
      const code = meta.bits === 8 ? bytes[start + n] : bytes[start + n] | (bytes[start + size + n] << 8);
      if (meta.kind === "linear") values[n] = low + grow * code;
      else values[n] = code === 0 ? 0 : low * Math.exp(grow * (code - 1));
    }
  }
  return values;
}

// {start, key, weight}: the edges of query n of (B, H, T) are those from start[n] to start[n + 1].
export function decodeEdges(bytes, meta) {
  const [batch, heads, T] = meta.shape;
  const queries = batch * heads * T;
  const start = new Uint32Array(queries + 1);
  for (let n = 0; n < queries; n += 1) start[n + 1] = start[n] + bytes[n];
  const count = start[queries];
  const key = new Int32Array(count);
  for (let p = 0; p < meta.key_bytes; p += 1) {
    const plane = queries + p * count;
    for (let n = 0; n < count; n += 1) key[n] |= bytes[plane + n] << (8 * p);
  }
  if (meta.relative) {
    const mask = meta.key_bytes === 2 ? 0xffff : -1;
    for (let q = 0; q < queries; q += 1) {
      for (let n = start[q]; n < start[q + 1]; n += 1) key[n] = (key[n] + (q % T)) & mask;
    }
  }
  const rest = bytes.subarray(queries + meta.key_bytes * count);
  return { start, key, weight: decodeArray(rest, meta.weights), heads, T };
}
