// What a twin is to be, beside its machine, what differs and why, and what its console shows.

import { h } from "../dom.js";
import { grouped, plain, size, UNKNOWN } from "../format.js";

const MOST_ROWS = 200;
const IN_BYTES = new Set(["memory", "max_memory", "disk"]);

/** The shape beside the machine, with what it was scaled down by. */
export function shapePanel(machine, shape, leftOut) {
  const rows = [...shapeRows(machine, shape, leftOut)];
  return h(
    "section",
    { class: "panel", key: "shape" },
    h("div", { class: "panel-head" }, h("h2", {}, "Shape")),
    h(
      "div",
      { class: "vm-wide" },
      h(
        "table",
        { class: "plain vm-shape" },
        h("thead", {}, h("tr", {}, ["", "machine", "twin", ""].map((text) => h("th", { scope: "col" }, text)))),
        h("tbody", {}, rows.slice(0, MOST_ROWS).map((cells) => h("tr", { key: cells[0] }, h("th", { scope: "row" }, cells[0]), cells.slice(1).map((text) => h("td", {}, text))))),
      ),
    ),
    more(rows),
  );
}

function* shapeRows(machine, shape, leftOut) {
  const { cpu = {}, memory = {} } = machine.rest.hardware ?? {};
  const { sockets, cores, threads } = shape.topology;
  yield ["vCPUs", cpu.cores_logical === undefined ? UNKNOWN : `${grouped(cpu.cores_logical)}`, `${grouped(shape.vcpus)}, up to ${grouped(sockets * cores * threads)} while it runs`, scaled(leftOut, "vcpus")];
  yield ["memory", size(memory.total), `${size(shape.memory)}, up to ${size(shape.max_memory)} while it runs`, scaled(leftOut, "memory")];
  yield ["CPU model", plain(shape.cpu_model ?? UNKNOWN, 120), "as the bridge's machine has it", ""];
  yield ["firmware", "", `${shape.firmware === "efi" ? "UEFI" : "BIOS"}, ${plain(shape.machine)}, ${plain(shape.architecture)}`, ""];
  for (const disk of shape.disks) {
    const original = disk.of === undefined || disk.of === null ? null : machine.item("hardware.block_devices", disk.of);
    const own = disk.size === undefined || disk.size === null ? "as large as the image" : size(disk.size);
    yield [`disk ${plain(disk.serial, 60)}`, disk.of ? `${plain(disk.of, 60)} ${size(original?.size)}` : UNKNOWN, `${own}, thin`, ""];
  }
  for (const one of shape.interfaces ?? []) {
    const addresses = (one.addresses ?? []).map((address) => plain(address, 60)).join(" ");
    yield [`interface ${plain(one.of, 60)}`, addresses || UNKNOWN, plain(one.mac, 60), `on ${plain(shape.network, 60)}; addresses are noted, not set`];
  }
  for (const address of shape.passed_gpus ?? []) yield [`GPU ${plain(address, 60)}`, plain(address, 60), "passed through", ""];
}

function scaled(leftOut, what) {
  const line = leftOut.find((one) => one.what === what && typeof one.before === "number" && typeof one.after === "number" && one.after < one.before);
  if (line === undefined) return "";
  return h("span", { class: "warn" }, `scaled down to ${((100 * line.after) / line.before).toFixed(0)} %`);
}

/** What would be changed, what waits, what could not be followed and what never can be. */
export function planPanel(twin, plan, leftOut) {
  const groups = [
    [twin === null ? "What would be made" : "What differs now", plan, twin === null ? "" : "Nothing: the twin is as the machine."],
    ["Waits for the next boot", twin?.record.pending ?? [], ""],
    ["Drift: could not be followed", twin?.record.drift ?? [], ""],
    ["Not as the machine, and why", leftOut, ""],
  ].filter(([, lines, none]) => lines.length > 0 || none !== "");
  return h(
    "section",
    { class: "panel", key: "plan" },
    h("div", { class: "panel-head" }, h("h2", {}, "Plan")),
    h("div", { class: "pad vm-body" }, groups.map(([title, lines, none]) => h("div", { key: title, class: "vm-lines" }, h("h3", {}, title, lines.length > 0 ? h("span", { class: "count" }, ` ${lines.length}`) : null), lines.length === 0 ? h("p", { class: "muted" }, none) : lineTable(lines), more(lines)))),
  );
}

const WHEN = { live: "ok", "at next boot": "warn", cannot: "bad" };

function lineTable(lines) {
  return h(
    "div",
    { class: "vm-wide" },
    h(
      "table",
      { class: "plain" },
      h("tbody", {}, lines.slice(0, MOST_ROWS).map((line) => h("tr", {}, h("td", { class: `vm-when ${WHEN[line.when] ?? ""}` }, plain(line.when)), h("td", {}, [line.action === "leave" ? "" : line.action, line.what, line.item ?? ""].map((text) => plain(text, 120)).join(" ")), h("td", {}, difference(line)), h("td", {}, plain(line.reason ?? "", 2000))))),
    ),
  );
}

function difference(line) {
  const shown = (value) => (typeof value !== "number" ? plain(value, 200) : IN_BYTES.has(line.what) ? size(value) : grouped(value));
  const known = (value) => value !== undefined && value !== null;
  if (known(line.before) && known(line.after)) return `${shown(line.before)} → ${shown(line.after)}`;
  if (known(line.after)) return shown(line.after);
  return known(line.before) ? shown(line.before) : "";
}

const more = (all) => (all.length > MOST_ROWS ? h("p", { class: "muted pad" }, `and ${grouped(all.length - MOST_ROWS)} more`) : null);

export function consolePanel(lines) {
  const body = lines.length === 0 ? h("p", { class: "pad muted" }, "It has shown nothing yet.") : h("pre", { class: "vm-console", tabindex: "0", "aria-label": "Last lines of the console" }, lines.map((line) => plain(line, 1000)).join("\n"));
  return h("section", { class: "panel", key: "console" }, h("div", { class: "panel-head" }, h("h2", {}, "Console"), h("span", { class: "muted" }, "its last lines")), body);
}
