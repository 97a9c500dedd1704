// Imports a CSV file that is chosen or dropped anywhere on the page. The form shows the upload's
// progress. When the job appears in the list, it is scrolled into view and marked.

import { showMessage, signedOut } from "./messages.js";

const form = document.querySelector("form.import");
const overlay = document.getElementById("drop");
let awaited = null;

export function takeFiles() {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const [file] = form.elements.file.files;
    if (file) send(file);
  });
  // Entering a child leaves its parent, so only a count shows whether the file is over the page.
  let inside = 0;
  const carriesFile = (event) => event.dataTransfer?.types.includes("Files");
  document.addEventListener("dragenter", (event) => {
    if (carriesFile(event)) { inside += 1; overlay.hidden = false; }
  });
  document.addEventListener("dragleave", (event) => {
    if (carriesFile(event) && (inside -= 1) <= 0) { inside = 0; overlay.hidden = true; }
  });
  document.addEventListener("dragover", (event) => {
    if (carriesFile(event)) event.preventDefault();
  });
  document.addEventListener("drop", (event) => {
    if (!carriesFile(event)) return;
    event.preventDefault();
    inside = 0;
    overlay.hidden = true;
    const files = [...event.dataTransfer.files];
    if (files.length > 1) showMessage("Only one file at a time; the first one is imported.");
    if (files[0]) send(files[0]);
  });
  document.addEventListener("isobar:state", mark);
}

function send(file) {
  const button = form.querySelector("button");
  const body = new FormData();
  body.append("file", file);
  // fetch does not report upload progress.
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
      showMessage(`${file.name} uploaded; import queued.`);
    } else if (request.status === 401) {
      signedOut();
    } else {
      showMessage(request.response?.detail ?? "The server does not respond. Nothing was imported.", { error: true });
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
