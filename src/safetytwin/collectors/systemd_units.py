"""A unit's D-Bus properties as a Service: pure.

Source: org.freedesktop.systemd1(5), systemd.service(5), systemd.resource-control(5).
"""

import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from safetytwin.models.fields import count
from safetytwin.models.service import Limits, Service
from safetytwin.models.timestamps import timestamp

WANTED_PROPERTIES = frozenset(
    (
        "ActiveState",
        "CPUQuotaPerSecUSec",
        "ControlGroup",
        "Description",
        "DropInPaths",
        "Environment",
        "ExecMainCode",
        "ExecMainStartTimestamp",
        "ExecMainStartTimestampMonotonic",
        "ExecMainStatus",
        "ExecStart",
        "FragmentPath",
        "InactiveExitTimestamp",
        "InactiveExitTimestampMonotonic",
        "InvocationID",
        "LoadState",
        "MainPID",
        "MemoryLimit",
        "MemoryMax",
        "NRestarts",
        "Requires",
        "Restart",
        "Result",
        "SubState",
        "TasksMax",
        "TriggeredBy",
        "Type",
        "UnitFileState",
        "User",
        "Wants",
    )
)

_EXITED = 1
"""CLD_EXITED of <signal.h>: the process ended by itself."""
_KILLED = (2, 3)
"""CLD_KILLED and CLD_DUMPED: a signal ended it."""
_STOPPED = frozenset(("inactive", "failed"))
_INSTALLED = frozenset(("enabled", "enabled-runtime", "disabled", "linked", "linked-runtime"))
_NOT_HERE = frozenset(("not-found", "masked", "merged", "stub"))


