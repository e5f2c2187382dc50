// The twin that runs: the virtual machine that follows this machine, beside it, and what can be done with it.

import { ApiError, get, hostPath, now, send } from "../api.js";
import { h, say } from "../dom.js";
import { asked, exact, moment, plain, seconds, size } from "../format.js";
import { momentOf, written } from "../router.js";
import { consolePanel, planPanel, shapePanel } from "./vm_parts.js";

const REREAD_SECONDS = 5;
const CONSOLE_LINES = 40;

export function vmView(app) {
  const part = app.part("vm", () => ({ wanted: undefined, readAt: 0, reading: false, shown: null, console: [], error: null, failure: null, busy: null, asking: null, name: "" }));
  const at = momentOf(app.route);
  if (part.wanted !== at || (!part.reading && part.busy === null && now() - part.readAt >= REREAD_SECONDS)) read(app, part, at);
  return h("div", { key: "vm", class: "vm" }, part.shown === null ? waiting(part) : picture(app, part));
}

function waiting(part) {
  if (part.error === null) return h("p", { class: "loading", role: "status" }, "Reading the twin …");
  return h("p", { class: "bad pad", role: "alert" }, plain(part.error, 2000));
}

function picture(app, part) {
  const { shape, plan, left_out: leftOut, twin } = part.shown;
  return [
    h("section", { class: "panel", key: "twin" }, twin === null ? absent(app, part) : present(app, part, twin)),
    twin === null ? null : snapshots(app, part, twin),
    shapePanel(app.session.twin, shape, leftOut),
    planPanel(twin, plan, leftOut),
    twin === null ? null : consolePanel(part.console),
  ];
}

function troubles(part) {
  const texts = [part.error, part.failure, part.shown.problem].filter(Boolean);
  return texts.map((text) => h("p", { class: "bad", role: "alert" }, plain(text, 2000)));
}

function absent(app, part) {
  return [
    h("div", { class: "panel-head" }, h("h2", {}, "Twin"), h("span", { class: "muted" }, part.shown.problem ? "can't be asked" : "none yet")),
    h(
      "div",
      { class: "pad vm-body" },
      troubles(part),
      part.shown.problem
        ? h("p", {}, "Below is what it is to be. On the bridge's machine, this says more:")
        : h("p", {}, "A virtual machine of the same shape that follows this machine, to enter, break and roll back. Below is what it would be. To make it, on the bridge's machine:"),
      h("pre", {}, part.shown.problem ? `safetytwin vm plan ${shellWord(app.route.host)}` : `safetytwin vm create ${shellWord(app.route.host)} --image debian-12.qcow2`),
    ),
  ];
}

/** A machine's id as one word of a shell, whatever it holds. */
const shellWord = (text) => (/^[A-Za-z0-9_.:-]+$/.test(text) ? text : `'${plain(text).replaceAll("'", "'\\''")}'`);

function present(app, part, twin) {
  const { record } = twin;
  const pinned = record.pinned ?? null;
  const follows = record.follow ?? true;
  const runs = twin.status === "running";
  const button = (label, method, path, said, off = false) => h("button", { type: "button", key: label, disabled: off || part.busy !== null, onclick: () => act(app, part, method, path, said) }, label);
  return [
    h(
      "div",
      { class: "panel-head" },
      h("h2", {}, "Twin"),
      h("span", { class: runs ? "ok" : "muted" }, h("span", { "aria-hidden": "true" }, runs ? "● " : "○ "), twin.status),
      pinned === null ? h("span", { class: "muted" }, follows ? "follows the machine" : "does not follow") : h("strong", { class: "vm-pinned" }, `pinned: ${plain(pinned, 80)}`),
      h("span", { class: "muted", role: "status" }, part.busy ?? ""),
      h(
        "div",
        { class: "tools" },
        button("start", "POST", "/start", "starting …", runs),
        button("stop", "POST", "/stop", "stopping, for up to a minute …", !runs),
        button("restart", "POST", "/restart", "restarting …", !runs),
        pinned === null ? button("pin", "POST", "/pin", "pinning …") : button("release", "DELETE", "/pin", "releasing …"),
        follows ? button("stop following", "DELETE", "/follow", "…") : button("follow", "POST", "/follow", "…"),
      ),
    ),
    h("div", { class: "pad vm-body" }, troubles(part), pinned === null ? null : h("p", {}, "Nothing of the machine is applied until it is released."), facts(twin)),
  ];
}

function facts(twin) {
  const { record } = twin;
  const at = seconds(record.at);
  const full = twin.most_bytes > 0 ? (100 * twin.disk_bytes) / twin.most_bytes : 0;
  return h(
    "dl",
    { class: "facts" },
    [
      ["domain", plain(twin.name)],
      ["state it is at", at === null ? "none yet" : h("span", { title: exact(at) }, `${record.revision === undefined ? "" : `revision ${record.revision}, `}${moment(at)}`)],
      ["on disk", h("span", { class: full >= 80 ? "warn" : "" }, `${size(twin.disk_bytes)} of at most ${size(twin.most_bytes)}${full >= 100 ? ": no snapshot is taken by itself any more" : ""}`)],
      ["image", h("span", { title: plain(record.image) }, plain(record.image.split("/").at(-1)))],
    ].map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]),
  );
}

