// uPlot, dressed in the page's colours: lines with the band between the lowest and the highest, zoom by dragging.

/* global uPlot */
import { h } from "./dom.js";
import { byUnit, clock, day, size } from "./format.js";

const HEIGHT = 170;
const BINARY_STEPS = Array.from({ length: 50 }, (_, power) => 2 ** power);
const COLOURS = ["--line-1", "--line-2", "--line-3", "--line-4", "--line-5", "--line-6"];

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** One chart: an element and set({at, lines: [{label, mean, min, max}]}). */
export class Chart {
  constructor({ title, unit, zoom, cursor }) {
    this.unit = unit;
    this.element = h("figure", { class: "chart" }, h("figcaption", {}, title), (this.place = h("div", { class: "chart-place" })));
    this.#zoom = zoom;
    this.#cursor = cursor;
    this.#observer = new ResizeObserver(() => this.#resize());
    this.#observer.observe(this.place);
  }

  #zoom;
  #cursor;
  #observer;
  #plot = null;
  #shape = "";

  set({ at, lines, from, to }) {
    this.data = { at, lines, from, to };
    const shape = lines.map((line) => line.label).join("\n");
    const columns = [at, ...lines.flatMap((line) => [line.mean, line.min, line.max])];
    if (this.#plot !== null && shape === this.#shape) {
      this.#plot.setData(columns, false);
      this.#plot.setScale("x", { min: from, max: to });
      return;
    }
    this.#shape = shape;
    this.#plot?.destroy();
    this.#plot = new uPlot(this.#options(lines), columns, this.place);
    this.#plot.setScale("x", { min: from, max: to });
  }

  /** Draw anew, in the colours of a theme that was just chosen. */
  redress() {
    this.#shape = "";
    if (this.data) this.set(this.data);
  }

  destroy() {
    this.#observer.disconnect();
    this.#plot?.destroy();
    this.#plot = null;
  }

  #resize() {
    const width = this.place.clientWidth;
    if (this.#plot !== null && width > 0 && width !== this.#plot.width) this.#plot.setSize({ width, height: HEIGHT });
  }

  #options(lines) {
    const write = (value) => (value === null || value === undefined ? "–" : byUnit(value, this.unit));
    const series = lines.flatMap((line, index) => {
      const colour = css(COLOURS[index % COLOURS.length]);
      return [
        { label: line.label, stroke: colour, width: 1.5, value: (_, value) => write(value), points: { show: false } },
        { label: `${line.label}, lowest`, stroke: "transparent", points: { show: false } },
        { label: `${line.label}, highest`, stroke: "transparent", points: { show: false } },
      ];
    });
    const bands = lines.map((_, index) => ({ series: [3 * index + 3, 3 * index + 2], fill: `${css(COLOURS[index % COLOURS.length])}26` }));
    const times = (_, moments, axis, space, step) => moments.map((at) => (step >= 86400 ? day(at) : clock(at).slice(0, step < 60 ? 8 : 5)));
    const axis = { stroke: css("--muted"), grid: { stroke: css("--rule"), width: 1 }, ticks: { stroke: css("--rule"), width: 1 }, font: "11px system-ui, sans-serif" };
    return {
      width: Math.max(200, this.place.clientWidth),
      height: HEIGHT,
      series: [{ label: "time", value: (_, at) => (at === null ? "–" : `${day(at)} ${clock(at)}`) }, ...series],
      bands,
      axes: [{ ...axis, values: times, space: 70, size: 28 }, { ...axis, size: 66, incrs: this.unit?.startsWith("By") ? BINARY_STEPS : undefined, values: (_, values) => values.map((value) => label(value, this.unit)) }],
      scales: { x: { time: true }, y: { range: (_, low, high) => range(low, high, this.unit) } },
      cursor: { drag: { x: true, y: false, setScale: false }, sync: { key: this.#cursor }, points: { size: 5 } },
      legend: { live: true },
      hooks: { setSelect: [(plot) => this.#selected(plot)] },
    };
  }

  #selected(plot) {
    if (plot.select.width < 4) return;
    const from = plot.posToVal(plot.select.left, "x");
    const to = plot.posToVal(plot.select.left + plot.select.width, "x");
    plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
    if (to - from >= 20) this.#zoom(from, to);
  }
}

function label(value, unit) {
  return unit?.startsWith("By") ? size(value) : byUnit(value, unit);
}

function range(low, high, unit) {
  if (unit === "%") return [0, Math.max(100, high ?? 0)];
  if (low === null || high === null) return [0, 1];
  const bottom = low >= 0 && low < high * 0.5 ? 0 : low - (high - low) * 0.1;
  return [bottom, high === bottom ? high + 1 : high + (high - bottom) * 0.08];
}
