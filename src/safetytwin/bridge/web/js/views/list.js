// A list on its own: with a filter, and its empty state.

import { h, own } from "../dom.js";
import { LISTS, itemsOf, tableOf } from "../lists.js";
import { emptyText } from "../words.js";
import { freshKeys } from "./overview.js";
import { processPanel } from "./processes.js";

export function listView(app, section) {
  if (section === "processes") return processPanel(app, "list");
  const list = LISTS[section];
  const { twin } = app.session;
  const part = app.part(`list ${section}`, () => ({ words: "", table: tableOf(app, section) }));
  const words = part.words.toLowerCase().split(/\s+/).filter(Boolean);
  const all = itemsOf(list, twin);
  const show = app.route.query.show;
  const items = all.filter((item) => (!show || item.status === show) && words.every((word) => list.columns.some((column) => column.text(item).toLowerCase().includes(word))));
  const empty = all.length > 0 ? "Nothing fits." : emptyText(twin, list.collectors ?? [], list.none);
  part.table.update(items, { empty, fresh: freshKeys(app, list.path) });
  app.currentTable = part.table;
  return h(
    "section",
    { key: section, class: "panel alone" },
    h(
      "div",
      { class: "panel-head" },
      h("h2", {}, list.label, h("span", { class: "count" }, items.length === all.length ? ` ${all.length}` : ` ${items.length} of ${all.length}`)),
      h("div", { class: "tools" }, show ? h("a", { href: app.link(section) }, `only ${show} ✕`) : null, h("input", { type: "search", class: "filter", "aria-label": `Only ${list.label.toLowerCase()} with these words`, placeholder: "filter", value: part.words, spellcheck: "false", oninput: (event) => { part.words = event.target.value; app.draw(); } })),
    ),
    own(part.table.element),
  );
}
