"""Folds what repeats: of the same thing again and again, people are told at once, and then how often."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from safetytwin.changes.events import events
from safetytwin.changes.kinds import event
from safetytwin.changes.twin import Step
from safetytwin.changes.usage_levels import Levels
from safetytwin.models.event import Event
from safetytwin.models.quantities import duration
from safetytwin.models.timestamps import seconds_of

WINDOW = 600.0
"""Seconds after which what was held back is told."""

TOLD_AT_ONCE = 2
"""How many of the same kind and subject within a window are told as they happen."""

LONG_RUN = 3600.0
"""Seconds after which a process's end is told, however many of its name there were."""

LOOP_RESTARTS = 3
"""How many restarts within a window are a loop."""

_RUNS = ("process.started", "process.exited")
_LOOPING = frozenset({"started", "stopped", "died", "restarted"})


@dataclass(slots=True)
class _Held:
    """What was held back of one kind."""

    first: Event
    last_at: str
    count: int


@dataclass(slots=True)
class _Window:
    """What happened to one subject since a moment."""

    opened: float
    told: dict[str, int] = field(default_factory=dict)
    held: dict[str, _Held] = field(default_factory=dict)


@dataclass(slots=True)
class _Restarts:
    """A service's restarts within the last window, as (seconds, how many)."""

    times: list[tuple[float, int]] = field(default_factory=list)
    looping: bool = False

    def number(self, now: float) -> int:
        """Return how many restarts there were in the window before now."""
        self.times = [(at, number) for at, number in self.times if now - WINDOW < at <= now]
        return sum(number for _, number in self.times)


class EventFolder:
    """Makes one machine's events of its changes; it remembers what was told, so keep one for each machine.

    Its clock is that of the states. A new one knows nothing of before: nothing is lost but a fold under way, which
    flush() tells.
    """

    def __init__(self) -> None:
        self._levels: Levels = {}
        self._windows: dict[tuple[str, str], _Window] = {}
        self._restarts: dict[str, _Restarts] = {}

    def fold(self, step: Step, *, at: str | None = None) -> list[Event]:
        """Return the events to tell of one change, held back ones whose window has ended first.

        at is the events' moment where it is not the new state's own timestamp.
        """
        now = seconds_of(at or step.new["timestamp"])
        told = self._ended(lambda window: not 0 <= now - window.opened < WINDOW, now)
        for subject in [subject for subject, restarts in self._restarts.items() if not restarts.number(now)]:
            del self._restarts[subject]
        made = _together(events(step, levels=self._levels, at=at))
        return told + self._admitted([*self._loops(made, now)], now)

    def flush(self) -> list[Event]:
        """Return everything held back, such as when the bridge stops."""
        return self._ended(lambda _: True, None)

    def _admitted(self, made: Iterable[Event], now: float) -> list[Event]:
        told = []
        for one in made:
            window = self._windows.setdefault(_group(one), _Window(now))
            number = window.told.get(one.kind, 0)
            if number < TOLD_AT_ONCE or (one.details or {}).get("ran_seconds", 0) > LONG_RUN:
                window.told[one.kind] = number + 1
                told.append(one)
                continue
            held = window.held.get(one.kind)
            if held is None:
                window.held[one.kind] = _Held(one, one.last_at or one.at, one.count or 1)
            else:
                held.count += one.count or 1
                held.last_at = one.last_at or one.at
        return told

    def _ended(self, has_ended: Callable[[_Window], bool], now: float | None) -> list[Event]:
        told: list[Event] = []
        for group, window in list(self._windows.items()):
            if not has_ended(window):
                continue
            told += _of_held(window.held)
            del self._windows[group]
            if window.held and now is not None:
                # It still goes on: what follows is held back at once.
                self._windows[group] = _Window(now, told=dict.fromkeys(window.told, TOLD_AT_ONCE))
        return sorted(told, key=lambda one: one.at)

    def _loops(self, made: Iterable[Event], now: float) -> Iterator[Event]:
        """Replace a service's starts and ends by one event of its loop while it restarts in one."""
        for one in made:
            what, _, happened = one.kind.partition(".")
            if what not in {"unit", "container"} or happened not in _LOOPING:
                yield one
                continue
            restarts = self._restarts.setdefault(one.subject, _Restarts())
            new = int((one.details or {}).get("restarts", 0))
            if new:
                restarts.times.append((now, new))
            number = restarts.number(now)
            if number < LOOP_RESTARTS:
                restarts.looping = False
                yield one
            elif not restarts.looping or new:
                name = (one.details or {}).get("name")
                about: dict[str, Any] = {"name": name, "restarts": number, "window": duration(WINDOW)}
                count = new if restarts.looping else None
                yield event(f"{what}.restart_loop", one.at, one.subject, count=count, **about)
                restarts.looping = True


def _group(one: Event) -> tuple[str, str]:
    """Return what an event repeats: the name of a process, for the next of that name is another subject."""
    if one.kind.startswith("process."):
        return ("process", str((one.details or {}).get("name")))
    return ("subject", one.subject)


def _together(made: Iterable[Event]) -> Iterator[Event]:
    """Fold what happened to several processes of one name within one change."""
    groups: dict[tuple[str, str, str], list[Event]] = {}
    for one in made:
        groups.setdefault((one.kind, *_group(one)), []).append(one)
    for (kind, what, _), some in groups.items():
        if what == "process" and len(some) > 1:
            yield _folded(kind, some[0], some[-1].at, len(some))
        else:
            yield from some


def _folded(kind: str, first: Event, last_at: str, count: int) -> Event:
    """Return one event for several; of processes only what they have in common is kept."""
    details = dict(first.details or {})
    subject = first.subject
    if kind.startswith("process."):
        details = {"name": details.get("name")}
        subject = "processes"
    if count == 1 and first.count is None:
        return event(kind, first.at, first.subject, **(first.details or {}))
    return event(kind, first.at, subject, count=count, last_at=last_at, **details)


def _of_held(held: dict[str, _Held]) -> Iterator[Event]:
    """Tell what was held back; processes that started and exited ran."""
    held = dict(held)
    if all(kind in held for kind in _RUNS):
        started, exited = (held[kind] for kind in _RUNS)
        ran = min(started.count, exited.count)
        first = min(started.first, exited.first, key=lambda one: one.at)
        yield _folded("process.ran", first, max(started.last_at, exited.last_at), ran)
        started.count -= ran
        exited.count -= ran
    for kind, some in held.items():
        if some.count:
            yield _folded(kind, some.first, some.last_at, some.count)
