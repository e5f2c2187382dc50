// One item: what matters of it first, what it belongs to, then every field that is known, with its unit and meaning.

import { now } from "../api.js";
import { h, own } from "../dom.js";
import { collectionOf, fieldsOf } from "../fields.js";
import { ago, byUnit, commandLine, duration, exact, moment, percent, plain, seconds, size, several } from "../format.js";
import { isContainer } from "../kinds.js";
import { LISTS, portsText } from "../lists.js";
import { gpuProcesses } from "./gpus.js";
import { seriesName } from "../series.js";
import { LineCharts } from "./line_charts.js";

const TIMES = new Set(["create_time", "start_time", "created", "timestamp", "last_seen", "boot_time"]);

export function itemView(app, section, key) {
  const found = find(app, section, key);
  if (found === null) return missing(app, section, key);
  const { item, record, path } = found;
  const describe = DESCRIBE[section] ?? (() => []);
  return h(
    "article",
    { class: "item", key: `${section} ${key}` },
    h("h2", {}, h("span", { class: "muted" }, `${NOUNS[section] ?? section} `), title(section, item)),
    describe(app, item),
    charts(app, section, item),
    h("section", {}, h("h3", {}, "All that is known"), fieldList(app, record, item)),
    h("p", {}, h("a", { href: app.link("events", null, { subject: `${path}/${key}` }) }, "events of this")),
  );
}

const NOUNS = { processes: "process", services: "unit", containers: "container", models: "model", gpus: "GPU", disks: "disk", network: "interface", sensors: "sensor" };

function find(app, section, key) {
  const { twin } = app.session;
  if (section === "gpus") {
    const found = twin.gpus().find(({ gpu }) => gpu.uuid === key);
    return found === undefined ? null : { item: found.gpu, record: "Gpu", path: found.path };
  }
  const { path } = LISTS[section];
  const item = twin.item(path, key) ?? twin.list(path).find((one) => LISTS[section].keyOf(one) === key);
  return item ? { item, record: collectionOf(path).record, path } : null;
}

function missing(app, section, key) {
  return h("section", { class: "notice" }, h("h2", {}, `This ${NOUNS[section]} is not there ${app.session.live ? "now" : "at this moment"}.`), h("p", { class: "muted" }, plain(key)), h("p", {}, h("a", { href: app.link("events", null, { subject: `${LISTS[section]?.path ?? section}/${key}`, at: null }) }, "What happened to it"), " · ", h("a", { href: app.link(section) }, `all ${section}`)));
}

const title = (section, item) => plain(section === "gpus" ? `${item.index ?? ""} ${item.name ?? item.uuid}` : section === "disks" ? item.mountpoint : section === "processes" ? `${item.name} ${item.pid}` : (item.label ?? item.name ?? item.id), 120);

const fact = (name, value) => (value === null || value === undefined || value === "" ? null : [h("dt", {}, name), h("dd", {}, value)]);
const facts = (...all) => h("dl", { class: "facts" }, all);

const DESCRIBE = { processes: process, services: service, containers: service, gpus: gpu, models: model, disks: disk };

function process(app, item) {
  const { twin } = app.session;
  const parent = twin.list("processes").find((one) => one.pid === item.ppid);
  const children = twin.list("processes").filter((one) => one.ppid === item.pid && one.pid !== item.pid);
  const owner = item.service ? twin.item("services", item.service) : null;
  const workload = twin.list("ai.workloads").find((one) => one.pid === item.pid || one.workers?.includes(item.pid));
  return [
    h("pre", { class: "command" }, commandLine(item.cmdline, 4000) || plain(item.exe ?? item.name)),
    facts(
      fact("CPU", item.cpu_percent === undefined ? "not yet known" : `${percent(item.cpu_percent)} % of one core`),
      fact("memory", `${size(item.memory_info?.rss)} resident`),
      fact("started", item.create_time ? h("span", { title: exact(seconds(item.create_time)) }, `${moment(seconds(item.create_time))}, ${ago(seconds(item.create_time), app.session.shownAt ?? now())}`) : null),
      fact("user", item.username ? plain(item.username) : null),
      fact("workload", workload ? h("a", { href: app.link("workloads", workload.id) }, plain(workload.name ?? workload.engine ?? workload.role)) : null),
      fact("belongs to", item.service ? (owner ? serviceLink(app, owner, item.service) : plain(item.service)) : null),
      fact("parent", parent ? processLink(app, parent) : item.ppid ? `${item.ppid}, out of sight` : null),
      fact(several(children.length, "child", "children"), children.length > 0 ? children.slice(0, 30).map((one, index) => [index > 0 ? ", " : "", processLink(app, one)]) : null),
      fact("GPU", item.gpu?.length ? item.gpu.map((held) => h("a", { href: app.link("gpus", held.uuid) }, `${plain(held.uuid, 24)} ${size(held.memory)} `)) : null),
      fact("sockets", item.connections?.length ? item.connections.slice(0, 40).map((one) => h("div", {}, plain(socket(one)))) : null),
    ),
  ];
}

const socket = (one) => `${one.type} ${one.local_address ?? "*"}:${one.local_port ?? "*"}${one.remote_address ? ` → ${one.remote_address}:${one.remote_port ?? ""}` : ""} ${one.status ?? ""}`;

const processLink = (app, one) => h("a", { href: app.link("processes", `${one.pid}/${one.start_ticks}`) }, `${plain(one.name)} ${one.pid}`);
const serviceLink = (app, one, key) => h("a", { href: app.link(isContainer(one) ? "containers" : "services", key) }, plain(one.name));

