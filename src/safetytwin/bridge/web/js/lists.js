// The tables: which columns each kind of item has, and where its items are.

import { now } from "./api.js";
import { ago, commandLine, exact, grouped, mebibytes, percent, plain, seconds, size, UNKNOWN } from "./format.js";
import { isContainer, isUnit } from "./kinds.js";
import { serviceKey } from "./problems.js";
import { Table } from "./table.js";

const text = (label, id, width, read, more = {}) => ({ id, label, width, text: (item) => { const value = read(item); return value === null || value === undefined || value === "" ? UNKNOWN : plain(value); }, ...more });
const number = (label, unit, id, width, read, write, more = {}) => ({ id, label, unit, width, number: true, sort: (item) => read(item) ?? null, text: (item) => write(read(item)), ...more });
const whole = (value) => grouped(value);
const time = (label, id, width, read, more = {}) => ({ id, label, width, number: true, sort: (item) => seconds(read(item)), text: (item) => ago(seconds(read(item)), now()), title: (item) => exact(seconds(read(item))), ...more });

const TROUBLE = { failed: "bad", dead: "bad", unhealthy: "bad", lost: "bad", restarting: "warn", activating: "warn", exited: "", zombie: "warn", "disk-sleep": "warn", stale: "warn", denied: "warn", down: "muted" };
const byStatus = (read) => (item) => TROUBLE[read(item)] ?? "";

export const portsText = (ports) =>
  (ports ?? []).filter((port) => port.host_port).map((port) => `${port.host_ip && port.host_ip !== "0.0.0.0" && port.host_ip !== "::" ? `${port.host_ip}:` : ""}${port.host_port}→${port.container_port}`).filter((one, index, all) => all.indexOf(one) === index).join(" ");

