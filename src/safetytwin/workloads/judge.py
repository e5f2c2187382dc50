"""Judges one process: gathers the evidence for each family it could be of, and takes the one that convinces most."""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from os.path import basename, dirname, join

from safetytwin.models.process import Process
from safetytwin.models.service import Service
from safetytwin.models.workload import Evidence
from safetytwin.workloads import arguments
from safetytwin.workloads.argv_grammar import Invocation, has_flag, interpreter_of, parse, values_of
from safetytwin.workloads.argv_wrappers import is_wrapper
from safetytwin.workloads.blob_names import blob_name
from safetytwin.workloads.catalogue import ROLES, Catalogue, Family
from safetytwin.workloads.evidence import convinces, ordered, score
from safetytwin.workloads.generic import SERVING_FLAGS, flags_given, generic_judgement, known_by_flags
from safetytwin.workloads.identity import Claim, IdentityTable
from safetytwin.workloads.judgement import Judgement, Listener, ModelReference
from safetytwin.workloads.llamafile import llamafile_evidence
from safetytwin.workloads.packages import venv_of, version_in
from safetytwin.workloads.process_sight import Sight, SightReader
from safetytwin.workloads.tools import handles_only, is_engine_client, role_of_tool

_NOTHING = Judgement(None, None, -4.0, ())
_SMALL_EXECUTABLE = 200 * 1024
"""Bytes below which an executable holds no engine by itself."""
_GPU_COMPUTE = re.compile(r"^/dev/(?:nvidia-uvm|kfd|accel|neuron|davinci)")
_RUNNING = frozenset({"server", "inference", "trainer", "notebook"})


