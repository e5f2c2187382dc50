"""Damping: what flaps is left alone until it is calm, so that it costs no work and fills no disk with snapshots."""

from collections import deque

_CHANGES = 3
_WINDOW = 300.0
"""Seconds: more than three changes in this time are flapping."""


class Damper:
    """Remembers when each thing was changed, by key."""

    def __init__(self, changes: int = _CHANGES, window: float = _WINDOW) -> None:
        self._changes = changes
        self._window = window
        self._times: dict[str, deque[float]] = {}

    def allows(self, key: str, now: float) -> bool:
        """Say whether a thing may be changed now, and count it where it may; now is in seconds of any steady clock."""
        times = self._times.setdefault(key, deque())
        while times and now - times[0] > self._window:
            times.popleft()
        if len(times) >= self._changes:
            return False
        times.append(now)
        return True

    def forget_calm(self, now: float) -> None:
        """Forget what has long been calm."""
        for key in [key for key, times in self._times.items() if not times or now - times[-1] > self._window]:
            del self._times[key]
