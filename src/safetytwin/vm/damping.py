"""Damping: what flaps is left alone until it is calm, so that it costs no work and fills no disk with snapshots."""

from collections import deque
from dataclasses import dataclass, field

_CHANGES = 3
_WINDOW = 300.0
"""Seconds: more than three changes in this time are flapping."""


@dataclass(slots=True)
class _Past:
    times: deque[float] = field(default_factory=deque)
    wish: object = None


class Damper:
    """Remembers when each thing was changed and to what, by key; moments are seconds of any steady clock."""

    def __init__(self, changes: int = _CHANGES, window: float = _WINDOW) -> None:
        self._changes = changes
        self._window = window
        self._pasts: dict[str, _Past] = {}

    def repeats(self, key: str, wish: object) -> bool:
        """Say whether this was the last wish for a thing already: it is on its way, and no new change."""
        past = self._pasts.get(key)
        return past is not None and wish is not None and past.wish == wish

    def allows(self, key: str, now: float, wish: object = None) -> bool:
        """Say whether a thing may be changed now, and count it where it may; what was wished last costs nothing."""
        past = self._pasts.setdefault(key, _Past())
        while past.times and now - past.times[0] > self._window:
            past.times.popleft()
        if self.repeats(key, wish):
            return True
        if len(past.times) >= self._changes:
            return False
        past.times.append(now)
        past.wish = wish
        return True

    def forget_calm(self, now: float) -> None:
        """Forget what has long been calm."""
        calm = [key for key, past in self._pasts.items() if not past.times or now - past.times[-1] > self._window]
        for key in calm:
            del self._pasts[key]
