// The last hour behind each meter: a small line of the series, carried on by what is heard live.

import { ApiError, get, hostPath, now } from "./api.js";
import { h } from "./dom.js";
import { namesAsked } from "./series.js";

const SPAN = 3600;
const POINTS = 60;
const REFRESH_SECONDS = 120;

export class Sparks {
  constructor(changed) {
    this.#changed = changed;
  }

  #changed;
  #for = null;
  #read = 0;
  #series = {};

  /** See that the series of these names up to a moment (null: now) are at hand. */
  want(host, names, at) {
    const wanted = JSON.stringify([host, [...names].sort(), at === null ? null : Math.round(at / 60)]);
    if (wanted === this.#for && (at !== null || now() - this.#read < REFRESH_SECONDS)) return;
    if (wanted !== this.#for) this.#series = {};
    this.#for = wanted;
    this.#read = now();
    this.#get(wanted, host, names, at);
  }

  async #get(wanted, host, names, at) {
    const to = at ?? now();
    try {
      const answer = await get(hostPath(host, "/series"), { names: namesAsked(names), from: to - SPAN, to, points: POINTS });
      if (wanted !== this.#for) return;
      this.#series = Object.fromEntries(Object.entries(answer.series).map(([name, one]) => [name, { at: one.at, mean: one.mean }]));
      this.#changed();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error; // a meter without its past is still a meter
    }
  }

  /** A line of a series; highest is the value at the top (null: the highest there is). */
  line(name, highest = null) {
    const series = this.#series[name];
    const points = series === undefined ? [] : series.at.map((at, index) => [at, series.mean[index]]).filter(([, value]) => value !== null);
    if (points.length < 2) return h("svg", { class: "spark", viewBox: "0 0 100 20", "aria-hidden": "true" });
    const first = points.at(-1)[0] - SPAN;
    const top = highest ?? Math.max(...points.map(([, value]) => value), 1);
    const path = points.map(([at, value], index) => `${index === 0 ? "M" : "L"}${((100 * (at - first)) / SPAN).toFixed(1)},${(19 - (18 * Math.min(value, top)) / top).toFixed(1)}`).join("");
    return h("svg", { class: "spark", viewBox: "0 0 100 20", preserveAspectRatio: "none", "aria-hidden": "true" }, h("path", { d: path }));
  }
}
