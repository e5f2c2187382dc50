"""When to look: at a steady interval in a phase of its own, never twice at once, at once after the machine woke up."""

import random
import time
from collections.abc import Callable


def boot_clock() -> float:
    """Return seconds since boot, sleep included (CLOCK_BOOTTIME); where there is none, the monotonic clock."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


class Schedule:
    """Says how long to wait for the next look.

    The first look is at once; the second comes within one interval, at random, so that agents that were started
    together do not stay in step. It counts in the boot clock: setting the wall clock moves nothing, and after a suspend
    a look is due immediately, once.
    """

    def __init__(self, interval: float, clock: Callable[[], float] = boot_clock) -> None:
        self._interval = interval
        self._clock = clock
        self._due = clock() + random.uniform(0.3, 1.0) * interval  # noqa: S311 - to spread agents, not to keep a secret
        self.skipped = 0
        """Looks left out because the one before took longer than its interval."""

    def wait_seconds(self) -> float:
        """Return the seconds until the next look; 0 where it is due."""
        return max(0.0, self._due - self._clock())

    def looked(self, began: float) -> None:
        """Take note of a look that began at a moment of the clock and has just ended."""
        ended = self._clock()
        if began >= self._due:
            self._due += self._interval * max(1, -(-(began - self._due) // self._interval))
        while self._due <= ended:
            self._due += self._interval
            self.skipped += 1
