"""What a container uses, from its control group: the engine's own statistics take a second a container."""

import os
from dataclasses import dataclass
from typing import Any

from safetytwin.collectors.base import Look
from safetytwin.collectors.cgroups import CgroupReader, CgroupUsage
from safetytwin.collectors.host_root import HostRoot, read_bytes
from safetytwin.models.service import Limits

WHOLE_EVERY = 30
"""Looks between two whole readings of a group that uses no CPU: what moves its memory and limits comes from outside."""

_CONTROLLERS_FIRST = ("memory", "cpuacct", "pids", "", "name=systemd")


@dataclass(slots=True)
class _Sample:
    run: str
    usage: CgroupUsage
    monotonic: float
    looks: int


class ContainerGauges:
    """CPU, memory, I/O and tasks of containers, with CPU between two looks."""

    def __init__(self) -> None:
        self._reader: CgroupReader | None = None
        self._samples: dict[str, _Sample] = {}

    def measure(self, key: str, run: str, path: str, memory_limit: int | None, look: Look) -> dict[str, Any] | None:
        """Return the gauges of a Service for the group at path, or None where the group is gone.

        run tells one run of the container from the next (its start): a new one starts CPU percentages afresh.
        """
        if self._reader is None:
            self._reader = CgroupReader(look.root)
        before = self._samples.get(key)
        if before is not None and before.run != run:
            before = None
        gate = before.usage if before is not None and before.looks % WHOLE_EVERY else None
        usage = self._reader.usage(path, gate)
        if usage is None:
            self._samples.pop(key, None)
            return None
        looks = before.looks + 1 if before is not None else 1 + hash(key) % WHOLE_EVERY
        self._samples[key] = _Sample(run, usage, look.monotonic, looks)
        total = _machine_memory(look)
        limits = [limit for limit in (memory_limit, usage.memory_limit, total) if limit]
        percent = None if usage.memory is None or total is None else round(100 * usage.memory / min(limits), 3)
        return {
            "cpu_seconds": usage.cpu_seconds,
            "cpu_percent": _cpu_percent(before, usage, look.monotonic),
            "memory": usage.memory,
            "memory_percent": percent,
            "read_bytes": usage.read_bytes,
            "write_bytes": usage.write_bytes,
            "tasks": usage.tasks,
        }

    def limits(self, key: str) -> Limits | None:
        """Return what the group measured last under key may use, or None where it has no limits."""
        sample = self._samples.get(key)
        if sample is None:
            return None
        usage = sample.usage
        limits = Limits(memory=usage.memory_limit, cpus=usage.cpus_limit, pids=usage.pids_limit)
        return None if limits == Limits() else limits

    def keep_only(self, keys: set[str]) -> None:
        """Forget all containers but these."""
        for key in self._samples.keys() - keys:
            del self._samples[key]


def cgroup_of(root: HostRoot, pid: int, container_id: str) -> str | None:
    """Return the control group of a container by its main process, or None where that is not to be told.

    The path ends where it names the container: systemd inside one sits in a group further down. A path that does not
    name it is another's, for the pid may be of another PID namespace.
    """
    try:
        data = read_bytes(os.path.join(root.proc, str(pid), "cgroup"))
    except OSError:
        return None
    paths = {}
    for line in os.fsdecode(data).splitlines():
        parts = line.split(":", 2)
        if len(parts) == 3:
            for name in parts[1].split(","):
                paths[name] = parts[2]
    for controller in _CONTROLLERS_FIRST:
        path = group_named(paths.get(controller, ""), container_id)
        if path is not None:
            return path
    return None


def group_named(path: str, container_id: str) -> str | None:
    """Return path as far as the part that names the container, or None where no part does."""
    components = path.split("/")
    for position, component in enumerate(components):
        if container_id in component:
            return "/".join(components[: position + 1])
    return None


def _cpu_percent(before: _Sample | None, usage: CgroupUsage, now: float) -> float | None:
    """Return CPU since the sample before, of one core; None at first sight and where the counter went back."""
    if before is None or before.usage.cpu_seconds is None or usage.cpu_seconds is None or now <= before.monotonic:
        return None
    used = usage.cpu_seconds - before.usage.cpu_seconds
    return None if used < 0 else round(100 * used / (now - before.monotonic), 3)


def _machine_memory(look: Look) -> int | None:
    total = getattr(look.found.get("memory"), "total", None)
    return total if isinstance(total, int) and total > 0 else None
