"""Frames of simulated machines, as an agent would send them."""

import msgspec

from safetytwin.changes.diff import diff, tree_of
from safetytwin.models.change import Frame
from safetytwin.models.system_state import SystemState


class FrameMaker:
    """One run of an agent: numbers looks and sends what changed."""

    def __init__(self, host_id: str, epoch: str, *, boot: float) -> None:
        self._host_id = host_id
        self._epoch = epoch
        self._boot = boot
        self._seq = -1
        self._last: SystemState | None = None

    def frame(self, state: SystemState, at: float, *, full: bool = False) -> Frame:
        """Return the frame of the next look, which was made at this moment."""
        self._seq += 1
        last, self._last = self._last, state
        whole = last is None or full
        return Frame(
            host_id=self._host_id,
            epoch=self._epoch,
            seq=self._seq,
            kind="full" if whole else "change",
            observed_at=state.timestamp,
            monotonic=at - self._boot,
            state=tree_of(state) if last is None or full else None,
            change=None if last is None or full else diff(last, state),
        )


def sent(frame: Frame) -> Frame:
    """Return a frame after a trip over the wire."""
    return msgspec.json.decode(msgspec.json.encode(frame), type=Frame)
