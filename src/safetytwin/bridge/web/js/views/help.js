import { h } from "../dom.js";
import { KEYS, toggleHelp } from "../keyboard.js";
import { ACCEPTED } from "../moments.js";

export function helpView(app) {
  return h(
    "div",
    { class: "help", role: "dialog", "aria-modal": "true", "aria-label": "Keys" },
    h("h2", {}, "Keys"),
    h("dl", {}, KEYS.map(([keys, what]) => [h("dt", {}, h("kbd", {}, keys)), h("dd", {}, what)])),
    h("p", { class: "muted" }, `A moment can be typed below: ${ACCEPTED}.`),
    h("p", {}, h("button", { type: "button", onclick: () => toggleHelp(app) }, "close")),
  );
}