function service(app, item) {
  const { twin } = app.session;
  const key = LISTS.services.keyOf(item);
  const processes = twin.list("processes").filter((one) => one.service === key);
  const main = twin.list("processes").find((one) => one.pid === item.pid);
  const state = [item.status, item.sub_status, item.health].filter(Boolean).join(" · ");
  const trouble = item.status === "failed" || item.status === "dead" || item.health === "unhealthy";
  return facts(
    fact("status", h("span", { class: trouble ? "bad" : "" }, plain(state))),
    fact("result", item.result && item.result !== "success" ? h("span", { class: "bad" }, plain(item.result)) : null),
    fact("exit code", item.exit_code ?? null),
    fact("description", item.description ? plain(item.description) : null),
    fact("image", item.image ? plain(item.image) : null),
    fact("ports", item.ports?.length ? plain(portsText(item.ports) || "none published") : null),
    fact("since", item.start_time ? h("span", { title: exact(seconds(item.start_time)) }, `${moment(seconds(item.start_time))}${item.uptime_seconds ? `, ${duration(item.uptime_seconds)}` : ""}`) : null),
    fact("restarts", item.restarts ?? null),
    fact("main process", main ? processLink(app, main) : item.pid ? String(item.pid) : null),
    fact(several(processes.length, "process", "processes"), processes.length > 0 ? processes.slice(0, 40).map((one, index) => [index > 0 ? ", " : "", processLink(app, one)]) : null),
    fact("mounts", item.volumes?.length ? item.volumes.map((one) => h("div", {}, plain(`${one.target} ← ${one.source ?? one.kind}${one.read_only ? ", read-only" : ""}`))) : null),
  );
}

function gpu(app, item) {
  return [item.status && item.status !== "ok" ? h("p", { class: "bad" }, plain(`${item.status}${item.error ? `: ${item.error}` : ""}`)) : null, h("section", {}, h("h3", {}, "Who uses it"), gpuProcesses(app, item))];
}

function model(app, item) {
  const { twin } = app.session;
  const users = (item.used_by ?? []).map((key) => twin.item("ai.workloads", key)).filter(Boolean);
  return [
    item.problem ? h("p", { class: "warn" }, `⚠ ${plain(item.problem)}`) : null,
    facts(
      fact("state", plain((item.state ?? "–").replace("_", " "))),
      fact("used by", users.length > 0 ? users.map((one, index) => [index > 0 ? ", " : "", h("a", { href: app.link("workloads", one.id) }, plain(one.name ?? one.engine ?? one.role))]) : "no workload that is running"),
      fact("named by", item.name_source ? plain(item.name_source) : null),
    ),
  ];
}

function disk(app, item) {
  return facts(fact("in use", `${size(item.used)} of ${size(item.total)}, ${percent(item.usage_percent)} %`), fact("free", size(item.free)), item.bind_of ? fact("same as", h("a", { href: app.link("disks", item.bind_of) }, plain(item.bind_of))) : null);
}

function charts(app, section, item) {
  const names = {
    gpus: () => [["busy", "%", "utilization"], ["memory", "By", "memory"], ["temperature", "Cel", "temperature"], ["power", "W", "power"]].map(([label, unit, gauge]) => [label, unit, [seriesName("gpu", item.uuid, gauge)]]),
    disks: () => [["in use", "%", [seriesName("disk", item.mountpoint, "usage")]]],
    network: () => [["traffic", "By/s", [seriesName("network", item.name, "rx"), seriesName("network", item.name, "tx")]]],
  }[section]?.();
  if (names === undefined) return null;
  const part = app.part(`charts of ${section} ${LISTS[section]?.keyOf(item) ?? item.uuid}`, () => new LineCharts(app, names));
  part.follow();
  return own(part.element);
}

/** Every field of a record that has a value; what is nested is shown below its name. */
export function fieldList(app, record, item, without = []) {
  const fields = fieldsOf(record);
  const names = [...Object.keys(fields), ...Object.keys(item).filter((name) => !(name in fields))];
  return h(
    "dl",
    { class: "fields" },
    names.filter((name) => item[name] !== undefined && item[name] !== null && !without.includes(name)).map((name) => [h("dt", { title: fields[name]?.about }, plain(name.replaceAll("_", " "))), h("dd", {}, value(app, fields[name], name, item[name]))]),
  );
}

function value(app, field, name, given) {
  if (TIMES.has(name) && typeof given === "string") return h("span", { title: plain(given) }, `${moment(seconds(given))}, ${ago(seconds(given), app.session.shownAt ?? now())}`);
  if (Array.isArray(given)) return list(app, field, given);
  if (given !== null && typeof given === "object") {
    if (field?.record) return fieldList(app, field.record, given);
    return h("dl", { class: "fields" }, Object.entries(given).map(([key, one]) => [h("dt", {}, plain(key)), h("dd", {}, byUnit(one, field?.unit))]));
  }
  return byUnit(given, field?.unit);
}

const MOST = 200;

function list(app, field, given) {
  if (given.length === 0) return h("span", { class: "muted" }, "none");
  if (field?.record) return given.slice(0, MOST).map((one) => h("div", { class: "nested" }, line(field.record, one)));
  return given.every((one) => typeof one !== "object") ? plain(given.map(String).join("  "), 4000) : plain(JSON.stringify(given), 4000);
}

function line(record, one) {
  const fields = fieldsOf(record);
  return Object.entries(one).map(([name, each]) => `${name.replaceAll("_", " ")} ${byUnit(each, fields[name]?.unit)}`).map((text) => plain(text, 300)).join(" · ");
}
