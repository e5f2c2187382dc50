"""The containers of one engine, from look to look: listed by one call, inspected only where something changed."""

import os
import re
import time
from dataclasses import dataclass
from typing import Any

import msgspec

from safetytwin.collectors.base import AbsentError, Look
from safetytwin.collectors.docker_fields import (
    RUNNING,
    fields_of_inspect,
    fields_of_list,
    longest_age,
    without_age,
)
from safetytwin.collectors.engine_client import EngineClient, EngineError, EngineSilentError
from safetytwin.collectors.engine_gauges import ContainerGauges, cgroup_of
from safetytwin.models.service import Service
from safetytwin.models.timestamps import seconds_of, timestamp

HANGING_TIMEOUT = 0.05
"""Seconds that an engine gets which has not answered a call of an earlier look."""
SWEEP_EVERY = 60
"""Looks between two inspections of a container that seems not to change (`docker update` shows nowhere else)."""
IDLE_ENGINE_EVERY = 60.0
"""Seconds between two calls to an engine that stops itself when nobody asks: each call starts it again."""

_ID = re.compile(r"[0-9a-f]{12,64}\Z")
_AGE_TOLERANCE = 2.0


@dataclass(slots=True)
class _Known:
    entry: dict[str, Any]
    """The list's entry as without_age() returns it."""
    service: Service
    """Without gauges where the container does not run."""
    sweep_at: int
    """Number of the look at which it is inspected again, changed or not."""
    age_is_true: bool = True
    """False where the age in the list contradicts the start that an inspection gave (the clock was set meanwhile)."""


