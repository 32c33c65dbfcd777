// Watch folders and batches: start, pause, resume and remove them, and count how their items ended.

import {completes} from "./clips.js";
import {listen, state} from "./feed.js";
import {ask, button, copied, find, make, trying} from "./page.js";

const rows = new Map();

const act = (batch, what) => trying(() => ask("POST", `/api/batches/${batch.id}`, {what}));

class Row {
  constructor(batch) {
    this.element = make("li", undefined, "batch");
    this.name = make("span", "", "name");
    this.state = make("span", "", "state");
    this.bar = make("progress");
    this.counts = make("span", "", "about");
    this.why = make("p", "", "reason");
    this.failures = make("details");
    this.takes = make("details");
    this.pause = button("Pause", () => act(this.batch, "pause"));
    this.resume = button("Resume", () => act(this.batch, "resume"));
    this.remove = button("Remove", () => act(this.batch, "remove"));
    this.report = make("a", "Report");
    this.report.target = "_blank";
    this.copy = button("Copy command", () => copied(this.batch.command), "quiet");
    const tools = make("span", undefined, "tools");
    tools.append(this.report, this.pause, this.resume, this.remove, this.copy);
    this.element.append(this.name, this.state, this.bar, this.counts, tools, this.why, this.failures, this.takes);
    this.show(batch);
  }

  show(batch) {
    this.batch = batch;
    const name = batch.source.split("/").at(-1);
    const what = batch.kind === "watch" ? "watching" : "rendering";
    this.name.textContent = `${batch.kind === "watch" ? "Watch" : "Batch"}: ${name} → ${batch.out.split("/").at(-1)}`;
    this.name.title = `${batch.source} → ${batch.out}`;
    this.state.textContent = batch.state === "running" ? what : batch.state;
    this.element.dataset.state = batch.state;
    const {done, skipped, failed} = batch.counts;
    this.bar.hidden = batch.state !== "running" || batch.kind === "watch" || batch.total === 0;
    this.bar.max = batch.total || 1;
    this.bar.value = done + skipped + failed;
    this.bar.setAttribute("aria-label", `${name}: progress`);
    this.counts.textContent = `${batch.total ? `${batch.total} files: ` : ""}${done} rendered, ${skipped} done already, ${failed} failed`;
    this.why.textContent = batch.why;
    this.why.hidden = !batch.why;
    this.failures.hidden = !batch.failures.length;
    this.failures.replaceChildren(make("summary", "What failed"), ...batch.failures.map((each) => make("p", each.why, "reason")));
    this.takes.hidden = !batch.takes.length;
    this.takes.replaceChildren(make("summary", "Which takes are best"), ...batch.takes.map((each) => make("p", each)));
    this.pause.hidden = batch.state !== "running";
    this.resume.hidden = batch.state === "running" || batch.state === "done";
    this.report.hidden = done + skipped + failed === 0;
    this.report.href = `/batches/${batch.id}/report`;
    for (const [tool, text] of [[this.pause, "Pause"], [this.resume, "Resume"], [this.remove, "Remove"], [this.report, "Report of"], [this.copy, "Copy command:"]]) tool.setAttribute("aria-label", `${text} ${name}`);
  }
}

function form() {
  const element = make("form", undefined, "start");
  const field = (text, name, placeholder) => {
    const label = make("label", text);
    const input = make("input");
    input.required = true;
    input.spellcheck = false;
    input.autocomplete = "off";
    input.placeholder = placeholder;
    const list = make("datalist");
    list.id = `paths-${name}`;
    input.setAttribute("list", list.id);
    completes(input, list);
    label.append(input, list);
    return [label, input];
  };
  const [source, sourceInput] = field("Folder or manifest", "source", "/home/me/bounces");
  const [out, outInput] = field("Results to", "out", "/home/me/restored");
  const preset = make("label", "Preset");
  const choice = make("select");
  preset.append(choice);
  ask("GET", "/api/knobs").then(({presets}) => {
    choice.append(...presets.map(({name}) => new Option(name, name)));
    choice.value = "music";
  }, () => {});
  const below = make("label", undefined, "check");
  const box = make("input");
  box.type = "checkbox";
  below.append(box, " subfolders too");
  const begin = (kind) => trying(async () => {
    if (!element.reportValidity()) return;
    await ask("POST", "/api/batches", {kind, source: sourceInput.value.trim(), out: outInput.value.trim(), preset: choice.value, recursive: box.checked});
  });
  const tools = make("div", undefined, "bar");
  const render = make("button", "Render it once");
  tools.append(below, button("Watch it", () => begin("watch")), render);
  element.addEventListener("submit", (event) => {
    event.preventDefault();
    begin("render");
  });
  element.append(source, out, preset, tools);
  return element;
}

export function showBatches() {
  const list = make("ul", undefined, "batches");
  list.setAttribute("aria-label", "Batches and watch folders");
  const details = make("details");
  details.append(make("summary", "Watch a folder, render a folder or a manifest"), form());
  find("batches-area").append(details, list);
  listen("batches", (batches) => {
    const there = new Set(batches.map((batch) => batch.id));
    for (const [id, row] of rows) {
      if (there.has(id)) continue;
      row.element.remove();
      rows.delete(id);
    }
    for (const batch of state.batches) {
      const row = rows.get(batch.id) ?? new Row(batch);
      rows.set(batch.id, row);
      row.show(batch);
      list.append(row.element);
    }
  });
}
