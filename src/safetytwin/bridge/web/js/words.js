// Sentences that several views say.

import { duration, plain } from "./format.js";

const WHAT = {
  ok: "works",
  absent: "not on this machine",
  denied: "permission denied",
  timeout: "no answer in time",
  failed: "failed",
  stale: "shows an earlier answer",
};

/** What a collector's status means, and how it can be mended. */
export function collectorHint(collector) {
  const what = WHAT[collector.status] ?? plain(collector.status);
  return { what, hint: [collector.error, collector.hint].filter(Boolean).map((text) => plain(text)).join(" — ") };
}

/** Why a list is empty: there is none, or it could not be seen. */
export function emptyText(twin, collectors, none) {
  const troubles = collectors.flatMap((name) => {
    const collector = twin.rest.agent?.collectors?.[name];
    if (!collector || collector.status === "ok" || collector.status === "absent") return [];
    const { what, hint } = collectorHint(collector);
    return [`${name}: ${what}${hint ? `: ${hint}` : ""}`];
  });
  return troubles.length > 0 ? troubles.join(" · ") : none;
}

/** The machine in one line: Debian 12 · 32 cores · 128 GiB · 2 × H100. */
export function shortHardware(hardware, gpus, size) {
  const cores = hardware.cpu?.cores_logical;
  const names = new Map();
  for (const gpu of gpus) names.set(gpu.name ?? "GPU", (names.get(gpu.name ?? "GPU") ?? 0) + 1);
  return [
    hardware.os?.name ?? hardware.platform,
    cores ? `${cores} ${cores === 1 ? "core" : "cores"}` : null,
    hardware.memory?.total ? size(hardware.memory.total) : null,
    ...[...names].map(([name, number]) => (number > 1 ? `${number} × ${name}` : name)),
    hardware.uptime ? `up ${duration(hardware.uptime)}` : null,
  ].filter(Boolean).map((text) => plain(text, 60)).join(" · ");
}
