// Which machines serve which models.

import { ApiError, get } from "../api.js";
import { h } from "../dom.js";
import { plain, size } from "../format.js";
import { href } from "../router.js";
import { loading } from "./states.js";

const STALE_MS = 15000;

export function aiView(app) {
  const part = app.part("ai", () => ({ hosts: null, read: 0, error: null }));
  if (performance.now() - part.read > STALE_MS || part.read === 0) read(app, part);
  if (part.hosts === null) return part.error ? h("p", { class: "bad pad" }, plain(part.error.message)) : loading("models");
  const rows = part.hosts.flatMap((host) => host.workloads.flatMap((workload) => uses(host, workload)));
  if (rows.length === 0) return h("section", { class: "notice" }, h("h1", {}, "No machine serves a model."), h("p", {}, "Servers such as vLLM, Ollama or llama.cpp appear here by themselves as soon as an agent sees one."));
  rows.sort((a, b) => a.model.localeCompare(b.model));
  return h(
    "section",
    { class: "panel alone" },
    h("div", { class: "panel-head" }, h("h1", {}, "Models, and where they are served")),
    h(
      "div",
      { class: "scroll" },
      h(
        "table",
        { class: "plain" },
        h("thead", {}, h("tr", {}, ["model", "engine", "machine", "role", "GPU memory", "sure"].map((label, index) => h("th", { scope: "col", class: index > 3 ? "number" : "" }, label)))),
        h("tbody", {}, rows.map((row) => h("tr", { key: `${row.host.host_id} ${row.workload.id} ${row.model}` }, h("td", {}, h("a", { href: href(row.host.host_id, "workloads", row.workload.id) }, row.model)), h("td", {}, plain([row.workload.engine, row.workload.engine_version].filter(Boolean).join(" ") || "–")), h("td", {}, h("a", { href: href(row.host.host_id) }, plain(row.host.hostname ?? row.host.host_id))), h("td", {}, plain(row.workload.role)), h("td", { class: "number" }, row.memory === null ? "–" : size(row.memory)), h("td", { class: "number" }, `${Math.round(row.workload.confidence * 100)} %`)))),
      ),
    ),
  );
}

function uses(host, workload) {
  const held = (workload.gpus ?? []).map((gpu) => gpu.memory).filter((value) => typeof value === "number");
  const memory = held.length > 0 ? held.reduce((sum, value) => sum + value, 0) : null;
  const models = workload.models?.length ? workload.models : [{ id: "", name: workload.name ?? workload.engine ?? workload.id }];
  return models.map((use) => ({ host, workload, memory, model: plain(use.name ?? use.id, 100) }));
}

async function read(app, part) {
  part.read = performance.now();
  try {
    part.hosts = (await get("/api/v1/ai")).hosts;
    part.error = null;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    part.error = error;
  }
  app.draw();
}
