// Elements from data. Text from a machine only ever becomes a text node or an attribute's value, never markup.

const SVG = "http://www.w3.org/2000/svg";
const SVG_TAGS = new Set(["svg", "path", "rect", "line", "g", "polyline", "polygon", "circle", "title"]);
const HANDLERS = ["onclick", "oninput", "onchange", "onkeydown", "onsubmit", "onpointerdown", "onpointerenter", "onpointerleave", "onfocus", "onblur", "ontoggle"];
const ADDRESS = /^(\/(?!\/)|#)/; // of this page only: a machine's text can't make a link that leads elsewhere

/** Make an element: props are attributes, handlers (onclick …), style (an object) and key (its identity among siblings). */
export function h(tag, props, ...children) {
  const element = SVG_TAGS.has(tag) && tag !== "title" ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "key") element._key = value;
    else if (name === "style") for (const [property, one] of Object.entries(value)) element.style.setProperty(property, one);
    else if (HANDLERS.includes(name)) element[name] = value;
    else if (name === "value") element.value = value;
    else if (name === "href" && !ADDRESS.test(value)) throw new Error("a link that leads away");
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...flat(children));
  return element;
}

/** Stand for an element that looks after its own content and must stay the same object from one picture to the next. */
export function own(element) {
  const place = document.createElement("x-own");
  place._own = element;
  element._owned = true;
  return place;
}

function flat(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
}

/** Make `old` look like `next`, keeping the elements (and so focus, scroll position and selection) that stay. */
export function morph(old, next) {
  syncAttributes(old, next);
  syncChildren(old, next);
}

function syncAttributes(old, next) {
  for (const { name, value } of [...next.attributes]) {
    if (name !== "style" && old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  for (const { name } of [...old.attributes]) {
    const kept = name === "style" || (name === "open" && old.nodeName === "DETAILS");
    if (!kept && !next.hasAttribute(name)) old.removeAttribute(name);
  }
  if (old.style.cssText !== next.style.cssText) old.style.cssText = next.style.cssText;
  for (const name of HANDLERS) if (old[name] !== next[name]) old[name] = next[name];
  const typed = old.nodeName === "INPUT" || old.nodeName === "SELECT";
  if (typed && document.activeElement !== old && old.value !== next.value) old.value = next.value;
  old._key = next._key;
}

function syncChildren(old, next) {
  const keyed = new Map();
  for (const child of old.children) if (child._key !== undefined) keyed.set(child._key, child);
  let cursor = old.firstChild;
  for (const wanted of [...next.childNodes]) {
    const found = match(wanted, cursor, keyed);
    if (found === null) {
      settle(wanted);
      old.insertBefore(wanted, cursor);
      continue;
    }
    if (found === cursor) cursor = cursor.nextSibling;
    else old.insertBefore(found, cursor);
    if (wanted._own) continue;
    if (found.nodeType === Node.TEXT_NODE) {
      if (found.data !== wanted.data) found.data = wanted.data;
    } else morph(found, wanted);
  }
  while (cursor !== null) {
    const after = cursor.nextSibling;
    cursor.remove();
    cursor = after;
  }
}

function match(wanted, cursor, keyed) {
  if (wanted._own) return wanted._own;
  if (wanted._key !== undefined) {
    const found = keyed.get(wanted._key);
    return found !== undefined && found.nodeName === wanted.nodeName ? found : null;
  }
  if (cursor === null || cursor._owned || cursor._key !== undefined) return null;
  return cursor.nodeName === wanted.nodeName ? cursor : null;
}

/** Put owned elements in the place of what stands for them, in a tree that is new to the document. */
function settle(node) {
  if (node.nodeType !== Node.ELEMENT_NODE) return;
  for (const place of node.querySelectorAll("x-own")) place.replaceWith(place._own);
}

/** Tell a screen reader something that is seen otherwise. */
export function say(text) {
  document.getElementById("said").textContent = text;
}
