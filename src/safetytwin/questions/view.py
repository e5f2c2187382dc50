"""What a question may ask of one machine: its twin, decoded where it is asked for."""

from dataclasses import dataclass, field
from typing import Any

from safetytwin.changes.trees import Tree
from safetytwin.changes.twin import Twin

_LOOKED = frozenset({"ok", "absent", "stale"})


@dataclass(slots=True)
class View:
    """One machine at one moment."""

    host_id: str
    status: str
    twin: Twin
    _decoded: dict[str, list[Tree]] = field(default_factory=dict)

    @property
    def hostname(self) -> str | None:
        """Its name."""
        name: str | None = self.twin.rest["hardware"].get("hostname")
        return name

    def at(self, *steps: str) -> Any:
        """Return what lies at a path outside the collections; None where nothing does."""
        value: Any = self.twin.rest
        for step in steps:
            value = value.get(step) if isinstance(value, dict) else None
        return value

    def items(self, path: str) -> list[Tree]:
        """Return the items of a collection."""
        if path not in self._decoded:
            self._decoded[path] = list(self.twin.items(path).values())
        return self._decoded[path]

    def not_looked(self, *collectors: str) -> str | None:
        """Return why there may be more than is listed: a collector that did not look; None where all did."""
        for name in collectors:
            told = self.at("agent", "collectors", name)
            status = told.get("status") if isinstance(told, dict) else None
            if status is None:
                return f"its agent did not run the collector {name}"
            if status not in _LOOKED:
                return f"the collector {name}: {status}"
        return None
