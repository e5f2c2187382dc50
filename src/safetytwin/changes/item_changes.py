"""What events are made from: the two states of a step, and the items that came, went and changed."""

from collections.abc import Iterator, Mapping
from typing import Any

from safetytwin.changes.trees import Tree
from safetytwin.changes.twin import Step

_BLIND = frozenset({"denied", "timeout", "failed"})
"""What a collector of this status does not list may still be there."""


class Facts:
    """The two states of a step without their items, and what is asked of them again and again."""

    def __init__(self, step: Step, at: str | None) -> None:
        self.step = step
        self.old, self.new = step.old, step.new
        self.seen_at: str = step.new["timestamp"]
        """By the machine's own clock, as the moments within its state are."""
        self.at = self.seen_at if at is None else at
        """When events happened."""
        self.old_hardware: Tree = step.old["hardware"]
        self.new_hardware: Tree = step.new["hardware"]
        self.old_collectors: Mapping[str, Any] = step.old["agent"]["collectors"]
        self.new_collectors: Mapping[str, Any] = step.new["agent"]["collectors"]
        before, after = step.old.get("boot_id"), step.new.get("boot_id")
        self.rebooted = before is not None and after is not None and before != after

    def status(self, collector: str) -> tuple[str | None, str | None]:
        """Return the status of a collector before and after."""
        return self.old_collectors.get(collector, {}).get("status"), self.new_collectors.get(collector, {}).get(
            "status"
        )


def is_blind(facts: Facts, collector: str) -> bool:
    """Say whether a collector did not see, before or after, so that nothing follows from what it does not list."""
    return not _BLIND.isdisjoint(facts.status(collector))


def was_away(facts: Facts, collector: str) -> bool:
    """Say whether what a collector asks was not there, before or after, such as an engine that does not run."""
    return "absent" in facts.status(collector)


def item_changes(facts: Facts, path: str) -> Iterator[tuple[str, Tree | None, Tree | None]]:
    """Yield key, item before and item after of what changed in a keyed collection; None where there is no item."""
    for key, (before, after) in facts.step.items.get(path, {}).items():
        yield key, before, after


def changed_values(before: Tree, after: Tree, name: str) -> tuple[Any, Any] | None:
    """Return a field's two values where both are known and differ."""
    old, new = before.get(name), after.get(name)
    return None if old is None or new is None or old == new else (old, new)
