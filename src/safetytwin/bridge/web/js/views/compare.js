// What changed between two moments, grouped by kind.

import { ApiError, get, getState, hostPath, now } from "../api.js";
import { h } from "../dom.js";
import { collectionOf, fieldsOf } from "../fields.js";
import { asked, byUnit, commandLine, duration, exact, moment, plain, seconds } from "../format.js";
import { isContainer } from "../kinds.js";
import { href, written } from "../router.js";
import { Twin } from "../twin.js";
import { eventLines } from "./events.js";

const KINDS = [["ai.workloads", "AI workloads"], ["ai.models", "Models"], ["services", "Services and containers"], ["processes", "Processes"], ["hardware.disks", "Disks"], ["hardware.network", "Network"], ["hardware.block_devices", "Block devices"], ["hardware.sensors", "Sensors"], ["hardware.cpu.cores", "CPUs"]];
const SECTIONS = { processes: "processes", "ai.workloads": "workloads", "ai.models": "models", "hardware.disks": "disks", "hardware.network": "network", "hardware.sensors": "sensors" };
const QUICK = [["1 h", 3600], ["6 h", 21600], ["24 h", 86400], ["7 d", 604800]];
const MOST_LINES = 100;

export function compareView(app) {
  const part = app.part("compare", () => ({ wanted: null, found: null, error: null, reading: false }));
  const { query } = app.route;
  const from = Number(query.from ?? now() - 3600);
  const to = query.to ? Number(query.to) : null;
  const wanted = JSON.stringify([app.route.host, query.from, query.to]);
  if (wanted !== part.wanted) read(app, part, wanted, from, to);
  return h(
    "section",
    { class: "panel alone compare" },
    h(
      "div",
      { class: "panel-head" },
      h("h2", {}, "What changed from ", h("span", { class: "moment", title: exact(from) }, moment(from)), " to ", h("span", { class: "moment", title: exact(to) }, to === null ? "now" : moment(to)), h("span", { class: "muted" }, ` (${duration((to ?? now()) - from)})`)),
      h("div", { class: "tools" }, QUICK.map(([label, span]) => h("button", { type: "button", onclick: () => app.compare((to ?? now()) - span, to) }, label))),
    ),
    h("div", { class: "scroll pad" }, body(app, part)),
  );
}

function body(app, part) {
  if (part.error !== null) return h("p", { class: "bad" }, plain(part.error.message));
  if (part.found === null) return h("p", { class: "muted", role: "status" }, "Comparing …");
  const { groups, events, from, to, begins } = part.found;
  const note = h("p", { class: "muted" }, begins === null ? "" : `The record begins ${moment(begins)}. `, `Compared: the look of ${moment(seconds(from.at))} and the one of ${moment(seconds(to.at))}. `, h("a", { href: href(app.route.host, null, null, { at: written(asked(from.at)) }) }, "as it was before"), " · ", h("a", { href: href(app.route.host, null, null, { at: written(asked(to.at)) }) }, "as it was after"));
  if (groups.length === 0 && events.length === 0) return [note, h("p", {}, "Nothing that matters changed between the two. Figures that move by themselves are left out.")];
  return [
    note,
    events.length > 0 ? h("section", {}, h("h3", {}, "What happened", h("span", { class: "count" }, ` ${events.length}`)), eventLines(app, events.slice(0, MOST_LINES)), rest(events)) : null,
    groups.map(({ title, lines }) => h("section", { key: title }, h("h3", {}, title, h("span", { class: "count" }, ` ${lines.length}`)), h("ul", { class: "changes" }, lines.slice(0, MOST_LINES).map((one) => line(app, one, to))), rest(lines))),
  ];
}

const rest = (all) => (all.length > MOST_LINES ? h("p", { class: "muted" }, `and ${all.length - MOST_LINES} more`) : null);

