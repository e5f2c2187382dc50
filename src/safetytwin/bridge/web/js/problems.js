// Is everything all right? What a person should see first, from the state alone.

import { collectorHint } from "./words.js";
import { duration, percent, plain, several } from "./format.js";
import { isContainer } from "./kinds.js";

const FULL = 90;
const VERY_FULL = 97;
const FAILING = new Set(["denied", "timeout", "failed", "stale"]);

/** [{severity: "bad" | "warn", text, title, section, key}], the worst first. */
export function problemsOf(twin) {
  const found = [...disks(twin), ...gpus(twin), ...services(twin), ...workloads(twin), ...collectors(twin)];
  return found.sort((a, b) => (a.severity === b.severity ? 0 : a.severity === "bad" ? -1 : 1));
}

function* services(twin) {
  const failed = twin.list("services").filter((one) => !isContainer(one) && one.status === "failed");
  for (const one of failed.slice(0, 3)) {
    yield { severity: "bad", text: `${plain(one.name, 40)} failed`, title: one.result, section: "services", key: serviceKey(one) };
  }
  if (failed.length > 3) yield { severity: "bad", text: `${failed.length - 3} more units failed`, section: "services", query: { show: "failed" } };
  for (const one of twin.list("services").filter(isContainer)) {
    const title = `exit code ${one.exit_code ?? "unknown"}`;
    if (one.health === "unhealthy") yield { severity: "bad", text: `${plain(one.name, 40)} unhealthy`, section: "containers", key: serviceKey(one) };
    else if (one.status === "dead" || one.oom_killed) yield { severity: "bad", text: `${plain(one.name, 40)} ${one.oom_killed ? "killed for memory" : "dead"}`, title, section: "containers", key: serviceKey(one) };
    else if (one.status === "restarting") yield { severity: "warn", text: `${plain(one.name, 40)} restarting`, title, section: "containers", key: serviceKey(one) };
    else if (one.status === "exited" && one.exit_code > 0 && one.exit_code !== 143) yield { severity: "warn", text: `${plain(one.name, 40)} exited ${one.exit_code}`, title, section: "containers", key: serviceKey(one) };
  }
}

function* disks(twin) {
  for (const disk of twin.list("hardware.disks")) {
    if (disk.bind_of || disk.kind === "image") continue;
    const name = plain(disk.mountpoint, 40);
    const link = { section: "disks", key: disk.mountpoint };
    const inodes = disk.inodes_total ? (100 * disk.inodes_used) / disk.inodes_total : null;
    if (disk.status === "stale") yield { severity: "warn", text: `${name} does not answer`, ...link };
    else if (disk.usage_percent >= FULL) yield { severity: disk.usage_percent >= VERY_FULL ? "bad" : "warn", text: `${name} ${percent(disk.usage_percent)} % full`, ...link };
    else if (inodes !== null && inodes >= FULL) yield { severity: "warn", text: `${name} ${percent(inodes)} % of its inodes`, ...link };
  }
  const memory = twin.rest.hardware?.memory;
  if (memory?.usage_percent >= 95) yield { severity: "warn", text: `memory ${percent(memory.usage_percent)} % in use`, section: "charts" };
}

function* gpus(twin) {
  for (const { gpu } of twin.gpus()) {
    if (gpu.status && gpu.status !== "ok") yield { severity: gpu.status === "lost" ? "bad" : "warn", text: `GPU ${gpu.index ?? ""} ${gpu.status}`, title: gpu.error, section: "gpus", key: gpu.uuid };
    else if (gpu.ecc_uncorrected > 0) yield { severity: "warn", text: `GPU ${gpu.index ?? ""}: ${several(gpu.ecc_uncorrected, "uncorrected memory error")}`, section: "gpus", key: gpu.uuid };
  }
}

function* workloads(twin) {
  for (const one of twin.list("ai.workloads")) {
    for (const finding of one.findings ?? []) yield { severity: "warn", text: `${plain(one.name ?? one.engine ?? "workload", 30)}: ${plain(finding, 60)}`, title: finding, section: "workloads", key: one.id };
  }
}

function* collectors(twin) {
  const failing = Object.entries(twin.rest.agent?.collectors ?? {}).filter(([, one]) => FAILING.has(one.status));
  for (const [name, one] of failing) yield { severity: "warn", text: `${plain(name, 30)}: ${collectorHint(one).what}`, title: collectorHint(one).hint, section: "agent" };
  const shed = twin.rest.agent?.shed ?? [];
  if (shed.length > 0) yield { severity: "warn", text: `the agent switched off ${shed.map((one) => plain(one, 30)).join(", ")}`, title: "to stay within its budget", section: "agent" };
}

export const serviceKey = (one) => `${one.type.replaceAll("~", "~0").replaceAll("/", "~1")}/${one.id}`;

/** What the head says of a machine that nothing is heard of. */
export const silenceText = (silence) => `silent: last heard ${duration(silence)} ago`;
