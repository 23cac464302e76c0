// Requests to the service this page came from; its token is kept for this tab alone.

const KEY = "attnkit-token";

export class Trouble extends Error {
  constructor(sentence, status) {
    super(sentence);
    this.status = status;
  }
}

export function keepToken(token) {
  sessionStorage.setItem(KEY, token);
}

export async function ask(path, body = null, kind = "application/json") {
  const headers = {};
  const token = sessionStorage.getItem(KEY);
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body !== null) headers["Content-Type"] = kind;
  let answer;
  try {
    answer = await fetch(path, { method: body === null ? "GET" : "POST", headers, body });
  } catch {
    throw new Trouble("the service cannot be reached; is it still running?", 0);
  }
  if (answer.ok) return answer;
  let sentence = `the service answered with ${answer.status}`;
  try {
    sentence = (await answer.json()).error || sentence;
  } catch {
    // What is no JSON was said by something between us and the service.
  }
  throw new Trouble(sentence, answer.status);
}

export async function askJson(path, value = null) {
  const answer = await ask(path, value === null ? null : JSON.stringify(value));
  return answer.json();
}
