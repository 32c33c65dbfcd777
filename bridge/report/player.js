// A player that switches between versions of one sound without a gap, keeping the position.
//
// All versions run together from the first sample on; switching only changes gains, within 5 ms. No
// libraries.
//
//   const player = new AirbandPlayer(element, {
//     duration: 4.2,                                          // seconds
//     versions: [{key: "a", label: "Before", sound: "data:... or an address", gain: 1}, ...],
//   });
//
// Keys while it has the focus: space plays and pauses, each version's key selects it, L loops, arrows seek.

"use strict";

class AirbandPlayer {
  static SWITCH_S = 0.005;
  static SEEK_S = 1;

  constructor(element, {versions, duration, matched = true, loop = false, position = 0}) {
    this.element = element;
    this.versions = versions;
    this.duration = duration;
    this.matched = matched;
    this.current = versions[0].key;
    this.loop = loop;
    this.position = Math.min(position, duration);
    this.playing = false;
    this.buffers = null;
    this.build();
  }

  build() {
    this.element.classList.add("player");
    this.element.tabIndex = 0;
    this.element.setAttribute("role", "group");
    this.element.setAttribute("aria-label", "Player: space plays, " + this.versions
      .map((version) => `${version.key.toUpperCase()} ${version.label}`).join(", ") + ", L loops, arrows seek");

    this.play = this.button("Play", "play", () => this.toggle());
    this.element.append(this.play);
    this.buttons = new Map();
    const group = document.createElement("span");
    group.className = "versions";
    for (const version of this.versions) {
      const button = this.button(version.label, "version", () => this.choose(version.key));
      const key = document.createElement("kbd");
      key.textContent = version.key.toUpperCase();
      button.prepend(key, " ");
      this.buttons.set(version.key, button);
      group.append(button);
    }
    this.element.append(group);

    const match = this.box("same loudness", this.matched, (checked) => {
      this.matched = checked;
      this.applyGains();
    });
    const loop = this.box("loop", this.loop, (checked) => {
      this.loop = checked;
      this.seek(this.now());
    });
    this.loopBox = loop.firstChild;
    this.time = document.createElement("output");
    this.wave = document.createElement("canvas");
    this.wave.addEventListener("pointerdown", (event) => {
      const box = this.wave.getBoundingClientRect();
      this.seek((event.clientX - box.left) / box.width * this.duration);
    });
    this.element.append(match, loop, this.time, this.wave);
    this.element.addEventListener("keydown", (event) => this.onKey(event));
    this.show();
  }

