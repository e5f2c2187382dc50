"""What the inside of a twin should become: pure, from the machine's state and what the guest is.

Only programs of a fixed list are ever run, and what a state says is only ever one argument of theirs, checked to be a
name of its kind; only what the machine and the guest both have is touched.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from safetytwin.models.service import Service
from safetytwin.models.system_state import SystemState
from safetytwin.vm.guest import GuestFacts
from safetytwin.vm.plan import Line

_UNIT = re.compile(r"[A-Za-z0-9][A-Za-z0-9:_.@\\-]{0,200}\.(?:service|socket|timer|path)", re.ASCII)
_CONTAINER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}", re.ASCII)
_OF_THE_TWIN_ITSELF = re.compile(
    r"systemd-|dbus|qemu-guest-agent|getty|serial-getty|console-getty|cloud-|user@|user-runtime-dir@|networking"
    r"|NetworkManager|initrd-|emergency|rescue|kmod|debug-shell|plymouth"
)
"""Units whose stopping would break the twin or the way into it, or that are about its hardware."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do in the guest."""

    line: Line
    argv: tuple[str, ...]
    key: str
    """What it is about, for damping."""


def steps(state: SystemState, hostname: str, facts: GuestFacts) -> list[Step]:
    """Return what is to be done in the guest, [] where it is as the machine."""
    return [
        *_hostname(hostname, facts),
        *(step for service in state.services if service.type == "systemd" for step in _unit(service, facts)),
        *(
            step
            for service in state.services
            if service.type in {"docker", "podman"}
            for step in _container(service, facts)
        ),
    ]


def unfollowed(state: SystemState, facts: GuestFacts) -> list[Line]:
    """Return what of the machine the guest can't have: units and containers that it does not know."""
    lines = [Line("cannot", "leave", "guest", None, reason=reason) for reason in facts.missing]
    for service in state.services:
        running = service.status in {"active", "running"}
        if not running or _own(service.name):
            continue
        if service.type == "systemd" and _UNIT.fullmatch(service.id) and service.sub_status == "running":
            if (
                service.id not in facts.unit_files
                and service.id not in facts.active
                and _template(service.id) not in facts.unit_files
            ):
                lines.append(Line("cannot", "leave", "unit", service.id, reason="the image does not have it"))
        elif service.type in {"docker", "podman"}:
            reason = "the guest has no engine" if facts.containers is None else "the guest does not have it"
            if facts.containers is None or service.name not in facts.containers:
                lines.append(Line("cannot", "leave", "container", service.name, reason=reason))
    return lines


def _hostname(hostname: str, facts: GuestFacts) -> Iterator[Step]:
    if facts.hostname is not None and facts.hostname != hostname:
        line = Line("live", "change", "hostname", None, facts.hostname, hostname)
        yield Step(line, ("hostnamectl", "set-hostname", "--", hostname), "hostname")


def _unit(service: Service, facts: GuestFacts) -> Iterator[Step]:
    unit = service.id
    if not _UNIT.fullmatch(unit) or _own(unit):
        return
    there = facts.active.get(unit)
    known = there is not None or unit in facts.unit_files
    state = f"{service.status}/{service.sub_status}"
    key = f"unit {unit}"
    if known and state == "active/running" and (there is None or there.startswith(("inactive/", "failed/"))):
        yield Step(
            Line("live", "change", "unit", unit, there, state), ("systemctl", "start", "--no-block", "--", unit), key
        )
    if there == "active/running" and service.status in {"inactive", "failed"}:
        yield Step(
            Line("live", "change", "unit", unit, there, state), ("systemctl", "stop", "--no-block", "--", unit), key
        )
    file_state, wanted = facts.unit_files.get(unit), service.unit_file_state
    if {file_state, wanted} == {"enabled", "disabled"}:
        verb = "enable" if wanted == "enabled" else "disable"
        yield Step(
            Line("live", "change", "unit file", unit, file_state, wanted),
            ("systemctl", verb, "--", unit),
            f"file {unit}",
        )


def _container(service: Service, facts: GuestFacts) -> Iterator[Step]:
    name = service.name
    there = None if facts.containers is None else facts.containers.get(name)
    if there is None or not _CONTAINER.fullmatch(name):
        return
    line = Line("live", "change", "container", name, there, service.status)
    if service.status == "running" and there in {"created", "exited"}:
        yield Step(line, ("docker", "start", "--", name), f"container {name}")
    if service.status in {"exited", "created", "dead"} and there == "running":
        yield Step(line, ("docker", "stop", "--", name), f"container {name}")


def _own(name: str) -> bool:
    return _OF_THE_TWIN_ITSELF.match(name) is not None


def _template(unit: str) -> str:
    stem, at, rest = unit.partition("@")
    return f"{stem}@.{rest.rpartition('.')[2]}" if at else unit
