// Shows a city without leaving the page, after a search, a link or a click on the map. The content is
// taken from the page that the server makes for the same URL, so the address bar, the back button and
// a reload show the same city.

import { showAges } from "./clock.js";
import { showMessage, signedOut } from "./messages.js";

const section = document.getElementById("found");
const field = document.getElementById("city");

export function search() {
  document.querySelector("form.search").addEventListener("submit", (event) => {
    event.preventDefault();
    open(`/?${new URLSearchParams({ city: field.value.trim() })}`);
  });
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.('a[href^="/?city"], #found a.close');
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    open(link.getAttribute("href"));
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !section.hidden && !document.querySelector("dialog")) open("/");
    if (event.key === "/" && !event.target.closest("input, textarea")) {
      event.preventDefault();
      field.focus();
    }
  });
  addEventListener("popstate", () => show(location.pathname + location.search));
}

export function openCity(id) {
  open(`/?city_id=${id}`);
}

function open(address) {
  history.pushState(null, "", address);
  show(address);
}

async function show(address) {
  if (address === "/") {
    section.hidden = true;
    section.replaceChildren();
    field.value = "";
    return;
  }
  const response = await fetch(address).catch(() => null);
  if (response?.redirected) return signedOut();
  if (!response?.ok) return showMessage("The server does not respond. The city could not be loaded.", { error: true });
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  section.replaceChildren(...page.getElementById("found").childNodes);
  field.value = page.getElementById("city").value;
  section.hidden = false;
  showAges(section);
  section.scrollIntoView({ block: "nearest" });
  // Moves the focus to the result, so that screen readers continue there.
  const heading = section.querySelector("h2");
  heading.tabIndex = -1;
  heading.focus({ preventScroll: true });
}