  button(text, kind, action) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = kind;
    button.textContent = text;
    button.addEventListener("click", action);
    return button;
  }

  box(text, checked, action) {
    const label = document.createElement("label");
    const input = document.createElement("input");
    input.type = "checkbox";
    input.checked = checked;
    input.addEventListener("change", () => action(input.checked));
    label.append(input, ` ${text}`);
    return label;
  }

  onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const key = event.key.toLowerCase();
    if (key === " ") {
      if (event.target.tagName === "INPUT") return;
      this.toggle();
    } else if (this.buttons.has(key)) {
      this.choose(key);
    } else if (key === "l") {
      this.loopBox.click();
    } else if (key === "arrowleft" || key === "arrowright") {
      this.seek(this.now() + (key === "arrowleft" ? -1 : 1) * AirbandPlayer.SEEK_S);
    } else {
      return;
    }
    event.preventDefault();
  }

  // Decodes the sounds and draws the waveform; playing does so too.
  load() {
    this.loading ??= this.decodeAll().catch((error) => {
      this.loading = null;
      throw error;
    });
    return this.loading;
  }

  async decodeAll() {
    const decoded = await Promise.all(this.versions.map((version) => this.decode(version.sound)));
    this.buffers = new Map(this.versions.map((version, index) => [version.key, decoded[index]]));
    this.drawWave();
  }

  async decode(sound) {
    const decoder = new OfflineAudioContext(1, 1, 48000);  // asks for no audio device
    if (!sound.startsWith("data:")) {
      return decoder.decodeAudioData(await (await fetch(sound)).arrayBuffer());
    }
    const text = atob(sound.slice(sound.indexOf(",") + 1));
    return decoder.decodeAudioData(Uint8Array.from(text, (letter) => letter.charCodeAt(0)).buffer);
  }

  async toggle() {
    if (this.playing) {
      this.pause();
      return;
    }
    this.context ??= new AudioContext({sampleRate: 48000});
    await this.load();
    await this.context.resume();
    AirbandPlayer.active?.pause();
    AirbandPlayer.active = this;
    this.start();
  }

  start() {
    if (this.position >= this.duration - 0.01) this.position = 0;
    const at = this.context.currentTime + 0.02;
    this.began = at - this.position;
    this.voices = new Map();
    for (const version of this.versions) {
      const source = this.context.createBufferSource();
      const gain = this.context.createGain();
      source.buffer = this.buffers.get(version.key);
      source.loop = this.loop;
      gain.gain.value = this.gainOf(version);
      source.connect(gain).connect(this.context.destination);
      source.start(at, this.position);
      this.voices.set(version.key, {source, gain});
    }
    this.playing = true;
    this.show();
    this.tick();
  }

  pause() {
    if (!this.playing) return;
    this.position = this.now();
    for (const {source} of this.voices.values()) source.stop();
    this.playing = false;
    this.show();
  }

  // Stops for good, and releases the audio device.
  close() {
    this.pause();
    this.context?.close();
  }

  now() {
    if (!this.playing) return this.position;
    const run = Math.max(this.context.currentTime - this.began, 0);
    return this.loop ? run % this.duration : Math.min(run, this.duration);
  }

  seek(seconds) {
    const place = Math.min(Math.max(seconds, 0), this.duration);
    const playing = this.playing;
    if (playing) this.pause();
    this.position = place;
    if (playing) this.start();
    this.show();
  }

  choose(key) {
    this.current = key;
    this.applyGains();
    this.drawWave();
    this.show();
    this.element.dispatchEvent(new CustomEvent("version", {detail: key, bubbles: true}));
  }

  gainOf(version) {
    if (version.key !== this.current) return 0;
    return (this.matched ? version.gain ?? 1 : 1);
  }

  applyGains() {
    if (!this.playing) return;
    for (const version of this.versions) {
      const node = this.voices.get(version.key).gain;
      node.gain.setTargetAtTime(this.gainOf(version), this.context.currentTime, AirbandPlayer.SWITCH_S / 3);
    }
  }

  tick() {
    if (!this.playing) return;
    if (!this.loop && this.now() >= this.duration) {
      this.pause();
      this.position = 0;
    }
    this.show();
    requestAnimationFrame(() => this.tick());
  }

  show() {
    this.play.textContent = this.playing ? "Pause" : "Play";
    for (const [key, button] of this.buttons) {
      button.setAttribute("aria-pressed", String(key === this.current));
    }
    const place = this.now();
    this.time.textContent = `${place.toFixed(1)} / ${this.duration.toFixed(1)} s`;
    this.element.style.setProperty("--place", `${100 * place / this.duration}%`);
    this.element.dispatchEvent(new CustomEvent("place", {detail: place / this.duration, bubbles: true}));
    this.drawPlace(place / this.duration);
  }

  drawWave() {
    if (!this.buffers) return;
    const width = this.wave.width = Math.max(1, Math.round(this.wave.clientWidth));
    const height = this.wave.height = Math.max(1, Math.round(this.wave.clientHeight));
    const samples = this.buffers.get(this.current).getChannelData(0);
    const picture = document.createElement("canvas");
    picture.width = width;
    picture.height = height;
    const pen = picture.getContext("2d");
    pen.fillStyle = getComputedStyle(this.wave).color;
    for (let x = 0; x < width; x += 1) {
      let peak = 0;
      const end = Math.floor((x + 1) * samples.length / width);
      for (let n = Math.floor(x * samples.length / width); n < end; n += 1) {
        peak = Math.max(peak, Math.abs(samples[n]));
      }
      const tall = Math.max(1, Math.min(peak, 1) * height);
      pen.fillRect(x, (height - tall) / 2, 1, tall);
    }
    this.picture = picture;
    this.drawPlace(this.now() / this.duration);
  }

  drawPlace(share) {
    if (!this.picture) return;
    const pen = this.wave.getContext("2d");
    pen.clearRect(0, 0, this.wave.width, this.wave.height);
    pen.drawImage(this.picture, 0, 0);
    pen.fillStyle = getComputedStyle(this.wave).caretColor;
    pen.fillRect(share * this.wave.width, 0, 2, this.wave.height);
  }
}

globalThis.AirbandPlayer = AirbandPlayer;
