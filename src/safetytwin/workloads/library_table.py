"""Which family or runtime a mapped library speaks for, by the end of its path."""

import re
from collections.abc import Iterable
from fnmatch import translate
from typing import NamedTuple

from safetytwin.workloads.catalogue import Catalogue

_KEPT = 20_000
"""Paths whose answer is kept; a machine maps a few thousand."""
_INTERPRETERS = re.compile(
    r"/(?:libpython[\d.]+\w*\.so|python[\d.]+/lib-dynload/|libnode\.so|libruby[\d.-]|libperl\.so|jvm/.*libjvm\.so)"
)
_LAST_PARTS = 4


class Library(NamedTuple):
    """What one mapped path means."""

    kind: str
    """family, runtime, or interpreter."""
    name: str
    weight: float


class LibraryTable:
    """Answers by path; what it answered it keeps, for processes map the same libraries."""

    def __init__(self, catalogue: Catalogue) -> None:
        patterns: list[tuple[str, Library]] = []
        for name, family in catalogue.family.items():
            patterns += [(pattern, Library("family", name, weight)) for pattern, weight in family.libraries.items()]
        for name, runtime in catalogue.runtime.items():
            patterns += [(pattern, Library("runtime", name, runtime.weight)) for pattern in runtime.libraries]
        self._patterns = [(pattern.count("/") + 1, re.compile(translate(pattern)), said) for pattern, said in patterns]
        self._names = re.compile(
            "|".join(sorted({translate(pattern.rpartition("/")[2]) for pattern, _ in patterns})) or r"(?!)"
        )
        self._answers: dict[str, tuple[Library, ...]] = {}

    def of(self, path: str) -> tuple[Library, ...]:
        """Return what a mapped path speaks for; () for most."""
        answer = self._answers.get(path)
        if answer is None:
            if len(self._answers) >= _KEPT:
                self._answers.clear()
            answer = self._answers[path] = tuple(self._find(path))
        return answer

    def _find(self, path: str) -> Iterable[Library]:
        if _INTERPRETERS.search(path):
            yield Library("interpreter", "interpreter", 0.0)
        parts = path.split("/")
        if not self._names.match(parts[-1]):
            return
        for depth, pattern, said in self._patterns:
            if pattern.match("/".join(parts[-depth:])):
                yield said
