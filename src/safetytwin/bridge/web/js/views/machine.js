// One machine: its head is always there, below it the overview, a list, or one item.

import { now } from "../api.js";
import { h } from "../dom.js";
import { ago, clock, duration, exact, moment, plain, seconds, several, size } from "../format.js";
import { LISTS, itemsOf } from "../lists.js";
import { problemsOf, silenceText } from "../problems.js";
import { momentOf } from "../router.js";
import { shortHardware } from "../words.js";
import { agentView } from "./agent.js";
import { chartsView } from "./charts.js";
import { compareView } from "./compare.js";
import { eventsView } from "./events.js";
import { gpusView } from "./gpus.js";
import { itemView } from "./item.js";
import { listView } from "./list.js";
import { meters } from "./meters.js";
import { overview } from "./overview.js";
import { machineProblem, loading } from "./states.js";
import { vmView } from "./vm.js";
import { workloadsView, workloadView } from "./workloads.js";

const LATE_LOOKS = 4; // intervals without a look after which the age is said in amber

export function machineView(app) {
  const { session } = app;
  app.currentTable = null;
  if (session.error !== null) return machineProblem(app, session.error);
  if (session.twin === null) return session.away === null ? loading(plain(app.route.host)) : [awayBanner(session), loading(plain(app.route.host))];
  return [banner(app), head(app), meters(app), troubles(app), places(app), h("div", { key: "section", class: "section" }, section(app))];
}

function section(app) {
  const { section: name, key } = app.route;
  if (name === null) return overview(app);
  if (name === "charts") return chartsView(app);
  if (name === "events") return eventsView(app);
  if (name === "compare") return compareView(app);
  if (name === "twin") return vmView(app);
  if (name === "agent") return agentView(app);
  if (name === "gpus" && key === null) return gpusView(app);
  if (name === "workloads") return key === null ? workloadsView(app) : workloadView(app);
  return key === null ? listView(app, name) : itemView(app, name, key);
}

function banner(app) {
  const { session } = app;
  if (session.away !== null) return awayBanner(session);
  const at = momentOf(app.route);
  if (at === null || app.route.section === "compare") return null;
  const looked = session.shownAt !== null && Math.abs(session.shownAt - at) >= 1 ? `look of ${clock(session.shownAt)}` : "";
  return h(
    "div",
    { key: "banner", class: `banner past-banner${session.waiting ? " waiting" : ""}`, role: "status" },
    h("strong", { title: exact(session.shownAt) }, `as it was on ${moment(at)}`),
    h("span", { class: "muted" }, `${ago(at, now())}${looked ? ` · ${looked}` : ""}${session.waiting ? " · reading …" : ""}`),
    h("button", { type: "button", onclick: () => app.travel(null) }, "back to live ", h("kbd", {}, "l")),
  );
}

function awayBanner(session) {
  return h("div", { key: "banner", class: "banner away-banner", role: "alert" }, h("strong", {}, "The bridge is away"), h("span", {}, `last heard ${session.heard === null ? "never" : `${duration(now() - session.heard)} ago`}; trying again`));
}

function head(app) {
  const { session } = app;
  const { twin } = session;
  const hardware = twin.rest.hardware ?? {};
  const gpus = twin.gpus().map(({ gpu }) => gpu);
  return h(
    "div",
    { class: "head", key: "head" },
    h("h1", {}, h("a", { href: app.link() }, plain(hardware.hostname ?? app.route.host, 60))),
    h("span", { class: "hardware" }, shortHardware(hardware, gpus, size)),
    h("span", { class: "status" }, status(app)),
    whatChanged(app),
  );
}

function status(app) {
  const { session } = app;
  if (!session.live) return null;
  const { row, silence } = session;
  const age = session.silence ?? (session.shownAt === null ? null : now() - session.shownAt);
  const interval = session.twin.rest.agent?.interval ?? 10;
  if (row?.status === "conflict") return h("span", { class: "bad", title: "A cloned machine: on one of the two run safetytwin agent --reset-identity" }, "conflict: two agents use this identity");
  if (session.silent) return h("span", { class: "bad" }, silenceText(silence));
  const late = age !== null && age > LATE_LOOKS * interval + 5;
  return h("span", { class: late ? "warn" : "live", title: exact(seconds(row?.received_at) ?? session.shownAt) }, h("span", { class: "dot", "aria-hidden": "true" }, "●"), late ? ` last look ${ago(now() - age, now())}` : ` live, ${age === null ? "" : ago(now() - age, now())}`);
}

function whatChanged(app) {
  const to = momentOf(app.route);
  const from = (to ?? now()) - 3600;
  const events = app.timebar.events.filter((event) => seconds(event.at) >= from && seconds(event.at) <= (to ?? Infinity)).length;
  return h("a", { class: "what-changed", href: app.link("compare", null, { from: Math.round(from / 60) * 60, to, at: null }) }, `what changed ▸ ${several(events, "event")} in 1 h`);
}

function troubles(app) {
  const found = problemsOf(app.session.twin);
  if (found.length === 0) return h("p", { key: "troubles", class: "troubles none" }, "nothing wrong seen");
  return h(
    "ul",
    { key: "troubles", class: "troubles", "aria-label": several(found.length, "problem") },
    found.slice(0, 12).map((one) => h("li", { class: one.severity }, h("a", { href: app.link(one.section, one.key ?? null, one.query), title: one.title }, h("span", { "aria-hidden": "true" }, one.severity === "bad" ? "✕ " : "⚠ "), one.text))),
    found.length > 12 ? h("li", {}, `and ${found.length - 12} more`) : null,
  );
}

function places(app) {
  const { twin } = app.session;
  const count = (name) => itemsOf(LISTS[name], twin).length;
  const entries = [
    [null, "overview"],
    ["workloads", "AI", twin.count("ai.workloads")],
    ["models", "models", count("models")],
    ["processes", "processes", count("processes")],
    ["services", "services", count("services")],
    ["containers", "containers", count("containers")],
    ["gpus", "GPUs", twin.gpus().length],
    ["disks", "disks", count("disks")],
    ["network", "network", count("network")],
    ["sensors", "sensors", count("sensors")],
    ["charts", "charts"],
    ["events", "events"],
    ["compare", "compare", undefined, { from: Math.round(((momentOf(app.route) ?? now()) - 3600) / 60) * 60, to: momentOf(app.route), at: null }],
    ["twin", "twin"],
    ["agent", "agent"],
  ];
  return h(
    "nav",
    { key: "places", class: "sections", "aria-label": "Parts of the machine" },
    entries.map(([name, label, number, query]) => h("a", { href: app.link(name, null, query ?? { from: null, to: null }), "aria-current": app.route.section === name ? "page" : null, class: number === 0 ? "empty" : "" }, label, number === undefined ? null : h("span", { class: "count" }, ` ${number}`))),
  );
}
