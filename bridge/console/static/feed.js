// State that the console sends to every page: the engine, jobs, clips and batches, and their changes.

import {find} from "./page.js";

export const state = {engine: {state: "unknown"}, jobs: new Map(), clips: [], batches: []};
const listeners = {engine: [], jobs: [], clips: [], batches: []};

// Calls `heard` after every change of a part; returns a function that ends this.
export function listen(part, heard) {
  listeners[part].push(heard);
  return () => { listeners[part] = listeners[part].filter((each) => each !== heard); };
}

function take(message) {
  if (message.all) state.jobs = new Map();
  for (const job of message.jobs ?? []) state.jobs.set(job.job, job);
  for (const job of message.gone ?? []) state.jobs.delete(job);
  for (const part of ["engine", "clips", "batches"]) {
    if (part in message) {
      state[part] = message[part];
      for (const heard of listeners[part]) heard(message[part]);
    }
  }
  if (message.all || message.jobs || message.gone) {
    for (const heard of listeners.jobs) heard();
  }
}

function banner(text, action) {
  const place = find("banner");
  place.hidden = !text;
  place.replaceChildren(...(text ? [text, ...(action ? [" ", action] : [])] : []));
}

// `startButton` is shown while no engine runs.
export function follow(startButton) {
  const events = new EventSource("/api/events");
  events.addEventListener("message", (event) => take(JSON.parse(event.data)));
  events.addEventListener("error", () => {
    banner("The console does not answer; this page goes on when it is back. Jobs go on in the engine.");
    find("engine-state").textContent = "console gone";
    find("engine-state").dataset.state = "gone";
    if (events.readyState === EventSource.CLOSED) setTimeout(() => follow(startButton), 2000);
  });
  events.addEventListener("open", () => banner(""));
}

export function showEngine(startButton) {
  listen("engine", (engine) => {
    const chip = find("engine-state");
    chip.dataset.state = engine.state;
    chip.textContent = {here: "engine ready", gone: "no engine", unknown: "connecting"}[engine.state];
    banner(engine.state === "gone" ? `The engine is gone: ${engine.why}. Its jobs are kept; this page goes on when it is back.` : "", startButton);
    if (engine.state === "here") find("engine").replaceChildren(...facts(engine));
  });
}

function facts(engine) {
  const ready = engine.models.filter((model) => model.ready);
  const memory = Object.values(engine.memory_mb);
  const lines = [
    ["engine", `${engine.version}, process ${engine.pid}, answers within ${engine.answer_ms} ms`],
    ["models", ready.map((model) => `${model.name} on ${model.device || "cpu"}`).join(", ") || "none ready"],
    ["memory", `${memory.reduce((sum, mb) => sum + mb, 0)} MB in ${memory.length} processes, largest ${Math.max(0, ...memory)} MB`],
    ["spool", `${engine.spool_mb} MB of sources and results`],
  ];
  return lines.map(([name, text]) => {
    const pair = document.createElement("div");
    const term = document.createElement("dt");
    const told = document.createElement("dd");
    term.textContent = name;
    told.textContent = text;
    pair.append(term, told);
    return pair;
  });
}
