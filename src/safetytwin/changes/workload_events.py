"""Events of AI workloads and models."""

from collections.abc import Iterator

from safetytwin.changes.item_changes import Facts, changed_values, item_changes
from safetytwin.changes.kinds import event
from safetytwin.changes.trees import Tree
from safetytwin.models.event import Event
from safetytwin.models.quantities import size

_IN_USE = frozenset({"loaded", "serving"})


def workload_events(facts: Facts) -> Iterator[Event]:
    """Yield what happened to workloads; those of the boot before are not told after a restart of the machine."""
    if facts.rebooted or "ai" not in facts.old or "ai" not in facts.new:
        return
    for key, before, after in item_changes(facts, "ai.workloads"):
        workload = after or before or {}
        subject = f"ai.workloads/{key}"
        name = workload.get("name") or workload.get("engine") or workload["id"]
        if before is None:
            about = {"role": workload["role"], "engine": workload.get("engine"), "pid": workload.get("pid")}
            yield event("workload.appeared", facts.at, subject, name=name, **about)
        elif after is None:
            yield event("workload.gone", facts.at, subject, name=name, role=workload["role"])
        known = (before or {}).get("findings", ())
        for finding in (after or {}).get("findings", ()):
            if finding not in known:
                yield event("workload.finding", facts.at, subject, name=name, finding=finding)


def model_events(facts: Facts) -> Iterator[Event]:
    """Yield what happened to models: loaded and unloaded, and their files."""
    if "ai" not in facts.old or "ai" not in facts.new:
        return
    for key, before, after in item_changes(facts, "ai.models"):
        model = after or before or {}
        for one in _model_events(facts.at, f"ai.models/{key}", model.get("name") or model["id"], before, after):
            if not facts.rebooted or one.kind not in {"model.loaded", "model.unloaded"}:
                yield one


def _model_events(at: str, subject: str, name: str, before: Tree | None, after: Tree | None) -> Iterator[Event]:
    loaded_before = (before or {}).get("state") in _IN_USE
    loaded_after = (after or {}).get("state") in _IN_USE
    if loaded_before and not loaded_after:
        yield event("model.unloaded", at, subject, name=name, used_by=(before or {}).get("used_by"))
    if after is None:
        if before and before.get("path"):
            yield event("model.removed", at, subject, name=name, path=before["path"])
        return
    problem = after.get("problem")
    if problem and problem != (before or {}).get("problem"):
        yield event("model.downloading", at, subject, name=name, problem=problem, path=after.get("path"))
    elif (before is None or before.get("problem")) and not problem and after.get("path"):
        in_bytes = after.get("size")
        shown = None if in_bytes is None else size(in_bytes)
        yield event("model.appeared", at, subject, name=name, size=shown, bytes=in_bytes, path=after["path"])
    elif before and not problem:
        sizes = changed_values(before, after, "size")
        if sizes is not None:
            yield event("model.changed", at, subject, name=name, before=size(sizes[0]), after=size(sizes[1]))
    if loaded_after and not loaded_before:
        yield event("model.loaded", at, subject, name=name, used_by=after.get("used_by"))