class Judge:
    """Knows the catalogue; judges processes from what is given and what the reader sees."""

    def __init__(self, catalogue: Catalogue, reader: SightReader) -> None:
        self._catalogue = catalogue
        self._identity = IdentityTable(catalogue)
        self._reader = reader
        self._variables = frozenset(
            name
            for family in catalogue.family.values()
            for name in (*family.env_models, *family.key_env, *family.worker_env)
        )

    def placed(self, service: Service) -> list[Claim]:
        """Return what a unit's or container's own names claim."""
        return list(self._identity.placed(service))

    def judge(
        self, process: Process, sight: Sight, service: Service | None, parent: tuple[Process, Judgement] | None
    ) -> Judgement:
        """Return the verdict on a process, given its parent's."""
        invocation = parse(process.cmdline or (), process.exe)
        script = self._real_script(process, invocation)
        if script is not None and "/node_modules/" in script and not invocation.package:
            resolved = parse([process.exe or "node", script, *invocation.arguments], process.exe)
            invocation = resolved._replace(path=invocation.path) if resolved.package else invocation
        claims = self._identity.claims(process, invocation, script, interprets=sight.interpreter)
        by_family: dict[str, list[Evidence]] = {}
        launched = {claim.family for claim in claims if claim.launcher}
        for claim in claims:
            by_family.setdefault(claim.family, []).append(claim.evidence)
        self._add_libraries(process, sight, by_family)
        self._add_parent(process, invocation, parent, by_family)
        for said in llamafile_evidence(process, invocation, partial(self._reader.beginning, process.pid)):
            by_family.setdefault("llamafile", []).append(said)
        if handles_only(invocation.program) or (invocation.kind == "shell"):
            by_family = {name: said for name, said in by_family.items() if any(one.family == "exe" for one in said)}
        elif service is not None:
            for claim in self._identity.placed(service):
                if claim.family in by_family or claim.evidence.weight >= 3.0:
                    by_family.setdefault(claim.family, []).append(claim.evidence)
                    by_family[claim.family] += _main_program(process, service, parent, claim.family)
        if not by_family and invocation.kind == "program" and not handles_only(invocation.program):
            by_family = known_by_flags(self._catalogue, process, invocation)
        judged = [
            self._judge_family(name, said, process, sight, invocation, parent, launcher=name in launched)
            for name, said in by_family.items()
        ]
        judged.sort(key=lambda one: (not _is_named(one), -one.score, one.engine or ""))
        for verdict in judged:
            if verdict.role is not None and convinces(verdict.evidence):
                return verdict
        tool = role_of_tool(invocation, self._names_ai(invocation))
        if tool is not None:
            said = Evidence("argv", f"/proc/{process.pid}/cmdline", invocation.program, f"role:{tool}", 5.0)
            return Judgement(tool, None, 1.0, (said,), invocation=invocation, sight=sight)
        found = generic_judgement(
            self._catalogue,
            process,
            invocation,
            sight,
            self._named_files(process, invocation),
            partial(self._reader.environment, process.pid),
        )
        if found.role is not None:
            return found
        if judged:
            return judged[0]._replace(role=None)
        return found if found.evidence else _NOTHING._replace(missing=sight.denied, sight=sight, invocation=invocation)

    def _judge_family(
        self,
        name: str,
        said: list[Evidence],
        process: Process,
        sight: Sight,
        invocation: Invocation,
        parent: tuple[Process, Judgement] | None,
        *,
        launcher: bool,
    ) -> Judgement:
        family = self._catalogue.family[name]
        evidence = list(said)
        source = f"/proc/{process.pid}/cmdline"
        by_argv = any(one.family in {"argv", "exe", "model_file"} and one.weight > 0 for one in said)
        environment = self._reader.environment(process.pid, self._variables) if score(said) > -4.0 else None
        models: list[ModelReference] = []
        role: str | None = family.role
        flags = flags_given(family, invocation)
        if by_argv:
            told = arguments.told(family, invocation)
            role = told.role
            if not any(one.weight > 0 and one.says == f"engine:{name}" and one.locator != flags for one in said):
                role = "server" if _listens(process) or has_flag(invocation.arguments, SERVING_FLAGS) else "inference"
            if told.verb is not None and role is not None:
                evidence.append(Evidence("argv", source, told.verb, f"role:{role}", 1.5))
            if told.stranger:
                evidence.append(Evidence("argv", source, told.verb or "its argument", f"not engine:{name}", -2.0))
            if flags and not any(one.locator == flags for one in said):
                evidence.append(Evidence("argv", source, flags, f"flags of {family.title}", 1.0))
            models = arguments.models_of(family, invocation, environment or {})
            evidence += self._evidence_of_models(process, models, source)
        elif not any(one.family in {"title", "parent", "placement"} for one in said) and family.role == "server":
            role = "server" if _listens(process) else "inference"
        if parent is not None and any(one.family == "parent" for one in said) and not by_argv:
            role = parent[1].role or role
        if role not in ROLES:
            return Judgement(
                role, name, score(evidence), tuple(ordered(evidence)), invocation=invocation, sight=sight,
                launcher=launcher,
            )  # fmt: skip
        models = [self._with_file(process, model) for model in models]
        models += self._held(process, sight, models)
        evidence += self._evidence_of_files(process, models)
        evidence += self._evidence_of_runtime(process, sight, family, said, role, invocation, launcher=launcher)
        evidence += _evidence_of_use(process, sight, family)
        if family.worker_env and environment is not None and all(environment.get(key) for key in family.worker_env):
            locator = " ".join(family.worker_env)
            evidence.append(Evidence("parent", f"/proc/{process.pid}/environ", locator, f"role:{role}", 1.0))
        version, place = self._version(process, invocation, sight, family)
        if version is not None and place is not None:
            evidence.append(Evidence("exe", place, f"{family.title} {version}", f"engine:{name}", 2.0))
        self._doubt_small(process, family, evidence, sight, by_argv=by_argv)
        if family.needs_runtime and not (_has_ml(self._catalogue, sight) or process.gpu):
            role = None
        return Judgement(
            role,
            name,
            score(evidence),
            tuple(ordered(evidence)),
            missing=sight.denied,
            models=tuple(dict.fromkeys(models)),
            served_names=tuple(arguments.served_names(family, invocation)) if by_argv else (),
            listener=arguments.listener_of(family, invocation) if by_argv else Listener(),
            authenticated=arguments.asks_for_key(family, invocation, environment) if by_argv else None,
            invocation=invocation,
            sight=sight,
            launcher=launcher,
            version=version,
        )

    def _add_libraries(self, process: Process, sight: Sight, by_family: dict[str, list[Evidence]]) -> None:
        strongest: dict[str, tuple[float, str]] = {}
        for path, library in sight.libraries:
            if library.kind == "family":
                strongest[library.name] = max(strongest.get(library.name, (0.0, "")), (library.weight, path))
        for name, (weight, path) in strongest.items():
            if weight >= 2.0 or name in by_family:
                said = Evidence("library", f"/proc/{process.pid}/maps", path, f"engine:{name}", weight)
                by_family.setdefault(name, []).append(said)

    def _add_parent(
        self,
        process: Process,
        invocation: Invocation,
        parent: tuple[Process, Judgement] | None,
        by_family: dict[str, list[Evidence]],
    ) -> None:
        if parent is None or not parent[1].related or parent[1].engine is None:
            return
        above, verdict = parent
        name = verdict.engine or ""
        same_program = process.exe is not None and process.exe == above.exe
        own_words = invocation.kind in {"script", "module", "package", "program"}
        forked = process.cmdline == above.cmdline
        multiprocessing = bool(invocation.imports) and invocation.imports[0] == "multiprocessing"
        locator = f"{above.pid} {above.name}"
        source = f"/proc/{process.pid}/stat"
        if verdict.role == "trainer" and invocation.interpreter == "python" and invocation.kind in {"script", "module"}:
            weight = 5.0
        elif name in by_family:
            weight = 3.5
        elif same_program and (forked or (not own_words and (multiprocessing or invocation.kind == "title"))):
            weight = 5.0
        elif verdict.role == "server" and self._is_runner(process, verdict):
            weight = 3.5
        else:
            return
        by_family.setdefault(name, []).append(Evidence("parent", source, locator, f"engine:{name}", weight))

    def _is_runner(self, process: Process, verdict: Judgement) -> bool:
        """Tell whether a child is the runner of an engine that starts runners: its files lie in the engine's folder."""
        family = self._catalogue.family[verdict.engine or ""]
        return any(library.name == verdict.engine for _, library in verdict.sight.libraries) and bool(
            process.exe and any(basename(process.exe) == name for name in family.exe)
        )

    def _evidence_of_models(self, process: Process, models: list[ModelReference], source: str) -> Iterator[Evidence]:
        for model in models:
            if model.kind == "model":
                where = source if model.source == "argv" else f"/proc/{process.pid}/environ"
                yield Evidence("argv", where, model.value[:200], "names a model", 1.5)
                return

    def _with_file(self, process: Process, model: ModelReference) -> ModelReference:
        value = model.value
        if value.startswith(("http://", "https://", "hf://", "ollama://")) or "\0" in value:
            return model
        found = self._reader.named(process.pid, value, process.cwd)
        if found is None:
            return model
        return model._replace(file=found, name=self._name_of_blob(process, found.path))

    def _name_of_blob(self, process: Process, path: str) -> str | None:
        pid = process.pid
        return blob_name(
            path,
            lambda folder: self._reader.listed(pid, folder),
            lambda manifest, length: self._reader.beginning(pid, manifest, length)[0],
        )

    def _named_files(self, process: Process, invocation: Invocation) -> list[ModelReference]:
        """Return the files that a command line gives as its model to a program that is not known."""
        if invocation.kind not in {"program", "script", "module"} or handles_only(invocation.program):
            return []
        values = values_of(invocation.arguments, ("-m", "--model", "--model-path", "--model_path", "--model-file"))
        named = (self._with_file(process, ModelReference(value, "argv", "model")) for value in values[:4])
        return [model for model in named if model.file is not None]

    def _held(self, process: Process, sight: Sight, named: list[ModelReference]) -> list[ModelReference]:
        known = {model.file.path for model in named if model.file is not None and model.file.header is not None}
        found = []
        for file in sight.files:
            if file.path in known or (file.header is not None and file.header.weak) or file.broken:
                continue
            kind = file.header.kind if file.header is not None and file.header.kind else "model"
            found.append(ModelReference(file.path, file.how, kind, file, self._name_of_blob(process, file.path)))
        return found

    def _evidence_of_files(self, process: Process, models: list[ModelReference]) -> Iterator[Evidence]:
        weights = {"mapped": 4.0, "open": 2.5, "named": 2.0}
        best: dict[str, tuple[float, str, str]] = {}
        for model in models:
            file = model.file
            if file is None or file.header is None:
                continue
            if file.broken:
                best["broken"] = (-2.0, file.path, f"no model: {file.header.problem}")
            elif not file.header.weak:
                best.setdefault(file.how, (weights[file.how], file.path, f"holds {file.header.format} weights"))
        for how, (weight, path, says) in best.items():
            source = f"/proc/{process.pid}/{'maps' if how == 'mapped' else 'fd' if how == 'open' else 'cmdline'}"
            yield Evidence("model_file", source, path, says, weight)

    def _evidence_of_runtime(
        self,
        process: Process,
        sight: Sight,
        family: Family,
        said: list[Evidence],
        role: str,
        invocation: Invocation,
        *,
        launcher: bool,
    ) -> Iterator[Evidence]:
        source = f"/proc/{process.pid}/maps"
        mapped = {library.name: path for path, library in sight.libraries if library.kind == "runtime"}
        for name in family.runs_on:
            if name in mapped:
                yield Evidence("library", source, mapped[name], f"runtime:{name}", 1.0)
                return
        if not family.runs_on or not sight.mapped or role not in _RUNNING or launcher:
            return
        titled = invocation.kind in {"title", "none"} and not any(one.family in {"parent", "argv"} for one in said)
        missing = " or ".join(family.runs_on)
        yield Evidence(
            "library", source, f"no {missing} mapped", f"not (yet) running on {missing}", -3.0 if titled else -0.7
        )

    def _doubt_small(
        self, process: Process, family: Family, evidence: list[Evidence], sight: Sight, *, by_argv: bool
    ) -> None:
        """Doubt an executable that has an engine's name and nothing else of one."""
        named = any(one.family == "exe" and one.says.startswith("engine:") for one in evidence)
        if not named or not by_argv or process.exe is None:
            return
        source = f"/proc/{process.pid}/maps"
        if sight.interpreter and family.role == "server":
            evidence.append(Evidence("library", source, "an interpreter's libraries", "runs an interpreter", -3.0))
        supported = any(
            one.family in {"model_file", "library"} or (one.family == "argv" and one.weight >= 1.5)
            for one in evidence
            if one.weight > 0
        )
        size = self._reader.exe_size(process.pid) if not supported else None
        if size is not None and size < _SMALL_EXECUTABLE:
            locator = f"{process.exe} has {size} bytes"
            evidence.append(Evidence("exe", f"/proc/{process.pid}/exe", locator, "too small to be an engine", -2.0))

    def _version(
        self, process: Process, invocation: Invocation, sight: Sight, family: Family
    ) -> tuple[str | None, str | None]:
        """Return the version of the family's package in the environment that the process runs from, and its place."""
        names = [*family.distributions, *family.packages, *family.scripts[:1]]
        if invocation.interpreter != "python" and sight.site_packages is None:
            return None, None
        for folder in venv_of(invocation, process, sight, lambda path: self._reader.listed(process.pid, path)):
            found = version_in(self._reader.listed(process.pid, folder), names)
            if found is not None:
                return found[1], join(folder, found[0])
        return None, None

    def _real_script(self, process: Process, invocation: Invocation) -> str | None:
        """Return the script's path below the working directory, its link resolved where a package manager made one."""
        if invocation.kind != "script":
            return None
        path = invocation.path
        if not path.startswith("/"):
            path = join(process.cwd or "/", path)
        target = self._reader.link(process.pid, path) if invocation.interpreter == "node" else None
        if target is not None:
            return target if target.startswith("/") else join(dirname(path), target)
        return path

    def _names_ai(self, invocation: Invocation) -> Callable[[str], bool]:
        """Return what tells whether an argument names AI software: an image or a package, as the program takes it."""
        client = is_engine_client(invocation.program)
        names = self._identity.image_names if client else self._identity.fetched_names
        return lambda word: bool(names(word))


