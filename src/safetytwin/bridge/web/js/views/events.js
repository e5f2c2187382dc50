// Events: of one machine or of all, with filters; each line leads to its moment and to what it happened to.

import { ApiError, get, hostPath, now } from "../api.js";
import { h } from "../dom.js";
import { ago, clock, day, exact, plain, seconds } from "../format.js";
import { href } from "../router.js";

const PAGE = 200;
const SEVERITIES = ["info", "notice", "warning", "critical"];
const FAMILIES = ["host", "process", "unit", "container", "workload", "model", "disk", "interface", "gpu", "hardware", "agent"];
const SECTIONS = { processes: "processes", services: "services", "ai.workloads": "workloads", "ai.models": "models", "hardware.disks": "disks", "hardware.network": "network" };

export function eventsView(app) {
  const part = app.part("events", () => new EventList(app));
  part.follow();
  const { query } = app.route;
  const words = (query.words ?? "").toLowerCase();
  const lowest = SEVERITIES.indexOf(query.severity ?? "info");
  const found = part.events.filter((event) => SEVERITIES.indexOf(event.severity) >= lowest && (!words || `${event.text} ${event.kind} ${event.subject}`.toLowerCase().includes(words)));
  return h("section", { key: "events", class: "panel alone events" }, h("div", { class: "panel-head" }, h("h2", {}, "Events"), filters(app)), part.error ? h("p", { class: "bad pad" }, plain(part.error.message)) : null, body(part, app, found));
}

function body(part, app, found) {
  if (found.length === 0) return h("p", { class: "muted pad" }, part.reading ? "Reading events …" : "No event fits.");
  return h("div", { class: "scroll" }, eventLines(app, found), part.next ? h("p", { class: "pad" }, h("button", { type: "button", disabled: part.reading, onclick: () => part.older() }, "older")) : null);
}

function filters(app) {
  const { query } = app.route;
  const set = (name, value) => {
    const { at, ...rest } = { ...query, [name]: value };
    app.go(app.session === null ? `/events${search(rest)}` : app.link("events", null, { ...rest, at }), { replace: true });
  };
  const choice = (name, label, options) => h("select", { "aria-label": label, value: query[name] ?? "", onchange: (event) => set(name, event.target.value) }, options.map(([value, text]) => h("option", { value, selected: (query[name] ?? "") === value }, text)));
  return h(
    "div",
    { class: "tools" },
    choice("kind", "Kind", [["", "all kinds"], ...FAMILIES.map((name) => [`${name}.*`, name])]),
    choice("severity", "Severity", [["", "any severity"], ["notice", "notice and worse"], ["warning", "warning and worse"], ["critical", "critical"]]),
    h("input", { type: "search", class: "filter", "aria-label": "Only events with these words", placeholder: "filter", value: query.words ?? "", spellcheck: "false", oninput: (event) => set("words", event.target.value) }),
  );
}

function search(query) {
  const given = new URLSearchParams(Object.entries(query).filter(([, value]) => value));
  return given.size > 0 ? `?${given}` : "";
}

export function eventLines(app, events) {
  const lines = [];
  let shownDay = "";
  for (const event of events) {
    const at = seconds(event.at);
    if (day(at) !== shownDay) {
      shownDay = day(at);
      lines.push(h("h3", { key: `day ${shownDay}` }, shownDay));
    }
    lines.push(line(app, event, at));
  }
  return h("div", { class: "event-lines" }, lines);
}

function line(app, event, at) {
  const host = event.host_id ?? app.route.host;
  return h(
    "div",
    { key: `${event.id}`, class: `event ${event.severity}` },
    h("a", { class: "time", href: href(host, null, null, { at: Math.ceil(at) }), title: `${exact(at)}\nthe machine at this moment` }, clock(at)),
    h("span", { class: "severity", title: event.severity }, { critical: "✕", warning: "⚠", notice: "•", info: "·" }[event.severity], h("span", { class: "unseen" }, ` ${event.severity} `)),
    app.session === null ? h("a", { class: "event-host", href: href(host) }, plain(app.fleet.named(host)?.hostname ?? host, 30)) : null,
    h("a", { class: "text", href: subjectHref(host, event, at), title: event.kind }, plain(event.text, 300)),
    event.count > 1 ? h("span", { class: "muted count" }, `× ${event.count}`) : null,
    h("span", { class: "muted age" }, ago(at, now())),
  );
}

/** The view of what an event happened to, at its moment; the machine's where it has none of its own. */
function subjectHref(host, event, at) {
  const query = { at: Math.ceil(at) };
  for (const [path, section] of Object.entries(SECTIONS)) {
    if (!event.subject.startsWith(`${path}/`)) continue;
    const key = event.subject.slice(path.length + 1);
    const container = section === "services" && event.kind.startsWith("container.");
    return href(host, container ? "containers" : section, key, query);
  }
  const gpu = /^hardware\.gpu\.[^/]+\/(.+)$/s.exec(event.subject);
  return gpu === null ? href(host, null, null, query) : href(host, "gpus", gpu[1], query);
}

/** The events of a machine (or all) up to the moment shown, read in pages; what is heard live comes on top. */
class EventList {
  constructor(app) {
    this.app = app;
    this.read = [];
    this.next = null;
    this.reading = false;
    this.error = null;
  }

  #for = null;

  get events() {
    const session = this.app.session;
    const heard = (session?.at === null ? session.events : []).filter((event) => fits(event, this.app.route.query.kind) && !this.read.some((one) => one.id === event.id));
    return [...heard, ...this.read];
  }

  follow() {
    const { route, session } = this.app;
    const wanted = JSON.stringify([route.host ?? null, route.query.kind, route.query.subject, session?.at ?? null, session?.resumed]);
    if (wanted === this.#for) return;
    this.#for = wanted;
    this.read = [];
    this.next = null;
    this.#page(wanted, undefined);
  }

  older() {
    this.#page(this.#for, this.next);
  }

  async #page(wanted, cursor) {
    const { route, session } = this.app;
    this.reading = true;
    this.error = null;
    try {
      const path = route.host ? hostPath(route.host, "/events") : "/api/v1/events";
      const answer = await get(path, { kind: route.query.kind, subject: route.query.subject, to: session?.at ?? undefined, limit: PAGE, cursor });
      if (wanted !== this.#for) return;
      this.read = [...this.read, ...answer.events];
      this.next = answer.next;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.error = error;
    } finally {
      this.reading = false;
      this.app.draw();
    }
  }
}

const fits = (event, kind) => !kind || event.kind === kind || (kind.endsWith(".*") && event.kind.startsWith(kind.slice(0, -1)));
