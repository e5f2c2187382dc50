// AI workloads: what serves which model on which GPU, and why we say so.

import { h } from "../dom.js";
import { parameters, percent, plain, size } from "../format.js";
import { isContainer } from "../kinds.js";
import { emptyText } from "../words.js";
import { fieldList } from "./item.js";

export function workloadsView(app) {
  const { twin } = app.session;
  const workloads = twin.list("ai.workloads");
  if (workloads.length === 0) return h("section", { class: "notice" }, h("h2", {}, "No AI workloads"), h("p", {}, emptyText(twin, ["workloads", "ai"], "Nothing here serves, trains or converses with a model.")));
  return h("section", { class: "panel alone" }, h("div", { class: "panel-head" }, h("h2", {}, "AI workloads")), h("div", { class: "scroll" }, workloadRows(app, workloads)));
}

export function workloadRows(app, workloads) {
  const sorted = [...workloads].sort((a, b) => rank(a) - rank(b) || (b.confidence ?? 0) - (a.confidence ?? 0));
  return h("div", { class: "workloads", role: "list" }, sorted.map((one) => row(app, one)));
}

const ROLES = ["server", "gateway", "trainer", "ml", "notebook", "ui", "orchestrator", "agent", "mcp-server", "vector-db"];
const rank = (one) => (ROLES.indexOf(one.role) < 0 ? ROLES.length : ROLES.indexOf(one.role));

function row(app, one) {
  const { twin } = app.session;
  const use = one.models?.[0];
  const model = use ? twin.item("ai.models", use.id) : null;
  const kind = [model?.quantization, model?.parameters ? parameters(model.parameters) : null, model?.context_length ? `ctx ${model.context_length}` : null, use?.state === "loaded" ? "loaded" : null].filter(Boolean).map((text) => plain(text, 30)).join(" · ");
  return h(
    "div",
    { class: "workload", role: "listitem", key: one.id },
    h("a", { class: "engine", href: app.link("workloads", one.id) }, engineText(one)),
    h("span", { class: "model" }, use ? [h("a", { href: app.link("models", use.id) }, plain(use.name ?? use.id, 80)), one.models.length > 1 ? h("span", { class: "muted" }, ` and ${one.models.length - 1} more`) : null] : h("span", { class: "muted" }, plain(one.role))),
    h("span", { class: "kind muted" }, kind),
    h("span", { class: "where" }, gpuText(app, one) || (one.rss === undefined ? "" : `memory ${size(one.rss)}`)),
    h("span", { class: "endpoint" }, endpointText(one)),
    h("a", { class: "sure", href: app.link("workloads", one.id), title: "why we say so" }, `sure ${Math.round((one.confidence ?? 0) * 100)} % ▸`),
  );
}

const engineText = (one) => plain([one.name ?? one.engine ?? one.role, one.engine_version].filter(Boolean).join(" "), 40);

function gpuText(app, one) {
  const indexes = new Map(app.session.twin.gpus().map(({ gpu }) => [gpu.uuid, gpu.index]));
  return (one.gpus ?? []).map((held) => `GPU ${indexes.get(held.uuid) ?? plain(held.uuid, 12)} · ${size(held.memory)}`).slice(0, 3).join("  ");
}

function endpointText(one) {
  const endpoint = one.endpoints?.find((each) => each.exposed) ?? one.endpoints?.[0];
  if (endpoint === undefined) return null;
  const place = endpoint.port ? `:${endpoint.port}` : plain(endpoint.path ?? "", 40);
  if (endpoint.exposed && endpoint.authenticated === false) return h("span", { class: "warn", title: "reachable from beyond this machine, and asks for no key" }, `${place} open, no key ⚠`);
  return `${place} ${endpoint.exposed ? (endpoint.authenticated ? "open, with a key" : "open") : endpoint.exposed === false ? "loopback" : ""}`.trim();
}

