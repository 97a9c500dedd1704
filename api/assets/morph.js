// Changes an element's content to new HTML and keeps every node that can stay. Focus, selection, scroll
// positions and half-filled fields survive an update.

export function morph(element, html) {
  const fresh = document.createElement("template");
  fresh.innerHTML = html;
  morphChildren(element, fresh.content);
}

function morphChildren(old, fresh) {
  const keyed = new Map();
  for (const child of old.children) {
    if (child.dataset.key) keyed.set(child.dataset.key, child);
  }
  let place = old.firstChild;
  for (const wanted of [...fresh.childNodes]) {
    const key = wanted.nodeType === Node.ELEMENT_NODE ? wanted.dataset.key : undefined;
    let own = key === undefined ? place : keyed.get(key);
    if (own && isLike(own, wanted)) {
      if (own !== place) old.insertBefore(own, place);
      else place = place.nextSibling;
      morphNode(own, wanted);
    } else {
      old.insertBefore(wanted, place);
    }
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}

function isLike(own, wanted) {
  return own.nodeType === wanted.nodeType && own.nodeName === wanted.nodeName &&
    own.dataset?.key === wanted.dataset?.key;
}

function morphNode(own, wanted) {
  if (own.nodeType !== Node.ELEMENT_NODE) {
    if (own.nodeValue !== wanted.nodeValue) own.nodeValue = wanted.nodeValue;
    return;
  }
  // An age that the browser shows is not set back to its time.
  if (own.nodeName === "TIME" && own.getAttribute("datetime") === wanted.getAttribute("datetime")) return;
  for (const { name } of [...own.attributes]) {
    if (!wanted.hasAttribute(name) && name !== "open" && name !== "disabled") own.removeAttribute(name);
  }
  for (const { name, value } of wanted.attributes) {
    if (own.getAttribute(name) !== value) own.setAttribute(name, value);
  }
  morphChildren(own, wanted);
}
