// A table of any length: only the rows in sight are in the document, they keep their place while one reads.

import { h, morph } from "./dom.js";
import { UNKNOWN } from "./format.js";

const ROW = 26; // pixels, as in table.css
const GAP = 10; // pixels between columns, as in table.css
const SIDES = 30; // pixels left and right of all columns, and the scrollbar
const AROUND = 8; // rows kept above and below what is in sight
const FLASH_MS = 1600;

/**
 * columns: [{id, label, unit?, width (CSS), rank? (the higher, the sooner it makes room), number?, text(item),
 * sort?(item), title?(item), class?(item), hidden?(items)}]; the first is the row's link.
 */
export class Table {
  constructor({ label, columns, keyOf, hrefOf, sort = null, rowClass = () => "", depthOf = () => 0, onOrder = () => {} }) {
    this.label = label;
    this.columns = columns;
    this.keyOf = keyOf;
    this.hrefOf = hrefOf;
    this.sort = sort; // {id, descending}
    this.rowClass = rowClass;
    this.depthOf = depthOf;
    this.onOrder = onOrder;
    this.arrange = null; // puts sorted items in another order (a tree)
    this.rows = [];
    this.active = null;
    this.held = false;
    this.empty = "";
    this.#flash = new Map();
    this.#build();
  }

  #flash;
  #frame = null;
  #items = [];
  #hand = false;
  #width = 0;

