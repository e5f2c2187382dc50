// The bar of time: drag, arrow keys or a typed moment take the whole page there; two handles compare.

import { ApiError, get, hostPath, now } from "./api.js";
import { h, morph, say } from "./dom.js";
import { asked, clock, day, duration, exact, moment, plain, seconds } from "./format.js";
import { ACCEPTED, parseMoment } from "./moments.js";

const SPANS = [["1 h", 3600], ["6 h", 21600], ["24 h", 86400], ["7 d", 604800], ["30 d", 2592000]];
const TICKS = [300, 900, 1800, 3600, 10800, 21600, 43200, 86400, 259200, 604800];
const REFRESH_SECONDS = 60;
const MOST_EVENTS = 500;
const LIVE_EDGE = 0.995; // a handle that is let go of here means live
const RANK = { critical: 3, warning: 2, notice: 1, info: 0 };

export class TimeBar {
  /** travel(at or null, final) and compare(from, to or null, final) are called as handles move. */
  constructor({ travel, compare }) {
    this.element = h("footer", { class: "timebar", role: "group", "aria-label": "Time" });
    this.span = 21600;
    this.#travel = travel;
    this.#compare = compare;
  }

  #travel;
  #compare;
  #session = null;
  #route = null;
  #end = null; // right end where it is not now
  #events = [];
  #moments = null;
  #read = 0;
  #reading = null;
  #dragged = null;
  #problem = "";
  #fitted = false; // the span was chosen by hand, or to suit what is kept

  get at() {
    return this.#session?.at ?? null;
  }

