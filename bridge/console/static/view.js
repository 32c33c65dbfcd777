// The waveform and spectrogram of a clip: zoomable in time, with a selection, and the cut-off as a draggable
// line.

import {kilo, make} from "./page.js";

const TOP_HZ = 24000;
const LOW_HZ = 100;
const [CUTOFF_MIN_HZ, CUTOFF_MAX_HZ] = [1000, 23000];
const LEAST_S = 0.05;

export class View {
  constructor(id, {onCutoff, onSelect}) {
    this.id = id;
    this.onCutoff = onCutoff;
    this.onSelect = onSelect;
    this.cutoff = null;
    this.selection = [0, 0];
    this.element = make("div", undefined, "view");
    this.wave = this.canvas("Wave");
    this.wave.className = "wave";
    this.spectrum = this.canvas("Spectrogram, 0 to 24 kHz");
    this.frame = make("div", undefined, "spectrum");
    this.marks = [200, 500, 1000, 2000, 5000, 10000, 20000].map((hz) => [hz, make("span", hz < 1000 ? `${hz}` : `${hz / 1000}k`)]);
    this.line = make("div", undefined, "cutoff");
    this.line.tabIndex = 0;
    this.line.setAttribute("role", "slider");
    this.line.setAttribute("aria-label", "Cut-off");
    this.line.setAttribute("aria-orientation", "vertical");
    this.line.setAttribute("aria-valuemin", CUTOFF_MIN_HZ);
    this.line.setAttribute("aria-valuemax", CUTOFF_MAX_HZ);
    this.line.append(make("b"));
    this.line.hidden = true;
    this.shades = [make("i", undefined, "chosen"), make("i", undefined, "chosen")];
    this.heads = [make("i", undefined, "head"), make("i", undefined, "head")];
    for (const head of this.heads) head.hidden = true;
    this.frame.append(this.spectrum, ...this.marks.map(([, mark]) => mark), this.shades[1], this.heads[1], this.line);
    this.top = make("div", undefined, "wave-frame");
    this.top.append(this.wave, this.shades[0], this.heads[0]);
    this.element.append(this.tools(), this.top, this.frame);
    this.dragCutoff();
    for (const area of [this.top, this.frame]) this.dragSelection(area);
    this.watch = new ResizeObserver(() => this.loadSoon());
    this.watch.observe(this.element);
  }

  end() {
    this.watch.disconnect();
    clearTimeout(this.later);
  }

  canvas(label) {
    const canvas = make("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", label);
    return canvas;
  }

  tools() {
    const bar = make("div", undefined, "bar");
    const tool = (text, label, action) => {
      const button = make("button", text);
      button.type = "button";
      button.setAttribute("aria-label", label);
      button.addEventListener("click", action);
      return button;
    };
    const log = make("label");
    this.log = make("input");
    this.log.type = "checkbox";
    this.log.checked = true;
    this.log.addEventListener("change", () => this.draw());
    log.append(this.log, " logarithmic frequency");
    this.told = make("output");
    bar.append(
      tool("−", "Zoom out", () => this.zoom(2)), tool("+", "Zoom in", () => this.zoom(0.5)),
      tool("Selection", "Zoom to the selection", () => this.goTo(...this.selection)), tool("All", "Show all of it", () => this.goTo(0, this.about.seconds)),
      log, this.told,
    );
    return bar;
  }

  show(about) {
    this.about = about;
    [this.from, this.to] = [0, about.seconds];
    this.loadSoon(0);
  }

  goTo(from, to) {
    if (!this.about) return;
    const length = Math.min(Math.max(to - from, LEAST_S), this.about.seconds);
    this.from = Math.min(Math.max(from, 0), this.about.seconds - length);
    this.to = this.from + length;
    this.draw();
    this.loadSoon();
  }

  zoom(factor, around = (this.from + this.to) / 2) {
    const length = (this.to - this.from) * factor;
    const share = (around - this.from) / (this.to - this.from);
    this.goTo(around - share * length, around + (1 - share) * length);
  }

  loadSoon(ms = 150) {
    clearTimeout(this.later);
    if (this.about) this.later = setTimeout(() => this.load(), ms);
  }

  async load() {
    const [from, to] = [this.from, this.to];
    const columns = Math.max(64, Math.min(2400, Math.round(this.top.clientWidth * devicePixelRatio)));
    const what = `start=${from}&end=${to}&columns=`;
    const image = new Image();
    image.src = `/api/clips/${this.id}/spectrogram?${what}${Math.min(columns, 1200)}`;
    const [wave] = await Promise.all([fetch(`/api/clips/${this.id}/wave?${what}${columns}`).then((answer) => answer.json()), image.decode()]).catch(() => [null]);
    if (!wave || !Array.isArray(wave)) return;
    this.shown = {from, to, wave, image};
    this.draw();
  }

  // The distance of a frequency from the top, 0 to 1; and the inverse.
  height(hz) {
    if (!this.log.checked) return 1 - hz / TOP_HZ;
    return 1 - Math.log(Math.max(hz, LOW_HZ) / LOW_HZ) / Math.log(TOP_HZ / LOW_HZ);
  }

  hertz(height) {
    return this.log.checked ? LOW_HZ * (TOP_HZ / LOW_HZ) ** (1 - height) : TOP_HZ * (1 - height);
  }

  draw() {
    if (!this.about) return;
    if (this.shown) {
      this.drawWave(this.shown);
      this.drawSpectrum(this.shown);
    }
    for (const [hz, mark] of this.marks) {
      mark.style.top = `${100 * this.height(hz)}%`;
      mark.hidden = !this.log.checked && hz < 2000;
    }
    this.place();
  }

