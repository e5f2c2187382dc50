"""Workloads of containers whose processes can't be seen: known by image, labels and command alone."""

from safetytwin.models.service import Service
from safetytwin.models.workload import AiModel, Evidence, Workload
from safetytwin.workloads import arguments
from safetytwin.workloads.argv_grammar import parse
from safetytwin.workloads.catalogue import ROLES, Catalogue
from safetytwin.workloads.endpoints import endpoints_of
from safetytwin.workloads.evidence import confidence, ordered, score
from safetytwin.workloads.judge import Judge
from safetytwin.workloads.judgement import Judgement
from safetytwin.workloads.models_used import StoredModels, models_of_workload, uses_of

_IMAGE_ALONE = 2.0
"""Added where the image is all there is: no process can contradict it."""


def is_running(service: Service) -> bool:
    """Tell whether a container runs, in the words of the engines."""
    return service.status in {"running", "CONTAINER_RUNNING"}


def container_workload(
    key: str, service: Service, judge: Judge, catalogue: Catalogue
) -> tuple[Workload, list[AiModel]] | None:
    """Return the workload that a running container is by its image, and its models; None where it is none."""
    claims = judge.placed(service)
    if not claims:
        return None
    claim = max(claims, key=lambda one: one.evidence.weight)
    family = catalogue.family[claim.family]
    invocation = parse(service.command or ())
    if invocation.kind == "none" or (service.command or [""])[0].startswith("-"):
        invocation = invocation._replace(kind="program", arguments=tuple(service.command or ()))
    role = arguments.told(family, invocation).role if invocation.program else family.role
    if role is None:
        role = family.role
    if role not in ROLES or invocation.kind == "shell":
        return None
    evidence = [one.evidence for one in claims if one.family == claim.family]
    evidence.append(Evidence("placement", "container", service.name, "runs, its processes unseen", _IMAGE_ALONE))
    verdict = Judgement(
        role,
        claim.family,
        score(evidence),
        tuple(ordered(evidence)),
        models=tuple(arguments.models_of(family, invocation, service.environment or {})),
        served_names=tuple(arguments.served_names(family, invocation)),
        listener=arguments.listener_of(family, invocation),
        authenticated=arguments.asks_for_key(family, invocation, service.environment),
        invocation=invocation,
    )
    models = models_of_workload(claim.family, [verdict], StoredModels(()), {}, (), serving=False)
    workload = Workload(
        id=key,
        role=role,
        confidence=confidence(verdict.score),
        evidence=list(verdict.evidence),
        engine=claim.family,
        name=family.title,
        state="running",
        service=key,
        models=uses_of(models) or None,
        endpoints=endpoints_of((), [verdict], service) or None,
        cpu_percent=service.cpu_percent,
        rss=service.memory,
        missing=["its processes can't be seen from here: the image is what tells"],
    )
    return workload, models
