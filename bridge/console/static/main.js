// The page: each part draws itself, and all follow one feed.

import {showBatches} from "./batches.js";
import {showClips} from "./clips.js";
import {follow, showEngine} from "./feed.js";
import {ask, button, find, trying} from "./page.js";
import {showQueue} from "./queue.js";

const theme = find("theme");
theme.value = localStorage.getItem("theme") ?? "auto";
const look = () => {
  document.documentElement.dataset.theme = theme.value;
  localStorage.setItem("theme", theme.value);
};
theme.addEventListener("change", look);
look();

const start = button("Start an engine", () => trying(() => ask("POST", "/api/engine/start"), "the engine has started"));
showEngine(start);
showClips();
showQueue();
showBatches();
follow(start);