  // Where the loaded stretch lies in the visible one: until the new picture has loaded, the old one is
  // stretched.
  spot(canvas, {from, to}) {
    const scale = canvas.width / (this.to - this.from);
    return [(from - this.from) * scale, (to - from) * scale];
  }

  drawWave(shown) {
    const {wave: [low, high]} = shown;
    const canvas = this.wave;
    canvas.width = Math.max(1, Math.round(canvas.clientWidth * devicePixelRatio));
    canvas.height = Math.max(1, Math.round(canvas.clientHeight * devicePixelRatio));
    const pen = canvas.getContext("2d");
    pen.fillStyle = getComputedStyle(canvas).color;
    const [left, width] = this.spot(canvas, shown);
    const middle = canvas.height / 2;
    const peak = Math.max(0.05, ...high, ...low.map((each) => -each));
    const step = width / low.length;
    for (let n = 0; n < low.length; n += 1) {
      const top = middle - high[n] / peak * middle;
      pen.fillRect(left + n * step, top, Math.max(1, step), Math.max(1, (high[n] - low[n]) / peak * middle));
    }
  }

  drawSpectrum(shown) {
    const {image} = shown;
    const canvas = this.spectrum;
    canvas.width = Math.max(1, Math.round(canvas.clientWidth * devicePixelRatio));
    canvas.height = Math.max(1, Math.round(canvas.clientHeight * devicePixelRatio));
    const pen = canvas.getContext("2d");
    pen.fillStyle = "#000";
    pen.fillRect(0, 0, canvas.width, canvas.height);
    const [left, width] = this.spot(canvas, shown);
    const rows = image.naturalHeight;
    for (let y = 0; y < canvas.height; y += 1) {
      const hz = this.hertz((y + 0.5) / canvas.height);
      const from = Math.min(rows - 1, Math.max(0, Math.floor((1 - hz / TOP_HZ) * rows)));
      pen.drawImage(image, 0, from, image.naturalWidth, 1, left, y, width, 1);
    }
  }

  place() {
    const share = (s) => Math.min(Math.max((s - this.from) / (this.to - this.from), 0), 1);
    const [from, to] = this.selection.map(share);
    for (const shade of this.shades) {
      shade.style.left = `${100 * from}%`;
      shade.style.width = `${100 * (to - from)}%`;
    }
    this.line.hidden = this.cutoff === null;
    if (this.cutoff !== null) this.line.style.top = `${100 * this.height(this.cutoff)}%`;
    this.told.textContent = `${this.from.toFixed(2)} to ${this.to.toFixed(2)} of ${this.about.seconds.toFixed(2)} s`;
  }

  select(from, to) {
    this.selection = [from, to];
    if (this.about) this.place();
  }

  // The line at the cut-off: `given` if the user set it, otherwise as inspect found it.
  mark(hz, given) {
    this.cutoff = hz;
    this.line.classList.toggle("given", given);
    if (hz !== null) {
      const text = `${kilo(hz)}${given ? "" : ", as found"}`;
      this.line.firstChild.textContent = text;
      this.line.setAttribute("aria-valuenow", Math.round(hz));
      this.line.setAttribute("aria-valuetext", text);
    }
    if (this.about) this.place();
  }

  // The player's position in seconds of the clip; null for none.
  follow(seconds) {
    const share = seconds === null ? -1 : (seconds - this.from) / (this.to - this.from);
    for (const head of this.heads) {
      head.hidden = !(share >= 0 && share <= 1);
      head.style.left = `${100 * share}%`;
    }
  }

  setCutoff(hz) {
    this.onCutoff(Math.round(Math.min(Math.max(hz, CUTOFF_MIN_HZ), CUTOFF_MAX_HZ) / 10) * 10);
  }

  dragCutoff() {
    this.line.addEventListener("pointerdown", (event) => {
      event.stopPropagation();
      this.line.setPointerCapture(event.pointerId);
    });
    this.line.addEventListener("pointermove", (event) => {
      if (!this.line.hasPointerCapture(event.pointerId)) return;
      const box = this.frame.getBoundingClientRect();
      this.setCutoff(this.hertz((event.clientY - box.top) / box.height));
    });
    this.line.addEventListener("keydown", (event) => {
      const step = event.shiftKey ? 1000 : 100;
      const to = {ArrowUp: this.cutoff + step, ArrowDown: this.cutoff - step, ArrowRight: this.cutoff + step, ArrowLeft: this.cutoff - step,
        PageUp: this.cutoff + 1000, PageDown: this.cutoff - 1000, Home: CUTOFF_MIN_HZ, End: CUTOFF_MAX_HZ}[event.key];
      if (to === undefined) return;
      event.preventDefault();
      this.setCutoff(to);
    });
  }

  dragSelection(area) {
    let began = null;
    const at = (event) => {
      const box = area.getBoundingClientRect();
      return this.from + (event.clientX - box.left) / box.width * (this.to - this.from);
    };
    area.addEventListener("pointerdown", (event) => {
      if (!this.about || event.button !== 0) return;
      began = at(event);
      area.setPointerCapture(event.pointerId);
    });
    area.addEventListener("pointermove", (event) => {
      if (began === null) return;
      const now = at(event);
      if (Math.abs(now - began) > (this.to - this.from) / 200) this.onSelect(Math.min(began, now), Math.max(began, now));
    });
    const end = () => { began = null; };
    area.addEventListener("pointerup", end);
    area.addEventListener("pointercancel", end);
    area.addEventListener("wheel", (event) => {
      if (!this.about || !(event.ctrlKey || event.shiftKey)) return;
      event.preventDefault();
      this.zoom(event.deltaY + event.deltaX > 0 ? 1.25 : 0.8, at(event));
    }, {passive: false});
  }
}
