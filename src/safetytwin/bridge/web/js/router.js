// Addresses: every view has one that can be sent to someone, the moment included.

const SECTIONS = new Set(["processes", "services", "containers", "workloads", "models", "gpus", "disks", "network", "sensors", "charts", "events", "compare", "twin", "agent"]);

/** What an address asks for: {view: "hosts" | "machine" | "events" | "ai" | "none", host, section, key, query}. */
export function parse(address) {
  const query = Object.fromEntries(address.searchParams);
  let steps;
  try {
    steps = address.pathname.split("/").filter(Boolean).map(decodeURIComponent);
  } catch {
    return { view: "none", query }; // a % that encodes nothing
  }
  const [first, host, section, ...rest] = steps;
  if (first === undefined) return { view: "start", query };
  if (first === "events" || first === "ai") return { view: first, query };
  if (first !== "hosts") return { view: "none", query };
  if (host === undefined) return { view: "hosts", query };
  if (section !== undefined && !SECTIONS.has(section)) return { view: "none", query };
  return { view: "machine", host, section: section ?? null, key: rest.length > 0 ? rest.join("/") : null, query };
}

/** The moment that a route shows, in seconds; null for live. */
export function momentOf(route) {
  const at = Number(route.query?.at ?? NaN);
  return Number.isFinite(at) && at > 0 ? at : null;
}

/** The address of a machine, a list of it or one item in that list. */
export function href(host, section = null, key = null, query = {}) {
  const path = ["", "hosts", host, section, key].filter((step) => step !== null).map(encodeURIComponent).join("/");
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== "") search.set(name, String(value));
  }
  return search.size > 0 ? `${path}?${search}` : path;
}

/** A moment as an address writes it: whole seconds say enough, and read well. */
export const written = (at) => (at === null ? null : Math.round(at * 1000) / 1000);
