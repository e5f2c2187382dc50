// The meters: CPU, memory, GPUs, the worst disk and the network, each with its last hour.

import { h } from "../dom.js";
import { percent, plain, size, UNKNOWN } from "../format.js";
import { isRealDisk, isRealInterface } from "../kinds.js";
import { momentOf } from "../router.js";
import { seriesName } from "../series.js";

const GPUS_ONE_BY_ONE = 4;

export function meters(app) {
  const all = [...cpuAndMemory(app), ...gpus(app), ...disk(app), ...network(app)];
  app.sparks.want(app.route.host, all.flatMap((one) => (one.series ? [one.series] : [])).slice(0, 20), momentOf(app.route));
  return h("div", { key: "meters", class: "meters" }, all.map((one) => meter(app, one)));
}

function meter(app, { label, value, text, title, warn = Infinity, bad = Infinity, series, href, top = 100 }) {
  const known = value !== null && value !== undefined;
  const level = known && value >= bad ? "bad" : known && value >= warn ? "warn" : "";
  return h(
    "a",
    { class: `meter ${level}`, href, title, key: label },
    h("span", { class: "meter-label" }, label),
    h("span", { class: "meter-value" }, text ?? (known ? `${percent(value)} %` : UNKNOWN), level ? h("span", { class: "sign", "aria-label": "high" }, " ⚠") : null),
    series ? app.sparks.line(series, top) : null,
    top === 100 ? h("span", { class: "gauge", role: "meter", "aria-label": label, "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": known ? Math.round(value) : null, "aria-valuetext": known ? null : "unknown" }, h("span", { class: "gauge-fill", style: { width: `${known ? Math.min(100, Math.max(0, value)) : 0}%` } })) : null,
  );
}

function cpuAndMemory(app) {
  const { cpu = {}, memory = {} } = app.session.twin.rest.hardware ?? {};
  const load = cpu.load_average ? `load ${cpu.load_average.map((one) => one.toFixed(2)).join(" ")}` : "";
  const wait = cpu.times?.iowait > 1 ? ` · ${percent(cpu.times.iowait)} % waiting for I/O` : "";
  return [
    { label: "CPU", value: cpu.usage_percent, title: `${plain(cpu.model ?? "")}\n${load}${wait}`, series: "cpu.usage", href: app.link("charts") },
    { label: "memory", value: memory.usage_percent, title: `${size(memory.used)} of ${size(memory.total)}${memory.swap ? ` · swap ${size(memory.swap.used)} of ${size(memory.swap.total)}` : ""}`, warn: 90, bad: 97, series: "memory.usage", href: app.link("charts") },
  ];
}

function gpus(app) {
  const all = app.session.twin.gpus().map(({ gpu }) => gpu);
  if (all.length <= GPUS_ONE_BY_ONE) return all.map((gpu, index) => one(app, gpu, index));
  const busy = all.map((gpu) => gpu.utilization_percent).filter((value) => value !== undefined);
  const mean = busy.length > 0 ? busy.reduce((total, value) => total + value, 0) / busy.length : null;
  const used = all.reduce((total, gpu) => total + (gpu.memory_used ?? 0), 0);
  return [{ label: `${all.length} GPUs`, value: mean, title: `${size(used)} of their memory in use`, href: app.link("gpus") }];
}

function one(app, gpu, index) {
  const lost = gpu.status && gpu.status !== "ok";
  return {
    label: `GPU ${gpu.index ?? index}`,
    value: gpu.utilization_percent,
    text: lost ? plain(gpu.status) : undefined,
    title: `${plain(gpu.name ?? "")}\n${size(gpu.memory_used)} of ${size(gpu.memory_total)}${gpu.temperature_celsius === undefined ? "" : ` · ${gpu.temperature_celsius} °C`}`,
    series: seriesName("gpu", gpu.uuid, "utilization"),
    href: app.link("gpus", gpu.uuid),
  };
}

function disk(app) {
  const disks = app.session.twin.list("hardware.disks").filter((each) => isRealDisk(each) && each.usage_percent !== undefined);
  if (disks.length === 0) return [];
  const worst = disks.reduce((a, b) => (b.usage_percent > a.usage_percent ? b : a));
  const name = plain(worst.mountpoint, 24);
  return [{ label: `disk ${name}`, value: worst.usage_percent, title: `${size(worst.free)} free of ${size(worst.total)}; the fullest of ${disks.length}`, warn: 90, bad: 97, series: seriesName("disk", worst.mountpoint, "usage"), href: app.link("disks") }];
}

function network(app) {
  const all = app.session.twin.list("hardware.network").filter(isRealInterface);
  const rates = all.map((each) => (each.rx_bytes_per_second ?? 0) + (each.tx_bytes_per_second ?? 0));
  const known = all.some((each) => each.rx_bytes_per_second !== undefined);
  const busiest = all[rates.indexOf(Math.max(...rates))];
  const total = rates.reduce((sum, each) => sum + each, 0);
  const title = all.map((each) => `${plain(each.name)}: ${size(each.rx_bytes_per_second)}/s in, ${size(each.tx_bytes_per_second)}/s out`).slice(0, 8).join("\n");
  return [{ label: "net", value: known ? total : null, text: known ? `${size(total)}/s` : UNKNOWN, title, series: busiest ? seriesName("network", busiest.name, "rx") : null, top: null, href: app.link("network") }];
}
