// GPUs: a card for each, with who holds its memory.

import { h } from "../dom.js";
import { percent, plain, size, several } from "../format.js";
import { emptyText } from "../words.js";

export function gpusView(app) {
  const { twin } = app.session;
  const gpus = twin.gpus();
  if (gpus.length === 0) return h("section", { class: "notice" }, h("h2", {}, "No GPU"), h("p", {}, emptyText(twin, ["nvidia", "amd", "intel"], "This machine has no GPU that can be seen.")));
  return h("div", { class: "cards" }, gpus.map(({ gpu }) => card(app, gpu)));
}

function card(app, gpu) {
  const share = gpu.memory_total ? (100 * gpu.memory_used) / gpu.memory_total : null;
  return h(
    "section",
    { class: `panel card${gpu.status && gpu.status !== "ok" ? " trouble" : ""}`, key: gpu.uuid },
    h("h2", {}, h("a", { href: app.link("gpus", gpu.uuid) }, `GPU ${gpu.index ?? ""} ${plain(gpu.name ?? gpu.vendor)}`)),
    gpu.status && gpu.status !== "ok" ? h("p", { class: "bad" }, plain(`${gpu.status}${gpu.error ? `: ${gpu.error}` : ""}`)) : null,
    bar("busy", gpu.utilization_percent, `${percent(gpu.utilization_percent)} %`),
    bar("memory", share, `${size(gpu.memory_used)} of ${size(gpu.memory_total)}`),
    h("p", { class: "muted" }, [gpu.temperature_celsius === undefined ? null : `${gpu.temperature_celsius} °C`, gpu.power_watts === undefined ? null : `${Math.round(gpu.power_watts)} W${gpu.power_limit_watts ? ` of ${Math.round(gpu.power_limit_watts)} W` : ""}`, gpu.driver_version ? `driver ${plain(gpu.driver_version)}` : null, gpu.throttle_reasons?.length ? `held down: ${gpu.throttle_reasons.map((one) => plain(one)).join(", ")}` : null].filter(Boolean).join(" · ")),
    gpuProcesses(app, gpu),
  );
}

function bar(label, value, text) {
  const known = value !== null && value !== undefined && Number.isFinite(value);
  return h("div", { class: "bar-line" }, h("span", {}, label), h("span", { class: "gauge", role: "meter", "aria-label": label, "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": known ? Math.round(value) : null, "aria-valuetext": text }, h("span", { class: "gauge-fill", style: { width: `${known ? Math.min(100, value) : 0}%` } })), h("span", { class: "number" }, text));
}

/** Who the driver says a GPU works for. */
export function gpuProcesses(app, gpu) {
  if (!gpu.processes) return h("p", { class: "muted" }, "The driver does not say which processes it serves.");
  if (gpu.processes.length === 0) return h("p", { class: "muted" }, "No process uses it.");
  const processes = new Map(app.session.twin.list("processes").map((one) => [one.pid, one]));
  const rows = [...gpu.processes].sort((a, b) => (b.memory ?? 0) - (a.memory ?? 0));
  return h(
    "table",
    { class: "plain", "aria-label": several(rows.length, "process", "processes") },
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "process"), h("th", { scope: "col" }, "belongs to"), h("th", { scope: "col", class: "number" }, "memory MiB"), h("th", { scope: "col", class: "number" }, "busy %"))),
    h("tbody", {}, rows.map((use) => row(app, use, processes.get(use.pid)))),
  );
}

function row(app, use, process) {
  const name = `${plain(process?.name ?? "out of sight")} ${use.pid}`;
  return h(
    "tr",
    { key: `${use.pid}` },
    h("td", {}, process ? h("a", { href: app.link("processes", `${process.pid}/${process.start_ticks}`) }, name) : name),
    h("td", {}, plain(process?.service ?? "–", 60)),
    h("td", { class: "number" }, use.memory === undefined ? "–" : Math.round(use.memory / 1048576).toLocaleString("en")),
    h("td", { class: "number" }, percent(use.sm_percent)),
  );
}
