"""What names a process's family: executable, command line, title, placement; names are weak, contradictions kept."""

import re
from collections.abc import Iterator, Mapping
from fnmatch import translate
from functools import cached_property
from os.path import basename
from typing import NamedTuple

from safetytwin.models.process import Process
from safetytwin.models.service import Service
from safetytwin.models.workload import Evidence
from safetytwin.workloads.argv_grammar import Invocation, interpreter_of
from safetytwin.workloads.argv_wrappers import is_wrapper
from safetytwin.workloads.catalogue import Catalogue, Family

_WEIGHTS: Mapping[str, float] = {
    "exe": 3.5,
    "exe_pattern": 3.0,
    "exe_ambiguous": 2.5,
    "exe_path": 5.0,
    "script": 4.0,
    "script_ambiguous": 2.5,
    "file": 4.0,
    "module": 4.0,
    "package_module": 3.0,
    "app": 4.5,
    "code": 5.0,
    "fetched": 4.5,
    "node_package": 5.0,
    "java": 4.5,
    "title": 4.0,
    "comm": 3.0,
    "unseen_program": 3.5,
    "same_name": 0.7,
    "interpreter": 0.5,
    "unit": 1.5,
    "image": 3.0,
    "label": 3.0,
    "impostor": -8.0,
}


class Names:
    """Shell patterns compiled into one."""

    def __init__(self, patterns: Mapping[str, str]) -> None:
        self._exact: dict[str, list[str]] = {}
        self._globs: list[tuple[re.Pattern[str], str, str]] = []
        for key, family in patterns.items():
            pattern = key.partition("\0")[0]
            if any(character in pattern for character in "*?["):
                self._globs.append((re.compile(translate(pattern)), pattern, family))
            else:
                self._exact.setdefault(pattern, []).append(family)

    def of(self, name: str) -> Iterator[tuple[str, bool]]:
        """Yield (family, exact) for each pattern that name fits."""
        for family in self._exact.get(name, ()):
            yield family, True
        for compiled, _, family in self._globs:
            if compiled.match(name):
                yield family, False


class Claim(NamedTuple):
    """That a process is of a family, and why."""

    family: str
    evidence: Evidence
    launcher: bool = False
    """The process only starts the program: sudo, uv, npm."""


