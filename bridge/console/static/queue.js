// The jobs of the engine, whoever submitted them: how far each is, why it failed, what can be done about it.

import {state, listen} from "./feed.js";
import {ago, ask, button, copied, find, make, say, seconds, trying} from "./page.js";

const ENDED = new Set(["done", "failed", "cancelled"]);
const ORDER = {running: 0, queued: 1, uploading: 2};
const rows = new Map();
let due = false;

const ended = (job) => ENDED.has(job.state);

function wanted(job) {
  switch (find("which").value) {
    case "open": return !ended(job);
    case "done": return job.state === "done";
    case "failed": return job.state === "failed";
    default: return true;
  }
}

function compare(a, b) {
  const [endedA, endedB] = [ended(a), ended(b)];
  if (endedA !== endedB) return endedA - endedB;
  if (endedA) return b.created_s - a.created_s;
  return ORDER[a.state] - ORDER[b.state] || b.priority - a.priority || a.created_s - b.created_s;
}

const act = (what, jobs, extra = {}) => trying(async () => {
  const {refused} = await ask("POST", "/api/jobs", {what, jobs, ...extra});
  const reasons = Object.values(refused);
  if (reasons.length) say(reasons[0], true);
});

class Row {
  constructor(job) {
    this.item = make("li", undefined, "job");
    this.name = make("span", "", "name");
    this.state = make("span", "", "state");
    this.left = make("span", "", "left");
    this.bar = make("progress");
    this.about = make("span", "", "about");
    this.reason = make("p", "", "reason");
    this.tools = make("span", undefined, "tools");
    this.priority = make("select");
    for (let level = 9; level >= -9; level -= 1) this.priority.append(new Option(level > 0 ? `+${level}` : `${level}`, level));
    this.priority.addEventListener("change", () => act("prioritise", [this.job.job], {priority: Number(this.priority.value)}));
    this.priorityLabel = make("label", "priority ", "priority");
    this.priorityLabel.append(this.priority);
    this.cancel = button("Cancel", () => act("cancel", [this.job.job]));
    this.forget = button("Forget", () => act("forget", [this.job.job]));
    this.copy = button("Copy command", () => copied(`airband ${ended(this.job) ? "forget" : "cancel"} ${this.job.job}`), "quiet");
    this.tools.append(this.priorityLabel, this.cancel, this.forget, this.copy);
    const lines = [[this.name, this.state], [this.bar, this.left], [this.about, this.tools]].map((parts) => {
      const line = make("div", undefined, "line");
      line.append(...parts);
      return line;
    });
    this.running = lines[1];
    this.item.append(...lines, this.reason);
    this.show(job);
  }

  show(job) {
    this.job = job;
    const name = job.source.split("/").at(-1);
    this.name.textContent = name;
    this.name.title = job.source;
    this.state.textContent = job.state;
    this.item.dataset.state = job.state;
    const running = job.state === "running";
    this.running.hidden = !running;
    if (running && job.of) {
      this.bar.max = job.of;
      this.bar.value = job.step;
    } else {
      this.bar.removeAttribute("value");
    }
    this.bar.setAttribute("aria-label", `${name}: progress`);
    this.left.textContent = running ? `${job.stage} ${job.step}/${job.of}${job.eta_s != null ? `, ${seconds(job.eta_s)} left` : ""}` : "";
    this.about.textContent = `${job.preset}, ${job.model}, ${ago(job.created_s)}`;
    this.reason.hidden = !job.message;
    this.reason.textContent = job.message ? `${job.code}: ${job.message}` : "";
    const over = ended(job);
    this.priorityLabel.hidden = this.cancel.hidden = over;
    this.forget.hidden = !over;
    this.priority.value = String(job.priority);
    this.priority.setAttribute("aria-label", `Priority of ${name}`);
    this.cancel.setAttribute("aria-label", `Cancel ${name}`);
    this.forget.setAttribute("aria-label", `Forget ${name}`);
    this.copy.setAttribute("aria-label", `Copy command: ${over ? "forget" : "cancel"} ${name}`);
  }
}

// Puts the rows in order, moving only those that are out of place.
function arrange() {
  due = false;
  const list = find("jobs");
  const shown = [...state.jobs.values()].filter(wanted).sort(compare);
  const keep = new Set(shown.map((job) => job.job));
  for (const child of [...list.children]) if (!keep.has(child.dataset.job)) child.remove();
  let next = list.firstElementChild;
  for (const job of shown) {
    const {item} = rows.get(job.job);
    if (item === next) next = next.nextElementSibling;
    else list.insertBefore(item, next);
  }
  const open = [...state.jobs.values()].filter((job) => !ended(job)).length;
  find("count").textContent = `${state.jobs.size} jobs, ${open} at work`;
  find("cancel-all").disabled = open === 0;
  find("forget-all").disabled = open === state.jobs.size;
  list.classList.toggle("empty", shown.length === 0);
}

function arrangeSoon() {
  if (!due) requestAnimationFrame(arrange);
  due = true;
}

export function showQueue() {
  listen("jobs", ({all, changed, gone}) => {
    if (all) {
      rows.clear();
      find("jobs").replaceChildren();
    }
    for (const job of gone) {
      rows.get(job)?.item.remove();
      rows.delete(job);
    }
    for (const job of changed) {
      const row = rows.get(job.job);
      if (row) {
        row.show(job);
      } else {
        const made = new Row(job);
        made.item.dataset.job = job.job;
        rows.set(job.job, made);
      }
    }
    arrangeSoon();
  });
  find("which").addEventListener("change", arrangeSoon);
  const chosen = (test) => [...state.jobs.values()].filter(test).map((job) => job.job);
  find("cancel-all").addEventListener("click", () => act("cancel", chosen((job) => !ended(job))));
  find("forget-all").addEventListener("click", () => act("forget", chosen(ended)));
}
