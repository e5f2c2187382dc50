"""Events of units, of other services, and of containers."""

from collections.abc import Iterator

from safetytwin.changes.item_changes import Facts, changed_values, is_blind, item_changes, was_away
from safetytwin.changes.kinds import event
from safetytwin.changes.trees import Tree
from safetytwin.models.event import Event

_CONTAINER_TYPES = frozenset({"docker", "podman", "containerd", "cri-o", "kubernetes", "lxc"})
_COLLECTORS = {"systemd": "systemd", "docker": "docker", "podman": "podman"}
_OF_CGROUPS, _OF_INIT_SCRIPTS = "cgroup_containers", "init_scripts"

_ACTIVE = frozenset({"active", "reloading", "refreshing"})
_ENDED = frozenset({"exited", "dead", "stopped"})
_CLEAN_CODES = frozenset({0, 130, 143})
"""Exit codes of a container that did its work or followed SIGINT or SIGTERM."""


def service_events(facts: Facts) -> Iterator[Event]:
    """Yield what happened to services; after a restart of the machine only what failed since."""
    for key, before, after in item_changes(facts, "services"):
        service = after or before or {}
        collector = _collector(service)
        if is_blind(facts, collector) or was_away(facts, collector):
            continue
        subject = f"services/{key}"
        of_service = _container_events if service["type"] in _CONTAINER_TYPES else _unit_events
        for one in of_service(facts.at, subject, before, after):
            if not facts.rebooted or one.severity in {"warning", "critical"}:
                yield one


def _collector(service: Tree) -> str:
    kind = service["type"]
    return _COLLECTORS.get(kind) or (_OF_CGROUPS if kind in _CONTAINER_TYPES else _OF_INIT_SCRIPTS)


def restarts_between(before: Tree, after: Tree) -> int:
    """Return how often a service was restarted between two states of it, as far as these tell.

    The manager's own counter says it where it grew; else a main process that became another one is one restart.
    """
    counts = changed_values(before, after, "restarts")
    if counts is not None and counts[1] > counts[0]:
        return int(counts[1] - counts[0])
    if not (_runs(before) and _runs(after)):
        return 0
    pids = changed_values(before, after, "pid")
    starts = changed_values(before, after, "start_time")
    return int(pids is not None and all(pids) and (starts is not None or after.get("start_time") is None))


def _runs(service: Tree) -> bool:
    return service.get("status") in _ACTIVE or service.get("status") == "running"


def _unit_events(at: str, subject: str, before: Tree | None, after: Tree | None) -> Iterator[Event]:
    unit = after or before or {}
    facts = {"name": unit["name"], "type": unit["type"]}
    was, now = (before or {}).get("status"), (after or {}).get("status")
    restarts = restarts_between(before, after) if before and after else 0
    if restarts:
        yield event("unit.restarted", at, subject, **facts, restarts=restarts)
    if now == "failed" and was != "failed":
        yield event("unit.failed", at, subject, **facts, result=_result(unit), exit_code=unit.get("exit_code"))
    elif now in _ACTIVE and was not in _ACTIVE and not restarts:
        yield event("unit.started", at, subject, **facts)
    elif was in {*_ACTIVE, "deactivating"} and now in {"inactive", None} and not restarts:
        yield event("unit.stopped", at, subject, **facts)


def _result(unit: Tree) -> str | None:
    result, code = unit.get("result"), unit.get("exit_code")
    if result == "exit-code" and code is not None:
        return f"exit code {code}"
    return result


def _container_events(at: str, subject: str, before: Tree | None, after: Tree | None) -> Iterator[Event]:
    container = after or before or {}
    facts = {"name": container["name"], "type": container["type"]}
    if before is None:
        yield event(
            "container.created", at, subject, **facts, image=container.get("image"), status=container.get("status")
        )
    if after is None:
        yield event("container.removed", at, subject, **facts, status=container.get("status"))
        return
    before = before or {}
    names = changed_values(before, after, "name")
    if names is not None:
        yield event("container.renamed", at, subject, before=names[0], after=names[1], type=after["type"])
    if after.get("oom_killed") and not before.get("oom_killed"):
        yield event("container.out_of_memory", at, subject, **facts)
    yield from _container_status_events(at, subject, before, after)
    was, now = before.get("health"), after.get("health")
    if now == "unhealthy" and was != "unhealthy":
        yield event("container.unhealthy", at, subject, **facts)
    elif now == "healthy" and was == "unhealthy":
        yield event("container.healthy", at, subject, **facts)


def _container_status_events(at: str, subject: str, before: Tree, after: Tree) -> Iterator[Event]:
    facts = {"name": after["name"], "type": after["type"]}
    was, now = before.get("status"), after.get("status")
    restarts = restarts_between(before, after)
    if restarts:
        yield event("container.restarted", at, subject, **facts, restarts=restarts)
    if now in _ENDED and was not in _ENDED:
        code = after.get("exit_code")
        kind = "container.died" if code is not None and code not in _CLEAN_CODES else "container.stopped"
        yield event(kind, at, subject, **facts, exit_code=code)
    elif now == "paused" and was == "running":
        yield event("container.paused", at, subject, **facts)
    elif now == "running" and was == "paused":
        yield event("container.resumed", at, subject, **facts)
    elif now == "running" and was != "running" and not restarts:
        yield event("container.started", at, subject, **facts)
