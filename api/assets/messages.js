// Shows a message at the lower edge of the page for some seconds; screen readers announce it.

const SHOWN_MS = 8000;

export function showMessage(text, { error = false } = {}) {
  const line = document.createElement("p");
  line.textContent = text;
  line.classList.toggle("wrong", error);
  document.getElementById("messages").append(line);
  setTimeout(() => line.remove(), SHOWN_MS);
}

// The detail of the API's problem, or the status.
export async function reasonOf(response) {
  const problem = await response.json().catch(() => null);
  return problem?.detail ?? `The server answered ${response.status}.`;
}

export function signedOut() {
  location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
}
