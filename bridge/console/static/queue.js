// The jobs of the engine, whoever submitted them: progress, reasons for failure, and actions.

import {state, listen} from "./feed.js";
import {ago, ask, button, copied, find, make, say, seconds, trying} from "./page.js";

const ENDED = new Set(["done", "failed", "cancelled"]);
const ORDER = {running: 0, queued: 1, uploading: 2};
const ROWS_A_FRAME = 40;
const AGES_MS = 30000;
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

function line(...parts) {
  const element = make("div", undefined, "line");
  element.append(...parts);
  return element;
}

// Changes text only if it differs, so that a screen reader does not read it again.
function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

class Row {
  constructor(job) {
    this.item = make("li", undefined, "job");
    this.item.dataset.job = job.job;
    this.name = make("span", "", "name");
    this.state = make("span", "", "state");
    this.bar = make("progress");
    this.left = make("span", "", "left");
    this.about = make("span", "", "about");
    this.reason = make("p", "", "reason");
    this.copy = button("Copy command", () => copied(`airband ${this.over ? "forget" : "cancel"} ${this.job.job}`), "quiet");
    this.show(job);
  }

  // Builds a row's controls, which depend on whether its job has ended: most of a long list has, and needs
  // few.
  build() {
    const {job} = this.job;
    const tools = make("span", undefined, "tools");
    if (this.over) {
      this.tool = button("Forget", () => act("forget", [job]));
      tools.append(this.tool, this.copy);
      this.item.replaceChildren(line(this.name, this.state), line(this.about, tools));
      return;
    }
    this.tool = button("Cancel", () => act("cancel", [job]));
    this.priority = make("select");
    for (let level = 9; level >= -9; level -= 1) this.priority.append(new Option(level > 0 ? `+${level}` : `${level}`, level));
    this.priority.addEventListener("change", () => act("prioritise", [job], {priority: Number(this.priority.value)}));
    const label = make("label", "priority ", "priority");
    label.append(this.priority);
    tools.append(label, this.tool, this.copy);
    this.running = line(this.bar, this.left);
    this.item.replaceChildren(line(this.name, this.state), this.running, line(this.about, tools));
  }

  show(job) {
    this.job = job;
    if (this.over !== ended(job)) {
      this.over = ended(job);
      this.build();
    }
    const name = job.source.split("/").at(-1);
    this.name.textContent = name;
    this.name.title = job.source;
    this.state.textContent = job.state;
    this.item.dataset.state = job.state;
    this.tell();
    const verb = this.over ? "Forget" : "Cancel";
    this.tool.setAttribute("aria-label", `${verb} ${name}`);
    this.copy.setAttribute("aria-label", `Copy command: ${verb.toLowerCase()} ${name}`);
    if (job.message) {
      this.reason.textContent = `${job.code}: ${job.message}`;
      this.item.append(this.reason);
    }
    if (this.over) return;
    this.priority.value = String(job.priority);
    this.priority.setAttribute("aria-label", `Priority of ${name}`);
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
  }

  // Refreshes the job's age too, which changes though the job does not.
  tell() {
    write(this.about, `${this.job.preset}, ${this.job.model}, ${ago(this.job.created_s)}`);
  }
}

// Puts the rows in order, moving only those out of place. Rows are created and changed in small numbers per
// frame, so that a list of thousands never blocks the page.
function arrange() {
  due = false;
  let left = ROWS_A_FRAME;
  const list = find("jobs");
  const shown = [...state.jobs.values()].filter(wanted).sort(compare);
  const keep = new Set(shown.map((job) => job.job));
  for (const [job, {item}] of rows) if (!keep.has(job)) item.remove();
  let next = list.firstElementChild;
  for (const job of shown) {
    let row = rows.get(job.job);
    if (row?.job !== job) {
      if (left === 0) {
        arrangeSoon();
        break;
      }
      left -= 1;
      if (row) row.show(job);
      else rows.set(job.job, row = new Row(job));
    }
    if (row.item === next) next = next.nextElementSibling;
    else list.insertBefore(row.item, next);
  }
  const open = [...state.jobs.values()].filter((job) => !ended(job)).length;
  write(find("count"), `${state.jobs.size} jobs, ${open} at work`);
  find("cancel-all").disabled = open === 0;
  find("forget-all").disabled = open === state.jobs.size;
  list.classList.toggle("empty", shown.length === 0);
}

function arrangeSoon() {
  if (!due) requestAnimationFrame(arrange);
  due = true;
}

export function showQueue() {
  listen("jobs", () => {
    for (const [job, {item}] of rows) {
      if (state.jobs.has(job)) continue;
      item.remove();
      rows.delete(job);
    }
    arrangeSoon();
  });
  setInterval(() => rows.forEach((row) => row.tell()), AGES_MS);
  find("which").addEventListener("change", arrangeSoon);
  const chosen = (test) => [...state.jobs.values()].filter(test).map((job) => job.job);
  find("cancel-all").addEventListener("click", () => act("cancel", chosen((job) => !ended(job))));
  find("forget-all").addEventListener("click", () => act("forget", chosen(ended)));
}