export function workloadView(app) {
  const one = app.session.twin.item("ai.workloads", app.route.key);
  if (one === null) return h("section", { class: "notice" }, h("h2", {}, "This workload is not there at this moment."), h("p", {}, h("a", { href: app.link("workloads") }, "AI workloads")));
  const evidence = [...(one.evidence ?? [])].sort((a, b) => b.weight - a.weight);
  const against = evidence.filter((each) => each.weight < 0).reverse();
  return h(
    "article",
    { class: "item", key: one.id },
    h("h2", {}, h("span", { class: "muted" }, `${plain(one.role)} `), engineText(one), h("span", { class: "muted" }, ` sure ${Math.round((one.confidence ?? 0) * 100)} %`)),
    (one.findings ?? []).map((finding) => h("p", { class: "warn" }, `⚠ ${plain(finding)}`)),
    section("Models", one.models?.length ? one.models.map((use) => modelLine(app, use)) : h("p", { class: "muted" }, "No model is known.")),
    section("Where it runs", group(app, one), h("p", {}, [gpuText(app, one), one.cpu_percent === undefined ? null : `CPU ${percent(one.cpu_percent)} % of one core`, one.rss === undefined ? null : `memory ${size(one.rss)}`].filter(Boolean).join(" · "))),
    one.endpoints?.length ? section("Where it answers", h("ul", {}, one.endpoints.map((each) => h("li", {}, plain([each.address !== undefined && each.port ? `${each.address}:${each.port}` : (each.path ?? (each.port ? `:${each.port}` : "")), each.published ? `published as ${each.published}` : null].filter(Boolean).join(", ")), " ", h("span", { class: each.exposed && each.authenticated === false ? "warn" : "muted" }, each.exposed ? (each.authenticated === false ? "reachable from elsewhere, no key is asked for" : each.authenticated ? "reachable from elsewhere, a key is asked for" : "reachable from elsewhere; whether a key is asked for is not known") : each.exposed === false ? "this machine only" : ""))))) : null,
    section("Why we say so", evidenceTable(evidence.filter((each) => each.weight >= 0), "Evidence for it")),
    against.length > 0 ? section("What speaks against it", evidenceTable(against, "Evidence against it")) : null,
    one.missing?.length ? section("What could not be read", h("ul", {}, one.missing.map((each) => h("li", {}, plain(each))))) : null,
    section("All that is known", fieldList(app, "Workload", one, ["evidence", "missing", "findings", "models", "endpoints", "gpus"])),
  );
}

const section = (title, ...content) => h("section", {}, h("h3", {}, title), content);

function modelLine(app, use) {
  const model = app.session.twin.item("ai.models", use.id);
  const facts = model === null ? [] : [model.architecture, model.quantization, model.parameters ? `${parameters(model.parameters)} parameters` : null, model.context_length ? `context ${model.context_length}` : null, model.size ? size(model.size) : null, model.path];
  return h("p", {}, h("a", { href: app.link("models", use.id) }, plain(use.name ?? use.id)), h("span", { class: "muted" }, ` ${[use.state?.replace("_", " "), ...facts].filter(Boolean).map((text) => plain(text, 120)).join(" · ")}`));
}

function group(app, one) {
  const { twin } = app.session;
  const processes = new Map(twin.list("processes").map((each) => [each.pid, each]));
  const pids = [one.pid, ...(one.workers ?? [])].filter((pid) => pid !== undefined && pid !== null);
  const service = one.service ? twin.item("services", one.service) : null;
  return h(
    "ul",
    { class: "group" },
    service ? h("li", {}, isContainer(service) ? "container " : "unit ", h("a", { href: app.link(isContainer(service) ? "containers" : "services", one.service) }, plain(service.name))) : null,
    pids.slice(0, 40).map((pid, index) => {
      const process = processes.get(pid);
      const text = `${index === 0 ? "" : "worker "}${process ? plain(process.name) : "out of sight"} ${pid}`;
      return h("li", {}, process ? h("a", { href: app.link("processes", `${pid}/${process.start_ticks}`) }, text) : text, process?.memory_info?.rss ? h("span", { class: "muted" }, ` ${size(process.memory_info.rss)}`) : null);
    }),
    pids.length > 40 ? h("li", {}, `and ${pids.length - 40} more`) : null,
  );
}

function evidenceTable(evidence, label) {
  if (evidence.length === 0) return h("p", { class: "muted" }, "None was told.");
  return h(
    "table",
    { class: "plain evidence", "aria-label": label },
    h("thead", {}, h("tr", {}, h("th", { scope: "col", class: "number" }, "weight"), h("th", { scope: "col" }, "says"), h("th", { scope: "col" }, "found"), h("th", { scope: "col" }, "where"), h("th", { scope: "col" }, "kind"))),
    h("tbody", {}, evidence.map((each) => h("tr", {}, h("td", { class: "number" }, `${each.weight > 0 ? "+" : each.weight < 0 ? "−" : ""}${Math.abs(each.weight).toFixed(1)}`), h("td", {}, plain(each.says)), h("td", { class: "found-text" }, plain(each.locator)), h("td", {}, plain(each.source)), h("td", {}, plain(each.family?.replace("_", " ")))))),
  );
}
