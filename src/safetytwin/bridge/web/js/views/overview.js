// One machine at a glance: AI workloads first, processes, services and containers side by side.

import { h, own } from "../dom.js";
import { isContainer, isUnit } from "../kinds.js";
import { LISTS, itemsOf, tableOf } from "../lists.js";
import { emptyText } from "../words.js";
import { eventLines } from "./events.js";
import { processPanel } from "./processes.js";
import { workloadRows } from "./workloads.js";

export function overview(app) {
  const { twin } = app.session;
  const workloads = twin.list("ai.workloads");
  return [
    workloads.length > 0 ? h("section", { key: "ai", class: "panel ai" }, h("h2", {}, h("a", { href: app.link("workloads") }, "AI workloads"), h("span", { class: "count" }, ` ${workloads.length}`)), workloadRows(app, workloads)) : null,
    h("div", { key: "columns", class: "columns" }, processPanel(app, "overview"), side(app)),
  ];
}

function side(app) {
  const part = app.part("side", () => ({ tab: null }));
  const services = app.session.twin.list("services");
  const units = services.filter(isUnit);
  const containers = services.filter(isContainer);
  const usual = units.length > 0 ? "services" : containers.length > 0 ? "containers" : "disks";
  const chosen = part.tab ?? usual;
  const failed = units.filter((one) => one.status === "failed").length;
  const unhealthy = containers.filter((one) => one.health === "unhealthy" || one.status === "dead").length;
  const tab = (name, label, number, trouble) =>
    h("button", { type: "button", role: "tab", id: `tab-${name}`, "aria-selected": String(chosen === name), "aria-controls": "side", onclick: () => { part.tab = name; app.draw(); } }, label, number === null ? null : h("span", { class: "count" }, ` ${number}`), trouble ? h("span", { class: "bad" }, ` · ${trouble}`) : null);
  return h(
    "section",
    { key: "side", class: "panel side" },
    h("div", { class: "tabs", role: "tablist", "aria-label": "Services, containers, events" }, tab("services", "Services", units.length, failed ? `${failed} failed` : ""), tab("containers", "Containers", containers.length, unhealthy ? `${unhealthy} unhealthy` : ""), tab("disks", "Disks", itemsOf(LISTS.disks, app.session.twin).length, ""), tab("events", "Events", null, "")),
    h("div", { id: "side", role: "tabpanel", "aria-labelledby": `tab-${chosen}`, class: "panel-body", key: chosen }, chosen === "events" ? events(app) : list(app, chosen)),
  );
}

function list(app, section) {
  const { twin } = app.session;
  const table = app.part(`side ${section}`, () => tableOf(app, section));
  table.update(itemsOf(LISTS[section], twin), { empty: emptyText(twin, LISTS[section].collectors, LISTS[section].none), fresh: freshKeys(app, LISTS[section].path) });
  return own(table.element);
}

function events(app) {
  const found = app.timebar.events.filter((event) => app.session.at === null || Date.parse(event.at) / 1000 <= app.session.at);
  return found.length > 0 ? eventLines(app, found.slice(0, 60)) : h("p", { class: "muted pad" }, "No event in the span of the time bar.");
}

const LIT_SECONDS = 2;

/** Keys of the items that have just come or changed, to be lit up once. */
export function freshKeys(app, path) {
  if (!app.session.live || app.session.looks < 2) return [];
  const since = app.session.heard - LIT_SECONDS;
  return [...(app.session.touched.get(path) ?? [])].filter(([, when]) => when > since).map(([key]) => key);
}

