// What is at the top of every view.

import { h } from "../dom.js";
import { plain } from "../format.js";
import { toggleHelp } from "../keyboard.js";

const THEMES = ["system", "dark", "light"];

export function topBar(app) {
  const { view, host } = app.route;
  const row = app.fleet.named(host);
  const here = (name) => (view === name ? "page" : null);
  return [
    h("a", { class: "brand", href: "/" }, "SafetyTwin"),
    h(
      "nav",
      { class: "places", "aria-label": "Places" },
      h("a", { href: "/hosts", "aria-current": here("hosts") }, "machines"),
      host ? h("a", { key: "host", href: app.link(), "aria-current": app.route.section === null ? "page" : null, class: "host" }, plain(row?.hostname ?? app.session?.twin?.rest.hardware?.hostname ?? host, 40)) : null,
      h("a", { key: "ai", href: "/ai", "aria-current": here("ai") }, "models"),
      h("a", { key: "events", href: "/events", "aria-current": here("events") }, "events"),
    ),
    app.search.view(),
    h("div", { class: "top-buttons" }, themeButton(app), h("button", { type: "button", title: "Keys (?)", "aria-label": "Keys", onclick: () => toggleHelp(app) }, "?")),
  ];
}

function themeButton(app) {
  const theme = window.safetytwinTheme.get();
  const next = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
  const sign = { system: "◐", dark: "●", light: "○" }[theme];
  return h("button", { type: "button", class: "theme", title: `Colours: ${theme}. Press for ${next}.`, "aria-label": `Colours: ${theme}`, onclick: () => { window.safetytwinTheme.set(next); app.draw(); } }, sign);
}
