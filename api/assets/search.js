// Shows a city's story without leaving the page: the search form, links to cities, clicks on the
// map. The story is taken out of the page that the server makes for the same address, so address
// bar, back button and a reload all mean the same thing.

import { tell } from "./clock.js";
import { say, signedOut } from "./say.js";

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
  if (!response?.ok) return say("Nobody answers; the city cannot be looked up.", { wrong: true });
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  section.replaceChildren(...page.getElementById("found").childNodes);
  field.value = page.getElementById("city").value;
  section.hidden = false;
  tell(section);
  section.scrollIntoView({ block: "nearest" });
  // The answer is where reading goes on, also for those who do not see it appear.
  const heading = section.querySelector("h2");
  heading.tabIndex = -1;
  heading.focus({ preventScroll: true });
}
