// The agent itself: what each collector could see, what it could not, and what would mend that.

import { h } from "../dom.js";
import { byUnit, duration, percent, plain, size } from "../format.js";
import { collectorHint } from "../words.js";

const LEVEL = { ok: "ok", absent: "muted", denied: "warn", timeout: "warn", stale: "warn", failed: "bad" };

export function agentView(app) {
  const { agent, boot_id: boot, host_id: host } = app.session.twin.rest;
  const facts = [
    ["version", plain(agent.version)],
    ["backend", plain(agent.backend)],
    ["interval", agent.interval ? duration(agent.interval) : "a single look"],
    ["runs as root", agent.root === undefined ? "–" : agent.root ? "yes" : "no: what belongs to others may be out of its sight"],
    ["a look takes", byUnit(agent.duration, "s")],
    ["its CPU", agent.cpu_percent === undefined ? "–" : `${percent(agent.cpu_percent)} % of one core`],
    ["its memory", size(agent.rss)],
    ["looks left out", agent.looks_skipped ?? "–"],
    ["frames waiting", agent.frames_spooled ?? "–"],
    ["frames dropped", agent.frames_dropped ?? "–"],
    ["switched off to stay light", agent.shed?.length ? agent.shed.map((one) => plain(one)).join(", ") : "nothing"],
    ["host id", plain(host)],
    ["boot id", plain(boot ?? "–")],
  ];
  const rows = Object.entries(agent.collectors ?? {}).sort(([a], [b]) => a.localeCompare(b));
  return h(
    "section",
    { key: "agent", class: "panel alone" },
    h("div", { class: "panel-head" }, h("h2", {}, "Agent")),
    h(
      "div",
      { class: "scroll pad" },
      h("dl", { class: "facts" }, facts.map(([name, value]) => [h("dt", {}, name), h("dd", {}, String(value))])),
      h("h3", {}, "What it looks at"),
      h(
        "table",
        { class: "plain" },
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "collector"), h("th", { scope: "col" }, "status"), h("th", { scope: "col", class: "number" }, "time ms"), h("th", { scope: "col" }, "what to know"))),
        h("tbody", {}, rows.map(([name, one]) => row(name, one))),
      ),
    ),
  );
}

function row(name, collector) {
  const { what, hint } = collectorHint(collector);
  const notes = (collector.notes ?? []).map((note) => plain(note));
  return h(
    "tr",
    { key: name },
    h("td", {}, plain(name)),
    h("td", { class: LEVEL[collector.status] ?? "" }, what),
    h("td", { class: "number" }, collector.duration === undefined ? "–" : (collector.duration * 1000).toFixed(1)),
    h("td", {}, [hint, ...notes].filter(Boolean).map((text) => h("div", {}, text))),
  );
}
