// The open clips: dropped, chosen, or named by a path; one of them is shown.

import {ClipPage} from "./clip.js";
import {state, listen} from "./feed.js";
import {ask, button, find, make, say, trying} from "./page.js";

let page = null;

const chosen = () => new URLSearchParams(location.hash.slice(1)).get("clip");

function choose(id) {
  if (chosen() !== id) location.hash = id ? `clip=${id}` : "";
  else show();
}

function show() {
  const id = chosen() ?? state.clips[0]?.id;
  const clip = state.clips.find((each) => each.id === id) ?? state.clips[0];
  find("clips").replaceChildren(...state.clips.map((each) => {
    const item = make("li");
    const open = button(each.name, () => choose(each.id));
    if (each === clip) open.setAttribute("aria-current", "true");
    const close = button("×", () => trying(() => ask("DELETE", `/api/clips/${each.id}`), `closed ${each.name}`), "quiet");
    close.setAttribute("aria-label", `Close ${each.name}`);
    item.append(open, close);
    return item;
  }));
  if (page && page.clip.id === clip?.id) {
    page.update(clip);
    return;
  }
  page?.end();
  page = clip ? new ClipPage(clip) : null;
  find("shown").replaceChildren(...(page ? [page.element] : []));
}

// Uploads a file, which the browser reads from disk piece by piece, and shows the progress.
async function send(file) {
  if (!await trying(() => ask("POST", "/api/clips/room", {nbytes: file.size}))) return;
  const request = new XMLHttpRequest();
  const area = find("sending");
  const over = (text, bad) => {
    area.hidden = true;
    say(text, bad);
  };
  find("sending-name").textContent = file.name;
  find("sent").value = 0;
  area.hidden = false;
  find("stop-sending").onclick = () => request.abort();
  request.upload.addEventListener("progress", (event) => { find("sent").value = event.loaded / file.size; });
  request.addEventListener("abort", () => over(`${file.name}: stopped`));
  request.addEventListener("error", () => over(`${file.name}: the console stopped taking it; is there room?`, true));
  request.addEventListener("load", () => {
    const said = JSON.parse(request.responseText || "{}");
    if (request.status !== 200) {
      over(said.message ?? `the console answered ${request.status}`, true);
      return;
    }
    over(`opened ${said.name}`);
    choose(said.id);
  });
  request.open("POST", `/api/clips?name=${encodeURIComponent(file.name)}`);
  request.send(file);
}

function receiveDrops() {
  const drop = find("drop");
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) drop.classList.remove("over"); });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    const [file] = event.dataTransfer.files;
    if (file) send(file);
  });
  find("file").addEventListener("change", (event) => {
    const [file] = event.target.files;
    if (file) send(file);
    event.target.value = "";
  });
}

// Completes a path field with folders and audio files that the engine may open.
export function completes(field, list) {
  let asked = "";
  field.addEventListener("input", async () => {
    asked = field.value;
    const found = await ask("GET", `/api/paths?of=${encodeURIComponent(asked)}`).catch(() => []);
    if (asked === field.value) list.replaceChildren(...found.map((path) => new Option(path, path)));
  });
  field.addEventListener("focus", () => field.dispatchEvent(new Event("input")), {once: true});
}

export function showClips() {
  listen("clips", show);
  window.addEventListener("hashchange", show);
  receiveDrops();
  const path = find("path");
  completes(path, find("paths"));
  find("by-path").addEventListener("submit", (event) => {
    event.preventDefault();
    trying(async () => {
      const clip = await ask("POST", "/api/clips/path", {path: path.value.trim()});
      path.value = "";
      choose(clip.id);
    });
  });
  // The player's keys work unless another element uses them.
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.target.closest("input, select, textarea, button, summary, a, [role=slider], .player")) return;
    page?.takes.player?.onKey(event);
  });
}
