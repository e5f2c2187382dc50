"""Names that a compose file may use, made from whatever names a machine has."""

import re
from collections.abc import Callable, Iterable

from safetytwin.export.facts import REDACTED

_NOT_IN_KEYS = re.compile(r"[^a-zA-Z0-9_.-]+")
_NOT_IN_VARIABLES = re.compile(r"[^A-Z0-9]+")


class Names:
    """Keys of one section, each for one name of the machine."""

    def __init__(self) -> None:
        self.by_name: dict[str, str] = {}

    def of(self, name: str, *, identity: str | None = None) -> str:
        """Return the key for a name; two things of one name are told apart by identity."""
        known = name if identity is None else identity
        if known not in self.by_name:
            self.by_name[known] = _unique(_NOT_IN_KEYS.sub("-", name).strip("-.") or "unnamed", self.by_name.values())
        return self.by_name[known]


class Variables:
    """Variables in place of secrets, and what each stands for."""

    def __init__(self) -> None:
        self.meanings: dict[str, str] = {}

    def in_place_of_secrets(self, value: str, name: str, meaning: str, literal: Callable[[str], str]) -> str:
        """Return value with a variable, which must be set, for each part of it that was redacted."""
        first, *others = value.split(REDACTED)
        shown = literal(first)
        for other in others:
            shown += f"${{{self._new(name, meaning)}:?must be set}}{literal(other)}"
        return shown

    def _new(self, name: str, meaning: str) -> str:
        plain = _NOT_IN_VARIABLES.sub("_", name.upper()).strip("_") or "SECRET"
        variable = _unique(f"_{plain}" if plain[0].isdigit() else plain, self.meanings)
        self.meanings[variable] = meaning
        return variable


def _unique(wanted: str, taken: Iterable[str]) -> str:
    used = set(taken)
    name, number = wanted, 1
    while name in used:
        number += 1
        name = f"{wanted}_{number}"
    return name
