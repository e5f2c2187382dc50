"""Recognises the AI workloads of a state: judges what changed, groups processes, joins models, GPUs and endpoints.

A process or service of which nothing changed is not judged again and keeps the identical record that it was given in
the look before.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from safetytwin.models.process import Process
from safetytwin.models.service import Service
from safetytwin.models.system_state import SystemState
from safetytwin.models.workload import Ai, AiModel, Evidence, Workload
from safetytwin.workloads.assembling import is_serving, key_of, workload_of
from safetytwin.workloads.catalogue import Catalogue
from safetytwin.workloads.containers import container_workload, is_running
from safetytwin.workloads.groups import Group, groups_of
from safetytwin.workloads.judge import Judge
from safetytwin.workloads.judgement import Judgement
from safetytwin.workloads.library_table import LibraryTable
from safetytwin.workloads.model_files import HeaderReader
from safetytwin.workloads.models_used import Asked, StoredModels, joined, models_of_workload
from safetytwin.workloads.process_sight import SightReader
from safetytwin.workloads.service_links import Tie, related_services
from safetytwin.workloads.tracked_process import Seen

_NOTHING = Judgement(None, None, -4.0, ())
Answers = Mapping[str, tuple[Sequence[Asked], str | None, bool | None]]
"""By workload: the models that it named, its version, and whether it asked for a key."""


class Recogniser:
    """Recognises state after state of one machine."""

    def __init__(
        self,
        catalogue: Catalogue,
        *,
        proc: str = "/proc",
        inventory: Callable[[], list[AiModel]] | None = None,
        ask: Callable[[Sequence[Workload]], Answers] | None = None,
    ) -> None:
        self._catalogue = catalogue
        self._reader = SightReader(proc, LibraryTable(catalogue), HeaderReader())
        self._judge = Judge(catalogue, self._reader)
        self._inventory = inventory
        self._ask = ask
        self._seen: dict[int, Seen] = {}
        self._services: dict[tuple[str, str], tuple[Service, tuple[Any, ...] | None, Service]] = {}
        self._workloads: dict[str, Workload] = {}
        self._models: dict[str, AiModel] = {}
        self._ai: Ai | None = None
        self._stored = StoredModels(())
        self._used: dict[str, list[AiModel]] = {}

    def recognise(self, state: SystemState) -> SystemState:
        """Return the state with ai filled in, and is_llm_related and extra.ai of processes and services."""
        services = {f"{service.type}/{service.id}": service for service in state.services}
        self._reader.hazards = _hazards(state)
        changed = self._follow(state.processes, services, state.timestamp)
        processes = {process.pid: process for process in state.processes}
        related = [pid for pid, seen in self._seen.items() if not seen.fixed and seen.judgement.related]
        groups = groups_of(processes, self.judgement_of, related, services)
        workloads, ties = self._assemble(groups, processes, services)
        workloads += self._of_containers(services, processes, {tie.key for tie in ties})
        by_pid = {tie.pid: tie for tie in ties}
        for pid in changed | by_pid.keys():
            self._seen[pid].show(processes[pid], by_pid.get(pid))
        shown_processes = [seen.result for seen in self._seen.values()]
        shown_services = self._shown_services(state.services, processes, ties, workloads)
        return msgspec.structs.replace(
            state, processes=shown_processes, services=shown_services, ai=self._ai_of(workloads)
        )

    def judgement_of(self, pid: int) -> Judgement:
        """Return the verdict on a process of the last state."""
        seen = self._seen.get(pid)
        return seen.judgement if seen is not None else _NOTHING

    # Processes.

    def _follow(self, processes: Sequence[Process], services: Mapping[str, Service], at: str) -> set[int]:
        """Judge what is new or changed, parents before their children; return whose record must be made again."""
        before = self._seen
        following: dict[int, Seen] = {}
        pending: dict[int, Process] = {}
        changed: set[int] = set()
        for process in processes:
            seen = before.get(process.pid)
            if seen is not None and seen.fixed and seen.raw is process:
                following[process.pid] = seen
                continue
            changed.add(process.pid)
            if seen is not None and seen.raw is process and not seen.placement_moved(services):
                following[process.pid] = seen
            elif seen is not None and seen.raw.start_ticks == process.start_ticks:
                following[process.pid] = seen
                if seen.take(process, services):
                    pending[process.pid] = process
            else:
                following[process.pid] = Seen(process, _NOTHING)
                pending[process.pid] = process
        self._seen = following
        if not pending:
            return changed
        children: dict[int, list[int]] = {}
        for process in processes:
            if process.ppid:
                children.setdefault(process.ppid, []).append(process.pid)
        done: set[int] = set()
        while pending:
            pid = next(iter(pending))
            above = pending[pid].ppid
            steps = 0
            while above in pending and above != pid and steps < len(pending):
                pid, above, steps = above, pending[above].ppid, steps + 1
            process = pending.pop(pid)
            seen = following[pid]
            old = seen.judgement
            self._judge_one(seen, process, following, services, at)
            done.add(pid)
            if (old.role, old.engine) != (seen.judgement.role, seen.judgement.engine):
                for child in children.get(pid, ()):
                    if child not in done and child in following:
                        pending[child] = following[child].raw
                        changed.add(child)
        return changed

    def _judge_one(
        self,
        seen: Seen,
        process: Process,
        following: Mapping[int, Seen],
        services: Mapping[str, Service],
        at: str,
    ) -> None:
        service = services.get(process.service) if process.service is not None else None
        if process.kernel_thread or process.status == "zombie":
            seen.judged(process, _NOTHING, service)
            return
        if seen.wants_look(process):
            seen.look(process, self._reader.look(process.pid), at)
        above = following.get(process.ppid or 0)
        parent = (above.raw, above.judgement) if above is not None and above.raw.pid != process.pid else None
        try:
            judgement = self._judge.judge(process, seen.sight, service, parent)
        except Exception as error:
            # One process that can't be judged never hides the others; explain shows why it has no verdict.
            judgement = _NOTHING._replace(missing=(f"it could not be judged: {type(error).__name__}: {error}",))
        seen.judged(process, judgement, service)

    # Workloads.

    def _assemble(
        self, groups: Sequence[Group], processes: Mapping[int, Process], services: Mapping[str, Service]
    ) -> tuple[list[Workload], list[Tie]]:
        stored = StoredModels(self._inventory() if self._inventory is not None else ())
        self._stored = stored
        drafts: list[tuple[str, Group, Service | None]] = []
        taken: set[str] = set()
        for group in groups:
            root = processes[group.root]
            service = services.get(root.service) if root.service is not None else None
            key = key_of(root, service, taken)
            taken.add(key)
            drafts.append((key, group, service))
        built = [self._build(key, group, service, processes, stored, {}) for key, group, service in drafts]
        answers = self._ask([workload for workload, _ in built]) if self._ask is not None else {}
        if answers:
            built = [self._build(key, group, service, processes, stored, answers) for key, group, service in drafts]
        self._used = {workload.id: models for workload, models in built}
        ties = [
            Tie(pid, workload.id, workload.role, workload.engine, workload.confidence, root=pid == group.root)
            for (workload, _), (_, group, _) in zip(built, drafts, strict=True)
            for pid in group.members
        ]
        return [workload for workload, _ in built], ties

    def _build(
        self,
        key: str,
        group: Group,
        service: Service | None,
        processes: Mapping[int, Process],
        stored: StoredModels,
        answers: Answers,
    ) -> tuple[Workload, list[AiModel]]:
        judgements = {pid: self.judgement_of(pid) for pid in group.members}
        main = judgements[group.root]
        engine = main.engine or next((one.engine for one in judgements.values() if one.engine), None)
        sightings: dict[str, str] = {}
        for pid in group.members:
            sightings.update(self._seen[pid].sightings)
        asked, version, authenticated = answers.get(key, ((), None, None))
        members = [processes[pid] for pid in group.members]
        models = models_of_workload(
            engine,
            judgements.values(),
            stored,
            sightings,
            asked,
            serving=bool(is_serving(members, main, service)),
        )
        said: list[Evidence] = []
        if asked or version:
            locator = ", ".join(one.name for one in asked[:4]) or version or ""
            said.append(Evidence("api", "its own answer on loopback", locator, f"engine:{engine}", 5.0))
        workload = workload_of(
            key, group, processes, judgements, self._catalogue, service, models,
            extra_evidence=said, authenticated=authenticated,
        )  # fmt: skip
        if version is not None and workload.engine_version is None:
            workload = msgspec.structs.replace(workload, engine_version=version)
        return workload, models

    def _of_containers(
        self, services: Mapping[str, Service], processes: Mapping[int, Process], taken: set[str]
    ) -> list[Workload]:
        """Return the workloads of containers none of whose processes can be seen."""
        hidden = [
            (key, service)
            for key, service in services.items()
            if service.type != "systemd" and key not in taken and is_running(service)
        ]
        if not hidden:
            return []
        visible = {process.service for process in processes.values() if process.service is not None}
        found = []
        for key, service in hidden:
            if key in visible:
                continue
            made = container_workload(key, service, self._judge, self._catalogue)
            if made is not None:
                workload, models = made
                found.append(workload)
                self._used[workload.id] = models
        return found

    def _ai_of(self, workloads: Sequence[Workload]) -> Ai:
        """Return the section; what did not change is the same object as in the look before."""
        same = [_same(self._workloads.get(one.id), one) for one in workloads]
        models = [_same(self._models.get(one.id), one) for one in joined(self._stored.models, self._used)]
        self._workloads = {one.id: one for one in same}
        self._models = {one.id: one for one in models}
        before = self._ai
        if before is None or not _identical(before.workloads, same) or not _identical(before.models, models):
            self._ai = Ai(workloads=same, models=models)
        assert self._ai is not None  # noqa: S101 - made above where there was none
        return self._ai

    # Services.

    def _shown_services(
        self,
        services: Sequence[Service],
        processes: Mapping[int, Process],
        ties: Sequence[Tie],
        workloads: Sequence[Workload],
    ) -> list[Service]:
        related = related_services(services, processes, ties, workloads)
        shown = []
        kept: dict[tuple[str, str], tuple[Service, tuple[Any, ...] | None, Service]] = {}
        for service in services:
            key = (service.type, service.id)
            ai = related.get(f"{service.type}/{service.id}")
            before = self._services.get(key)
            if before is not None and before[0] is service and before[1] == ai:
                result = before[2]
            elif ai is None:
                result = msgspec.structs.replace(service, is_llm_related=False)
            else:
                about = zip(("role", "engine", "confidence", "workload"), ai, strict=True)
                extra = {**(service.extra or {}), "ai": {name: value for name, value in about if value is not None}}
                result = msgspec.structs.replace(service, is_llm_related=True, extra=extra)
            kept[key] = (service, ai, result)
            shown.append(result)
        self._services = kept
        return shown


def _hazards(state: SystemState) -> tuple[str, ...]:
    """Return where file systems of networks and of FUSE are mounted that did not answer: no file there is opened."""
    return tuple(
        disk.mountpoint
        for disk in state.hardware.disks or ()
        if disk.kind in {"network", "fuse"} and disk.status not in {None, "ok"}
    )


def _same(before: Any, now: Any) -> Any:
    return before if before == now else now


def _identical(before: Iterable[Any], now: Sequence[Any]) -> bool:
    items = list(before)
    return len(items) == len(now) and all(one is other for one, other in zip(items, now, strict=True))
