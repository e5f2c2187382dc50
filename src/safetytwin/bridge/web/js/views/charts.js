// All that is plotted of a machine.

import { ApiError, get, hostPath } from "../api.js";
import { h, own } from "../dom.js";
import { plain } from "../format.js";
import { parseSeries } from "../series.js";
import { LineCharts } from "./line_charts.js";

const MOST_LINES = 6;
const ORDER = ["cpu", "memory", "load", "network", "disk", "io", "gpu", "workload", "processes"];

const TITLES = {
  "cpu.usage": "CPU", "cpu.iowait": "CPU", "cpu.steal": "CPU", "load.1m": "load", "load.5m": "load", "load.15m": "load", "memory.usage": "memory", "swap.usage": "memory", "memory.used": "memory used", "swap.used": "memory used",
  "disk.usage": "disks in use", "io.read": "disk I/O", "io.write": "disk I/O", "io.busy": "disks busy", "network.rx": "network", "network.tx": "network",
  "gpu.utilization": "GPUs busy", "gpu.memory": "GPU memory", "gpu.temperature": "GPU temperature", "gpu.power": "GPU power",
  "workload.cpu": "workloads, CPU", "workload.memory": "workloads, memory", "workload.gpu_memory": "workloads, GPU memory", processes: "processes",
};

export function chartsView(app) {
  const part = app.part("charts", () => new AllCharts(app));
  part.follow();
  return h("section", { class: "panel alone" }, h("div", { class: "scroll" }, part.error ? h("p", { class: "bad pad" }, plain(part.error.message)) : null, own(part.charts.element)));
}

class AllCharts {
  constructor(app) {
    this.app = app;
    this.charts = new LineCharts(app, []);
    this.error = null;
    this.#read();
  }

  follow() {
    this.charts.follow();
  }

  redress() {
    this.charts.redress();
  }

  destroy() {
    this.charts.destroy();
  }

  async #read() {
    try {
      const { names } = await get(hostPath(this.app.route.host, "/series/names"));
      this.charts.setGroups(groupsOf(names));
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.error = error;
    }
    this.app.draw();
  }
}

function groupsOf(names) {
  const groups = new Map();
  for (const [name, unit] of Object.entries(names)) {
    const { kind, item } = parseSeries(name);
    if (kind.startsWith("network.") && item === "lo") continue;
    const title = TITLES[kind] ?? kind;
    const group = groups.get(title) ?? { unit: unit ?? "1", names: [], place: ORDER.indexOf(kind.split(".")[0]) };
    group.names.push(name);
    groups.set(title, group);
  }
  return [...groups].sort(([, a], [, b]) => a.place - b.place).map(([title, { unit, names: all }]) => [title, unit, all.slice(0, MOST_LINES)]);
}
