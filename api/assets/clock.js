// Shows times as ages: `<time data-age>` becomes "12 s ago", `<time data-until>` "in 3 min". The
// server sends times, so a panel is not sent again only because time has passed. Ages use the
// server's clock: `noteServerTime` measures the offset of the browser's clock.

let offsetMs = 0;

export function noteServerTime(text) {
  offsetMs = Date.parse(text) - Date.now();
}

export function keepTime() {
  showAges(document);
  setInterval(() => showAges(document), 1000);
}

export function showAges(root) {
  const now = Date.now() + offsetMs;
  for (const element of root.querySelectorAll("time[data-age], time[data-until]")) {
    element.title ||= `${element.textContent} UTC`;
    const seconds = Math.round((Date.parse(element.dateTime) - now) / 1000);
    const text = element.hasAttribute("data-age") ? age(-seconds) : until(seconds);
    if (element.textContent !== text) element.textContent = text;
  }
}

function age(seconds) {
  return seconds < 2 ? "just now" : `${span(seconds)} ago`;
}

function until(seconds) {
  return seconds < 1 ? "now" : `in ${span(seconds)}`;
}

// One unit where it is coarse enough, two where the second one matters.
export function span(seconds) {
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor((seconds % 86400) / 3600)} h`;
}
