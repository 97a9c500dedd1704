// Imports a CSV that is chosen or dropped anywhere on the page. The upload is told in the form; once
// the server has the file, its job is among the others, brought to sight and marked when it comes.

import { say, signedOut } from "./say.js";

const form = document.querySelector("form.import");
const veil = document.getElementById("drop");
let awaited = null;

export function takeFiles() {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const [file] = form.elements.file.files;
    if (file) send(file);
  });
  // Entering a child leaves its parent: only the count tells whether the file is still over us.
  let inside = 0;
  const carriesFile = (event) => event.dataTransfer?.types.includes("Files");
  document.addEventListener("dragenter", (event) => {
    if (carriesFile(event)) { inside += 1; veil.hidden = false; }
  });
  document.addEventListener("dragleave", (event) => {
    if (carriesFile(event) && (inside -= 1) <= 0) { inside = 0; veil.hidden = true; }
  });
  document.addEventListener("dragover", (event) => {
    if (carriesFile(event)) event.preventDefault();
  });
  document.addEventListener("drop", (event) => {
    if (!carriesFile(event)) return;
    event.preventDefault();
    inside = 0;
    veil.hidden = true;
    const files = [...event.dataTransfer.files];
    if (files.length > 1) say("One file at a time; the first one is taken.");
    if (files[0]) send(files[0]);
  });
  document.addEventListener("isobar:state", mark);
}

function send(file) {
  const button = form.querySelector("button");
  const body = new FormData();
  body.append("file", file);
  // fetch does not tell how far an upload is.
  const request = new XMLHttpRequest();
  request.open("POST", "/bulk/import");
  request.responseType = "json";
  button.disabled = true;
  request.upload.addEventListener("progress", ({ loaded, total }) => {
    button.textContent = `Sending ${Math.floor((loaded / total) * 100)} %`;
  });
  request.addEventListener("loadend", () => {
    button.disabled = false;
    button.textContent = "Import";
    if (request.status === 202) {
      awaited = request.response.job_id;
      form.reset();
      say(`${file.name} is safe here; its job is queued.`);
    } else if (request.status === 401) {
      signedOut();
    } else {
      say(request.response?.detail ?? "Nobody answers; nothing was imported.", { wrong: true });
    }
  });
  request.send(body);
}

function mark() {
  const row = awaited && document.querySelector(`[data-job="${awaited}"]`);
  if (!row) return;
  awaited = null;
  row.classList.add("new");
  row.scrollIntoView({ block: "nearest" });
}
