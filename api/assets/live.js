// Keeps the panels up to date: one EventSource, whose events hold the panels that changed.
// EventSource reconnects by itself after a disconnect. After an error status this file reconnects,
// and an expired session leads to the login form.

import { noteServerTime, showAges } from "./clock.js";
import { morph } from "./morph.js";
import { signedOut } from "./messages.js";

const SILENCE_MS = 5000;
const RETRY_MS = 3000;

const pulse = document.getElementById("pulse");
let heardAt = 0;

export function listen() {
  connect();
  setInterval(() => {
    if (heardAt && Date.now() - heardAt > SILENCE_MS) show("lost", "■", "no answer since");
  }, 1000);
}

function connect() {
  const source = new EventSource("/live");
  source.addEventListener("state", (event) => {
    const { at, panels } = JSON.parse(event.data);
    heardAt = Date.now();
    noteServerTime(at);
    for (const [name, html] of Object.entries(panels)) {
      const panel = document.querySelector(`[data-panel="${name}"]`);
      if (panel) morph(panel, html);
    }
    showAges(document);
    show("live", "●", "live,");
    const time = pulse.querySelector("time");
    time.dateTime = at;
    time.textContent = at.slice(11, 19);
    document.dispatchEvent(new CustomEvent("isobar:state", { detail: { panels } }));
  });
  source.addEventListener("error", async () => {
    if (source.readyState !== EventSource.CLOSED) return;
    const answer = await fetch("/live", { method: "HEAD" }).catch(() => null);
    if (answer?.status === 401) signedOut();
    else setTimeout(connect, RETRY_MS);
  });
}

function show(state, shape, word) {
  if (pulse.className !== `detail ${state}`) pulse.className = `detail ${state}`;
  const [lamp, text] = [pulse.querySelector(".lamp"), pulse.querySelector(".word")];
  if (lamp.textContent !== shape) lamp.textContent = shape;
  if (text.textContent !== word) text.textContent = word;
}
