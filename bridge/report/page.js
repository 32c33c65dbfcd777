// The page of a batch: a card for each clip with its pictures and player, and a sortable table of all files.

"use strict";

const TOP_HZ = 24000;
const LOW_HZ = 100;
const data = JSON.parse(document.getElementById("data").textContent);
const log = document.getElementById("log");
document.getElementById("summary").textContent = data.summary;

function make(tag, text, name) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (name) element.className = name;
  return element;
}

// The distance of a frequency from the top of a picture, 0 to 1.
function height(hz) {
  if (!log.checked) return 1 - hz / TOP_HZ;
  return 1 - Math.log(Math.max(hz, LOW_HZ) / LOW_HZ) / Math.log(TOP_HZ / LOW_HZ);
}

function draw(canvas, image) {
  const pen = canvas.getContext("2d");
  canvas.width = image.naturalWidth;
  canvas.height = image.naturalHeight;
  const rows = canvas.height;
  for (let y = 0; y < rows; y += 1) {
    const share = 1 - (y + 0.5) / rows;
    const hz = log.checked ? LOW_HZ * (TOP_HZ / LOW_HZ) ** share : TOP_HZ * share;
    const from = Math.min(rows - 1, Math.floor((1 - hz / TOP_HZ) * rows));
    pen.drawImage(image, 0, from, canvas.width, 1, 0, y, canvas.width, 1);
  }
}

function picture(version, clip) {
  const figure = make("figure");
  const frame = make("div", undefined, "picture");
  const canvas = make("canvas");
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `Spectrogram: ${version.label}`);
  const image = new Image();
  const marks = [1000, 5000, 10000, 15000, 20000].map((hz) => [hz, make("span", `${hz / 1000}k`)]);
  const line = make("b");
  const cursor = make("i");
  frame.append(canvas, ...marks.map(([, mark]) => mark), cursor);
  if (clip.cutoff_hz) frame.append(line);
  const redraw = () => {
    if (image.complete && image.naturalWidth) draw(canvas, image);
    for (const [hz, mark] of marks) mark.style.top = `${100 * height(hz)}%`;
    if (clip.cutoff_hz) line.style.top = `${100 * height(clip.cutoff_hz)}%`;
  };
  image.addEventListener("load", redraw);
  log.addEventListener("change", redraw);
  image.src = version.picture;
  redraw();
  figure.append(frame, make("figcaption", version.label));
  return {figure, frame, cursor};
}

// A player draws its waveform when it first scrolls into view.
const players = new Map();
const seen = new IntersectionObserver((entries) => {
  for (const {target, isIntersecting} of entries) {
    if (!isIntersecting) continue;
    seen.unobserve(target);
    players.get(target).load().catch(() => {});  // decoding errors show when it is played
  }
});

function card(clip) {
  const article = make("article");
  article.append(make("h2", clip.name), make("p", clip.why, "why"));
  const shown = new Map(clip.versions.map((version) => [version.key, picture(version, clip)]));
  const pictures = make("div", undefined, "pictures");
  pictures.append(...[...shown.values()].map(({figure}) => figure));
  const box = make("div");
  box.addEventListener("version", (event) => {
    for (const [key, {frame}] of shown) frame.classList.toggle("heard", key === event.detail);
  });
  box.addEventListener("place", (event) => {
    for (const {cursor} of shown.values()) cursor.style.left = `${100 * event.detail}%`;
  });
  article.append(pictures, box);
  const player = new AirbandPlayer(box, clip);
  player.choose(clip.versions[0].key);
  players.set(box, player);
  seen.observe(box);

  const figures = make("dl", undefined, "figures");
  for (const [name, value] of clip.figures) {
    const pair = make("div");
    pair.append(make("dt", name), make("dd", value));
    figures.append(pair);
  }
  const details = make("details");
  details.append(make("summary", "Settings and digests"), make("pre", clip.settings));
  article.append(figures, details);
  return article;
}

function table(columns, rows) {
  const head = make("tr");
  const body = document.querySelector("#files tbody");
  const fill = (sorted) => body.replaceChildren(...sorted.map((row) => {
    const line = make("tr");
    for (const column of columns) {
      const value = row[column.key];
      const cell = make("td", undefined, column.number ? "number" : column.key);
      cell.classList.toggle("failed", column.key === "state" && row.state === "failed");
      if (column.key === "out" && row.link) {
        const link = make("a", value);
        link.href = row.link;
        cell.append(link);
      } else {
        cell.textContent = value === null ? "" : column.number ? value.toFixed(column.digits) : value;
      }
      line.append(cell);
    }
    return line;
  }));
  for (const column of columns) {
    const cell = make("th");
    cell.scope = "col";
    const button = make("button", column.name);
    button.type = "button";
    button.addEventListener("click", () => {
      const down = cell.getAttribute("aria-sort") === "ascending";
      for (const other of head.children) other.removeAttribute("aria-sort");
      cell.setAttribute("aria-sort", down ? "descending" : "ascending");
      const sign = down ? -1 : 1;
      fill([...rows].sort((one, two) => {
        const [a, b] = [one[column.key], two[column.key]];
        if (a === null || b === null) return (a === null) - (b === null);
        return sign * (column.number ? a - b : a.localeCompare(b, undefined, {numeric: true}));
      }));
    });
    cell.append(button);
    head.append(cell);
  }
  document.querySelector("#files thead").append(head);
  fill(rows);
}

document.getElementById("clips").append(...data.clips.map(card));
table(data.columns, data.rows);
