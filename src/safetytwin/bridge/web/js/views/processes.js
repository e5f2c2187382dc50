// Processes: search, sort, tree, only what changed.

import { h, own } from "../dom.js";
import { seconds } from "../format.js";
import { LISTS, tableOf } from "../lists.js";
import { emptyText } from "../words.js";
import { freshKeys } from "./overview.js";

const RECENT_SECONDS = 3600;

export function processPanel(app, where) {
  const { twin } = app.session;
  const panel = app.part(`processes ${where}`, () => new ProcessPanel(app));
  app.currentTable = panel.table;
  const all = twin.list("processes");
  const shown = panel.update(all);
  return h(
    "section",
    { key: "processes", class: "panel processes" },
    h(
      "div",
      { class: "panel-head" },
      h("h2", {}, h("a", { href: app.link("processes") }, "Processes"), h("span", { class: "count" }, shown === all.length ? ` ${all.length}` : ` ${shown} of ${all.length}`)),
      panel.tools(),
    ),
    own(panel.table.element),
  );
}

class ProcessPanel {
  constructor(app) {
    this.app = app;
    this.words = "";
    this.tree = false;
    this.onlyChanged = false;
    this.kernel = false;
    this.depth = new Map();
    this.table = tableOf(app, "processes", {
      depthOf: (item) => this.depth.get(item) ?? 0,
      rowClass: (item) => [item.is_llm_related ? "ai" : "", item.kernel_thread ? "kernel" : ""].filter(Boolean).join(" "),
    });
  }

  update(all) {
    const words = this.words.toLowerCase().split(/\s+/).filter(Boolean);
    const fits = (item) => (this.kernel || !item.kernel_thread) && (!this.onlyChanged || this.#changed(item)) && (words.length === 0 || matches(item, words));
    const items = all.filter(fits);
    this.table.arrange = this.tree ? (sorted) => this.#asTree(sorted) : null;
    this.depth = new Map();
    const none = words.length > 0 || this.onlyChanged ? "No process fits." : emptyText(this.app.session.twin, ["processes"], "No processes.");
    this.table.update(items, { empty: none, fresh: freshKeys(this.app, "processes") });
    return items.length;
  }

  tools() {
    const toggle = (name, label, title) => h("button", { type: "button", "aria-pressed": String(this[name]), title, onclick: () => { this[name] = !this[name]; this.app.draw(); } }, label);
    return h(
      "div",
      { class: "tools" },
      this.table.holds ? h("span", { class: "muted held" }, "order held") : null,
      h("input", { type: "search", class: "filter", "aria-label": "Only processes with these words", placeholder: "filter", value: this.words, spellcheck: "false", oninput: (event) => { this.words = event.target.value; this.app.draw(); } }),
      toggle("tree", "tree", "Under their parents"),
      toggle("onlyChanged", "only changed", "Started within an hour, or changed while you watch"),
      toggle("kernel", "kernel", "Kernel threads too"),
    );
  }

  #changed(item) {
    const key = LISTS.processes.keyOf(item);
    const started = seconds(item.create_time);
    const shown = this.app.session.shownAt;
    return this.app.session.touched.get("processes")?.has(key) || (started !== null && shown !== null && shown - started < RECENT_SECONDS);
  }

  #asTree(sorted) {
    const children = new Map();
    const pids = new Set(sorted.map((item) => item.pid));
    for (const item of sorted) {
      const parent = pids.has(item.ppid) && item.ppid !== item.pid ? item.ppid : null;
      if (!children.has(parent)) children.set(parent, []);
      children.get(parent).push(item);
    }
    const rows = [];
    const seen = new Set();
    const stack = (children.get(null) ?? []).map((item) => [item, 0]).reverse();
    while (stack.length > 0) {
      const [item, depth] = stack.pop();
      if (seen.has(item)) continue;
      seen.add(item);
      this.depth.set(item, depth);
      rows.push(item);
      for (const child of (children.get(item.pid) ?? []).toReversed()) stack.push([child, depth + 1]);
    }
    // A ring of parents (a pid used again within one look) hangs from nothing.
    return [...rows, ...sorted.filter((item) => !seen.has(item))];
  }
}

function matches(item, words) {
  const text = `${item.pid} ${item.name} ${item.username ?? ""} ${item.service ?? ""} ${(item.cmdline ?? []).join(" ")}`.toLowerCase();
  return words.every((word) => text.includes(word));
}