function snapshots(app, part, twin) {
  const submit = (event) => {
    event.preventDefault();
    const input = event.target.querySelector("input");
    const name = part.name.trim();
    act(app, part, "POST", "/snapshots", "taking a snapshot …", name === "" ? {} : { name }).then((done) => {
      if (done) part.name = input.value = "";
    });
  };
  const head = h(
    "div",
    { class: "panel-head" },
    h("h2", {}, "Snapshots", h("span", { class: "count" }, ` ${twin.snapshots.length}`)),
    h(
      "form",
      { class: "tools", onsubmit: submit },
      h("input", { class: "filter", name: "snapshot", value: part.name, oninput: (event) => { part.name = event.target.value; }, maxlength: 64, autocomplete: "off", placeholder: "a name keeps it for ever", "aria-label": "Name of the snapshot" }),
      h("button", { type: "submit", disabled: part.busy !== null }, "take a snapshot"),
    ),
  );
  const rows = [...twin.snapshots].reverse().map((one) => snapshotRow(app, part, one));
  const heads = ["name", "taken", "state of the machine", "memory", ""];
  return h(
    "section",
    { class: "panel", key: "snapshots" },
    head,
    rows.length === 0 ? h("p", { class: "pad muted" }, "None yet: one is taken after each change that was applied.") : h("div", { class: "vm-wide" }, h("table", { class: "plain" }, h("thead", {}, h("tr", {}, heads.map((text) => h("th", { scope: "col" }, text)))), h("tbody", {}, rows))),
  );
}

function snapshotRow(app, part, one) {
  const taken = seconds(one.taken_at);
  const at = seconds(one.at);
  const revision = one.revision === undefined || one.revision === null ? "" : `revision ${one.revision}, `;
  return h(
    "tr",
    { key: one.name },
    h("td", {}, plain(one.name, 80), one.named ? h("span", { class: "muted" }, " kept for ever") : null),
    h("td", { title: exact(taken) }, moment(taken)),
    h("td", { title: exact(at) }, at === null ? "–" : h("a", { href: app.link("twin", null, { at: written(asked(one.at)) }) }, `${revision}${moment(at)}`)),
    h("td", {}, size(one.memory_bytes)),
    h("td", { class: "vm-act" }, part.asking === one.name ? question(app, part, one.name) : h("button", { type: "button", disabled: part.busy !== null, "aria-label": `roll back to ${plain(one.name, 80)}`, onclick: () => ask(app, part, one.name) }, "roll back")),
  );
}

function ask(app, part, name) {
  part.asking = name;
  say(`Roll back to ${plain(name, 80)}? What the twin is now is lost, and it is pinned there.`);
  app.draw();
}

/** The way out comes first: what held the focus becomes it, so that a second press harms nothing. */
function question(app, part, name) {
  const close = () => {
    part.asking = null;
    app.draw();
  };
  return [
    h("button", { type: "button", onclick: close }, "leave it"),
    h("span", { class: "vm-question" }, "What the twin is now is lost, and it is pinned there. "),
    h("button", { type: "button", class: "bad", disabled: part.busy !== null, onclick: () => act(app, part, "POST", `/snapshots/${encodeURIComponent(name)}/rollback`, "rolling back …") }, "roll back and pin"),
  ];
}

/** Do something with the twin, then show what became of it; say whether it was done. */
async function act(app, part, method, path, said, body) {
  if (part.busy !== null) return false;
  part.busy = said;
  part.failure = null;
  app.draw();
  try {
    await send(method, hostPath(app.route.host, `/vm${path}`), body);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.status === 401) app.askForToken();
    part.failure = error.message;
  }
  part.asking = null;
  await read(app, part, momentOf(app.route));
  part.busy = null;
  app.draw();
  return part.failure === null;
}

async function read(app, part, at) {
  const { host } = app.route;
  const request = {};
  const isLatest = () => part.request === request;
  part.request = request;
  if (part.wanted !== at) part.asking = null;
  part.wanted = at;
  part.reading = true;
  part.readAt = now();
  try {
    const shown = await get(hostPath(host, "/vm"), { at });
    const console = shown.twin === null ? { lines: [] } : await get(hostPath(host, "/vm/console"), { lines: CONSOLE_LINES });
    if (!isLatest()) return;
    Object.assign(part, { shown, console: console.lines, error: null });
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (!isLatest()) return;
    if (error.status === 401) app.askForToken();
    part.error = error.message;
  } finally {
    if (isLatest()) part.reading = false;
    app.draw();
  }
}
