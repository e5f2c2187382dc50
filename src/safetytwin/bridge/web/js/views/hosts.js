// All machines at a glance.

import { now } from "../api.js";
import { h, own } from "../dom.js";
import { ago, exact, percent, plain, seconds, several, UNKNOWN } from "../format.js";
import { href } from "../router.js";
import { Table } from "../table.js";
import { loading, noMachines } from "./states.js";

const RANK = { conflict: 0, silent: 1, live: 2 };

export function hostsView(app) {
  app.fleet.follow().catch(() => {}); // told by app.fleet.error
  const { hosts } = app.fleet;
  if (hosts === null) return loading("machines");
  if (hosts.length === 0) return noMachines();
  const part = app.part("hosts", () => ({ words: "", table: makeTable(app) }));
  const words = part.words.toLowerCase().split(/\s+/).filter(Boolean);
  const shown = hosts.filter((row) => words.every((word) => text(row).includes(word)));
  part.table.update(shown, { empty: "No machine fits." });
  app.currentTable = part.table;
  const silent = hosts.filter((row) => row.status !== "live").length;
  const away = app.fleet.away === null ? null : h("div", { class: "banner away-banner", role: "alert" }, h("strong", {}, "The bridge is away"), h("span", {}, "trying again"));
  return [
    away,
    h(
      "section",
      { class: "panel alone" },
      h("div", { class: "panel-head" }, h("h1", {}, several(hosts.length, "machine"), silent > 0 ? h("span", { class: "bad" }, ` · ${silent} not heard`) : null), h("div", { class: "tools" }, h("input", { type: "search", class: "filter", "aria-label": "Only machines with these words", placeholder: "filter", value: part.words, oninput: (event) => { part.words = event.target.value; app.draw(); } }))),
      own(part.table.element),
    ),
  ];
}

const text = (row) => JSON.stringify([row.hostname, row.host_id, row.status, row.summary.os, row.summary.workloads]).toLowerCase();

function makeTable(app) {
  const number = (label, unit, id, width, read, write, more = {}) => ({ id, label, unit, width, number: true, sort: (row) => read(row) ?? null, text: (row) => write(read(row)), ...more });
  const count = (value) => (value === undefined || value === null ? UNKNOWN : String(value));
  return new Table({
    label: "Machines",
    keyOf: (row) => row.host_id,
    hrefOf: (row) => href(row.host_id),
    sort: { id: "status", descending: false },
    onOrder: () => app.draw(),
    rowClass: (row) => (row.status === "live" ? "" : "quiet"),
    columns: [
      { id: "name", label: "machine", width: "minmax(110px, 1.2fr)", text: (row) => plain(row.hostname ?? row.host_id), title: (row) => plain(row.host_id) },
      { id: "status", label: "status", width: "minmax(96px, .8fr)", sort: (row) => `${RANK[row.status]}${row.hostname ?? row.host_id}`, text: (row) => (row.status === "live" ? `live, ${ago(seconds(row.received_at), now())}` : row.status === "silent" ? `silent, ${ago(seconds(row.received_at), now())}` : row.status), class: (row) => (row.status === "live" ? "live" : "bad"), title: (row) => exact(seconds(row.received_at)) },
      number("CPU", "%", "cpu", "62px", (row) => row.summary.cpu_percent, percent),
      number("memory", "%", "memory", "82px", (row) => row.summary.memory_percent, percent, { class: (row) => (row.summary.memory_percent >= 97 ? "bad" : row.summary.memory_percent >= 90 ? "warn" : "") }),
      number("GPU", "%", "gpu", "66px", (row) => mean((row.summary.gpus ?? []).map((gpu) => gpu.utilization_percent)), percent, { rank: 620, title: (row) => (row.summary.gpus ?? []).map((gpu) => plain(gpu.name ?? "GPU")).join(", ") }),
      number("fullest disk", "%", "disk", "100px", (row) => row.summary.worst_disk?.usage_percent, percent, { rank: 480, title: (row) => plain(row.summary.worst_disk?.mountpoint ?? ""), class: (row) => (row.summary.worst_disk?.usage_percent >= 97 ? "bad" : row.summary.worst_disk?.usage_percent >= 90 ? "warn" : "") }),
      { id: "models", label: "models", width: "minmax(120px, 1.6fr)", rank: 640, text: (row) => models(row) || UNKNOWN },
      { id: "troubles", label: "troubles", width: "minmax(110px, 1.2fr)", rank: 400, sort: (row) => (troubles(row) ? `0${troubles(row)}` : "1"), text: (row) => troubles(row) || "none", class: (row) => (troubles(row) ? "warn" : "muted") },
      number("processes", "", "processes", "88px", (row) => row.summary.processes, count, { rank: 760 }),
      number("cores", "", "cores", "58px", (row) => row.summary.cores, count, { rank: 900 }),
      { id: "os", label: "system", width: "minmax(110px, 1fr)", rank: 860, text: (row) => plain(row.summary.os ?? UNKNOWN) },
    ],
  });
}

const mean = (values) => {
  const known = values.filter((value) => typeof value === "number");
  return known.length > 0 ? known.reduce((sum, value) => sum + value, 0) / known.length : null;
};

const models = (row) => plain((row.summary.workloads ?? []).map((one) => (one.models?.length ? one.models.join(", ") : (one.engine ?? one.role))).join(" · "), 120);

function troubles(row) {
  const { summary } = row;
  const found = [];
  if (summary.units_failed > 0) found.push(`${several(summary.units_failed, "unit")} failed`);
  if (summary.containers_unhealthy > 0) found.push(`${summary.containers_unhealthy} unhealthy`);
  if (summary.worst_disk?.usage_percent >= 90) found.push(`${plain(summary.worst_disk.mountpoint, 20)} ${percent(summary.worst_disk.usage_percent)} % full`);
  for (const gpu of summary.gpus ?? []) if (gpu.status && gpu.status !== "ok") found.push(`GPU ${plain(gpu.status)}`);
  if (summary.collectors_failing?.length > 0) found.push(`not seen: ${summary.collectors_failing.map((one) => plain(one, 20)).join(", ")}`);
  return found.join(" · ");
}
