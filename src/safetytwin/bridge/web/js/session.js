// One machine as the page follows it: live by server-sent events, or as it was at one moment.

import { ApiError, get, getState, hostPath, now } from "./api.js";
import { seconds } from "./format.js";
import { ChangeError, Twin, differs } from "./twin.js";
import { collectionOf } from "./fields.js";

const RETRY_SECONDS = 5;
const RECENT_EVENTS = 300;

export class Session {
  constructor(host, changed) {
    this.host = host;
    this.twin = null;
    this.row = null; // as the bridge lists the machine: status, received_at, …
    this.at = null; // the moment asked for; null: live
    this.shownAt = null; // the moment of the look that is shown
    this.error = null; // why there is no picture
    this.away = null; // since when the bridge has not answered
    this.heard = null; // when something last came from the bridge
    this.events = []; // newest first
    this.touched = new Map(); // path → key → when it last came or changed in more than gauges
    this.waiting = false; // another moment is on its way
    this.looks = 0;
    this.resumed = 0;
    this.#changed = changed;
  }

  #changed;
  #source = null;
  #retry = null;
  #request = null;
  #wanted = undefined;

  /** Show the machine live (null), or as it was at a moment. */
  show(at) {
    if (this.#wanted === at) return;
    this.#wanted = at;
    if (at === null) this.#follow();
    else this.#travel(at);
  }

  close() {
    this.#stopFollowing();
    this.#request?.abort();
    this.#wanted = undefined;
  }

  /** Let go of the stream while no one looks; see anew what is there when someone does again. */
  rest(resting) {
    if (this.#wanted !== null) return;
    if (resting) this.#stopFollowing();
    else {
      this.resumed += 1;
      this.#open();
    }
  }

  get live() {
    return this.at === null;
  }

  /** Seconds since the bridge last heard of the machine; null where not known. */
  get silence() {
    const received = seconds(this.row?.received_at);
    return received === null ? null : Math.max(0, now() - received);
  }

  get silent() {
    return this.row?.status === "silent";
  }

  #stopFollowing() {
    this.#source?.close();
    this.#source = null;
    clearTimeout(this.#retry);
  }

  #follow() {
    this.#request?.abort();
    this.waiting = true;
    this.#open();
    this.#changed();
  }

  #open() {
    this.#stopFollowing();
    const source = new EventSource(hostPath(this.host, "/stream"));
    this.#source = source;
    const on = (name, take) =>
      source.addEventListener(name, (message) => {
        if (this.#source !== source) return;
        this.heard = now();
        this.away = null;
        take(JSON.parse(message.data));
        this.#changed();
      });
    on("state", (state) => this.#replace(state, null));
    on("change", (change) => this.#fold(change));
    on("event", (event) => {
      this.events = [event, ...this.events].slice(0, RECENT_EVENTS);
    });
    on("status", (row) => {
      this.row = row;
    });
    source.onerror = () => {
      if (this.#source !== source) return;
      this.away ??= now();
      // CONNECTING: the browser tries again by itself.
      if (source.readyState === EventSource.CLOSED) this.#askWhy();
      this.#changed();
    };
  }

  async #askWhy() {
    this.#stopFollowing();
    const error = await get("/api/v1/hosts", { limit: 1 }).then(() => getState(this.host)).then(() => null, (reason) => reason);
    if (this.#wanted !== null) return;
    if (error instanceof ApiError && error.status > 0 && error.status < 500) this.error = error;
    if (error === null) this.away = null;
    this.#retry = setTimeout(() => this.#open(), RETRY_SECONDS * 1000);
    this.#changed();
  }

  #replace(state, at) {
    const before = this.host === state.host_id && at === null && this.live ? this.twin : null;
    this.twin = new Twin(state);
    this.at = at;
    this.shownAt = seconds(state.timestamp);
    this.error = null;
    this.waiting = false;
    this.looks += 1;
    if (before === null) this.touched = new Map();
  }

  #fold(change) {
    if (this.twin === null || !this.live) return;
    let touched;
    try {
      touched = this.twin.apply(change);
    } catch (error) {
      if (!(error instanceof ChangeError)) throw error;
      this.#open(); // begins with the whole state
      return;
    }
    this.shownAt = seconds(this.twin.rest.timestamp);
    this.looks += 1;
    for (const [path, items] of touched) this.#remember(path, items);
  }

  #remember(path, items) {
    const record = collectionOf(path).record;
    const when = this.touched.get(path) ?? new Map();
    for (const [key, [before, after]] of items) {
      if (after === null) when.delete(key);
      else if (before === null || differs(record, before, after)) when.set(key, now());
    }
    this.touched.set(path, when);
  }

  /** One request at a time: while a hand drags, the newest moment that was asked for is the next one read. */
  async #travel(at) {
    this.#stopFollowing();
    this.waiting = true;
    this.#changed();
    if (this.#request !== null) return;
    while (typeof this.#wanted === "number") {
      const wanted = this.#wanted;
      this.#request = new AbortController();
      try {
        const { state, at: shown } = await getState(this.host, wanted, this.#request.signal);
        if (typeof this.#wanted !== "number") break;
        this.#replace(state, wanted);
        this.shownAt = shown ?? this.shownAt;
        this.away = null;
      } catch (error) {
        if (error.name === "AbortError") break;
        if (typeof this.#wanted !== "number") break;
        this.at = wanted;
        this.waiting = false;
        if (error.status === 0) this.away ??= now();
        else {
          this.error = error;
          this.twin = null;
        }
      }
      this.#changed();
      if (this.#wanted === wanted) break;
    }
    this.#request = null;
  }
}
