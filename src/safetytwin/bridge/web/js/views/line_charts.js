// Charts that share one span of time: read from the series, zoomed together.

import { ApiError, get, hostPath, now } from "../api.js";
import { Chart } from "../charts.js";
import { h, morph } from "../dom.js";
import { namesAsked, parseSeries } from "../series.js";
import { clock, day, duration, plain } from "../format.js";

const SPANS = [["1 h", 3600], ["6 h", 21600], ["24 h", 86400], ["7 d", 604800], ["30 d", 2592000]];
const POINTS = 400;
const REFRESH_SECONDS = 10;

export class LineCharts {
  /** groups: [[title, unit, [names of series]]] */
  constructor(app, groups) {
    this.app = app;
    this.groups = groups;
    this.head = h("div", { class: "panel-head" });
    this.grid = h("div", { class: "chart-grid" });
    this.element = h("section", { class: "charts" }, this.head, this.grid);
    this.span = 3600;
    this.zoomed = null; // {from, to}
    this.charts = new Map();
    this.error = null;
  }

  #read = 0;
  #for = null;

  /** Show another set of charts. */
  setGroups(groups) {
    if (JSON.stringify(groups) === JSON.stringify(this.groups)) return;
    this.destroy();
    this.groups = groups;
    this.#read = 0;
  }

  follow() {
    const { at } = this.app.session;
    const end = at ?? now();
    const range = this.zoomed ?? { from: end - this.span, to: end };
    const wanted = JSON.stringify([at, this.span, this.zoomed]);
    const old = this.zoomed === null && at === null && now() - this.#read > REFRESH_SECONDS;
    if (wanted !== this.#for || old || this.#read === 0) {
      this.#for = wanted;
      this.#read = now();
      this.#get(wanted, range);
    }
    this.#paintHead(range);
  }

  redress() {
    for (const chart of this.charts.values()) chart.redress();
  }

  destroy() {
    for (const chart of this.charts.values()) {
      chart.destroy();
      chart.element.remove();
    }
    this.charts.clear();
  }

  async #get(wanted, { from, to }) {
    const names = this.groups.flatMap(([, , series]) => series);
    if (names.length === 0) return;
    try {
      const answers = await Promise.all(inParts(names, 40).map((part) => get(hostPath(this.app.route.host, "/series"), { names: namesAsked(part), from, to, points: POINTS })));
      if (wanted !== this.#for) return;
      this.error = null;
      this.#show(Object.assign({}, ...answers.map((answer) => answer.series)), from, to);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.error = error;
    }
    this.app.draw();
  }

  #show(series, from, to) {
    for (const [title, unit, names] of this.groups) {
      const there = names.filter((name) => series[name]?.at.length > 0);
      let chart = this.charts.get(title);
      if (there.length === 0) {
        this.charts.delete(title);
        chart?.destroy();
        chart?.element.remove();
        continue;
      }
      if (chart === undefined) {
        chart = new Chart({ title: `${title} ${unit === "1" ? "" : unitText(unit)}`.trim(), unit, cursor: "charts", zoom: (begin, end) => this.#zoom(begin, end) });
        this.charts.set(title, chart);
        this.grid.append(chart.element);
      }
      chart.set(aligned(there.map((name) => [label(name), series[name]]), from, to));
    }
  }

  #zoom(from, to) {
    this.zoomed = { from, to };
    this.follow();
  }

  #paintHead({ from, to }) {
    const pick = (span) => {
      this.zoomed = null;
      this.span = span;
      this.follow();
    };
    const range = `${day(from)} ${clock(from)} – ${day(from) === day(to) ? "" : `${day(to)} `}${clock(to)} (${duration(to - from)})`;
    const empty = this.charts.size === 0 ? h("span", { class: "muted" }, this.error ? plain(this.error.message) : "nothing recorded in this span yet") : null;
    morph(
      this.head,
      h(
        "div",
        { class: "panel-head" },
        h("span", { class: "muted" }, range),
        empty,
        h(
          "div",
          { class: "tools" },
          this.zoomed ? h("button", { type: "button", onclick: () => pick(this.span) }, "zoom out") : h("span", { class: "muted" }, "drag over a chart to zoom"),
          SPANS.map(([text, span]) => h("button", { type: "button", "aria-pressed": String(this.zoomed === null && this.span === span), onclick: () => pick(span) }, text)),
        ),
      ),
    );
  }
}

const unitText = (unit) => ({ "%": "%", By: "", "By/s": "per second", Cel: "°C", W: "W" })[unit] ?? "";

function label(name) {
  const { kind, item } = parseSeries(name);
  return plain(item === null ? kind.replace(".", " ") : `${item} ${kind.split(".").at(-1)}`, 40);
}

function inParts(all, length) {
  return Array.from({ length: Math.ceil(all.length / length) }, (_, index) => all.slice(index * length, (index + 1) * length));
}

/** Series of possibly different moments as the columns that a chart takes. */
function aligned(series, from, to) {
  const at = [...new Set(series.flatMap(([, one]) => one.at))].sort((a, b) => a - b);
  const lines = series.map(([name, one]) => {
    const places = new Map(one.at.map((moment, index) => [moment, index]));
    const column = (values) => at.map((moment) => (places.has(moment) ? values[places.get(moment)] : null));
    return { label: name, mean: column(one.mean), min: column(one.min), max: column(one.max) };
  });
  return { at, lines, from, to };
}
