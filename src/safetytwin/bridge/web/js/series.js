// The names of series: cpu.usage, or with an item in brackets: disk[/data].usage.

/** The name of a series; null where the API could not be asked for it (it splits names at commas). */
export function seriesName(kind, item, gauge) {
  return item.includes(",") ? null : `${kind}[${item}].${gauge}`;
}

/** A name in its parts: {kind: "disk.usage", item: "/data" or null}; null where the API could not be asked for it. */
export function parseSeries(name) {
  if (name.includes(",")) return null;
  const open = name.indexOf("[");
  const close = name.lastIndexOf("]");
  if (open < 0 || close < open) return { kind: name, item: null };
  return { kind: name.slice(0, open) + name.slice(close + 1), item: name.slice(open + 1, close) };
}
