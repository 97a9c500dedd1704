// Sends `form[data-act]` without leaving the page, and says how it went. A form may ask first:
// `data-confirm` holds the question. What a deed changes comes back with the next live event.
// `data-method` names a method that forms do not know.

import { reasonOf, say, signedOut } from "./say.js";

export function actOnForms() {
  document.addEventListener("submit", (event) => {
    const form = event.target.closest("form[data-act]");
    if (!form) return;
    event.preventDefault();
    act(form).catch(() => say("Nobody answers; nothing was changed.", { wrong: true }));
  });
}

async function act(form) {
  const button = form.querySelector("button");
  const method = form.dataset.method ?? "POST";
  const question = form.dataset.count ? await counted(form, method) : form.dataset.confirm;
  if (question === null || (question && !(await agreed(question, button.textContent)))) return;
  button.disabled = true;
  try {
    const response = await fetch(form.action, { method });
    if (response.status === 401) signedOut();
    else if (response.ok) say(form.dataset.done);
    else say(await reasonOf(response), { wrong: true });
  } finally {
    button.disabled = false;
  }
}

// Asks the route itself how much it would change, and puts it into the question where that says
// `{n|one|many}`.
async function counted(form, method) {
  const url = new URL(form.action);
  url.searchParams.set("dry_run", "true");
  const response = await fetch(url, { method });
  if (response.status === 401) signedOut();
  if (!response.ok) {
    say(await reasonOf(response), { wrong: true });
    return null;
  }
  const answer = await response.json();
  const count = answer[form.dataset.count] ?? 0;
  return form.dataset.confirm.replace(/\{n\|(.*?)\|(.*?)\}/, (_, one, many) =>
    `${count.toLocaleString("en")} ${count === 1 ? one : many}`);
}

function agreed(question, deed) {
  const dialog = document.createElement("dialog");
  const text = document.createElement("p");
  text.textContent = question;
  const form = document.createElement("form");
  form.method = "dialog";
  form.className = "actions";
  const [no, yes] = ["Leave it", deed].map((words) => {
    const button = document.createElement("button");
    button.textContent = words;
    form.append(button);
    return button;
  });
  yes.value = "yes";
  yes.className = "danger";
  dialog.setAttribute("aria-label", question);
  dialog.append(text, form);
  document.body.append(dialog);
  dialog.showModal();
  no.focus();
  return new Promise((answer) => {
    dialog.addEventListener("close", () => {
      answer(dialog.returnValue === "yes");
      dialog.remove();
    });
  });
}