  #build() {
    this.head = h("div", { class: "table-head", role: "row" });
    this.body = h("div", { class: "table-rows", role: "rowgroup" });
    this.scroller = h("div", { class: "table-scroll", tabindex: "0", role: "group", "aria-label": `${this.label}, rows` }, this.body);
    this.element = h("div", { class: "table", role: "table", "aria-label": this.label }, h("div", { role: "rowgroup" }, this.head), this.scroller);
    this.scroller.addEventListener("scroll", () => this.#later(), { passive: true });
    this.scroller.addEventListener("pointerenter", (event) => this.#hold(event.pointerType === "mouse"));
    this.scroller.addEventListener("pointerleave", () => this.#hold(false));
    this.scroller.addEventListener("focusin", (event) => {
      const row = event.target.closest("[role=row]");
      if (row !== null) this.active = row._key;
    });
    new ResizeObserver(([entry]) => {
      if (Math.abs(entry.contentRect.width - this.#width) < 1 && this.#width > 0) return this.#later();
      this.#width = entry.contentRect.width;
      return this.#later();
    }).observe(this.element);
  }

  /** Show these items; those in `fresh` (keys) are lit up once. */
  update(items, { fresh = [], empty = "" } = {}) {
    this.#items = items;
    this.empty = empty;
    const end = performance.now() + FLASH_MS;
    for (const key of fresh) if (!this.#flash.has(key)) this.#flash.set(key, end);
    this.#order();
    this.#paint();
  }

  setSort(id) {
    const column = this.columns.find((one) => one.id === id);
    const descending = this.sort?.id === id ? !this.sort.descending : Boolean(column.number);
    this.sort = { id, descending };
    this.#order(true);
    this.scroller.scrollTop = 0;
    this.#paint();
    this.onOrder();
  }

  /** Move to the next (1) or previous (-1) row and focus it. */
  move(step) {
    if (this.rows.length === 0) return;
    const here = this.rows.findIndex((item) => this.keyOf(item) === this.active);
    const next = here < 0 ? 0 : Math.min(this.rows.length - 1, Math.max(0, here + step));
    this.active = this.keyOf(this.rows[next]);
    const top = next * ROW;
    if (top < this.scroller.scrollTop) this.scroller.scrollTop = top;
    else if (top + ROW > this.scroller.scrollTop + this.scroller.clientHeight) this.scroller.scrollTop = top + ROW - this.scroller.clientHeight;
    this.#paint();
    this.body.querySelector(".active a")?.focus({ preventScroll: true });
  }

  #hold(held) {
    if (this.#hand === held) return;
    this.#hand = held;
    if (!held) {
      this.#order();
      this.#paint();
    }
    this.onOrder();
  }

  /** Rows are not moved under a hand that rests on them. */
  get holds() {
    return this.#hand && this.sort !== null;
  }

  #order(anew = false) {
    if (this.holds && !anew) {
      const items = new Map(this.#items.map((item) => [this.keyOf(item), item]));
      const stayed = this.rows.map((item) => items.get(this.keyOf(item))).filter((item) => item !== undefined);
      const known = new Set(this.rows.map(this.keyOf));
      this.rows = [...stayed, ...this.#items.filter((item) => !known.has(this.keyOf(item)))];
      return;
    }
    const sorted = this.#sorted(this.#items);
    this.rows = this.arrange === null ? sorted : this.arrange(sorted);
  }

  #sorted(items) {
    const column = this.columns.find((one) => one.id === this.sort?.id);
    if (column === undefined) return items;
    const value = column.sort ?? column.text;
    const sign = this.sort.descending ? -1 : 1;
    const keyed = items.map((item) => [value(item), item]);
    keyed.sort(([a], [b]) => {
      const unknown = (a === null || a === undefined) - (b === null || b === undefined);
      if (unknown !== 0) return unknown; // what is not known comes last, whichever way
      if (typeof a === "number" && typeof b === "number") return sign * (a - b);
      return sign * String(a).localeCompare(String(b), "en", { numeric: true });
    });
    return keyed.map(([, item]) => item);
  }

  #later() {
    this.#frame ??= requestAnimationFrame(() => {
      this.#frame = null;
      this.#paint();
    });
  }

  #shown() {
    const columns = this.columns.filter((one) => !one.hidden?.(this.#items));
    let room = (this.#width || Infinity) - SIDES;
    const fits = new Set();
    for (const one of [...columns].sort((a, b) => (a.rank ?? 0) - (b.rank ?? 0))) {
      room -= Number(/\d+/.exec(one.width)[0]) + GAP;
      if (room < 0 && fits.size > 1) break;
      fits.add(one);
    }
    return columns.filter((one) => fits.has(one));
  }

  #paint() {
    const columns = this.#shown();
    const template = columns.map((one) => one.width).join(" ");
    morph(this.head, h("div", { class: "table-head", role: "row", style: { "grid-template-columns": template } }, columns.map((one) => this.#headCell(one))));
    this.element.setAttribute("aria-rowcount", String(this.rows.length + 1));
    const height = this.scroller.clientHeight || 400;
    const first = Math.max(0, Math.floor(this.scroller.scrollTop / ROW) - AROUND);
    const last = Math.min(this.rows.length, Math.ceil((this.scroller.scrollTop + height) / ROW) + AROUND);
    const now = performance.now();
    const rows = [];
    for (let index = first; index < last; index += 1) rows.push(this.#row(this.rows[index], index, columns, template, now));
    const content = this.rows.length === 0 ? h("div", { class: "table-empty" }, this.empty) : rows;
    morph(this.body, h("div", { class: "table-rows", role: "rowgroup", style: { height: `${Math.max(1, this.rows.length) * ROW}px` } }, content));
    for (const [key, end] of this.#flash) if (end < now) this.#flash.delete(key);
  }

  #headCell(column) {
    const sorted = this.sort?.id === column.id;
    const direction = sorted ? (this.sort.descending ? "descending" : "ascending") : "none";
    return h(
      "div",
      { key: column.id, role: "columnheader", "aria-sort": direction, class: column.number ? "number" : "" },
      h(
        "button",
        { type: "button", title: column.about, onclick: () => this.setSort(column.id) },
        column.label,
        column.unit ? h("span", { class: "unit" }, ` ${column.unit}`) : null,
        sorted ? h("span", { class: "arrow", "aria-hidden": "true" }, this.sort.descending ? " ▾" : " ▴") : null,
      ),
    );
  }

  #row(item, index, columns, template, now) {
    const key = this.keyOf(item);
    const classes = ["table-row", this.rowClass(item), key === this.active ? "active" : "", this.#flash.get(key) > now ? "fresh" : ""];
    return h(
      "div",
      {
        key,
        role: "row",
        class: classes.filter(Boolean).join(" "),
        "aria-rowindex": index + 2,
        style: { transform: `translateY(${index * ROW}px)`, "grid-template-columns": template },
      },
      columns.map((column, position) => this.#cell(column, item, position === 0)),
    );
  }

  #cell(column, item, first) {
    const text = column.text(item) ?? UNKNOWN;
    const title = column.title?.(item) ?? (column.number ? null : text);
    const props = { role: "cell", class: [column.number ? "number" : "", text === UNKNOWN ? "unknown" : "", column.class?.(item) ?? ""].filter(Boolean).join(" "), title };
    if (!first) return h("div", props, text);
    const depth = this.depthOf(item);
    const style = depth > 0 ? { "padding-left": `${Math.min(depth, 12) * 14}px` } : {};
    return h("div", { ...props, style }, h("a", { href: this.hrefOf(item), tabindex: "-1" }, text));
  }
}
