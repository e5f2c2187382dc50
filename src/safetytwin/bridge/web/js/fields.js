// What the models say of each field: kind, unit, meaning; and which lists are keyed by what.

let known = { collections: [], records: {} };

export async function loadFields() {
  const response = await fetch("/static/fields.json");
  if (!response.ok) throw new Error(`fields.json: ${response.status}`);
  known = await response.json();
}

/** The keyed collections: [{path, named, record, identity}]. */
export const collections = () => known.collections;

/** The fields of a record by name: {kind, unit, record, about}. */
export const fieldsOf = (record) => known.records[record] ?? {};

/** The collection that a path names (hardware.gpu.nvidia is one of the family hardware.gpu), or undefined. */
export function collectionOf(path) {
  return known.collections.find((one) => (one.named ? path.startsWith(`${one.path}.`) : path === one.path));
}

/** The key of an item: its identity fields joined by "/", "~" and "/" escaped in all but the last. */
export function keyOf(collection, item) {
  const parts = collection.identity.map((name) => String(item[name]));
  const last = parts.pop();
  return [...parts.map((part) => part.replaceAll("~", "~0").replaceAll("/", "~1")), last].join("/");
}
