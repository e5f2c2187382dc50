"""Which units and containers a workload makes AI's: those whose own work it is, not those it merely runs below."""

from collections.abc import Mapping, Sequence
from os.path import basename
from typing import NamedTuple

from safetytwin.models.process import Process
from safetytwin.models.service import Service
from safetytwin.models.workload import Workload
from safetytwin.workloads.argv_grammar import interpreter_of
from safetytwin.workloads.argv_wrappers import is_wrapper

_MOST_STEPS = 16
About = tuple[str, str | None, float, str]
"""Role, engine, confidence and workload."""


class Tie(NamedTuple):
    """That a process is of a workload."""

    pid: int
    key: str
    """The workload's."""
    role: str
    engine: str | None
    confidence: float
    root: bool


def related_services(
    services: Sequence[Service], processes: Mapping[int, Process], ties: Sequence[Tie], workloads: Sequence[Workload]
) -> dict[str, About]:
    """Return the units and containers that serve, train or converse with models, by key.

    A container is, where one of its processes is of a workload. A unit is, where its main process is, or started it
    through shells and wrappers alone, or has ended (a oneshot unit): a session, sshd or cron is not.
    """
    found: dict[str, About] = {
        workload.id: (workload.role, workload.engine, workload.confidence, workload.id)
        for workload in workloads
        if workload.pid is None
    }
    by_key = {f"{service.type}/{service.id}": service for service in services}
    for tie in sorted(ties, key=lambda tie: (not tie.root, tie.pid)):
        process = processes.get(tie.pid)
        if process is None or process.service is None or process.service in found:
            continue
        service = by_key.get(process.service)
        if service is not None and _is_work_of(service, process, processes):
            found[process.service] = (tie.role, tie.engine, tie.confidence, tie.key)
    return found


def _is_work_of(service: Service, process: Process, processes: Mapping[int, Process]) -> bool:
    if service.type != "systemd":
        return True
    if not service.id.endswith(".service") or service.status not in {"active", "activating", "reloading", None}:
        return False
    if service.pid is None:
        return True
    current: Process | None = process
    for _ in range(_MOST_STEPS):
        if current is None:
            return False
        if current.pid == service.pid:
            return True
        current = processes.get(current.ppid or 0)
        if current is None or not _only_starts(current):
            return False
    return False


def _only_starts(process: Process) -> bool:
    """Tell whether a process is a shell or a wrapper, whose work is what it started."""
    name = basename(process.exe) if process.exe is not None else process.name
    return interpreter_of(name) is not None or is_wrapper(name)
