"""Judges a process of no known engine: by the runtime it maps, the weights it holds, the flags it is given."""

from collections.abc import Callable, Collection, Sequence
from os.path import basename

from safetytwin.models.process import Process
from safetytwin.models.workload import Evidence
from safetytwin.workloads.arguments import listener_of
from safetytwin.workloads.argv_grammar import Invocation, has_flag, interpreter_of, values_of
from safetytwin.workloads.catalogue import Catalogue, Family
from safetytwin.workloads.evidence import convinces, ordered, score
from safetytwin.workloads.judgement import Judgement, Listener, ModelReference
from safetytwin.workloads.process_sight import Sight
from safetytwin.workloads.tools import handles_only

_WEB_SERVERS = frozenset(
    {"uvicorn", "gunicorn", "hypercorn", "granian", "uwsgi", "daphne", "flask", "fastapi", "waitress-serve"}
)
SERVING_FLAGS = ("--port", "--host", "--listen", "--uds", "--bind", "-b")
_RANK = ("RANK", "WORLD_SIZE")
"""Variables that launchers of distributed training set (torchrun, Accelerate, DeepSpeed)."""
_MOST_FLAGS = 3.0
_WEIGHTS_OF_FILES = {"mapped": 5.0, "open": 2.5, "named": 3.5}
_LIBRARY_FIRST = Family(title="an unknown engine", role="server", port_flags=["--port"], host_flags=["--host"],
                        socket_flags=["--uds"])  # fmt: skip


def flags_given(family: Family, invocation: Invocation) -> str:
    """Return which of the flags that a family is known by are given, as one text."""
    if not family.flags:
        return ""
    given = {word.partition("=")[0] for word in invocation.arguments if word.startswith("-")}
    return " ".join(flag for flag in family.flags if flag in given)


def known_by_flags(catalogue: Catalogue, process: Process, invocation: Invocation) -> dict[str, list[Evidence]]:
    """Return the engines whose flags a program of another name is given, beside a model: a renamed engine."""
    found: dict[str, list[Evidence]] = {}
    source = f"/proc/{process.pid}/cmdline"
    words = {word.partition("=")[0] for word in invocation.arguments if word.startswith("-")}
    for name, family in catalogue.family.items() if words else ():
        if not family.flags or words.isdisjoint(family.model_flags):
            continue
        given = flags_given(family, invocation).split()
        models = values_of(invocation.arguments, family.model_flags)
        weights = any(value.endswith((".gguf", ".llamafile")) or "/sha256-" in value for value in models)
        if given and (weights or len(given) > 1):
            weight = min(float(len(given)), _MOST_FLAGS) + (1.5 if weights else 0.0)
            found[name] = [Evidence("argv", source, " ".join(given), f"engine:{name}", weight)]
    if found:
        best = max(found, key=lambda name: found[name][0].weight)
        return {best: found[best]}
    return {}


def generic_judgement(
    catalogue: Catalogue,
    process: Process,
    invocation: Invocation,
    sight: Sight,
    named: Sequence[ModelReference],
    environment: Callable[[Collection[str]], dict[str, str] | None],
) -> Judgement:
    """Return the verdict on a process of no known engine; role None where there is none.

    environment reads variables of the process by name.
    """
    evidence: list[Evidence] = []
    roles = _runtimes(catalogue, process, sight, evidence)
    models = list(named)
    if not handles_only(invocation.program) and not handles_only(basename(process.exe or "")):
        models += [
            ModelReference(file.path, file.how, (file.header.kind if file.header else None) or "model", file)
            for file in sight.files
            if not file.broken and (file.header is None or not file.header.weak)
        ]
        _files(process, models, evidence)
    role = _role(process, invocation, sight, roles, evidence)
    if role == "ml" and "distributed" in roles and _is_rank(environment(_RANK)):
        role = "trainer"
        evidence.append(Evidence("parent", f"/proc/{process.pid}/environ", " ".join(_RANK), "role:trainer", 1.0))
    if role is not None and process.gpu and role != "ml-other":
        evidence.append(Evidence("device", "the GPU's driver", process.gpu[0].uuid, "computes on a GPU", 0.7))
    if role is None or not convinces(evidence):
        if process.gpu:
            said = Evidence("device", "the GPU's driver", process.gpu[0].uuid, "uses a GPU", 5.0)
            return Judgement("gpu-other", None, 1.0, (said,), sight.denied, invocation=invocation, sight=sight)
        return Judgement(None, None, score(evidence), tuple(ordered(evidence)), sight.denied,
                         invocation=invocation, sight=sight)  # fmt: skip
    return Judgement(
        role,
        None,
        score(evidence),
        tuple(ordered(evidence)),
        sight.denied,
        models=tuple(dict.fromkeys(models)) if role != "ml-other" else (),
        listener=listener_of(_LIBRARY_FIRST, invocation) if role == "server" else Listener(),
        invocation=invocation,
        sight=sight,
    )


def _runtimes(catalogue: Catalogue, process: Process, sight: Sight, evidence: list[Evidence]) -> set[str]:
    """Add what the mapped runtimes say; return their roles."""
    source = f"/proc/{process.pid}/maps"
    seen: dict[str, str] = {}
    for path, library in sight.libraries:
        if library.kind == "runtime":
            seen.setdefault(library.name, path)
    roles: set[str] = set()
    for name, path in seen.items():
        runtime = catalogue.runtime[name]
        roles.add(runtime.role)
        evidence.append(Evidence("library", source, path, f"runtime:{name}", runtime.weight))
    return roles


def _files(process: Process, models: Sequence[ModelReference], evidence: list[Evidence]) -> None:
    best: dict[str, Evidence] = {}
    for model in models:
        file = model.file
        if file is None or file.header is None or file.broken or file.header.weak:
            continue
        source = f"/proc/{process.pid}/{'maps' if file.how == 'mapped' else 'fd' if file.how == 'open' else 'cmdline'}"
        says = f"holds {file.header.format} weights"
        best.setdefault(file.how, Evidence("model_file", source, file.path, says, _WEIGHTS_OF_FILES[file.how]))
        if file.how == "named":
            argv = f"/proc/{process.pid}/cmdline"
            best.setdefault("argv", Evidence("argv", argv, model.value[:200], "names a model", 1.0))
    for file in (model.file for model in models):
        if file is not None and file.header is None and file.how == "mapped" and "mapped" not in best:
            source = f"/proc/{process.pid}/maps"
            best["name"] = Evidence("model_file", source, file.path, "named like weights, not verified", 2.0)
    evidence += best.values()


def _role(
    process: Process, invocation: Invocation, sight: Sight, roles: set[str], evidence: Sequence[Evidence]
) -> str | None:
    listens = any(one.status == "LISTEN" for one in process.connections or ())
    serving = listens or (invocation.program in _WEB_SERVERS or has_flag(invocation.arguments, SERVING_FLAGS))
    holds_weights = any(one.family == "model_file" for one in evidence)
    if "ml" in roles:
        if serving and "text" in roles:
            return "server"
        return "ml"
    if "ml-other" in roles:
        interpreted = process.exe is None or interpreter_of(process.exe) is not None or sight.interpreter
        if "text" in roles or (holds_weights and interpreted):
            return "server" if serving else "ml"
        return "ml-other"
    if holds_weights:
        return "server" if serving else "inference"
    return None


def _is_rank(environment: dict[str, str] | None) -> bool:
    return environment is not None and all(environment.get(name) for name in _RANK)
