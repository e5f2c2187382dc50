"""Which file systems are nearly full, with a gap between alarm and relief, so that hovering is told once."""

from collections.abc import Iterator
from typing import Literal

from safetytwin.changes.item_changes import Facts, item_changes
from safetytwin.changes.kinds import event
from safetytwin.changes.trees import Tree
from safetytwin.models.event import Event

Level = Literal["ok", "nearly_full", "full"]
Levels = dict[tuple[str, str], Level]
"""By mountpoint and what (space or inodes)."""

NEARLY_FULL, FULL, RELIEF = 90.0, 95.0, 5.0
"""Percent in use at which a level begins, and how far below it ends."""

_UNWATCHED_KINDS = frozenset({"image", "memory"})
"""Kinds of mounts whose use says nothing: an image is always full."""


def usage_events(facts: Facts, levels: Levels) -> Iterator[Event]:
    """Yield which file systems came to be nearly full, full, or have room again; levels is brought up to date."""
    for key, before, after in item_changes(facts, "hardware.disks"):
        for what in ("space", "inodes"):
            place = (key, what)
            now = _percent(after, what)
            if after is None or now is None:
                if after is None:
                    levels.pop(place, None)
                continue
            was = levels.get(place) or _level(_percent(before, what), "ok")
            level = levels[place] = _level(now, was)
            if level == was:
                continue
            kind = "disk.recovered" if level == "ok" else f"disk.{level}"
            details = {"mountpoint": after["mountpoint"], "what": what, "percent": round(now, 1)}
            yield event(kind, facts.at, f"hardware.disks/{key}", **details)


def _level(percent: float | None, was: Level) -> Level:
    if percent is None:
        return was
    if percent >= FULL or (was == "full" and percent > FULL - RELIEF):
        return "full"
    if percent >= NEARLY_FULL or (was != "ok" and percent > NEARLY_FULL - RELIEF):
        return "nearly_full"
    return "ok"


def _percent(disk: Tree | None, what: str) -> float | None:
    if disk is None or disk.get("read_only") or disk.get("bind_of") or disk.get("kind") in _UNWATCHED_KINDS:
        return None
    if what == "space":
        usage: float | None = disk.get("usage_percent")
        return usage
    used, total = disk.get("inodes_used"), disk.get("inodes_total")
    return 100 * used / total if used is not None and total else None
