"""What a unit uses at the moment, and its row of the state with that: the same row as long as nothing moved."""

from collections.abc import Callable

import msgspec

from safetytwin.collectors.cgroups import CgroupUsage
from safetytwin.collectors.rates import percent
from safetytwin.collectors.systemd_units import UnitFacts
from safetytwin.models.service import Service

UPTIME_ACCURACY = 0.01
"""The part by which an idle unit's uptime may lag behind: else every row would change with every look."""

ReadUsage = Callable[[str, CgroupUsage | None], CgroupUsage | None]
"""Reads a control group, given what was read of it before where its CPU may show that nothing moved."""


class UnitGauges:
    """Follows the gauges of one unit from look to look."""

    __slots__ = ("_cpu_seconds", "_facts", "_memory_total", "_monotonic", "_service", "_usage")

    def __init__(self) -> None:
        self._facts: UnitFacts | None = None
        self._service: Service | None = None
        self._usage: CgroupUsage | None = None
        self._cpu_seconds: float | None = None
        self._monotonic = 0.0
        self._memory_total: int | None = None

    @property
    def counts_cpu(self) -> bool:
        """Whether the unit's CPU is counted, so that it shows whether anything moved."""
        return self._usage is None or self._usage.cpu_seconds is not None

    def measured(
        self, facts: UnitFacts, read: ReadUsage, monotonic: float, memory_total: int | None, *, thoroughly: bool
    ) -> Service:
        """Return the unit's row with its gauges.

        monotonic: seconds of the clock that facts.started is of; memory_total: the machine's, bytes; thoroughly: read
        also what can change while the unit has no CPU.
        """
        if self._facts is None or facts.invocation != self._facts.invocation:
            self._usage = self._cpu_seconds = None
        path = facts.service.cgroup
        if path is None:
            usage = None
        elif thoroughly or self.counts_cpu:
            usage = read(path, None if thoroughly else self._usage)
        else:
            usage = self._usage
        cpu_seconds = usage.cpu_seconds if usage is not None else None
        cpu_percent = self._cpu_percent(cpu_seconds, monotonic)
        service = self._service
        if (
            service is None
            or facts is not self._facts
            or usage is not self._usage
            or cpu_percent != service.cpu_percent
            or memory_total != self._memory_total
            or uptime_lags(service.uptime_seconds, facts.started, monotonic)
        ):
            fresh = _row(facts, usage, cpu_percent, monotonic, memory_total)
            service = service if service == fresh else fresh
        self._facts, self._service, self._usage, self._memory_total = facts, service, usage, memory_total
        self._cpu_seconds, self._monotonic = cpu_seconds, monotonic
        return service

    def _cpu_percent(self, cpu_seconds: float | None, monotonic: float) -> float | None:
        before, elapsed = self._cpu_seconds, monotonic - self._monotonic
        if cpu_seconds is None or before is None or cpu_seconds < before or elapsed <= 0:
            return None
        return round(100 * (cpu_seconds - before) / elapsed, 2)


def uptime_lags(uptime: float | None, started: float | None, now: float) -> bool:
    """Say whether an uptime found earlier is too far from what it is now; started is of the same clock."""
    if uptime is None or started is None:
        return (uptime is None) != (started is None)
    return abs(now - started - uptime) > UPTIME_ACCURACY * uptime


def _row(
    facts: UnitFacts, usage: CgroupUsage | None, cpu_percent: float | None, monotonic: float, memory_total: int | None
) -> Service:
    uptime = None if facts.started is None else max(0.0, round(monotonic - facts.started, 1))
    if usage is None:
        return facts.service if uptime is None else msgspec.structs.replace(facts.service, uptime_seconds=uptime)
    limits = facts.service.limits
    ceiling = limits.memory if limits is not None and limits.memory else memory_total
    return msgspec.structs.replace(
        facts.service,
        uptime_seconds=uptime,
        cpu_percent=cpu_percent,
        cpu_seconds=usage.cpu_seconds,
        memory=usage.memory,
        memory_percent=percent(usage.memory, ceiling),
        read_bytes=usage.read_bytes,
        write_bytes=usage.write_bytes,
        tasks=usage.tasks,
    )