  update(session, route) {
    if (session !== this.#session) {
      this.#events = [];
      this.#moments = null;
      this.#end = null;
      this.#read = 0;
      this.#fitted = false;
    }
    this.#session = session;
    this.#route = route;
    if (this.at !== null && !this.#dragged) this.#keepInSight(this.at);
    if (this.at === null && !this.#comparing()) this.#end = null;
    if (now() - this.#read > REFRESH_SECONDS) this.#readAll();
    this.#paint();
  }

  /** Events of the span and those heard since, newest first. */
  get events() {
    const heard = (this.#session?.events ?? []).filter((event) => !this.#events.some((one) => one.id === event.id));
    return [...heard, ...this.#events];
  }

  /** Go to the next event after the moment that is shown, or the one before it. */
  toEvent(step) {
    const here = this.at ?? Infinity;
    const moments = this.events.filter((event) => event.severity !== "info" || this.#quiet()).map((event) => seconds(event.at)).sort((a, b) => a - b);
    const next = step > 0 ? moments.find((at) => at > here + 0.5) : moments.findLast((at) => at < here - 0.5);
    if (next === undefined) {
      say("No further event in this span.");
      if (step > 0) this.#travel(null, true);
      return;
    }
    const event = this.events.find((one) => seconds(one.at) === next);
    this.#travel(asked(event.at), true);
    say(plain(event.text));
  }

  /** Move by a share of the span. */
  step(share) {
    const at = (this.at ?? now()) + share * this.span;
    this.#travel(at >= now() - 1 ? null : at, true);
  }

  #quiet() {
    return !this.events.some((event) => event.severity !== "info");
  }

  #comparing() {
    return this.#route?.section === "compare";
  }

  #range() {
    const end = this.#end ?? now();
    return { begin: end - this.span, end };
  }

  #keepInSight(at) {
    const { begin, end } = this.#range();
    if (at < begin || at > end) {
      this.#end = Math.min(now(), at + this.span / 2);
      this.#read = 0;
    }
  }

  async #readAll() {
    this.#read = now();
    const { begin, end } = this.#range();
    const session = this.#session;
    const reading = (this.#reading = Symbol("reading"));
    const query = { from: begin, to: end };
    try {
      const [events, moments] = await Promise.all([
        get(hostPath(session.host, "/events"), { ...query, limit: MOST_EVENTS }),
        get(hostPath(session.host, "/moments"), query),
      ]);
      if (this.#reading !== reading || session !== this.#session) return;
      this.#events = events.events;
      this.#moments = moments;
      this.#fit(seconds(moments.first));
      this.#paint();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error; // that the bridge is away is said in the head
    }
  }

  /** A machine that has just been met gets a bar that is not all before its time. */
  #fit(first) {
    const young = first !== null && now() - first < SPANS[0][1];
    if (!this.#fitted && young && this.at === null && !this.#comparing()) this.span = SPANS[0][1];
    this.#fitted = true;
  }

  #zoom(span) {
    this.#fitted = true;
    const centre = this.at;
    this.span = span;
    this.#end = centre === null ? null : Math.min(now(), centre + span / 2);
    this.#read = 0;
    this.update(this.#session, this.#route);
  }

  #typed(event) {
    event.preventDefault();
    const input = event.target.querySelector("input");
    const at = parseMoment(input.value, now());
    this.#problem = at === null ? `Not understood. Try: ${ACCEPTED}` : at !== "live" && at > now() ? "That is still to come." : "";
    if (this.#problem === "") {
      input.value = "";
      input.blur();
      this.#travel(at === "live" ? null : at, true);
    } else say(this.#problem);
    this.#paint();
  }

  #timeAt(event, track) {
    const box = track.getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    const { begin, end } = this.#range();
    return this.#end === null && share >= LIVE_EDGE ? null : begin + share * (end - begin);
  }

  #pressed(event) {
    if (event.button !== 0) return;
    const track = this.element.querySelector(".track");
    event.preventDefault();
    // Captured: the drag goes on where the pointer leaves the bar.
    track.setPointerCapture(event.pointerId);
    const first = this.#timeAt(event, track);
    this.#dragged = this.#nearest(first);
    const range = this.#range();
    if (this.#end === null) this.#end = range.end; // the bar stands still under the hand
    this.#drag(this.#timeAt(event, track), false);
    const move = (moved) => this.#drag(this.#timeAt(moved, track), false);
    const up = (last) => {
      track.removeEventListener("pointermove", move);
      const at = this.#timeAt(last, track);
      const atEnd = now() - range.end < 3600 && at !== null && at >= range.end - (1 - LIVE_EDGE) * this.span;
      if (now() - range.end < 3600) this.#end = null;
      this.#drag(atEnd ? null : at, true);
      this.#dragged = null;
      this.#paint();
    };
    track.addEventListener("pointermove", move);
    track.addEventListener("pointerup", up, { once: true });
    track.addEventListener("pointercancel", up, { once: true });
    this.element.querySelector(".handle.to")?.focus({ preventScroll: true });
  }

  #nearest(at) {
    if (!this.#comparing()) return "at";
    const { from, to } = this.#pair();
    return Math.abs((at ?? now()) - from) <= Math.abs((at ?? now()) - (to ?? now())) ? "from" : "to";
  }

  #pair() {
    return { from: Number(this.#route.query.from ?? now() - 3600), to: this.#route.query.to ? Number(this.#route.query.to) : null };
  }

  #drag(at, final) {
    if (this.#dragged === "at") this.#travel(at, final);
    else {
      const { from, to } = this.#pair();
      const [first, second] = this.#dragged === "from" ? [at ?? now(), to] : [from, at];
      const swapped = second !== null && first > second;
      this.#compare(swapped ? second : first, swapped ? first : second, final);
    }
  }

  #keyed(event, which) {
    const step = event.shiftKey ? 0.1 : 0.01;
    const moves = { ArrowLeft: -step, ArrowRight: step, PageDown: -0.1, PageUp: 0.1 };
    const { begin } = this.#range();
    if (event.key in moves || event.key === "Home" || event.key === "End") {
      event.preventDefault();
      event.stopPropagation();
      const here = which === "at" ? this.at : which === "from" ? this.#pair().from : this.#pair().to;
      const to = event.key === "Home" ? begin : event.key === "End" ? now() : (here ?? now()) + moves[event.key] * this.span;
      this.#dragged = which;
      this.#drag(to >= now() - 1 ? null : to, true);
      this.#dragged = null;
    }
  }

  #paint() {
    if (this.#session === null) return;
    const { begin, end } = this.#range();
    const place = (at) => `${(100 * (at - begin)) / (end - begin)}%`;
    const within = (at) => at >= begin && at <= end;
    const picture = h(
      "footer",
      { class: `timebar${this.at === null ? "" : " past"}` },
      h(
        "form",
        { class: "when", onsubmit: (event) => this.#typed(event) },
        h("input", { type: "text", name: "moment", "aria-label": `Go to a moment: ${ACCEPTED}`, placeholder: "yesterday 14:00", autocomplete: "off", spellcheck: "false", title: ACCEPTED, class: this.#problem ? "wrong" : "", oninput: () => this.#clearProblem() }),
        this.#problem ? h("div", { class: "when-problem", role: "alert" }, this.#problem) : null,
      ),
      h(
        "div",
        { class: "track", onpointerdown: (event) => this.#pressed(event) },
        this.#gaps(begin, end).map(({ from, to }) => h("div", { class: "gap", title: `nothing was heard ${clock(from)} – ${clock(to)} (${duration(to - from)})`, style: { left: place(from), width: `${(100 * (to - from)) / (end - begin)}%` } })),
        ticks(begin, end).map(({ at, label }) => h("div", { class: "tick", style: { left: place(at) } }, h("span", {}, label))),
        this.#marks(begin, end).map((mark) => h("div", { class: `mark ${mark.severity}`, title: mark.title, style: { left: place(mark.at) } })),
        this.#handles(place, within),
      ),
      h("div", { class: "bar-buttons" }, this.#spanChoice(), this.#compareButton(), this.#liveButton()),
    );
    picture.setAttribute("role", "group");
    picture.setAttribute("aria-label", "Time");
    morph(this.element, picture);
  }

  #clearProblem() {
    if (this.#problem === "") return;
    this.#problem = "";
    this.#paint();
  }

  #handles(place, within) {
    const handle = (which, at, label) =>
      h("div", {
        key: which,
        class: `handle ${which === "from" ? "from" : "to"}${at === null ? " live" : ""}${at !== null && !within(at) ? " outside" : ""}`,
        role: "slider",
        tabindex: "0",
        "aria-label": label,
        "aria-valuemin": Math.round(this.#range().begin),
        "aria-valuemax": Math.round(this.#range().end),
        "aria-valuenow": Math.round(at ?? now()),
        "aria-valuetext": at === null ? "live" : moment(at),
        title: at === null ? "live: drag to see the past" : exact(at),
        style: { left: at === null ? "100%" : place(Math.min(this.#range().end, Math.max(this.#range().begin, at))) },
        onkeydown: (event) => this.#keyed(event, which),
      });
    if (!this.#comparing()) return [handle("at", this.at, "Moment shown")];
    const { from, to } = this.#pair();
    const range = h("div", { key: "range", class: "range", style: { left: place(from), right: `${100 - parseFloat(place(to ?? now()))}%` } });
    return [range, handle("from", from, "Compare from"), handle("to", to, "Compare to")];
  }

  #gaps(begin, end) {
    const all = (this.#moments?.gaps ?? []).map((gap) => ({ from: seconds(gap.from), to: seconds(gap.to) }));
    const first = seconds(this.#moments?.first);
    if (first !== null && first > begin) all.unshift({ from: begin, to: first });
    return all.map(({ from, to }) => ({ from: Math.max(begin, from), to: Math.min(end, to) })).filter(({ from, to }) => to > from);
  }

  #marks(begin, end) {
    const slots = new Map();
    for (const event of this.events) {
      const at = seconds(event.at);
      if (at === null || at < begin || at > end) continue;
      const slot = Math.floor((240 * (at - begin)) / (end - begin));
      const mark = slots.get(slot) ?? { at, severity: event.severity, texts: [] };
      if (RANK[event.severity] > RANK[mark.severity]) Object.assign(mark, { severity: event.severity, at });
      mark.texts.push(`${clock(at)} ${plain(event.text, 100)}`);
      slots.set(slot, mark);
    }
    return [...slots.values()].map((mark) => ({ ...mark, title: [...mark.texts.slice(0, 6), mark.texts.length > 6 ? `and ${mark.texts.length - 6} more` : null].filter(Boolean).join("\n") }));
  }

  #spanChoice() {
    return h(
      "select",
      { "aria-label": "Span of the time bar", value: String(this.span), onchange: (event) => this.#zoom(Number(event.target.value)) },
      SPANS.map(([label, span]) => h("option", { value: span, selected: span === this.span }, label)),
    );
  }

  #compareButton() {
    const on = this.#comparing();
    return h("button", { type: "button", "aria-pressed": String(on), class: "compare-button", title: "What changed between two moments", onclick: () => (on ? this.#travel(this.at, true, true) : this.#compare(this.at ?? now() - Math.min(3600, this.span), null, true)) }, "compare");
  }

  #liveButton() {
    return h("button", { type: "button", class: "live-button", disabled: this.at === null && !this.#comparing(), title: "Back to live (l)", onclick: () => this.#travel(null, true, true) }, this.at === null ? "live" : "▸ live");
  }
}

function ticks(begin, end) {
  const step = TICKS.find((one) => (end - begin) / one <= 8) ?? TICKS.at(-1);
  const offset = new Date(begin * 1000).getTimezoneOffset() * 60;
  const found = [];
  // None so near the end that its label would be cut off.
  for (let at = Math.ceil((begin - offset) / step) * step + offset; at < end - 0.02 * (end - begin); at += step) {
    found.push({ at, label: step >= 86400 ? day(at) : clock(at).slice(0, 5) });
  }
  return found;
}
