"""events: what one change means to a person."""

from collections.abc import Iterator, Mapping
from typing import Any

from safetytwin.changes.hardware_events import disk_events, gpu_events, hardware_events, interface_events
from safetytwin.changes.item_changes import Facts, is_blind
from safetytwin.changes.kinds import event
from safetytwin.changes.process_events import process_events
from safetytwin.changes.service_events import service_events
from safetytwin.changes.trees import Tree
from safetytwin.changes.twin import Step
from safetytwin.changes.usage_levels import Levels, usage_events
from safetytwin.changes.workload_events import model_events, workload_events
from safetytwin.models.event import Event


def events(step: Step, *, levels: Levels | None = None, at: str | None = None) -> list[Event]:
    """Return what a change meant, in the order machine, hardware, services, workloads, processes.

    step is what Twin.apply returned. levels remembers which file systems were nearly full, so that one that hovers
    around a threshold is told once; without it, only a crossing within this change is. at is the events' moment where
    it is not the new state's own timestamp.
    """
    facts = Facts(step, at)
    found = [
        *_host_events(facts),
        *hardware_events(facts),
        *disk_events(facts),
        *usage_events(facts, {} if levels is None else levels),
        *interface_events(facts),
        *gpu_events(facts),
        *service_events(facts),
        *workload_events(facts),
        *model_events(facts),
    ]
    if not facts.rebooted and not is_blind(facts, "processes"):
        found += process_events(facts)
    return [*found, *_agent_events(facts)]


def first_events(state: Tree, at: str) -> list[Event]:
    """Return what a bridge tells of a machine that it sees for the first time."""
    return [event("host.up", at, "host", hostname=state.get("hardware", {}).get("hostname") or state.get("host_id"))]


def _host_events(facts: Facts) -> Iterator[Event]:
    old, new, at = facts.old_hardware, facts.new_hardware, facts.at
    if facts.rebooted:
        hostname = new.get("hostname") or facts.new.get("host_id")
        yield event("host.rebooted", at, "host", hostname=hostname, boot_time=new.get("boot_time"))
    for kind, before, after in (
        ("host.renamed", old.get("hostname"), new.get("hostname")),
        ("host.kernel_changed", old.get("kernel_version"), new.get("kernel_version")),
        ("host.os_changed", _os(old), _os(new)),
    ):
        if before is not None and after is not None and before != after:
            yield event(kind, at, "host", before=before, after=after)
    killed = (old.get("memory", {}).get("oom_kills"), new.get("memory", {}).get("oom_kills"))
    if not facts.rebooted and None not in killed and killed[1] > killed[0]:
        number = killed[1] - killed[0]
        yield event("host.out_of_memory", at, "host", killed="a process" if number == 1 else f"{number} processes")


def _os(hardware: Mapping[str, Any]) -> str | None:
    system = hardware.get("os", {})
    name: str | None = system.get("name") or system.get("id")
    version = system.get("version")
    return f"{name} {version}" if name and version and version not in name else name


def _agent_events(facts: Facts) -> Iterator[Event]:
    before, after = facts.old["agent"].get("version"), facts.new["agent"].get("version")
    if before != after:
        yield event("agent.version_changed", facts.at, "agent", before=before, after=after)
    for name, status in facts.new_collectors.items():
        was, now = facts.old_collectors.get(name, {}).get("status"), status["status"]
        subject = f"agent/collectors/{name}"
        if _fails(now) and not _fails(was):
            error = status.get("error") or status.get("hint")
            yield event("agent.collector_failing", facts.at, subject, name=name, status=now, error=error)
        elif _fails(was) and not _fails(now):
            yield event("agent.collector_recovered", facts.at, subject, name=name)


def _fails(status: str | None) -> bool:
    return status in {"denied", "timeout", "failed", "stale"}
