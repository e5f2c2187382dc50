"""Runs all collectors and puts what they return together: one look."""

import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from safetytwin import __version__
from safetytwin.collectors.base import AbsentError, Collector, DeniedError, Look, LookOptions, Registration
from safetytwin.collectors.gpu_join import with_gpus
from safetytwin.collectors.host_root import HostRoot, read_line
from safetytwin.collectors.worker import Task, Worker
from safetytwin.models.fields import count
from safetytwin.models.hardware import Gpu, Hardware
from safetytwin.models.process import Process
from safetytwin.models.service import Service
from safetytwin.models.software import Software
from safetytwin.models.system_state import SCHEMA_VERSION, Agent, CollectorStatus, Status, SystemState
from safetytwin.models.timestamps import timestamp


class _Slot:
    """One collector as it lives through the looks."""

    def __init__(self, registration: Registration) -> None:
        self.registration = registration
        self.collector: Collector | None = None
        self.task: Task | None = None
        self.look: Look | None = None
        self.last_good: Any = None
        self.stuck = False

    def prepare(self, look: Look) -> Task | None:
        """Return the call for this look, or None while the last one still hangs."""
        if self.stuck and self.task is not None and not self.task.finished.is_set():
            return None
        self.stuck = False
        self.look = look
        self.task = Task(self._collect, self.registration.deadline)
        return self.task

    def _collect(self) -> Any:
        if self.collector is None:
            self.collector = self.registration.make()
        assert self.look is not None  # noqa: S101 - prepare() set it; this tells the type checker
        return self.collector.collect(self.look)


class SystemLooker:
    """Looks at a machine again and again.

    It keeps the collectors between looks, for what does not change is read once and rates need the look before.
    """

    def __init__(
        self,
        registrations: Sequence[Registration],
        *,
        host_id: str,
        root: HostRoot | None = None,
        options: LookOptions | None = None,
        backend: str = "proc",
    ) -> None:
        self._slots = [_Slot(registration) for registration in registrations]
        self._worker = Worker()
        self._host_id = host_id
        self._root = root or HostRoot()
        self._options = options or LookOptions()
        self._backend = backend
        self._number = 0
        self._own_cpu: tuple[float, float] | None = None

    def look(self, *, without: frozenset[str] = frozenset()) -> SystemState:
        """Look once and return the state; never raises for what a collector does.

        without names collectors to leave out of this look; they keep what they last found and are marked stale.
        """
        began = time.monotonic()
        found: dict[str, Any] = {}
        statuses: dict[str, CollectorStatus] = {}
        running: list[tuple[_Slot, Task]] = []
        for slot in self._slots:
            look = Look(self._root, self._options, self._number, found, time.monotonic(), time.time())
            task = None if slot.registration.name in without else slot.prepare(look)
            if task is not None:
                running.append((slot, task))
            elif slot.last_good is not None:
                found[slot.registration.name] = slot.last_good
        self._worker.run([_recording(slot, task, found) for slot, task in running])
        ran = {slot.registration.name for slot, _ in running}
        for slot in self._slots:
            name = slot.registration.name
            if name in ran:
                statuses[name] = _status(slot)
            else:
                reason = "left out to save CPU" if name in without else "still waiting for an answer to an earlier look"
                status: Status = "stale" if slot.last_good is not None else "timeout"
                statuses[name] = CollectorStatus(status=status, error=reason)
            if statuses[name].status in {"stale", "timeout"} and slot.last_good is not None:
                found.setdefault(name, slot.last_good)
        state = self._state(found, statuses, began)
        self._number += 1
        return state

    def close(self) -> None:
        """Give back what the collectors hold."""
        for slot in self._slots:
            if slot.collector is not None and not slot.stuck:
                slot.collector.close()
        self._worker.close()

    def _state(self, found: Mapping[str, Any], statuses: dict[str, CollectorStatus], began: float) -> SystemState:
        hardware: dict[str, Any] = {}
        software: dict[str, Any] = {}
        services: list[Service] = []
        processes: list[Process] = []
        extra: dict[str, Any] = {}
        for slot in self._slots:
            name, place = slot.registration.name, slot.registration.place
            if name not in found:
                continue
            value = found[name]
            if place == "services":
                services += value
            elif place == "processes":
                processes += value
            elif place == "hardware":
                hardware.update(_known(value))
            elif place == "software":
                software.update(_known(value))
            elif place.startswith("hardware.gpu."):
                hardware.setdefault("gpu", {})[place.removeprefix("hardware.gpu.")] = value
            elif place.startswith("hardware."):
                hardware[place.removeprefix("hardware.")] = value
            else:
                extra[name] = value
        gpus: dict[str, list[Gpu]] = hardware.get("gpu") or {}
        now = time.time()
        duration = time.monotonic() - began
        return SystemState(
            schema=SCHEMA_VERSION,
            host_id=self._host_id,
            boot_id=read_line(os.path.join(self._root.proc, "sys/kernel/random/boot_id")),
            seq=self._number,
            timestamp=timestamp(now) or "1970-01-01T00:00:00Z",
            hardware=Hardware(**hardware),
            services=sorted(services, key=lambda service: (service.type, service.id)),
            processes=with_gpus(processes, [gpu for devices in gpus.values() for gpu in devices]),
            agent=self._agent(statuses, duration),
            software=Software(**software) if software else None,
            extra=extra or None,
        )

    def _agent(self, statuses: dict[str, CollectorStatus], duration: float) -> Agent:
        now, used = time.monotonic(), time.process_time()
        percent = None
        if self._own_cpu is not None and now > self._own_cpu[0]:
            percent = round(100 * (used - self._own_cpu[1]) / (now - self._own_cpu[0]), 2)
        self._own_cpu = (now, used)
        return Agent(
            version=__version__,
            backend=self._backend,
            pid=os.getpid(),
            root=os.geteuid() == 0 if hasattr(os, "geteuid") else None,
            duration=round(duration, 3),
            cpu_percent=percent,
            rss=own_rss(),
            collectors=statuses,
        )


