"""Which processes make one workload: workers belong to the root that started them, or that shares their container."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from safetytwin.models.process import Process
from safetytwin.models.service import Service
from safetytwin.workloads.argv_grammar import interpreter_of
from safetytwin.workloads.judgement import Judgement

_WEB_SERVERS = frozenset({"uvicorn", "gunicorn", "hypercorn", "granian", "uwsgi"})
_MOST_STEPS = 64


class Group(NamedTuple):
    """One workload's processes."""

    root: int
    workers: tuple[int, ...]

    @property
    def members(self) -> tuple[int, ...]:
        """The root and its workers."""
        return (self.root, *self.workers)


def groups_of(
    processes: Mapping[int, Process],
    judgement_of: Callable[[int], Judgement],
    related: list[int],
    services: Mapping[str, Service],
) -> list[Group]:
    """Return the groups of related processes, by root pid."""
    members: dict[int, list[int]] = {}
    for pid in related:
        root = _root_of(pid, processes, judgement_of)
        members.setdefault(root, []).append(pid)
    merged = _merged(members, processes, judgement_of, services)
    groups = []
    for root, pids in merged.items():
        everyone = sorted({root, *pids})
        first = _without_launchers(root, everyone, processes, judgement_of)
        groups.append(Group(first, tuple(pid for pid in everyone if pid != first)))
    return sorted(groups, key=lambda group: group.root)


def _root_of(pid: int, processes: Mapping[int, Process], judgement_of: Callable[[int], Judgement]) -> int:
    for _ in range(_MOST_STEPS):
        above = _joined_parent(processes[pid], processes, judgement_of)
        if above is None:
            return pid
        pid = above
    return pid


def _joined_parent(
    process: Process, processes: Mapping[int, Process], judgement_of: Callable[[int], Judgement]
) -> int | None:
    """Return the parent that a process is a worker of, None where it is a root."""
    parent = processes.get(process.ppid or 0)
    if parent is None or parent.start_ticks > process.start_ticks:
        return None
    mine, above = judgement_of(process.pid), judgement_of(parent.pid)
    if above.related:
        return parent.pid if _belongs(process, mine, parent, above) else None
    if parent.exe is not None and interpreter_of(parent.exe) == "shell":
        grand = processes.get(parent.ppid or 0)
        if grand is not None and judgement_of(grand.pid).launcher and judgement_of(grand.pid).engine == mine.engine:
            return grand.pid
        return None
    if mine.engine is None and mine.role in {"server", "ml"} and parent.exe is not None and parent.exe == process.exe:
        forked = parent.cmdline == process.cmdline
        if above.invocation.program in _WEB_SERVERS or forked:
            return parent.pid
    return None


def _belongs(process: Process, mine: Judgement, parent: Process, above: Judgement) -> bool:
    if mine.role in {"mcp-server", "agent"} and mine.role != above.role:
        return False
    if mine.engine == above.engine and mine.role == "agent":
        return above.launcher or (any(one.family == "parent" for one in mine.evidence) and process.exe == parent.exe)
    if mine.engine is not None and mine.engine == above.engine:
        return True
    if above.role == "trainer" and mine.role in {"trainer", "ml"}:
        return True
    if mine.engine is None and above.engine is not None and above.role in {"server", "trainer"}:
        return True  # a backend that an engine started: its own program, without a name of its own
    return mine.engine is None and process.exe == parent.exe and above.role in {"server", "ml", "inference"}


def _merged(
    members: dict[int, list[int]],
    processes: Mapping[int, Process],
    judgement_of: Callable[[int], Judgement],
    services: Mapping[str, Service],
) -> dict[int, list[int]]:
    """Join roots of one engine that share a container, or a unit without a main process."""
    by_place: dict[tuple[str, str], int] = {}
    merged: dict[int, list[int]] = {}
    for root in sorted(members, key=lambda pid: (processes[pid].start_ticks, pid)):
        process, verdict = processes[root], judgement_of(root)
        key = process.service
        service = services.get(key) if key is not None else None
        first = None
        if key is not None and verdict.engine is not None and _is_one_place(key, service):
            first = by_place.setdefault((key, verdict.engine), root)
        if first is None or first == root:
            merged.setdefault(root, []).extend(members[root])
        else:
            merged[first] += [root, *members[root]]
    return merged


def _is_one_place(key: str, service: Service | None) -> bool:
    if not key.startswith("systemd/"):
        return True
    return service is not None and service.pid is None and key.endswith(".service")


def _without_launchers(
    root: int, everyone: list[int], processes: Mapping[int, Process], judgement_of: Callable[[int], Judgement]
) -> int:
    """Return the first member that is not only a launcher: sudo, uv run and npm exec are no roots."""
    if not judgement_of(root).launcher:
        return root
    real = [pid for pid in everyone if not judgement_of(pid).launcher and judgement_of(pid).related]
    return min(real, key=lambda pid: (processes[pid].start_ticks, pid), default=root)
