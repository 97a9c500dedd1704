// Sends `form[data-act]` without leaving the page and shows the result. `data-confirm` holds a
// question to ask first. The change itself arrives with the next live event. `data-method` is a method
// that HTML forms do not have.

import { reasonOf, showMessage, signedOut } from "./messages.js";

export function actOnForms() {
  document.addEventListener("submit", (event) => {
    const form = event.target.closest("form[data-act]");
    if (!form) return;
    event.preventDefault();
    act(form).catch(() => showMessage("The server does not respond. Nothing was changed.", { error: true }));
  });
}

async function act(form) {
  const button = form.querySelector("button");
  const method = form.dataset.method ?? "POST";
  const question = form.dataset.count ? await counted(form, method) : form.dataset.confirm;
  if (question === null || (question && !(await confirmed(question, button.textContent)))) return;
  button.disabled = true;
  try {
    const response = await fetch(form.action, { method });
    if (response.status === 401) signedOut();
    else if (response.ok) showMessage(form.dataset.done);
    else showMessage(await reasonOf(response), { error: true });
  } finally {
    button.disabled = false;
  }
}

// Asks the route for a dry run and puts the count into the question in place of `{n|one|many}`.
async function counted(form, method) {
  const url = new URL(form.action);
  url.searchParams.set("dry_run", "true");
  const response = await fetch(url, { method });
  if (response.status === 401) signedOut();
  if (!response.ok) {
    showMessage(await reasonOf(response), { error: true });
    return null;
  }
  const answer = await response.json();
  const count = answer[form.dataset.count] ?? 0;
  return form.dataset.confirm.replace(/\{n\|(.*?)\|(.*?)\}/, (_, one, many) =>
    `${count.toLocaleString("en")} ${count === 1 ? one : many}`);
}

function confirmed(question, action) {
  const dialog = document.createElement("dialog");
  const text = document.createElement("p");
  text.textContent = question;
  const form = document.createElement("form");
  form.method = "dialog";
  form.className = "actions";
  const [no, yes] = ["Cancel", action].map((label) => {
    const button = document.createElement("button");
    button.textContent = label;
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
