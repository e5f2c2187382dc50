"""Events of processes: started, exited, became another program, runs what was replaced."""

from collections.abc import Iterator
from typing import Any

from safetytwin.changes.item_changes import Facts, changed_values, item_changes
from safetytwin.changes.kinds import event
from safetytwin.changes.trees import Tree
from safetytwin.models.event import Event
from safetytwin.models.quantities import duration
from safetytwin.models.timestamps import seconds_of


def process_events(facts: Facts) -> Iterator[Event]:
    """Yield what happened to processes; kernel threads come and go by themselves and are left out."""
    for key, before, after in item_changes(facts, "processes"):
        if (after or before or {}).get("kernel_thread"):
            continue
        subject = f"processes/{key}"
        if before is None and after is not None:
            yield event("process.started", facts.at, subject, **_who(after))
        elif before is not None and after is None:
            seconds = _age(before, facts.seen_at)
            ran = None if seconds is None else duration(seconds)
            yield event("process.exited", facts.at, subject, **_who(before), ran=ran, ran_seconds=seconds)
        elif before is not None and after is not None:
            if after.get("exe_deleted") and not before.get("exe_deleted"):
                yield event("process.outdated", facts.at, subject, **_who(after))
            executables = changed_values(before, after, "exe")
            if executables is not None:
                who = {**_who(after), "exe": None}
                yield event("process.became", facts.at, subject, **who, before=executables[0], after=executables[1])


def _who(process: Tree) -> dict[str, Any]:
    return {name: process.get(name) for name in ("name", "pid", "username", "exe", "service")}


def _age(process: Tree, at: str) -> float | None:
    """Return the seconds that a process that is gone at a moment had run at most, or None where that can't be told."""
    try:
        seconds = seconds_of(at) - seconds_of(process["create_time"])
    except (KeyError, ValueError):
        return None
    return round(seconds, 3) if seconds >= 0 else None
