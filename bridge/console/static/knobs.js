// The form of the knobs, built from the schema: each with its unit, bounds and help; changed ones are marked.

import {ask, button, make, trying, worded} from "./page.js";

const FIRST = ["cutoff", "seed", "model", "stereo", "high_gain_db", "air_db", "stem"];
const NOT_HERE = new Set(["start", "end", "fps"]); // the selection says it
let known = null;
let numbered = 0;

class Knob {
  constructor(about, changed) {
    this.about = about;
    this.changed = changed;
    this.base = null;
    this.element = make("div", undefined, "knob");
    const id = `knob-${about.name}-${numbered += 1}`;
    const label = make("label", about.name);
    label.htmlFor = id;
    this.input = this.field(id);
    this.input.id = id;
    this.reset = button("reset", () => {
      this.put(this.base);
      changed();
    }, "quiet");
    this.reset.setAttribute("aria-label", `Reset ${about.name}`);
    const listed = this.input instanceof HTMLSelectElement; // its choices say what is allowed
    const help = worded("small", listed ? about.meaning : `${about.meaning} Allowed: ${about.allowed}.`);
    help.id = `${id}-help`;
    this.input.setAttribute("aria-describedby", help.id);
    this.input.addEventListener("change", () => this.changed());
    this.element.append(label, this.input, this.reset, help);
  }

  field(id) {
    const {choices, number, text, switch: isSwitch, least, most, integer} = this.about;
    if (isSwitch || (choices.length && !number && !text)) {
      const select = make("select");
      if (this.about.empty) select.append(new Option(this.about.default, ""));
      for (const choice of isSwitch ? ["false", "true"] : choices) select.append(new Option(choice, choice));
      return select;
    }
    const input = make("input");
    if (number && !choices.length && !text && Number(most) < 2 ** 53) {
      input.type = "number";
      input.min = least;
      input.max = most;
      input.step = integer ? 1 : "any";
    } else {
      input.spellcheck = false;
      if (choices.length) {
        const list = make("datalist");
        list.id = `${id}-choices`;
        list.append(...choices.map((choice) => new Option(choice, choice)));
        this.element.append(list);
        input.setAttribute("list", list.id);
      }
    }
    if (this.about.empty) input.placeholder = this.about.default;
    return input;
  }

  put(value) {
    this.input.value = value === null || value === undefined ? "" : String(value);
  }

  get value() {
    const text = this.input.value.trim();
    if (text === "") return null;
    if (this.about.switch) return text === "true";
    const plain = Number(text);
    const isNumber = Number.isSafeInteger(plain) || (Number.isFinite(plain) && !this.about.integer);
    const choice = this.about.choices.find((each) => String(each) === text);
    if (choice !== undefined) return choice;
    return this.about.number && isNumber ? plain : text;
  }

  mark() {
    const differs = this.value !== (this.base ?? null);
    this.element.classList.toggle("changed", differs);
    this.reset.hidden = !differs;
    return differs;
  }
}

export class KnobForm {
  constructor(changed) {
    this.heard = changed;
    this.knobs = new Map();
    this.element = make("section", undefined, "settings");
    this.element.setAttribute("aria-label", "Settings");
    this.preset = make("select");
    this.preset.addEventListener("change", () => this.start(this.preset.value));
    const label = make("label", "Preset ");
    label.append(this.preset);
    this.about = make("p", "", "muted");
    const bar = make("div", undefined, "bar");
    this.count = make("span", "");
    this.all = button("Reset all", () => this.start(this.preset.value), "quiet");
    bar.append(label, this.count, this.all);
    this.first = make("div", undefined, "knobs");
    this.rest = make("div", undefined, "knobs");
    this.more = make("details");
    this.more.append(make("summary", "More knobs"), this.rest);
    this.element.append(make("h3", "Settings"), bar, this.about, this.first, this.more, this.saving());
  }

  async load() {
    known ??= await ask("GET", "/api/knobs");
    for (const about of known.knobs) {
      if (NOT_HERE.has(about.name)) continue;
      const knob = new Knob(about, () => this.changed());
      this.knobs.set(about.name, knob);
      (FIRST.includes(about.name) ? this.first : this.rest).append(knob.element);
    }
    for (const name of FIRST) this.first.append(this.knobs.get(name).element);
    this.list();
    this.preset.value = "music";
    this.start("music");
  }

  list() {
    const was = this.preset.value;
    this.preset.replaceChildren(...known.presets.map(({name, own}) => new Option(own ? `${name} (yours)` : name, name)));
    this.preset.value = was;
  }

  // Starts again from a preset, without changes.
  start(name) {
    const preset = known.presets.find((each) => each.name === name);
    this.about.textContent = preset.description;
    for (const [knob, field] of this.knobs) {
      field.base = preset.values[knob];
      field.put(field.base);
    }
    this.changed();
  }

  set(name, value) {
    const knob = this.knobs.get(name);
    if (!knob) return;
    knob.put(value);
    this.changed();
  }

  value(name) {
    return this.knobs.get(name)?.value ?? null;
  }

  changed() {
    const changed = [...this.knobs.values()].filter((knob) => knob.mark());
    this.count.textContent = changed.length ? `${changed.length} changed` : "nothing changed";
    this.all.hidden = this.keep.hidden = changed.length === 0;
    this.heard();
  }

  // The settings for a request: the preset, and the changed knobs.
  asked() {
    const knobs = {};
    for (const [name, knob] of this.knobs) if (knob.mark()) knobs[name] = knob.value;
    return {preset: this.preset.value, knobs};
  }

  saving() {
    this.keep = make("form", undefined, "bar");
    const label = make("label", "Keep as preset ");
    const name = make("input");
    name.required = true;
    name.pattern = "[a-z0-9][a-z0-9\\-]{0,63}";
    name.title = "lower-case letters, digits and dashes";
    label.append(name);
    const force = make("label");
    const box = make("input");
    box.type = "checkbox";
    force.append(box, " replace");
    const submit = make("button", "Save preset");
    submit.type = "submit";
    this.keep.append(label, force, submit);
    this.keep.addEventListener("submit", (event) => {
      event.preventDefault();
      trying(async () => {
        const asked = {...this.asked(), name: name.value, force: box.checked};
        known = {...known, presets: (await ask("POST", "/api/presets", asked)).presets};
        this.list();
        this.preset.value = asked.name;
        this.start(asked.name);
      }, `kept as ${name.value}`);
    });
    return this.keep;
  }
}
