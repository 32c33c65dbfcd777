// Shared by all parts of the page: elements, requests, and messages to the user.

export function make(tag, text, name) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (name) element.className = name;
  return element;
}

// Text in which `names` become code, as in the help of the command line.
export function worded(tag, text) {
  const element = make(tag);
  element.append(...text.split("`").map((part, place) => (place % 2 ? make("code", part) : part)));
  return element;
}

export function button(text, action, name) {
  const element = make("button", text, name);
  element.type = "button";
  element.addEventListener("click", action);
  return element;
}

export const find = (id) => document.getElementById(id);

export function say(text, bad = false) {
  const said = find("said");
  said.textContent = text;
  said.classList.toggle("bad", bad);
}

// A request to the console; a refusal becomes an error with its sentence.
export async function ask(method, path, body) {
  const how = {method};
  if (body !== undefined) how.body = JSON.stringify(body);
  let answer;
  try {
    answer = await fetch(path, how);
  } catch {
    throw new Error("the console does not answer; is `airband console` still running?");
  }
  if (answer.status === 403) throw new Error("this page's token is not valid any more; open the address that `airband console` printed");
  const said = answer.headers.get("content-type")?.startsWith("application/json") ? await answer.json() : {};
  if (!answer.ok) throw Object.assign(new Error(said.message ?? `the console answered ${answer.status}`), {code: said.code, field: said.field});
  return said;
}

// Runs an action of the user's and reports its outcome.
export async function trying(action, done) {
  try {
    const result = await action();
    if (done) say(done);
    return result;
  } catch (error) {
    say(error.message, true);
    return undefined;
  }
}

export async function copied(text) {
  await trying(() => navigator.clipboard.writeText(text), `copied: ${text}`);
}

export function seconds(s) {
  if (s < 90) return `${s < 10 ? s.toFixed(1) : Math.round(s)} s`;
  if (s < 5400) return `${Math.round(s / 60)} min`;
  return `${(s / 3600).toFixed(1)} h`;
}

export function ago(createdS) {
  const s = Date.now() / 1000 - createdS;
  if (s < 60) return "just now";
  return `${seconds(s)} ago`;
}

export const kilo = (hz) => `${(hz / 1000).toFixed(hz < 10000 ? 2 : 1)} kHz`;
