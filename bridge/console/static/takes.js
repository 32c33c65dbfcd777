// The renders of a clip side by side, and the player that compares one of them with its source.

import {state, listen} from "./feed.js";
import {ask, button, copied, make, say, seconds, trying} from "./page.js";

const FIGURES = ["cut-off", "added, against all", "loudness", "true peak after", "work"];

class TakeRow {
  constructor(take, number, hear) {
    this.take = take;
    this.element = make("tr");
    this.named = `take ${number}`;
    this.hear = button("Hear", () => hear(take.job), "hear");
    this.hear.setAttribute("aria-label", `Hear ${this.named}`);
    const head = make("th");
    head.scope = "row";
    head.append(make("b", String(number)), " ", this.hear);
    const range = take.start_s === null && take.end_s === null ? "all" : `${take.start_s ?? 0} to ${take.end_s ?? "end"} s`;
    const knobs = Object.entries(take.knobs).map(([name, value]) => `${name} ${value ?? "none"}`).join(", ");
    const what = make("td");
    what.append(make("span", range), make("small", `${take.preset}${knobs ? `: ${knobs}` : ""}`));
    this.state = make("td");
    this.bar = make("progress");
    this.bar.setAttribute("aria-label", `${this.named}: progress`);
    this.told = make("span");
    this.state.append(this.told, this.bar);
    this.cells = new Map(FIGURES.map((name) => [name, make("td", "")]));
    const tools = make("td", undefined, "tools");
    this.cancel = button("Cancel", () => trying(() => ask("POST", "/api/jobs", {what: "cancel", jobs: [take.job]})));
    this.download = make("a", "Download");
    this.download.href = `/api/takes/${take.job}/download`;
    this.download.setAttribute("download", "");
    this.copy = button("Copy command", () => copied(take.command), "quiet");
    this.drop = button("Drop", () => trying(() => ask("DELETE", `/api/takes/${take.job}`)), "quiet");
    for (const [tool, text] of [[this.cancel, "Cancel"], [this.download, "Download"], [this.copy, "Copy command"], [this.drop, "Drop"]]) tool.setAttribute("aria-label", `${text}: ${this.named}`);
    tools.append(this.cancel, this.download, this.copy, this.drop);
    this.element.append(head, what, this.state, ...this.cells.values(), tools);
    this.show();
  }

  get job() {
    return state.jobs.get(this.take.job);
  }

  show() {
    const {job} = this;
    const now = job?.state ?? "forgotten";
    const open = ["uploading", "queued", "running"].includes(now);
    this.element.dataset.state = now;
    this.bar.hidden = now !== "running";
    if (job?.of) {
      this.bar.max = job.of;
      this.bar.value = job.step;
    }
    const left = job?.eta_s != null ? `, ${seconds(job.eta_s)} left` : "";
    this.told.textContent = now === "failed" ? `failed: ${job.message}` : now === "done" && this.take.out ? `saved as ${this.take.out}` : `${now}${left}`;
    this.hear.disabled = this.download.hidden = now !== "done";
    this.cancel.hidden = !open;
    this.drop.hidden = open;
  }
}

export class TakeList {
  constructor(clip, view) {
    this.view = view;
    this.rows = new Map();
    this.awaited = new Set();
    this.player = null;
    this.heard = null;
    this.element = make("section", undefined, "takes");
    this.element.setAttribute("aria-label", "Takes");
    this.body = make("tbody");
    const head = make("tr");
    for (const name of ["take", "what", "state", ...FIGURES, "tools"]) {
      const cell = make("th", name);
      cell.scope = "col";
      head.append(cell);
    }
    const table = make("table");
    const top = make("thead");
    top.append(head);
    table.append(top, this.body);
    this.scroll = make("div", undefined, "scroll");
    this.scroll.tabIndex = 0;
    this.scroll.setAttribute("role", "region");
    this.scroll.setAttribute("aria-label", "All takes of this clip");
    this.scroll.append(table);
    this.stage = make("div", undefined, "stage");
    this.element.append(make("h3", "Takes"), this.stage, this.scroll);
    this.unheard = listen("jobs", () => this.progress());
    this.update(clip);
  }

  end() {
    this.ended = true;
    this.unheard();
    this.player?.close();
  }

  update(clip) {
    const there = new Set(clip.takes.map((take) => take.job));
    for (const [job, row] of this.rows) {
      if (there.has(job)) continue;
      row.element.remove();
      this.rows.delete(job);
    }
    clip.takes.forEach((take, index) => {
      if (this.rows.has(take.job)) return;
      const row = new TakeRow(take, index + 1, (job) => trying(() => this.hear(job)));
      this.rows.set(take.job, row);
      this.body.prepend(row.element);
    });
    this.element.hidden = this.rows.size === 0;
    this.progress();
  }

  // Loads a take into the player as soon as it is done; its end may be reported before its submit is
  // answered.
  expect(job) {
    this.awaited.add(job);
    this.progress();
  }

  progress() {
    for (const [job, row] of this.rows) {
      row.show();
      const now = row.job?.state;
      if (now === "done" && !row.figured) this.figure(row);
      if (!this.awaited.has(job) || !now) continue;
      if (now === "done") {
        this.awaited.delete(job);
        trying(() => this.hear(job));
      } else if (now === "failed" || now === "cancelled") {
        this.awaited.delete(job);
        say(now === "failed" ? row.job.message : `${row.named} was cancelled`, now === "failed");
      }
    }
  }

  // Fills in the measured figures of a take.
  async figure(row) {
    row.figured = true;
    const said = await ask("GET", `/api/takes/${row.take.job}`).catch((error) => ({figures: [[FIGURES[0], error.message]]}));
    for (const [name, value] of said.figures) row.cells.get(name)?.replaceChildren(value);
  }

  // Loads a take into the player, at the position and version heard last.
  async hear(job) {
    const said = await ask("GET", `/api/takes/${job}`);
    if (this.ended || !this.rows.has(job)) return;
    const row = this.rows.get(job);
    for (const each of this.rows.values()) each.element.classList.toggle("heard", each === row);
    const was = this.player;
    const same = was && this.heard.start_s === said.start_s;
    const [version, playing, place] = was ? [was.current, was.playing, was.now()] : ["b", false, 0];
    const kept = was ? {matched: was.matched, loop: was.loop} : {loop: true};
    was?.close();
    const box = make("div");
    const pictures = make("div", undefined, "pictures");
    const shown = new Map(said.versions.map((each) => {
      const figure = make("figure");
      const image = make("img");
      image.src = each.picture;
      image.alt = `Spectrogram: ${each.label}`;
      figure.append(image, make("figcaption", each.label));
      pictures.append(figure);
      return [each.key, figure];
    }));
    const figures = make("dl", undefined, "facts");
    for (const [name, value] of said.figures) {
      const pair = make("div");
      pair.append(make("dt", name), make("dd", value));
      figures.append(pair);
    }
    box.addEventListener("version", (event) => {
      for (const [key, figure] of shown) figure.classList.toggle("heard", key === event.detail);
    });
    box.addEventListener("place", (event) => this.view.follow(said.start_s + event.detail * said.duration));
    this.stage.replaceChildren(make("p", `${row.named}: ${said.why}`, "muted"), box, pictures, figures);
    this.heard = said;
    this.player = new AirbandPlayer(box, {...said, ...kept, position: same ? place : 0});
    const {player} = this;
    player.choose(version);
    await player.load().catch((error) => { if (player === this.player && !this.ended) throw error; });
    if (playing && player === this.player) await player.toggle();
  }
}