@dataclass(frozen=True, slots=True)
class UnitRow:
    """One row of ListUnits."""

    name: str
    description: str
    load_state: str
    active_state: str
    sub_state: str
    path: str
    job_id: int


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose units they are: the system's, or those of a user's manager."""

    uid: int | None = None
    owner: str = "root"
    """Name of that user."""

    def unit_id(self, name: str) -> str:
        """Return the id of a unit: its name, or user/UID/name."""
        return name if self.uid is None else f"user/{self.uid}/{name}"

    def user(self, configured: str) -> str:
        """Return the user a service runs as where its unit says configured (nothing: the manager's own)."""
        return configured or self.owner


@dataclass(frozen=True, slots=True)
class UnitFacts:
    """What a unit's properties say, as long as nothing happens to it."""

    service: Service
    """Without gauges."""
    started: float | None = None
    """When it last started, in seconds of the monotonic clock; None while it isn't active."""
    invocation: bytes = b""
    """The id of its run, another after each start."""


def is_of_this_host(load_state: str, active_state: str) -> bool:
    """Say whether a listed unit is one: not a name that others refer to, nor one masked, unless it runs or failed."""
    return load_state not in _NOT_HERE or active_state != "inactive"


def is_installed(file: str, state: str) -> bool:
    """Say whether a unit file that isn't loaded is an installed service: one that could be enabled, no template."""
    return state in _INSTALLED and not file.endswith("@.service")


def facts_of_row(scope: Scope, row: UnitRow) -> UnitFacts:
    """Return what the list of units says by itself, of a unit whose properties have not been read yet."""
    service = Service(
        type="systemd",
        id=scope.unit_id(row.name),
        name=row.name,
        status=row.active_state,
        sub_status=row.sub_state,
        load_state=row.load_state,
        description=row.description or None,
    )
    return UnitFacts(service)


def facts_of_file(scope: Scope, name: str, path: str, state: str) -> UnitFacts:
    """Return what the list of unit files says by itself, of an installed unit that isn't loaded."""
    service = Service(
        type="systemd",
        id=scope.unit_id(name),
        name=name,
        status="inactive",
        sub_status="dead",
        unit_file_state=state,
        extra={"fragment_path": path},
    )
    return UnitFacts(service)


def facts_of_properties(scope: Scope, name: str, properties: Mapping[str, Any]) -> UnitFacts:
    """Return what a unit's properties say; what is missing or of another type than agreed is unknown."""
    active = _text(properties, "ActiveState")
    running = active is not None and active not in _STOPPED
    started, realtime = _started(properties)
    exit_code, exit_signal = _exit(properties)
    service = Service(
        type="systemd",
        id=scope.unit_id(name),
        name=name,
        status=active,
        sub_status=_text(properties, "SubState"),
        load_state=_text(properties, "LoadState"),
        unit_file_state=_text(properties, "UnitFileState"),
        description=_text(properties, "Description"),
        pid=_number(properties, "MainPID") or None,
        start_time=timestamp(realtime / 1e6) if realtime else None,
        cgroup=_text(properties, "ControlGroup"),
        exit_code=exit_code,
        result=_text(properties, "Result"),
        restarts=_number(properties, "NRestarts"),
        user=scope.user(_text(properties, "User") or "") if "User" in properties else None,
        command=_command(properties),
        links=_links(properties),
        environment=_environment(properties),
        restart_policy=_text(properties, "Restart"),
        limits=_limits(properties),
        extra=_extra(properties, exit_signal),
    )
    invocation = properties.get("InvocationID")
    return UnitFacts(
        service,
        started=started / 1e6 if running and started else None,
        invocation=invocation if isinstance(invocation, bytes) else b"",
    )


def _text(properties: Mapping[str, Any], name: str) -> str | None:
    value = properties.get(name)
    return value if isinstance(value, str) and value else None


def _number(properties: Mapping[str, Any], name: str) -> int | None:
    """Return a number; None where there is none or it is 18446744073709551615, which is infinity or unset."""
    value = properties.get(name)
    return count(value) if isinstance(value, int) else None


def _texts(properties: Mapping[str, Any], name: str) -> list[str]:
    value = properties.get(name)
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _started(properties: Mapping[str, Any]) -> tuple[int, int]:
    """Return when the unit last started, monotonic and since 1970 (microseconds, 0 for never).

    That is when its main process did or, where it has none or not yet, when it last left the inactive state.
    """
    return max(
        (_number(properties, f"{event}TimestampMonotonic") or 0, _number(properties, f"{event}Timestamp") or 0)
        for event in ("ExecMainStart", "InactiveExit")
    )


def _exit(properties: Mapping[str, Any]) -> tuple[int | None, str | None]:
    """Return exit code and name of the signal of the last run's main process; (None, None) while it has not ended."""
    code, status = properties.get("ExecMainCode"), properties.get("ExecMainStatus")
    if not isinstance(status, int):
        return None, None
    if code == _EXITED:
        return status, None
    if code not in _KILLED:
        return None, None
    try:
        return None, signal.Signals(status).name
    except ValueError:
        return None, f"SIG{status}"


def _command(properties: Mapping[str, Any]) -> list[str] | None:
    """Return the argument list of the first ExecStart=."""
    commands = properties.get("ExecStart")
    if not isinstance(commands, list) or not commands or not isinstance(commands[0], tuple):
        return None
    return list(commands[0][1]) or None


def _links(properties: Mapping[str, Any]) -> list[str] | None:
    required = {*_texts(properties, "Requires"), *_texts(properties, "Wants")}
    return sorted(name for name in required if name.endswith(".service")) or None


def _environment(properties: Mapping[str, Any]) -> dict[str, str] | None:
    pairs = (item.partition("=") for item in _texts(properties, "Environment"))
    return {name: value for name, _, value in pairs} or None


def _limits(properties: Mapping[str, Any]) -> Limits | None:
    memory = _number(properties, "MemoryMax")
    quota = _number(properties, "CPUQuotaPerSecUSec")
    limits = Limits(
        memory=memory if memory is not None else _number(properties, "MemoryLimit"),
        cpus=quota / 1e6 if quota is not None else None,
        pids=_number(properties, "TasksMax"),
    )
    return None if limits == Limits() else limits


def _extra(properties: Mapping[str, Any], exit_signal: str | None) -> dict[str, Any] | None:
    extra: dict[str, Any] = {
        "service_type": _text(properties, "Type"),
        "fragment_path": _text(properties, "FragmentPath"),
        "drop_in_paths": _texts(properties, "DropInPaths"),
        "triggered_by": _texts(properties, "TriggeredBy"),
        "exit_signal": exit_signal,
    }
    return {name: value for name, value in extra.items() if value} or None
