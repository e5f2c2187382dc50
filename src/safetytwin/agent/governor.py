"""Keeps the agent within its budget: leaves out the dearest collector before the budget is exceeded, and says so."""

import time
from collections import deque

from safetytwin.models.system_state import CollectorStatus

_LOOKS = 6
_SHED_ABOVE = 0.8
_BACK_BELOW = 0.4
_PATIENCE = 30
"""Looks within the budget before a collector is tried again."""
_NEVER_SHED = frozenset({"host", "cpu", "memory"})


class Governor:
    """Watches CPU time and memory from look to look and decides which collectors to leave out."""

    def __init__(self, cpu_percent: float, memory_bytes: int) -> None:
        self._cpu_percent = cpu_percent
        self._memory_bytes = memory_bytes
        self._samples: deque[tuple[float, float]] = deque(maxlen=_LOOKS + 1)
        self._durations: dict[str, float] = {}
        self._shed: list[str] = []
        self._calm = 0

    @property
    def shed(self) -> tuple[str, ...]:
        """The collectors that are left out now, in the order in which they were."""
        return tuple(self._shed)

    @property
    def cpu_percent(self) -> float | None:
        """CPU of one core over the last looks; None until there are two."""
        if len(self._samples) < 2:
            return None
        (began, used_then), (ended, used_now) = self._samples[0], self._samples[-1]
        return 100 * (used_now - used_then) / (ended - began) if ended > began else None

    def after_look(
        self,
        collectors: dict[str, CollectorStatus],
        rss: int | None,
        *,
        now: float | None = None,
        used: float | None = None,
    ) -> None:
        """Take note of a look; now and used are the clocks of time.monotonic() and time.process_time()."""
        self._samples.append((time.monotonic() if now is None else now, time.process_time() if used is None else used))
        for name, status in collectors.items():
            if status.status == "ok" and status.duration is not None:
                kept = self._durations.get(name, status.duration)
                self._durations[name] = 0.7 * kept + 0.3 * status.duration
        percent = self.cpu_percent
        over_memory = rss is not None and rss > self._memory_bytes
        if percent is None or len(self._samples) <= _LOOKS:
            return  # the first looks read everything once: they are no measure
        if percent > _SHED_ABOVE * self._cpu_percent or over_memory:
            self._calm = 0
            self._shed_dearest()
        elif percent < _BACK_BELOW * self._cpu_percent:
            self._calm += 1
            if self._calm >= _PATIENCE and self._shed:
                self._calm = 0
                self._shed.pop()
                self._samples.clear()

    def _shed_dearest(self) -> None:
        running = {name: cost for name, cost in self._durations.items() if name not in {*self._shed, *_NEVER_SHED}}
        if running:
            self._shed.append(max(running, key=lambda name: running[name]))
            # What comes next is measured without what was spent before.
            self._samples.clear()