function line(app, one, to) {
  const query = { at: one.sign === "−" ? null : written(asked(to.at)) };
  const name = one.section ? h("a", { href: href(app.route.host, one.section, one.key, query) }, one.name) : one.name;
  return h(
    "li",
    { class: { "+": "added", "−": "removed", "~": "altered" }[one.sign] },
    h("span", { class: "sign", title: { "+": "came", "−": "went", "~": "changed" }[one.sign] }, one.sign),
    h("span", {}, name, one.more ? h("span", { class: "muted" }, ` ${one.more}`) : null, (one.fields ?? []).map((field) => h("div", { class: "altered-field" }, h("span", { class: "muted" }, `${field.name} `), h("del", {}, field.before), " → ", h("ins", {}, field.after)))),
  );
}

async function read(app, part, wanted, from, to) {
  part.wanted = wanted;
  part.error = null;
  try {
    const { first } = await get(hostPath(app.route.host, "/moments"));
    const begin = Math.max(from, asked(first) ?? from);
    const answer = await get(hostPath(app.route.host, "/diff"), { from: begin, to: to ?? undefined });
    if (part.wanted !== wanted) return;
    const before = new Twin((await getState(app.route.host, asked(answer.from.at))).state);
    if (part.wanted !== wanted) return;
    part.found = { ...answer, begins: begin > from ? begin : null, groups: groupsOf(before, answer.change ?? {}) };
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (part.wanted === wanted) part.error = error;
  }
  app.draw();
}

function groupsOf(before, change) {
  const groups = [];
  const machine = [...differences(change.state ?? {}, before.rest, "SystemState", "")];
  if (machine.length > 0) groups.push({ title: "The machine", lines: machine.map((field) => ({ sign: "~", name: field.name, fields: [{ ...field, name: "" }] })) });
  const paths = Object.keys(change.collections ?? {});
  const place = (path) => { const index = KINDS.findIndex(([one]) => one === path); return index < 0 ? KINDS.length : index; };
  for (const path of paths.sort((a, b) => place(a) - place(b))) {
    const lines = [...itemLines(path, change.collections[path], before)];
    if (lines.length > 0) groups.push({ title: KINDS.find(([one]) => one === path)?.[1] ?? (path.startsWith("hardware.gpu.") ? "GPUs" : path), lines });
  }
  return groups;
}

function* itemLines(path, change, before) {
  const { record, identity } = collectionOf(path);
  for (const [key, patch] of Object.entries(change.changed ?? {})) {
    const item = before.item(path, key) ?? {};
    yield { sign: "~", ...naming(path, key, item), fields: [...differences(patch, item, record, "")] };
  }
  for (const item of change.added ?? []) {
    const key = identity.length === 1 ? String(item[identity[0]]) : identity.map((name) => item[name]).join("/");
    yield { sign: "+", ...naming(path, key, item), more: more(path, item) };
  }
  for (const key of change.removed ?? []) {
    const item = before.item(path, key) ?? {};
    yield { sign: "−", ...naming(path, key, item), more: more(path, item) };
  }
}

function naming(path, key, item) {
  const section = path === "services" ? (item.type && isContainer(item) ? "containers" : "services") : path.startsWith("hardware.gpu.") ? "gpus" : SECTIONS[path];
  const name = path === "processes" ? `${item.name ?? ""} ${item.pid ?? key}` : (item.name ?? item.mountpoint ?? item.label ?? key);
  return { key, section, name: plain(name, 100) };
}

function more(path, item) {
  if (path === "processes") return commandLine(item.cmdline, 120);
  if (path === "services") return plain([item.status, item.image].filter(Boolean).join(" · "), 100);
  return "";
}

function* differences(patch, before, record, prefix) {
  const fields = fieldsOf(record);
  for (const [name, value] of Object.entries(patch)) {
    const field = fields[name];
    const old = before?.[name];
    const isRecord = value !== null && typeof value === "object" && !Array.isArray(value);
    if (Array.isArray(value) && value.length === 0 && Array.isArray(old) && old.length === 0) continue;
    if (isRecord && old !== null && typeof old === "object") yield* differences(value, old, field?.record, `${prefix}${name} `);
    else yield { name: plain(`${prefix}${name}`.replaceAll("_", " ")), before: shown(old, field), after: shown(value, field) };
  }
}

const shown = (value, field) => (value === null || value === undefined ? "unknown" : Array.isArray(value) && value.every((one) => typeof one !== "object") ? plain(value.join(" "), 200) : byUnit(value, field?.unit).slice(0, 200));