def _main_program(
    process: Process, service: Service, parent: tuple[Process, Judgement] | None, family: str
) -> Iterator[Evidence]:
    """Yield that a process is what its container was made to run, itself or below a shell or wrapper alone."""
    if service.type == "systemd" or service.pid is None:
        return
    above = parent[0] if parent is not None and parent[0].pid == service.pid else None
    started = above is not None and (
        interpreter_of(above.exe or above.name) == "shell" or is_wrapper(basename(above.exe or above.name))
    )
    if process.pid == service.pid or started:
        yield Evidence("placement", "container", service.name, f"engine:{family}", 1.5)


def _is_named(judgement: Judgement) -> bool:
    """Tell whether more than its unit or container speaks for an engine."""
    return any(one.family != "placement" and one.says.startswith("engine:") for one in judgement.evidence)


def _listens(process: Process) -> bool:
    return any(one.status == "LISTEN" for one in process.connections or ())


def _has_ml(catalogue: Catalogue, sight: Sight) -> bool:
    runtimes: Mapping[str, object] = catalogue.runtime
    return any(
        library.kind == "runtime" and library.name in runtimes and catalogue.runtime[library.name].role == "ml"
        for _, library in sight.libraries
    )


def _evidence_of_use(process: Process, sight: Sight, family: Family) -> Iterator[Evidence]:
    """Yield what a process's GPU and listening sockets say: little, for they are everyone's."""
    device = next((path for path in sight.devices if _GPU_COMPUTE.match(path)), None)
    if device is not None:
        yield Evidence("device", f"/proc/{process.pid}/fd", device, "computes on a GPU", 0.7)
    elif process.gpu:
        yield Evidence("device", "the GPU's driver", process.gpu[0].uuid, "computes on a GPU", 0.7)
    for one in process.connections or ():
        if one.status == "LISTEN" and one.local_port in family.ports:
            yield Evidence("listener", "sockets", f"port {one.local_port}", f"{family.title}'s port by default", 0.5)
            return
