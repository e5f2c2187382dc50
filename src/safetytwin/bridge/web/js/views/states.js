// What is shown where there is nothing to show: each says why, and what can be done.

import { h } from "../dom.js";
import { plain } from "../format.js";

export const notice = (title, ...more) => h("section", { class: "notice" }, h("h1", {}, title), more.map((one) => (typeof one === "string" ? h("p", {}, one) : one)));

export const loading = (what) => h("p", { class: "loading", role: "status" }, `Reading ${what} …`);

export function noView() {
  return notice("There is nothing at this address.", h("p", {}, h("a", { href: "/hosts" }, "All machines")));
}

export function errorView(app, error) {
  if (error.status === 0) return notice("The bridge does not answer.", "Trying again every few seconds. Is it running? On its machine:", h("pre", {}, "safetytwin bridge"));
  return notice("The bridge refused.", plain(error.message));
}

export function noMachines() {
  return notice(
    "No machine has been heard of yet.",
    "Start an agent on each machine that should be seen here:",
    h("pre", {}, `safetytwin agent --bridge ${location.origin}`),
    "Its first look arrives within seconds, and this page shows it by itself.",
  );
}

export function machineProblem(app, error) {
  const { host } = app.route;
  if (app.session.at !== null && (error.status === 404 || error.status === 410)) {
    return notice("There is no look of that moment.", plain(error.message), h("p", {}, h("button", { type: "button", onclick: () => app.travel(null) }, "Back to live"), " ", h("span", { class: "muted" }, "or choose a later moment below")));
  }
  if (error.status === 404) return notice(`There is no machine ${plain(host)}.`, "It may have been forgotten, or never been heard of.", h("p", {}, h("a", { href: "/hosts" }, "All machines")));
  return errorView(app, error);
}
