// All machines, as rows that the bridge keeps up to date.

import { ApiError, get, now } from "./api.js";

const RETRY_SECONDS = 5;

export class Fleet {
  constructor(changed) {
    this.hosts = null; // rows by host id; null until they were read
    this.error = null;
    this.away = null; // since when the bridge has not answered
    this.#changed = changed;
  }

  #changed;
  #source = null;
  #wanted = true;
  #reading = null;

  /** Read the list and keep it up to date; resolves once it was read. */
  follow() {
    if (this.hosts !== null && (!this.#wanted || this.#listening)) return Promise.resolve();
    this.#reading ??= this.#read().finally(() => {
      this.#reading = null;
    });
    return this.#reading;
  }

  forget() {
    this.#stop();
    this.hosts = null;
  }

  /** Whether rows are to be kept up to date: each open stream takes one of the few connections that a browser grants. */
  listen(wanted) {
    this.#wanted = wanted;
    if (!wanted) this.#stop();
    else if (this.hosts !== null && !this.#listening) this.#listen();
  }

  get #listening() {
    return this.#source !== null && this.#source.readyState !== EventSource.CLOSED;
  }

  #stop() {
    this.#source?.close();
    this.#source = null;
    this.away = null;
  }

  named(hostId) {
    return this.hosts?.find((row) => row.host_id === hostId) ?? null;
  }

  async #read() {
    try {
      const rows = [];
      let cursor;
      do {
        const page = await get("/api/v1/hosts", { limit: 1000, cursor });
        rows.push(...page.hosts);
        cursor = page.next;
      } while (cursor);
      this.hosts = rows;
      this.error = null;
      this.away = null;
      if (this.#wanted) this.#listen();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.error = error;
      if (error.status === 0) this.away ??= now();
      if (error.status !== 401) setTimeout(() => this.follow().then(() => this.#changed(), () => {}), RETRY_SECONDS * 1000);
      throw error;
    }
    this.#changed();
  }

  #listen() {
    if (this.#listening) return;
    const source = new EventSource("/api/v1/stream");
    this.#source = source;
    source.addEventListener("host", (message) => {
      this.away = null;
      this.#put(JSON.parse(message.data));
      this.#changed();
    });
    source.onopen = () => {
      this.away = null;
    };
    source.onerror = () => {
      this.away ??= now();
      if (source.readyState === EventSource.CLOSED) setTimeout(() => this.follow().catch(() => {}), RETRY_SECONDS * 1000);
      this.#changed();
    };
  }

  #put(row) {
    const index = this.hosts.findIndex((one) => one.host_id === row.host_id);
    if (index < 0) this.hosts = [...this.hosts, row].sort((a, b) => (a.host_id < b.host_id ? -1 : 1));
    else this.hosts[index] = row;
  }
}
