"""Explains a verdict: what a process, unit or container is to AI, and every piece of evidence for and against."""

from collections.abc import Callable, Iterator

from safetytwin.models.fields import Record
from safetytwin.models.process import Process
from safetytwin.models.service import Service
from safetytwin.models.system_state import SystemState
from safetytwin.models.workload import Evidence, Workload
from safetytwin.workloads.evidence import PRIOR, confidence
from safetytwin.workloads.judgement import Judgement

_LEAST_ID = 6
"""Characters of a container's id that name it."""


class Unknown(Exception):  # noqa: N818 - what was asked for does not exist: a finding
    """There is no such process, unit or container; the text says so and what to try."""


class Explanation(Record, frozen=True):
    """A verdict and its reasons."""

    subject: str
    role: str | None
    engine: str | None
    title: str | None
    confidence: float
    is_llm_related: bool
    prior: float
    score: float
    evidence: list[Evidence]
    missing: list[str]
    surer: list[str]
    """What would make it sure."""
    workload: Workload | None = None


def explain(state: SystemState, subject: str, judgement_of: Callable[[int], Judgement]) -> Explanation:
    """Return the explanation of a process (by pid), unit or container of a recognised state; raises Unknown."""
    if subject.isdecimal():
        process = next((one for one in state.processes if one.pid == int(subject[:12])), None)
        if process is not None:
            return _of_process(state, process, judgement_of)
    service = _service(state, subject)
    if service is not None:
        return _of_service(state, service, judgement_of)
    kind = "process" if subject.isdecimal() else "unit or container"
    raise Unknown(f"there is no {kind} {subject!r} on this machine; `safetytwin agent` lists what runs")


def _service(state: SystemState, subject: str) -> Service | None:
    for service in state.services:
        if subject in {service.id, service.name, f"{service.type}/{service.id}", service.id.removesuffix(".service")}:
            return service
    if len(subject) >= _LEAST_ID:
        starting = [one for one in state.services if one.type != "systemd" and one.id.startswith(subject)]
        if len(starting) == 1:
            return starting[0]
    return None


def _of_process(state: SystemState, process: Process, judgement_of: Callable[[int], Judgement]) -> Explanation:
    judgement = judgement_of(process.pid)
    ai = (process.extra or {}).get("ai", {})
    workload = _workload(state, ai.get("workload"))
    command = " ".join(process.cmdline or [f"[{process.name}]"])
    return Explanation(
        subject=f"process {process.pid}  {command[:200]}",
        role=ai.get("role"),
        engine=judgement.engine or ai.get("engine"),
        title=(workload.name if workload is not None else None) or judgement.engine,
        confidence=ai.get("confidence", confidence(judgement.score)),
        is_llm_related=bool(process.is_llm_related),
        prior=PRIOR,
        score=round(judgement.score, 2),
        evidence=list(judgement.evidence),
        missing=[f"{one} may not be read" if one.startswith("/") else one for one in judgement.missing],
        surer=list(_surer(judgement, workload)),
        workload=workload,
    )


def _of_service(state: SystemState, service: Service, judgement_of: Callable[[int], Judgement]) -> Explanation:
    ai = (service.extra or {}).get("ai", {})
    workload = _workload(state, ai.get("workload"))
    key = f"{service.type}/{service.id}"
    members = [process for process in state.processes if process.service == key]
    if workload is not None and workload.pid is not None:
        judgement = judgement_of(workload.pid)
    else:
        judgement = max((judgement_of(one.pid) for one in members), key=lambda one: one.score, default=judgement_of(-1))
    evidence = workload.evidence if workload is not None else list(judgement.evidence)
    missing = list(workload.missing or ()) if workload is not None else []
    if service.status not in {"active", "running"}:
        missing.append(f"it does not run: {service.status or 'its state is not known'}")
    elif not members:
        missing.append("none of its processes can be seen from here")
    what = "unit" if service.type == "systemd" else f"{service.type} container"
    return Explanation(
        subject=f"{what} {service.name}" + (f"  {service.image}" if service.image else ""),
        role=ai.get("role"),
        engine=ai.get("engine"),
        title=(workload.name if workload is not None else None) or ai.get("engine"),
        confidence=ai.get("confidence", confidence(judgement.score)),
        is_llm_related=bool(service.is_llm_related),
        prior=PRIOR,
        score=round(PRIOR + sum(one.weight for one in evidence), 2),
        evidence=evidence,
        missing=missing,
        surer=list(_surer(judgement, workload)),
        workload=workload,
    )


def _workload(state: SystemState, key: str | None) -> Workload | None:
    workloads = state.ai.workloads if state.ai is not None else []
    return next((one for one in workloads if one.id == key), None)


def _surer(judgement: Judgement, workload: Workload | None) -> Iterator[str]:
    if judgement.missing:
        yield "run as root, or give CAP_SYS_PTRACE: libraries, open files and the executable are then read"
    families = {one.family for one in judgement.evidence if one.weight > 0}
    if judgement.related and "api" not in families and workload is not None and workload.endpoints:
        yield "--ask-engines: the engine then says itself what it serves, where the catalogue knows a harmless question"
    if judgement.related and workload is not None and not workload.models:
        yield "the model in its command line, its environment, or mapped from a file"
