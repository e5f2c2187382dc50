// One search over everything of the machine that is shown, and over all machines.

import { h, own, morph } from "./dom.js";
import { commandLine, plain } from "./format.js";
import { isContainer } from "./kinds.js";
import { serviceKey } from "./problems.js";
import { href } from "./router.js";

const MOST = 14;

export class Search {
  constructor(app) {
    this.open = false;
    this.#app = app;
    this.input = h("input", {
      type: "search", role: "combobox", class: "search-input", "aria-label": "Search processes, units, containers, models and machines", "aria-controls": "found",
      "aria-expanded": "false", autocomplete: "off", spellcheck: "false", placeholder: "search processes, units, models, machines  ( / )",
      oninput: () => this.#typed(), onkeydown: (event) => this.#keyed(event), onfocus: () => this.#typed(),
    });
    this.list = h("div", { id: "found", role: "listbox", class: "found", "aria-label": "Found", hidden: true });
    this.element = h("div", { class: "search", role: "search" }, this.input, this.list);
    this.element.addEventListener("focusout", (event) => {
      if (!this.element.contains(event.relatedTarget)) this.close();
    });
  }

  #app;
  #found = [];
  #chosen = 0;

  view() {
    return own(this.element);
  }

  focus() {
    this.input.focus();
    this.input.select();
  }

  close() {
    this.open = false;
    this.input.blur();
    this.#show();
  }

  #typed() {
    const words = this.input.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    this.#found = words.length > 0 ? find(this.#app, words) : [];
    this.#chosen = 0;
    this.open = words.length > 0;
    this.#show();
  }

  #keyed(event) {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      this.#chosen = Math.max(0, Math.min(this.#found.length - 1, this.#chosen + (event.key === "ArrowDown" ? 1 : -1)));
      this.#show();
    } else if (event.key === "Enter" && this.#found.length > 0) {
      this.#app.go(this.#found[this.#chosen].address);
      this.close();
      this.input.value = "";
    } else return;
    event.preventDefault();
  }

  #show() {
    const shown = this.open && document.activeElement === this.input;
    this.input.setAttribute("aria-expanded", String(shown));
    if (shown && this.#found.length > 0) this.input.setAttribute("aria-activedescendant", `found-${this.#chosen}`);
    else this.input.removeAttribute("aria-activedescendant");
    const options = this.#found.map(({ what, text, more, address }, index) =>
      h("a", { id: `found-${index}`, role: "option", "aria-selected": String(index === this.#chosen), class: index === this.#chosen ? "chosen" : "", href: address, tabindex: "-1", onpointerdown: (event) => event.preventDefault(), onclick: () => this.close() }, h("span", { class: "what" }, what), h("span", { class: "text" }, text), h("span", { class: "more" }, more)),
    );
    const content = options.length > 0 ? options : h("div", { class: "nothing" }, "Nothing found.");
    morph(this.list, h("div", { id: "found", role: "listbox", class: "found", "aria-label": "Found", hidden: !shown }, content));
  }
}

function find(app, words) {
  const found = [];
  for (const entry of entries(app)) {
    const text = entry.in.toLowerCase();
    if (!words.every((word) => text.includes(word))) continue;
    const first = entry.text.toLowerCase();
    found.push({ ...entry, rank: first === words[0] ? 0 : first.startsWith(words[0]) ? 1 : first.includes(words[0]) ? 2 : 3 });
  }
  return found.sort((a, b) => a.rank - b.rank).slice(0, MOST);
}

function* entries(app) {
  for (const row of app.fleet.hosts ?? []) {
    yield { what: "machine", text: plain(row.hostname ?? row.host_id), more: row.status, in: `${row.hostname} ${row.host_id}`, address: href(row.host_id) };
  }
  const twin = app.session?.twin;
  if (!twin) return;
  for (const one of twin.list("ai.workloads")) {
    const models = (one.models ?? []).map((use) => use.name ?? use.id).join(", ");
    yield { what: "workload", text: plain(one.name ?? one.engine ?? one.id), more: plain(models), in: `${one.name} ${one.engine} ${one.role} ${models}`, address: app.link("workloads", one.id) };
  }
  for (const one of twin.list("ai.models")) {
    yield { what: "model", text: plain(one.name ?? one.id), more: plain(one.quantization ?? one.format ?? ""), in: `${one.name} ${one.id} ${one.architecture} ${one.quantization}`, address: app.link("models", one.id) };
  }
  for (const one of twin.list("services")) {
    const container = isContainer(one);
    yield { what: container ? "container" : "unit", text: plain(one.name), more: plain(one.image ?? one.description ?? ""), in: `${one.name} ${one.id} ${one.description ?? ""} ${one.image ?? ""}`, address: app.link(container ? "containers" : "services", serviceKey(one)) };
  }
  for (const one of twin.list("processes")) {
    const line = (one.cmdline ?? []).join(" ");
    yield { what: "process", text: plain(one.name), more: commandLine(one.cmdline, 120), in: `${one.pid} ${one.name} ${line} ${one.username ?? ""}`, address: app.link("processes", `${one.pid}/${one.start_ticks}`) };
  }
  for (const { gpu } of twin.gpus()) {
    yield { what: "GPU", text: plain(gpu.name ?? gpu.uuid), more: plain(gpu.uuid), in: `gpu ${gpu.index} ${gpu.name} ${gpu.uuid}`, address: app.link("gpus", gpu.uuid) };
  }
  for (const one of twin.list("hardware.disks")) {
    yield { what: "disk", text: plain(one.mountpoint), more: plain(one.device ?? ""), in: `${one.mountpoint} ${one.device}`, address: app.link("disks", one.mountpoint) };
  }
  for (const one of twin.list("hardware.network")) {
    const addresses = (one.addresses ?? []).map((each) => each.address).join(" ");
    yield { what: "interface", text: plain(one.name), more: plain(addresses), in: `${one.name} ${one.mac} ${addresses}`, address: app.link("network", one.name) };
  }
}
