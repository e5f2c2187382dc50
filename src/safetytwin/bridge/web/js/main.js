// The page: follows the address, the machine and the keyboard, and draws the picture anew when one of them changes.

import { ApiError } from "./api.js";
import { h, morph, own } from "./dom.js";
import { loadFields } from "./fields.js";
import { Fleet } from "./fleet.js";
import { listenToKeys } from "./keyboard.js";
import { href, momentOf, parse, written } from "./router.js";
import { Search } from "./search.js";
import { Session } from "./session.js";
import { Sparks } from "./sparks.js";
import { TimeBar } from "./timebar.js";
import { aiView } from "./views/ai.js";
import { eventsView } from "./views/events.js";
import { topBar } from "./views/frame.js";
import { helpView } from "./views/help.js";
import { hostsView } from "./views/hosts.js";
import { loginView } from "./views/login.js";
import { machineView } from "./views/machine.js";
import { errorView, noView } from "./views/states.js";

class App {
  constructor() {
    this.root = document.getElementById("app");
    this.route = parse(new URL(location.href));
    this.fleet = new Fleet(() => this.#fleetChanged());
    this.session = null;
    this.parts = new Map(); // what a view keeps from one picture to the next, by name
    this.sparks = new Sparks(() => this.draw());
    this.search = new Search(this);
    this.timebar = new TimeBar({
      travel: (at, final, leave) => this.travel(at, final, leave),
      compare: (from, to, final) => this.compare(from, to, final),
    });
    this.help = false;
    this.needsToken = false;
  }

  #frame = null;

  start() {
    addEventListener("popstate", () => this.follow());
    addEventListener("themechange", () => this.redress());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.redress());
    document.addEventListener("click", (event) => this.#clicked(event));
    addEventListener("unhandledrejection", (event) => {
      if (event.reason instanceof ApiError && event.reason.status === 401) {
        event.preventDefault();
        this.askForToken();
      }
    });
    addEventListener("visibilitychange", () => this.#restOrResume());
    listenToKeys(this);
    setInterval(() => document.visibilityState === "visible" && this.draw(), 1000);
    this.follow();
  }

  /** Read the address and show what it asks for. */
  async follow() {
    const before = this.route;
    this.route = parse(new URL(location.href));
    if (this.route.view === "start" || this.fleet.hosts === null) {
      await this.fleet.follow().catch((error) => this.#failed(error));
    }
    if (this.route.view === "start" && this.fleet.hosts?.length > 0) {
      const only = this.fleet.hosts.length === 1 ? this.fleet.hosts[0].host_id : null;
      history.replaceState(null, "", only === null ? "/hosts" : href(only));
      this.route = parse(new URL(location.href));
    }
    this.#followMachine();
    if (before.section !== this.route.section || before.key !== this.route.key || before.host !== this.route.host) this.#arrived();
    this.draw();
  }

  go(address, { replace = false } = {}) {
    if (address === location.pathname + location.search) return;
    history[replace ? "replaceState" : "pushState"](null, "", address);
    this.follow();
  }

  /** The address of something of this machine, at the moment that is shown. */
  link(section = null, key = null, query = {}) {
    return href(this.route.host, section, key, { at: written(momentOf(this.route)), ...query });
  }

  /** Show another moment; leave: go out of comparing too. */
  travel(at, final = true, leave = false) {
    const { host, section, key, query } = this.route;
    const stay = section === "compare" && leave ? null : section;
    const { from: _from, to: _to, at: _at, ...rest } = query;
    this.go(href(host, stay, stay === null ? null : key, { ...rest, at: written(at) }), { replace: !final });
  }

  compare(from, to, final = true) {
    this.go(href(this.route.host, "compare", null, { from: written(from), to: written(to) }), { replace: !final });
  }

  askForToken() {
    this.needsToken = true;
    this.draw();
  }

  signedIn() {
    this.needsToken = false;
    this.fleet.forget();
    this.session?.close();
    this.session = null;
    this.follow();
  }

  part(name, make) {
    if (!this.parts.has(name)) this.parts.set(name, make());
    return this.parts.get(name);
  }

  /** Draw at the next frame, however often it is asked for. */
  draw() {
    this.#frame ??= requestAnimationFrame(() => {
      this.#frame = null;
      this.#draw();
    });
  }

  redress() {
    for (const part of this.parts.values()) part.redress?.();
    this.draw();
  }

  #fleetChanged() {
    // A page that waits for the first machine opens on it.
    if (this.route.view === "start" && this.fleet.hosts?.length > 0) this.follow();
    else this.draw();
  }

  #followMachine() {
    const { view, host } = this.route;
    this.fleet.listen(view !== "machine");
    if (view !== "machine") {
      this.#leaveMachine();
      return;
    }
    if (this.session?.host !== host) {
      this.#leaveMachine();
      this.session = new Session(host, () => this.draw());
    }
    this.session.show(this.route.section === "compare" ? null : momentOf(this.route));
  }

  #restOrResume() {
    const resting = document.visibilityState === "hidden";
    this.fleet.listen(!resting && this.route.view !== "machine");
    this.session?.rest(resting);
  }

  #leaveMachine() {
    this.session?.close();
    this.session = null;
    for (const part of this.parts.values()) part.destroy?.();
    this.parts.clear();
  }

  #arrived() {
    scrollTo(0, 0);
    this.search.close();
  }

  #failed(error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.status === 401) this.askForToken();
    this.draw();
  }

  #clicked(event) {
    const link = event.target.closest("a[href]");
    if (link === null || event.defaultPrevented || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    const address = new URL(link.href);
    if (address.origin !== location.origin || link.getAttribute("href").startsWith("#") || link.hasAttribute("download")) return;
    event.preventDefault();
    this.go(address.pathname + address.search);
  }

  #draw() {
    if (this.session?.error?.status === 401) this.needsToken = true;
    const picture = h("div", { id: "app", class: this.#class() }, this.needsToken ? loginView(this) : this.#picture());
    morph(this.root, picture);
    document.title = this.#title();
  }

  #picture() {
    const bar = this.session === null ? null : own(this.timebar.element);
    if (this.session !== null) this.timebar.update(this.session, this.route);
    return [
      h("header", { class: "top" }, topBar(this)),
      h("main", { id: "main", tabindex: "-1", key: `${this.route.view} ${this.route.host} ${this.route.section} ${this.route.key}` }, this.#main()),
      bar,
      this.help ? helpView(this) : null,
    ];
  }

  #main() {
    const views = { hosts: hostsView, start: hostsView, events: eventsView, ai: aiView, machine: machineView, none: noView };
    if (this.route.view !== "machine" && this.fleet.hosts === null && this.fleet.error !== null) return errorView(this, this.fleet.error);
    return views[this.route.view](this);
  }

  #class() {
    const past = this.session !== null && momentOf(this.route) !== null && this.route.section !== "compare";
    return [`view-${this.route.view}`, `section-${this.route.section ?? "overview"}`, past ? "past" : ""].filter(Boolean).join(" ");
  }

  #title() {
    const name = this.session?.twin?.rest.hardware?.hostname ?? this.route.host;
    return [this.route.key, this.route.section, name, "SafetyTwin"].filter(Boolean).join(" · ");
  }
}

await loadFields();
const app = new App();
app.start();
