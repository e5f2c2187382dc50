"""Containers that no engine listed: of runtimes that are not asked, or whose engine may not be."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from safetytwin.collectors.base import Look
from safetytwin.collectors.engine_gauges import ContainerGauges, group_named
from safetytwin.models.process import Process
from safetytwin.models.service import Service
from safetytwin.models.timestamps import seconds_of

ENGINES = ("docker", "podman")
"""Collectors that list containers; they run before this one."""

_LONG_ID = re.compile(r"[0-9a-f]{64}\Z")
_POD = re.compile(r"pod([0-9a-f]{8}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{12})")


class CgroupContainersCollector:
    """Containers of any runtime that only the control groups of their processes show."""

    def __init__(self) -> None:
        self._gauges = ContainerGauges()
        self._listed: dict[str, set[str]] = {}

    def collect(self, look: Look) -> list[Service]:
        """Return them with what is known; [] where there are none."""
        known = self._known(look.found)
        services = []
        for key, processes in _by_container(look.found.get("processes") or ()).items():
            kind, _, container_id = key.partition("/")
            if container_id not in known:
                services.append(self._service(kind, container_id, processes, look))
        self._gauges.keep_only({f"{service.type}/{service.id}" for service in services})
        return services

    def close(self) -> None:
        """Nothing is held."""

    def _known(self, found: Mapping[str, Any]) -> set[str]:
        """Return the ids that the engines listed; one that says nothing in this look keeps those of the look before.

        For its containers stand in the state as they were then, and must not stand there twice.
        """
        before, self._listed = self._listed, {}
        known: set[str] = set()
        for engine in ENGINES:
            if engine in found:
                self._listed[engine] = {service.id for service in found[engine]}
            known |= self._listed.get(engine, before.get(engine, set()))
        return known

    def _service(self, kind: str, container_id: str, processes: Sequence[Process], look: Look) -> Service:
        first = min(processes, key=lambda process: (process.start_ticks, process.pid))
        path = group_named(first.cgroup, container_id) or first.cgroup if first.cgroup is not None else None
        key = f"{kind}/{container_id}"
        run = f"{first.pid} {first.start_ticks}"
        gauges = self._gauges.measure(key, run, path, None, look) if path is not None else None
        uptime = None
        if first.create_time is not None:
            uptime = max(0.0, round(look.wall - seconds_of(first.create_time), 1))
        pod = _POD.search(path or "")
        return Service(
            type=kind,
            id=container_id,
            name=container_id[:12] if _LONG_ID.match(container_id) else container_id,
            status="running",
            pid=first.pid,
            start_time=first.create_time,
            uptime_seconds=uptime,
            cgroup=path,
            limits=self._gauges.limits(key),
            extra={"pod_uid": pod[1].replace("_", "-")} if pod is not None else None,
            **(gauges or {}),
        )


def _by_container(processes: Sequence[Process]) -> dict[str, list[Process]]:
    containers: dict[str, list[Process]] = {}
    for process in processes:
        if process.service is not None and not process.service.startswith("systemd/"):
            containers.setdefault(process.service, []).append(process)
    return containers
