// Says a sentence at the lower edge of the page, for a while; screen readers hear it too.

const SHOWN_MS = 8000;

export function say(sentence, { wrong = false } = {}) {
  const line = document.createElement("p");
  line.textContent = sentence;
  line.classList.toggle("wrong", wrong);
  document.getElementById("says").append(line);
  setTimeout(() => line.remove(), SHOWN_MS);
}

// What a problem of the API says, in a sentence; or that nobody answered.
export async function reasonOf(response) {
  const problem = await response.json().catch(() => null);
  return problem?.detail ?? `The server answered ${response.status}.`;
}

export function signedOut() {
  location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
}
