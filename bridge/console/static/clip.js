// One clip: its facts, its cut-off, the settings for its render, and its takes.

import {KnobForm} from "./knobs.js";
import {ask, button, make, say, trying} from "./page.js";
import {TakeList} from "./takes.js";
import {View} from "./view.js";

const PREVIEW_S = 8;

export class ClipPage {
  constructor(clip) {
    this.clip = clip;
    this.element = make("div", undefined, "clip");
    this.heading = make("h3", clip.name);
    this.verdict = make("p", "inspecting it", "verdict");
    this.facts = make("dl", undefined, "facts");
    const details = make("details");
    details.append(make("summary", "All that inspect says"), this.facts);
    this.view = new View(clip.id, {
      onCutoff: (hz) => this.form.set("cutoff", hz),
      onSelect: (from, to) => this.select(from, to),
    });
    this.form = new KnobForm(() => this.changed());
    this.takes = new TakeList(clip, this.view);
    this.element.append(this.heading, this.verdict, details, this.view.element, this.actions(), this.model, this.takes.element, this.form.element);
    this.load();
  }

  end() {
    this.takes.end();
    this.view.end();
  }

  update(clip) {
    this.clip = clip;
    this.takes.update(clip);
  }

  actions() {
    const area = make("div", undefined, "actions");
    this.from = this.second("from");
    this.to = this.second("to");
    this.preview = button("Preview selection", () => this.begin({start_s: Number(this.from.value), end_s: Number(this.to.value)}), "main");
    this.whole = button("Render all of it", () => this.begin({out: this.save.checked ? this.out.value.trim() : "", force: this.force.checked}));
    const save = make("label", undefined, "save");
    this.save = make("input");
    this.save.type = "checkbox";
    save.append(this.save, " save as");
    this.out = make("input");
    this.out.setAttribute("aria-label", "Where to save the render");
    this.out.spellcheck = false;
    const force = make("label");
    this.force = make("input");
    this.force.type = "checkbox";
    force.append(this.force, " replace");
    this.saving = make("span", undefined, "saving");
    this.saving.append(this.out, force);
    this.saving.hidden = true;
    this.save.addEventListener("change", () => { this.saving.hidden = !this.save.checked; });
    this.out.addEventListener("input", () => { this.named = true; });
    this.preview.disabled = this.whole.disabled = true;
    area.append(this.from.parentElement, this.to.parentElement, this.preview, this.whole, save, this.saving);
    this.model = make("p", "", "model");
    this.model.setAttribute("role", "status");
    return area;
  }

  second(name) {
    const label = make("label", `${name} `);
    const input = make("input");
    input.type = "number";
    input.min = "0";
    input.step = "0.1";
    input.addEventListener("change", () => this.select(Number(this.from.value), Number(this.to.value)));
    label.append(input, " s");
    return input;
  }

  async load() {
    try {
      this.about = await ask("GET", `/api/clips/${this.clip.id}/facts`);
    } catch (error) {
      this.verdict.textContent = error.message;
      this.verdict.classList.add("bad");
      return;
    }
    this.verdict.textContent = this.about.cutoff_hz ? this.about.reason : `Nothing to generate as it is: ${this.about.reason}`;
    this.facts.replaceChildren(...this.about.facts.map(([name, text]) => {
      const pair = make("div");
      pair.append(make("dt", name), make("dd", text));
      return pair;
    }));
    this.view.show(this.about);
    this.select(0, Math.min(PREVIEW_S, this.about.seconds));
    await this.form.load();
    this.preview.disabled = this.whole.disabled = false;
    this.changed();
  }

  select(from, to) {
    const most = this.about.seconds;
    const start = Math.min(Math.max(from, 0), most);
    const end = Math.min(Math.max(to, 0), most);
    if (end - start < 0.01) {
      say("a selection ends after it begins", true);
      return;
    }
    this.from.value = String(Math.round(start * 1000) / 1000);
    this.to.value = String(Math.round(end * 1000) / 1000);
    this.from.max = this.to.max = String(most);
    this.view.select(start, end);
  }

  // The settings changed: moves the cut-off line in the picture, and shows the model that would be used.
  changed() {
    const cutoff = this.form.value("cutoff");
    this.view.mark(typeof cutoff === "number" ? cutoff : this.about?.cutoff_hz ?? null, typeof cutoff === "number");
    clearTimeout(this.later);
    this.later = setTimeout(() => this.foresee(), 250);
  }

  async foresee() {
    if (!this.about) return;
    try {
      const told = await ask("POST", `/api/clips/${this.clip.id}/foresee`, this.form.asked());
      this.model.textContent = `model ${told.model}${told.device ? ` on ${told.device}` : ""}: ${told.why}`;
      this.model.classList.remove("bad");
      this.save.closest("label").hidden = !told.beside && !this.named;
      if (!this.named) this.out.value = told.beside;
    } catch (error) {
      this.model.textContent = error.message;
      this.model.classList.add("bad");
    }
  }

  begin(more) {
    return trying(async () => {
      const take = await ask("POST", `/api/clips/${this.clip.id}/takes`, {...this.form.asked(), ...more});
      this.takes.expect(take.job);
    });
  }
}
