// The twin of a machine in the browser: a state that changes are folded into, exactly as docs/changes.md says.

import { collections, collectionOf, fieldsOf, keyOf } from "./fields.js";

/** A change that does not fit the state it came for: the whole state has to be read anew. */
export class ChangeError extends Error {}

export class Twin {
  constructor(state) {
    this.rest = state;
    this.items = new Map();
    this.#split(new Map());
  }

  /** The items of a keyed collection; empty where it is not known. */
  list(path) {
    const items = this.items.get(path);
    return items === undefined ? (at(this.rest, path.split(".")) ?? []) : [...items.values()];
  }

  item(path, key) {
    return this.items.get(path)?.get(key) ?? null;
  }

  count(path) {
    return this.items.get(path)?.size ?? this.list(path).length;
  }

  /** Whether the state says anything of a collection: an empty one is known, an absent one is not. */
  has(path) {
    return at(this.rest, path.split(".")) !== undefined;
  }

  /** All GPUs, of all vendors: [{path, gpu}]. */
  gpus() {
    const vendors = Object.keys(this.rest.hardware?.gpu ?? {});
    return vendors.flatMap((vendor) => this.list(`hardware.gpu.${vendor}`).map((gpu) => ({ path: `hardware.gpu.${vendor}`, gpu })));
  }

  /** Fold a change in; returns what it touched: Map(path → Map(key → [before, after])). */
  apply(change) {
    const touched = new Map();
    if (change.state) {
      const before = this.items;
      this.rest = merged(this.rest, change.state);
      this.#split(before);
    }
    for (const [path, one] of Object.entries(change.collections ?? {})) {
      const collection = collectionOf(path);
      const items = this.items.get(path);
      if (collection === undefined || items === undefined) throw new ChangeError(`no collection ${path}`);
      const seen = new Map();
      this.items.set(path, folded(collection, items, one, seen));
      touched.set(path, seen);
    }
    return touched;
  }

  /** Take the items out of the state, leaving [] in their place, where they have keys of their own. */
  #split(before) {
    this.items = new Map();
    for (const { place, path, collection } of places(this.rest)) {
      const list = at(this.rest, place);
      if (list.length === 0 && list._of === path && before.has(path)) {
        this.items.set(path, before.get(path));
        continue;
      }
      const keyed = new Map(list.map((item) => [keyOf(collection, item), item]));
      if (keyed.size !== list.length) continue;
      const empty = [];
      empty._of = path; // tells it from a [] that a patch puts there
      this.rest = withValue(this.rest, place, empty);
      this.items.set(path, keyed);
    }
  }
}

function* places(state) {
  for (const collection of collections()) {
    const steps = collection.path.split(".");
    const found = at(state, steps);
    if (found === undefined || found === null) continue;
    if (!collection.named) yield { place: steps, path: collection.path, collection };
    else for (const name of Object.keys(found)) yield { place: [...steps, name], path: `${collection.path}.${name}`, collection };
  }
}

function at(tree, steps) {
  let here = tree;
  for (const step of steps) {
    if (here === null || here === undefined || !Object.hasOwn(here, step)) return undefined;
    here = here[step];
  }
  return here;
}

function withValue(tree, [step, ...further], value) {
  return { ...tree, [step]: further.length > 0 ? withValue(tree[step], further, value) : value };
}

const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);

/** JSON Merge Patch (RFC 7396). */
export function merged(target, patch) {
  if (!isObject(patch)) return patch;
  const result = isObject(target) ? { ...target } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete result[name];
    // defineProperty: a field that is named __proto__ is a field like any other.
    else Object.defineProperty(result, name, { value: merged(Object.hasOwn(result, name) ? result[name] : undefined, value), enumerable: true, configurable: true, writable: true });
  }
  return result;
}

function folded(collection, old, change, touched) {
  const items = new Map(old);
  for (const key of change.removed ?? []) {
    if (!items.has(key)) throw new ChangeError(`${key} was not there`);
    touched.set(key, [items.get(key), null]);
    items.delete(key);
  }
  for (const [key, patch] of Object.entries(change.changed ?? {})) {
    if (!items.has(key)) throw new ChangeError(`${key} is not there`);
    const after = merged(items.get(key), patch);
    touched.set(key, [items.get(key), after]);
    items.set(key, after);
  }
  const added = (change.added ?? []).map((item) => [keyOf(collection, item), item]);
  for (const [key, item] of added) {
    if (items.has(key)) throw new ChangeError(`${key} was there`);
    touched.set(key, [touched.get(key)?.[0] ?? null, item]);
  }
  return ordered(items, added, change);
}

function ordered(stayed, added, change) {
  if (change.order) {
    const all = new Map([...stayed, ...added]);
    return new Map(change.order.map((key) => [key, all.get(key)]));
  }
  const pairs = [...stayed];
  added.forEach((pair, index) => pairs.splice(change.at ? change.at[index] : pairs.length, 0, pair));
  return new Map(pairs);
}

/** Whether two versions of an item differ in more than gauges, which move by themselves. */
export function differs(record, before, after) {
  const fields = fieldsOf(record);
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...names].some((name) => fields[name]?.kind !== "gauge" && before[name] !== after[name] && JSON.stringify(before[name]) !== JSON.stringify(after[name]));
}