class EngineContainers:
    """The containers behind one socket."""

    def __init__(self, kind: str, path: str) -> None:
        self._kind = kind
        self._client = EngineClient(path)
        self._gauges = ContainerGauges()
        self._known: dict[str, _Known] = {}
        self._failures: list[str] = []
        self.heard: float | None = None
        """When the engine last answered, by the look's monotonic clock."""
        self._heard_wall = 0.0
        self._stops_when_idle = False

    @property
    def calls(self) -> int:
        """Calls made to the engine so far."""
        return self._client.calls

    def look(self, look: Look, timeout: float) -> list[Service]:
        """Return the containers as the engine now has them; it gets timeout seconds for all its answers.

        Raises OSError as connect(2) does, EngineSilentError where there is no answer in time, EngineError where it
        makes no sense and AbsentError where the socket is another engine's.
        """
        deadline = time.monotonic() + timeout
        self._client.settle(min(timeout, HANGING_TIMEOUT))
        if self._may_wait(look):
            services = self._from_memory(look, None)
            if services is not None:
                return services
        entries = self._list(deadline)
        self.heard, self._heard_wall = look.monotonic, look.wall
        self._failures = []
        known = {}
        for position, entry in enumerate(entries):
            container = self._refreshed(entry, position, deadline, look)
            if container is not None:
                known[entry["Id"]] = container
        if self._failures:
            look.notes.append(f"{len(self._failures)} containers could not be inspected: {self._failures[0]}")
        self._known = known
        self._gauges.keep_only(set(known))
        return [container.service for container in known.values()]

    def from_memory(self, look: Look) -> list[Service]:
        """Return the containers as the engine last had them, marked with when that was, their gauges as of now."""
        return self._from_memory(look, timestamp(self._heard_wall)) or []

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _may_wait(self, look: Look) -> bool:
        if self.heard is None or not self._stops_when_idle:
            return False
        return look.monotonic - self.heard < IDLE_ENGINE_EVERY

    def _from_memory(self, look: Look, seen: str | None) -> list[Service] | None:
        """Return what is known; without seen, None as soon as a running container turns out to be gone."""
        services = []
        for container_id, container in self._known.items():
            measured = self._measured(container_id, container.service, look)
            if measured is None:
                if seen is None:
                    return None
                measured = _plain(container.service)
            elif seen is None:
                container.service = measured
            services.append(measured if seen is None else msgspec.structs.replace(measured, timestamp=seen))
        return services

    def _list(self, deadline: float) -> list[dict[str, Any]]:
        answer = self._ask("/containers/json?all=1", deadline)
        if answer is None or not isinstance(answer, list):
            raise EngineError(f"{self._client.path} does not list containers: is this an engine's socket?")
        self._stops_when_idle = self._kind == "podman" and self._client.was_dropped
        entries = [entry for entry in answer if isinstance(entry, dict)]
        return [entry for entry in entries if isinstance(entry.get("Id"), str) and _ID.match(entry["Id"])]

    def _ask(self, target: str, deadline: float) -> Any:
        """Return the JSON of an answer, None where the engine knows no such thing."""
        answer = self._client.get(target, deadline - time.monotonic())
        if answer.server.startswith("Libpod") and self._kind != "podman":
            raise AbsentError(f"{self._client.path} is Podman's")
        if answer.status == 404:
            return None
        try:
            value = msgspec.json.decode(answer.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            value = None
        if answer.status != 200:
            reason = value.get("message") if isinstance(value, dict) else None
            raise EngineError(f"{self._client.path} answers {answer.status} to {target}: {reason or 'no reason given'}")
        if value is None:
            raise EngineError(f"{self._client.path} answers {target} with something that is not JSON")
        return value

    def _refreshed(self, listed: dict[str, Any], position: int, deadline: float, look: Look) -> _Known | None:
        """Return one container as it is now, or None where it vanished between the list and its inspection."""
        container_id, entry = listed["Id"], without_age(listed)
        before, restarted = self._known.get(container_id), False
        if before is not None and entry == before.entry and look.number < before.sweep_at:
            restarted = before.age_is_true and _restarted(listed, before.service, look.wall)
            measured = None if restarted else self._measured(container_id, before.service, look)
            if measured is not None:
                before.service = measured
                return before
        inspected: Any = None
        try:
            inspected = self._ask(f"/containers/{container_id}/json", deadline)
        except (EngineSilentError, EngineError, OSError) as error:
            self._failures.append(str(error))
            return self._uninspected(listed, entry, before, look)
        if not isinstance(inspected, dict):
            look.vanished += 1
            return None
        fields = fields_of_inspect(self._kind, listed, inspected)
        if fields["pid"] is not None:
            fields["cgroup"] = cgroup_of(look.root, fields["pid"], container_id)
        service = Service(**fields)
        age_is_true = before is None or before.age_is_true
        if before is not None and _plain(before.service) == service:
            service = before.service
            age_is_true = age_is_true and not restarted
        service = self._measured(container_id, service, look) or _plain(service)
        return _Known(entry, service, look.number + SWEEP_EVERY + position % SWEEP_EVERY, age_is_true)

    def _uninspected(self, listed: dict[str, Any], entry: dict[str, Any], before: _Known | None, look: Look) -> _Known:
        """Return a container of which only the list is known now, with what was known before; tried again next look."""
        fields = fields_of_list(self._kind, listed)
        if before is None:
            return _Known(entry, Service(**fields), look.number)
        service = msgspec.structs.replace(before.service, name=fields["name"], status=fields["status"])
        if service.status not in RUNNING:
            service = msgspec.structs.replace(_plain(service), pid=None, cgroup=None)
        return _Known(
            entry, self._measured(listed["Id"], service, look) or _plain(service), look.number, before.age_is_true
        )

    def _measured(self, container_id: str, service: Service, look: Look) -> Service | None:
        """Return the service with its gauges as of now (itself where none moved), None where its process is gone."""
        if service.status not in RUNNING or service.start_time is None:
            return service
        gauges: dict[str, Any] = {}
        if service.cgroup is not None:
            if not os.path.exists(os.path.join(look.root.proc, str(service.pid))):
                return None
            limit = service.limits.memory if service.limits is not None else None
            run = f"{service.pid} {service.start_time}"
            measured = self._gauges.measure(container_id, run, service.cgroup, limit, look)
            if measured is None:
                return None
            gauges = measured
        gauges["uptime_seconds"] = max(0.0, round(look.wall - seconds_of(service.start_time), 1))
        if all(getattr(service, name) == value for name, value in gauges.items()):
            return service
        return msgspec.structs.replace(service, **gauges)


def _plain(service: Service) -> Service:
    """Return a service without gauges."""
    return msgspec.structs.replace(
        service,
        uptime_seconds=None,
        cpu_seconds=None,
        cpu_percent=None,
        memory=None,
        memory_percent=None,
        read_bytes=None,
        write_bytes=None,
        tasks=None,
    )


def _restarted(listed: dict[str, Any], service: Service, wall: float) -> bool:
    """Say whether the age that the list gives is too short for the start, or the end, that is known."""
    text = listed.get("Status")
    age = longest_age(text) if isinstance(text, str) else None
    since = service.start_time if service.status in RUNNING else (service.extra or {}).get("finished_at")
    return age is not None and since is not None and wall - seconds_of(since) > age + _AGE_TOLERANCE