def _known(part: msgspec.Struct) -> dict[str, Any]:
    return {name: value for name, value in msgspec.structs.asdict(part).items() if value is not None}


def own_rss() -> int | None:
    """Return this process's resident memory in bytes, or None where /proc is absent."""
    try:
        with open("/proc/self/statm", "rb") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None


def _recording(slot: _Slot, task: Task, found: dict[str, Any]) -> Task:
    """Let a task's result be seen by the collectors that run after it in the same look."""
    call = task.call

    def collect_and_record() -> Any:
        result = call()
        if not slot.stuck:
            found[slot.registration.name] = result
        return result

    task.call = collect_and_record
    return task


def _status(slot: _Slot) -> CollectorStatus:
    task, look = slot.task, slot.look
    if task is None or look is None or not task.finished.is_set():
        slot.stuck = True
        late = f"no answer within {slot.registration.deadline:g} s"
        return CollectorStatus(status="stale" if slot.last_good is not None else "timeout", error=late)
    duration = round(task.duration or 0.0, 3)
    error = task.error
    if isinstance(error, AbsentError):
        slot.last_good = None
        return CollectorStatus(status="absent", duration=duration, error=str(error) or None)
    if isinstance(error, DeniedError | PermissionError):
        hint = error.hint if isinstance(error, DeniedError) else None
        return CollectorStatus(status="denied", duration=duration, error=str(error), hint=hint)
    if isinstance(error, TimeoutError):
        return CollectorStatus(status="timeout", duration=duration, error=str(error))
    if error is not None:
        return CollectorStatus(status="failed", duration=duration, error=f"{type(error).__name__}: {error}")
    slot.last_good = task.result
    return CollectorStatus(
        status="stale" if look.stale else "ok",
        duration=duration,
        hint=look.hint,
        notes=look.notes or None,
        vanished=count(look.vanished) if look.vanished else None,
    )
