"""The bridge's time line: frames are placed by the machine's boot clock, whatever its wall clock says."""

from safetytwin.bridge.stores.base import Place

_STEP = 0.001
_DRIFT = 0.001
"""Seconds a second by which two clocks may move apart."""
_RESET = 60.0
"""Seconds behind the bridge's clock beyond which a boot clock must have stood still: the machine was paused."""


def offset_after(offset: float, received_at: float, monotonic: float, elapsed: float) -> float:
    """Return what makes bridge time of a boot clock, from one more frame that came without a detour.

    The frame that was fastest on its way knows best (the least difference); clocks that drift are followed.
    """
    candidate = received_at - monotonic
    if candidate - offset > _RESET:
        return candidate
    return min(candidate, offset + _DRIFT * max(elapsed, 0.0))


def after(placed: float, last: float) -> float:
    """Return where a frame stands that follows the last one."""
    return placed if placed > last else last + _STEP


def between(placed: float, order: int, seq: int, before: Place | None, behind: Place | None) -> float | None:
    """Return where a frame stands between two that are there; None where there is no room."""
    if behind is None:
        return placed if before is None else after(placed, before.at)
    if before is None:
        return min(placed, behind.at - _STEP)
    if not before.at < placed < behind.at:
        share = 0.5
        if before.order == order == behind.order:
            share = (seq - before.seq) / (behind.seq - before.seq)
        placed = before.at + (behind.at - before.at) * share
    return placed if before.at < placed < behind.at else None