class IdentityTable:
    """All names of a catalogue, made ready to be asked."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._families = catalogue.family

    def _names(self, key: str) -> Names:
        patterns: dict[str, str] = {}
        for name, family in self._families.items():
            patterns.update({f"{pattern}\0{name}": name for pattern in getattr(family, key)})
        return Names(patterns)

    @cached_property
    def _exe(self) -> Names:
        return self._names("exe")

    @cached_property
    def _exe_paths(self) -> Names:
        return self._names("exe_paths")

    @cached_property
    def _scripts(self) -> Names:
        return self._names("scripts")

    @cached_property
    def _modules(self) -> Names:
        return self._names("modules")

    @cached_property
    def _packages(self) -> Names:
        return self._names("packages")

    @cached_property
    def _apps(self) -> Names:
        return self._names("apps")

    @cached_property
    def _node_packages(self) -> Names:
        return self._names("node_packages")

    @cached_property
    def _node_titles(self) -> Names:
        return self._names("node_titles")

    @cached_property
    def _java_classes(self) -> Names:
        return self._names("java_classes")

    @cached_property
    def _titles(self) -> Names:
        return self._names("titles")

    @cached_property
    def _images(self) -> Names:
        return self._names("images")

    @cached_property
    def _units(self) -> Names:
        return self._names("units")

    @cached_property
    def _labels(self) -> Names:
        return self._names("labels")

    @cached_property
    def _files(self) -> list[tuple[int, re.Pattern[str], str]]:
        return [
            (pattern.count("/") + 1, re.compile(translate(pattern)), name)
            for name, family in self._families.items()
            for pattern in family.files
        ]

    def fetched_names(self, name: str) -> list[str]:
        """Return the families whose package or distribution a package manager is told to fetch."""
        plain = re.split(r"[=<>!~\[;@ ]", name.lstrip("@"), maxsplit=1)[0].replace("-", "_").lower()
        found = [family for family, _ in self._packages.of(plain)]
        found += [key for key, family in self._families.items() if plain in family.distributions]
        found += [family for family, _ in self._node_packages.of(name)]
        return found

    def image_names(self, image: str) -> list[str]:
        """Return the families whose image this is."""
        return [family for family, _ in self._images.of(image_name(image))]

    def claims(
        self, process: Process, invocation: Invocation, script_path: str | None, *, interprets: bool
    ) -> list[Claim]:
        """Return what a process's executable, command line and titles claim, and what speaks against it.

        script_path is the script with links resolved; interprets tells that an interpreter's libraries are mapped.
        """
        found = list(self._by_exe(process))
        known = {claim.family for claim in found}
        for claim in self._by_argv(process, invocation, script_path):
            found.append(claim)
            found += self._doubts(process, invocation, claim, known, interprets=interprets)
        return found

    def placed(self, service: Service) -> Iterator[Claim]:
        """Yield what a unit's or container's names claim."""
        if service.type == "systemd":
            unit = service.id.rpartition("/")[2]
            for family, _ in self._units.of(unit):
                yield Claim(family, _said("placement", "unit", unit, f"engine:{family}", _WEIGHTS["unit"]))
            return
        if service.image:
            for family, _ in self._images.of(image_name(service.image)):
                yield Claim(family, _said("placement", "image", service.image, f"engine:{family}", _WEIGHTS["image"]))
        for label in service.labels or ():
            for family, _ in self._labels.of(label):
                yield Claim(family, _said("placement", "label", label, f"engine:{family}", _WEIGHTS["label"]))

    def _by_exe(self, process: Process) -> Iterator[Claim]:
        exe = process.exe
        if exe is None:
            return
        source = f"/proc/{process.pid}/exe"
        for family, _ in self._exe_paths.of(exe):
            yield Claim(family, _said("exe", source, exe, f"engine:{family}", _WEIGHTS["exe_path"]))
        for family, exact in self._exe.of(basename(exe)):
            weight = _WEIGHTS["exe" if exact else "exe_pattern"]
            if self._families[family].ambiguous:
                weight = _WEIGHTS["exe_ambiguous"]
            yield Claim(family, _said("exe", source, exe, f"engine:{family}", weight))

    def _by_argv(self, process: Process, invocation: Invocation, script_path: str | None) -> Iterator[Claim]:
        source = f"/proc/{process.pid}/cmdline"
        exe = process.exe
        starts = (
            exe is not None
            and bool(invocation.wrappers)
            and (is_wrapper(basename(exe)) or interpreter_of(exe) is not None)
            and not basename(exe).startswith(("ld-", "ape-", ".ape-"))
        )

        claim = _Claimant(source, starts)

        name = invocation.program
        if invocation.kind == "program":
            same = exe is not None and basename(exe) == name
            weight = _WEIGHTS["same_name" if same else "unseen_program"]
            for family, _ in self._exe.of(name):
                yield claim(family, name, min(weight, 2.5) if self._families[family].ambiguous else weight)
            known = {family for family, _ in self._exe.of(name)}
            for family in (family for family, _ in self._scripts.of(name) if family not in known):
                weight = _WEIGHTS["script_ambiguous" if self._families[family].ambiguous else "unseen_program"]
                yield claim(family, name, weight)
        elif invocation.kind == "script":
            yield from self._by_script(invocation, script_path, claim)
        elif invocation.kind == "module":
            exact = {family for family, _ in self._modules.of(name)}
            for family in exact:
                yield claim(family, f"-m {name}", _WEIGHTS["module"])
            for family, _ in self._packages.of(invocation.package):
                if family not in exact:
                    yield claim(family, f"-m {name}", _WEIGHTS["package_module"])
        elif invocation.kind == "code":
            for package in invocation.imports:
                for family, _ in self._packages.of(package):
                    yield claim(family, f"-c import {package}", _WEIGHTS["code"])
        elif invocation.kind == "package":
            yield from self._by_fetched(invocation, claim)
        elif invocation.kind == "java":
            for family, _ in self._java_classes.of(name):
                yield claim(family, name, _WEIGHTS["java"])
        elif invocation.kind == "title":
            yield from self._by_title(process, invocation, claim)
        if invocation.app:
            for family, _ in self._apps.of(invocation.app):
                yield claim(family, invocation.app, _WEIGHTS["app"])
        if invocation.kind == "none" and process.cmdline != []:
            for family, _ in self._titles.of(process.name):
                locator = process.name
                yield Claim(family, _said("title", f"/proc/{process.pid}/comm", locator, f"engine:{family}", 3.0))

    def _by_script(self, invocation: Invocation, script_path: str | None, claim: "_Claimant") -> Iterator[Claim]:
        if invocation.interpreter not in {"python", "node"}:
            return
        if invocation.package:
            for family, _ in self._node_packages.of(invocation.package):
                yield claim(family, invocation.path, _WEIGHTS["node_package"])
            return
        named = () if invocation.path.endswith(".py") else self._scripts.of(invocation.program)
        for family, _ in named:  # a console script has no ending; vllm.py is anybody's
            ambiguous = self._families[family].ambiguous
            yield claim(family, invocation.path, _WEIGHTS["script_ambiguous" if ambiguous else "script"])
        parts = (script_path or invocation.path).split("/")
        for depth, pattern, family in self._files:
            if pattern.match("/".join(parts[-depth:])):
                yield claim(family, script_path or invocation.path, _WEIGHTS["file"])

    def _by_fetched(self, invocation: Invocation, claim: "_Claimant") -> Iterator[Claim]:
        if invocation.interpreter == "node":
            for family, _ in self._node_packages.of(invocation.package):
                yield claim(family, invocation.path, _WEIGHTS["fetched"])
            return
        names = {invocation.package, invocation.package.replace("-", "_"), invocation.package.replace("_", "-")}
        families = {family for name in names for family, _ in (*self._scripts.of(name), *self._packages.of(name))}
        for family in sorted(families):
            yield claim(family, invocation.path, _WEIGHTS["fetched"])

    def _by_title(self, process: Process, invocation: Invocation, claim: "_Claimant") -> Iterator[Claim]:
        exe = process.exe
        title = invocation.path
        for family in {family for name in (title, invocation.program) for family, _ in self._titles.of(name)}:
            yield claim(family, title, _WEIGHTS["title"], "title")
        if exe is not None and interpreter_of(exe) == "node":
            for family, _ in self._node_titles.of(title):
                yield claim(family, title, _WEIGHTS["title"], "title")
        elif exe is None or interpreter_of(exe) != "python":
            for family, _ in self._exe.of(basename(invocation.program)):
                yield claim(family, title, 2.0, "title")

    def _doubts(
        self, process: Process, invocation: Invocation, claim: Claim, by_exe: set[str], *, interprets: bool
    ) -> Iterator[Claim]:
        """Yield what the executable says against a claim of the command line, or for it."""
        exe = process.exe
        if exe is None or claim.family in by_exe:
            return
        source = f"/proc/{process.pid}/exe"
        if claim.launcher:
            return
        kind = interpreter_of(exe) or ("other" if interprets else None)
        if invocation.kind in {"module", "script", "code", "package", "java"} or claim.evidence.family == "title":
            if kind is not None and kind != "shell":
                says = f"runs an interpreter, as {self._families[claim.family].title} needs"
                yield Claim(claim.family, _said("exe", source, exe, says, _WEIGHTS["interpreter"]))
                return
            if claim.evidence.family == "title" and process.exe_deleted:
                return
        elif basename(exe) == invocation.program or basename(exe).startswith(("ld-", "ape-", ".ape-")):
            return
        says = f"not engine:{claim.family}"
        yield Claim(claim.family, _said("exe", source, exe, says, _WEIGHTS["impostor"]))

    def family(self, name: str) -> Family:
        """Return a family by name."""
        return self._families[name]


class _Claimant(NamedTuple):
    """Makes the claims of one command line."""

    source: str
    launcher: bool

    def __call__(self, family: str, locator: str, weight: float, kind: str = "argv") -> Claim:
        """Return the claim that the process is of a family."""
        return Claim(family, _said(kind, self.source, locator, f"engine:{family}", weight), self.launcher)


def _said(family: str, source: str, locator: str, says: str, weight: float) -> Evidence:
    return Evidence(family=family, source=source, locator=locator[:300], says=says, weight=weight)


def image_name(image: str) -> str:
    """Return an image's name without registry docker.io, tag and digest."""
    name = image.partition("@")[0]
    head, slash, tail = name.rpartition("/")
    tail = tail.partition(":")[0]
    name = head + slash + tail
    for prefix in ("docker.io/library/", "docker.io/", "index.docker.io/", "registry-1.docker.io/", "localhost/"):
        name = name.removeprefix(prefix)
    return name
