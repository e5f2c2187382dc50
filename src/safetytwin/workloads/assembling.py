"""Makes the record of one workload from its group of processes."""

from collections.abc import Mapping, Sequence

import msgspec

from safetytwin.models.process import Process
from safetytwin.models.service import Service
from safetytwin.models.workload import AiModel, Endpoint, Evidence, Workload, WorkloadGpu
from safetytwin.workloads.catalogue import Catalogue
from safetytwin.workloads.endpoints import endpoints_of
from safetytwin.workloads.evidence import confidence, ordered, score
from safetytwin.workloads.groups import Group
from safetytwin.workloads.judgement import Judgement
from safetytwin.workloads.models_used import uses_of

_MOST_EVIDENCE = 24
_PARTS = 3
_SERVING_ROLES = frozenset({"server", "gateway", "ui", "orchestrator", "vector-db"})


def key_of(root: Process, service: Service | None, taken: set[str]) -> str:
    """Return a workload's key: its container where it has one to itself, else its root process."""
    if service is not None and service.type != "systemd" and root.service is not None and root.service not in taken:
        return root.service
    return f"{root.pid}/{root.start_ticks}"


def is_serving(members: Sequence[Process], verdict: Judgement, service: Service | None) -> bool | None:
    """Tell whether a workload answers on a socket; None where its sockets can't be seen."""
    if verdict.role not in _SERVING_ROLES:
        return False
    if any(one.status == "LISTEN" for process in members for one in process.connections or ()):
        return True
    if verdict.listener.socket is not None:
        return True
    if service is not None and service.type != "systemd":
        return None
    return None if any(process.connections is None for process in members) else False


def workload_of(
    key: str,
    group: Group,
    processes: Mapping[int, Process],
    judgements: Mapping[int, Judgement],
    catalogue: Catalogue,
    service: Service | None,
    models: Sequence[AiModel],
    *,
    extra_evidence: Sequence[Evidence] = (),
    authenticated: bool | None = None,
) -> Workload:
    """Return the workload of a group; authenticated is what asking found out."""
    root = processes[group.root]
    members = [processes[pid] for pid in group.members]
    verdicts = [judgements[pid] for pid in group.members if pid in judgements]
    main = _main(judgements.get(group.root), verdicts)
    evidence = list(main.evidence) + list(extra_evidence)
    for verdict in verdicts:
        if verdict is not main:
            evidence += [one for one in verdict.evidence if one.family in {"library", "model_file", "device"}][:_PARTS]
    family = catalogue.family.get(main.engine) if main.engine is not None else None
    endpoints = endpoints_of(members, verdicts, service if service and service.type != "systemd" else None)
    if authenticated is not None:
        endpoints = [msgspec.structs.replace(endpoint, authenticated=authenticated) for endpoint in endpoints]
    serving = is_serving(members, main, service)
    return Workload(
        id=key,
        role=main.role or "ml",
        confidence=confidence(score([*main.evidence, *extra_evidence])),
        evidence=ordered(evidence)[:_MOST_EVIDENCE],
        engine=main.engine,
        engine_version=next((verdict.version for verdict in (main, *verdicts) if verdict.version), None),
        name=family.title if family is not None else main.invocation.program or root.name,
        state="starting" if serving is False and main.role == "server" else "running",
        pid=root.pid,
        workers=list(group.workers) or None,
        service=root.service,
        models=uses_of(models) or None,
        endpoints=endpoints or None,
        gpus=_gpus(members) or None,
        cpu_percent=_sum([process.cpu_percent for process in members]),
        rss=_whole([process.memory_info.rss if process.memory_info else None for process in members]),
        missing=_missing(main, verdicts, models) or None,
        findings=_findings(root, processes.get(root.ppid or 0), main, endpoints) or None,
    )


def _main(root: Judgement | None, verdicts: Sequence[Judgement]) -> Judgement:
    if root is not None and root.related:
        return root
    return max(verdicts, key=lambda verdict: (verdict.related, verdict.score))


def _gpus(members: Sequence[Process]) -> list[WorkloadGpu]:
    held: dict[str, list[tuple[int | None, float | None]]] = {}
    for process in members:
        for gpu in process.gpu or ():
            held.setdefault(gpu.uuid, []).append((gpu.memory, gpu.sm_percent))
    return [
        WorkloadGpu(uuid=uuid, memory=_whole([one[0] for one in shares]), sm_percent=_sum([one[1] for one in shares]))
        for uuid, shares in sorted(held.items())
    ]


def _sum(values: Sequence[float | None]) -> float | None:
    """Return the sum of what is known, None where nothing is."""
    known = [value for value in values if value is not None]
    return round(sum(known), 2) if known else None


def _whole(values: Sequence[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _missing(main: Judgement, verdicts: Sequence[Judgement], models: Sequence[AiModel]) -> list[str]:
    denied = sorted({path for verdict in verdicts for path in verdict.missing})
    said = [f"{path} may not be read: run as root or give CAP_SYS_PTRACE" for path in denied[:8]]
    if main.role in {"server", "inference"} and not models:
        said.append("the model is not told by the command line, the environment or an open file")
    elif models and all(model.format is None and model.path is None for model in models):
        said.append("no weights file was seen: the model is known by name only")
    return said


def _findings(root: Process, parent: Process | None, main: Judgement, endpoints: Sequence[Endpoint]) -> list[str]:
    found = []
    for endpoint in endpoints:
        if endpoint.exposed and endpoint.authenticated is False:
            where = endpoint.published or f"{endpoint.address}:{endpoint.port}"
            found.append(f"exposed without a key: {where} answers anyone who reaches it")
    orphaned = root.ppid == 1 or (parent is not None and parent.name == "systemd")
    if main.role == "mcp-server" and orphaned and not (root.service or "").endswith(".service"):
        found.append("orphaned: the client that started it has ended")
    return found
