// The names of series: cpu.usage, or with an item in brackets: disk[/data].usage.

/** The name of a series. */
export function seriesName(kind, item, gauge) {
  return `${kind}[${item}].${gauge}`;
}

/** Names as the API is asked for them: it splits them at commas, so that one within a name is escaped. */
export function namesAsked(names) {
  return names.map((name) => name.replace(/[%,]/g, encodeURIComponent)).join(",");
}

/** A name in its parts: {kind: "disk.usage", item: "/data" or null}. */
export function parseSeries(name) {
  const open = name.indexOf("[");
  const close = name.lastIndexOf("]");
  if (open < 0 || close < open) return { kind: name, item: null };
  return { kind: name.slice(0, open) + name.slice(close + 1), item: name.slice(open + 1, close) };
}