export const LISTS = {
  processes: {
    label: "Processes",
    path: "processes",
    keyOf: (item) => `${item.pid}/${item.start_ticks}`,
    sort: { id: "cpu", descending: true },
    columns: [
      text("name", "name", "minmax(110px, 1.2fr)", (item) => item.name, { title: (item) => commandLine(item.cmdline) || plain(item.name) }),
      number("pid", "", "pid", "64px", (item) => item.pid, String, { rank: 350 }),
      number("CPU", "%", "cpu", "62px", (item) => item.cpu_percent, percent, { about: "of one core, between two looks" }),
      number("memory", "MiB", "memory", "92px", (item) => item.memory_info?.rss, mebibytes, { about: "resident" }),
      number("GPU", "MiB", "gpu", "76px", (item) => gpuMemory(item), mebibytes, { rank: 620, hidden: (items) => !items.some((item) => item.gpu?.length) }),
      text("user", "user", "84px", (item) => item.username, { rank: 430 }),
      text("belongs to", "service", "minmax(90px, .8fr)", (item) => item.service?.replace(/^[^/]*\//, "").slice(0, 60), { rank: 640, title: (item) => plain(item.service ?? "") }),
      number("threads", "", "threads", "74px", (item) => item.num_threads, whole, { rank: 900 }),
      time("started", "started", "92px", (item) => item.create_time, { rank: 760 }),
      text("state", "status", "84px", (item) => item.status, { rank: 900, class: byStatus((item) => item.status) }),
      text("command", "command", "minmax(120px, 2fr)", (item) => commandLine(item.cmdline, 300) || (item.kernel_thread ? "[kernel]" : ""), { rank: 700 }),
    ],
  },
  services: {
    label: "Services",
    path: "services",
    only: isUnit,
    keyOf: serviceKey,
    sort: { id: "status", descending: false },
    collectors: ["systemd", "init_scripts"],
    none: "No service manager that SafetyTwin knows runs here.",
    columns: [
      text("unit", "name", "minmax(130px, 1.4fr)", (item) => item.name, { title: (item) => plain(item.description ?? item.name) }),
      text("status", "status", "130px", (item) => [item.status, item.sub_status].filter(Boolean).join(" · "), { sort: (item) => statusRank(item), class: byStatus((item) => item.status), title: (item) => [item.result, item.load_state].filter(Boolean).map((one) => plain(one)).join(" · ") }),
      number("CPU", "%", "cpu", "62px", (item) => item.cpu_percent, percent),
      number("memory", "MiB", "memory", "96px", (item) => item.memory, mebibytes, { rank: 400 }),
      number("pid", "", "pid", "72px", (item) => item.pid, (pid) => (pid ? String(pid) : UNKNOWN), { rank: 560 }),
      number("tasks", "", "tasks", "58px", (item) => item.tasks, whole, { rank: 700 }),
      number("restarts", "", "restarts", "74px", (item) => item.restarts, whole, { rank: 700 }),
      time("since", "since", "92px", (item) => item.start_time, { rank: 480 }),
      text("enabled", "enabled", "80px", (item) => item.unit_file_state, { rank: 760 }),
      text("description", "description", "minmax(120px, 1.6fr)", (item) => item.description, { rank: 860 }),
    ],
  },
  containers: {
    label: "Containers",
    path: "services",
    only: isContainer,
    keyOf: serviceKey,
    sort: { id: "name", descending: false },
    collectors: ["docker", "podman", "cgroup_containers"],
    none: "No container engine was found, or it has no containers.",
    columns: [
      text("container", "name", "minmax(110px, 1fr)", (item) => item.name, { title: (item) => plain(`${item.type} ${item.id}`) }),
      text("status", "status", "122px", (item) => [item.status, item.health && item.health !== "healthy" ? item.health : null, item.status === "exited" && item.exit_code !== null ? `code ${item.exit_code ?? "?"}` : null].filter(Boolean).join(" · "), { class: (item) => (item.health === "unhealthy" ? "bad" : item.status === "exited" && item.exit_code > 0 ? "warn" : byStatus((one) => one.status)(item)) }),
      number("CPU", "%", "cpu", "62px", (item) => item.cpu_percent, percent, { rank: 400 }),
      number("memory", "MiB", "memory", "96px", (item) => item.memory, mebibytes),
      text("image", "image", "minmax(110px, 1.2fr)", (item) => item.image, { rank: 430 }),
      text("ports", "ports", "minmax(90px, .8fr)", (item) => portsText(item.ports), { rank: 620 }),
      number("restarts", "", "restarts", "74px", (item) => item.restarts, whole, { rank: 760 }),
      time("since", "since", "92px", (item) => item.start_time, { rank: 560 }),
      text("engine", "engine", "80px", (item) => item.type, { rank: 820 }),
    ],
  },
  models: {
    label: "Models",
    path: "ai.models",
    keyOf: (item) => item.id,
    sort: { id: "size", descending: true },
    none: "No models were found on this machine.",
    columns: [
      text("model", "name", "minmax(150px, 1.6fr)", (item) => item.name ?? item.id, { title: (item) => plain(item.path ?? item.id) }),
      text("state", "state", "86px", (item) => item.problem ? "broken" : item.state?.replace("_", " "), { class: (item) => (item.problem ? "warn" : ""), title: (item) => plain(item.problem ?? item.state ?? "") }),
      text("architecture", "architecture", "100px", (item) => item.architecture, { rank: 700 }),
      number("parameters", "B", "parameters", "94px", (item) => item.parameters, (value) => (value === null || value === undefined ? UNKNOWN : (value / 1e9).toFixed(value < 1e10 ? 2 : 1)), { rank: 560 }),
      text("quantization", "quantization", "100px", (item) => item.quantization, { rank: 480 }),
      number("context", "tokens", "context", "100px", (item) => item.context_length, whole, { rank: 800 }),
      number("size", "GiB", "size", "72px", (item) => item.size, (value) => (value === null || value === undefined ? UNKNOWN : (value / 2 ** 30).toFixed(2))),
      text("format", "format", "90px", (item) => item.format, { rank: 640 }),
      text("where", "path", "minmax(140px, 1.5fr)", (item) => item.path ?? item.store, { rank: 900 }),
    ],
  },
  disks: {
    label: "Disks",
    path: "hardware.disks",
    keyOf: (item) => item.mountpoint,
    sort: { id: "usage", descending: true },
    collectors: ["disks"],
    none: "No mounts that hold data were found.",
    columns: [
      text("mounted on", "name", "minmax(110px, 1fr)", (item) => item.mountpoint),
      number("in use", "%", "usage", "74px", (item) => item.usage_percent, percent, { class: (item) => (item.kind === "image" || !(item.usage_percent >= 90) ? "" : item.usage_percent >= 97 ? "bad" : "warn") }),
      number("used", "GiB", "used", "80px", (item) => item.used, gibibytes),
      number("free", "GiB", "free", "80px", (item) => item.free, gibibytes, { rank: 420 }),
      number("size", "GiB", "size", "80px", (item) => item.total, gibibytes, { rank: 480 }),
      number("inodes", "%", "inodes", "74px", (item) => (item.inodes_total ? (100 * item.inodes_used) / item.inodes_total : null), percent, { rank: 620 }),
      text("type", "type", "84px", (item) => item.fstype, { rank: 560 }),
      text("device", "device", "minmax(110px, 1fr)", (item) => item.device, { rank: 540 }),
      text("state", "status", "76px", (item) => (item.read_only ? "read-only" : item.status), { rank: 700, class: byStatus((item) => item.status) }),
    ],
  },
  network: {
    label: "Network",
    path: "hardware.network",
    keyOf: (item) => item.name,
    sort: { id: "rx", descending: true },
    collectors: ["network"],
    none: "No network interfaces were found.",
    columns: [
      text("interface", "name", "minmax(90px, .8fr)", (item) => item.name),
      text("state", "state", "92px", (item) => item.operstate, { class: byStatus((item) => item.operstate) }),
      number("received", "/s", "rx", "92px", (item) => item.rx_bytes_per_second, size),
      number("sent", "/s", "tx", "92px", (item) => item.tx_bytes_per_second, size),
      text("addresses", "addresses", "minmax(130px, 1.6fr)", (item) => (item.addresses ?? []).map((one) => `${one.address}/${one.prefix ?? "?"}`).join("  "), { rank: 470 }),
      text("kind", "kind", "86px", (item) => item.kind, { rank: 620 }),
      number("speed", "Mbit/s", "speed", "100px", (item) => item.speed_mbps, whole, { rank: 760 }),
      number("errors", "", "errors", "64px", (item) => sum([item.rx_errors, item.tx_errors]), whole, { rank: 700 }),
      number("dropped", "", "dropped", "74px", (item) => sum([item.rx_dropped, item.tx_dropped]), whole, { rank: 820 }),
      text("mac", "mac", "136px", (item) => item.mac, { rank: 900 }),
    ],
  },
  sensors: {
    label: "Sensors",
    path: "hardware.sensors",
    keyOf: (item) => item.id,
    sort: { id: "kind", descending: false },
    collectors: ["sensors"],
    none: "This machine has no sensors that can be read.",
    columns: [
      text("sensor", "name", "minmax(130px, 1.4fr)", (item) => item.label ?? item.id, { title: (item) => plain(item.id) }),
      text("kind", "kind", "100px", (item) => item.kind),
      number("reading", "", "value", "110px", (item) => item.value, (value) => (value === null || value === undefined ? UNKNOWN : String(Number(value.toFixed(2)))), { class: (item) => (item.critical && item.value >= item.critical ? "bad" : item.high && item.value >= item.high ? "warn" : "") }),
      text("unit", "unit", "56px", (item) => ({ Cel: "°C" })[item.unit] ?? item.unit),
      number("high", "", "high", "80px", (item) => item.high, (value) => (value === null || value === undefined ? UNKNOWN : String(value)), { rank: 480 }),
      number("critical", "", "critical", "80px", (item) => item.critical, (value) => (value === null || value === undefined ? UNKNOWN : String(value)), { rank: 560 }),
      text("chip", "id", "minmax(150px, 1fr)", (item) => item.id, { rank: 640 }),
    ],
  },
};

/** The items of a list in a twin. */
export function itemsOf(list, twin) {
  const items = twin.list(list.path);
  return list.only === undefined ? items : items.filter(list.only);
}

/** A table of a list whose rows lead to each item's own view. */
export function tableOf(app, section, more = {}) {
  const list = LISTS[section];
  return new Table({ label: list.label, columns: list.columns, keyOf: list.keyOf, hrefOf: (item) => app.link(section, list.keyOf(item)), sort: list.sort, onOrder: () => app.draw(), ...more });
}

const gpuMemory = (process) => (process.gpu?.length ? sum(process.gpu.map((one) => one.memory)) : null);

function sum(values) {
  const known = values.filter((value) => value !== null && value !== undefined);
  return known.length > 0 ? known.reduce((total, value) => total + value, 0) : null;
}

function gibibytes(value) {
  return value === null || value === undefined ? UNKNOWN : (value / 2 ** 30).toFixed(value < 10 * 2 ** 30 ? 2 : 1);
}

function statusRank(service) {
  const rank = ["failed", "activating", "deactivating", "reloading", "active", "inactive"].indexOf(service.status);
  const running = service.sub_status === "running" ? 0 : 1;
  return `${rank < 0 ? 9 : rank}${running}${service.name}`;
}

