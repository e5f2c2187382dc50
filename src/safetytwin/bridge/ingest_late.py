"""Frames that come late: filed at their place in the past, with the events of then; the twin stays as it is."""

from collections.abc import Callable
from dataclasses import replace

import msgspec

from safetytwin.bridge import timeline
from safetytwin.bridge.ingest_identity import clock_skew
from safetytwin.bridge.ingest_work import ORDERS, UnplaceableError, Work, stored, text_of, twin_of, typed
from safetytwin.bridge.stores.base import EpochMark, EventQuery, Place, StateMissingError, Store
from safetytwin.bridge.twins import KEYFRAME_EVERY, Host, Late, applied
from safetytwin.changes.diff import diff
from safetytwin.changes.folding import EventFolder
from safetytwin.changes.twin import Step, Twin
from safetytwin.models.change import Frame
from safetytwin.models.event import Event
from safetytwin.models.timestamps import seconds_of

_MOST_TOLD = 1000
"""Events of the newest state's return that are looked through for those that now have a better moment."""
_IDLE_SECONDS = 60.0
"""Seconds after the last late frame after which what its events were held back for is told."""


class LateFrames:
    """Files late frames; used by the thread that ingests."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.unplaceable = 0
        """Frames that could not be kept, for what they change is not here."""

    def file(self, work: Work, host: Host, mark: EpochMark, frame: Frame, received_at: float) -> None:
        """File a frame that the twin is beyond; raises UnplaceableError."""
        host = work.hosts.get(host.host_id, host)
        late = host.late if host.late is not None and _follows(host.late, mark, frame) else None
        before, behind = self._neighbours(work, host, late, mark, frame)
        at = timeline.between(mark.clock_offset + frame.monotonic, mark.order, frame.seq, before, behind)
        if at is None:
            raise self._unplaceable("There is no room in the history between the frames that are here.")
        twin, step = self._folded(late, before, mark, frame)
        if late is None:
            flushed(work, host)
        since = KEYFRAME_EVERY if late is None else late.since_keyframe + 1
        state = twin.canonical_bytes() if since >= KEYFRAME_EVERY or frame.change is None else None
        revision = host.top_revision + 1
        filed = Late(
            mark.order,
            frame.seq,
            at,
            twin,
            0 if state is not None else since,
            received_at,
            EventFolder() if late is None else late.folder,
            self._told_at(host, behind) if late is None else late.told,
        )
        host = replace(host, late=filed, top_revision=revision)
        work.put(host, stored(frame, mark.order, revision, at, received_at, state, twin))
        if step is not None:
            _tell(work, host.host_id, filed, filed.folder.fold(step, at=text_of(at)))
        if (behind.order, behind.seq) == (mark.order, frame.seq + 1):
            self._join(work, host, filed, behind)

    def _join(self, work: Work, host: Host, late: Late, behind: Place) -> None:
        """Tell what the step from a run of late frames to the frame behind it was, and what was held back."""
        try:
            state = self._state_of(host.host_id, behind.order, behind.seq)
        except StateMissingError:
            pass  # damaged, or in the batch that is not on disk yet: its events were told as it came
        else:
            step = applied(late.twin).apply(diff(typed(late.twin), typed(state)))
            _tell(work, host.host_id, late, late.folder.fold(step, at=text_of(behind.at)))
        flushed(work, host)

    def epoch(self, work: Work, host: Host, frame: Frame) -> EpochMark:
        """Make a place for a run that came late, among those before the current one; raises UnplaceableError."""
        offset = host.mark.clock_offset
        boot = (frame.state or {}).get("boot_id")
        if boot is None or boot != host.twin.rest.get("boot_id"):
            offset = seconds_of(frame.observed_at) + clock_skew(host) - frame.monotonic
        below, above = self._between_runs(host, offset + frame.monotonic)
        mark = EpochMark(host.host_id, frame.epoch, (below + above) // 2, offset)
        if mark.order == below:
            raise self._unplaceable(
                f"More than {ORDERS.bit_length()} runs of the agent came late, one before the other."
            )
        work.batch.epochs.append(mark)
        work.hosts[host.host_id] = replace(host, epochs={**host.epochs, frame.epoch: mark})
        return mark

    def _between_runs(self, host: Host, at: float) -> tuple[int, int]:
        """Return the orders of the runs between which one belongs that began at a moment.

        Runs that began after it may be here already: what the newest state of a run was is told before what waited.
        """
        above = host.mark.order
        for order in sorted((mark.order for mark in host.epochs.values() if mark.order < above), reverse=True):
            _, first = self._store.neighbours(host.host_id, order, -1)
            if first is None or first.order != order or first.at <= at:
                return order, above
            above = order
        return 0, above

    def _neighbours(
        self, work: Work, host: Host, late: Late | None, mark: EpochMark, frame: Frame
    ) -> tuple[Place | None, Place]:
        """Return the places just before and after a late frame, those that are not on disk yet included."""
        before, behind = self._store.neighbours(host.host_id, mark.order, frame.seq)
        if late is not None:
            before = Place(late.order, late.seq, late.at)
        behind = behind or Place(host.mark.order, host.seq, host.at)
        for one in work.batch.frames:
            place = Place(one.order, one.seq, one.at)
            if one.host_id != host.host_id:
                continue
            if (one.order, one.seq) < (mark.order, frame.seq):
                before = place if before is None or (before.order, before.seq) < (one.order, one.seq) else before
            elif (one.order, one.seq) < (behind.order, behind.seq):
                behind = place
        return before, behind

    def _folded(
        self, late: Late | None, before: Place | None, mark: EpochMark, frame: Frame
    ) -> tuple[Twin, Step | None]:
        """Return the state that a late frame makes, and what it did to the one before, if that is here."""
        if frame.change is not None:
            try:
                twin = (
                    applied(late.twin) if late is not None else self._state_of(mark.host_id, mark.order, frame.seq - 1)
                )
            except StateMissingError as error:
                raise self._unplaceable(f"The frame before {frame.seq} is not here.") from error
            return twin, twin.apply(frame.change)
        twin = twin_of(frame)
        if late is not None:
            old = applied(late.twin)
        elif before is not None and (before.order < mark.order or before.seq == frame.seq - 1):
            try:
                old = self._state_of(mark.host_id, before.order, before.seq)
            except StateMissingError:
                return twin, None
        else:
            return twin, None
        return twin, old.apply(diff(typed(old), typed(twin)))

    def _state_of(self, host_id: str, order: int, seq: int) -> Twin:
        return Twin(msgspec.json.decode(self._store.state_of(host_id, order, seq).state))

    def _told_at(self, host: Host, behind: Place) -> dict[tuple[str, str], int]:
        """Return the events that were told when the machine was back, for what happened while it was away."""
        at = seconds_of(text_of(behind.at))
        found = self._store.events(EventQuery(host.host_id, at - 0.0005, at + 0.0005, limit=_MOST_TOLD))
        return {(one.event.kind, one.event.subject): one.id for one in found if one.event.count is None}

    def _unplaceable(self, why: str) -> UnplaceableError:
        self.unplaceable += 1
        return UnplaceableError(f"{why} These frames of the past can't be kept: drop them.")


def flushed(work: Work, host: Host, is_over: Callable[[Late], bool] = lambda _: True) -> None:
    """Tell what the events of a run of late frames were held back for, where the run is over."""
    if host.late is not None and is_over(host.late):
        _tell(work, host.host_id, host.late, host.late.folder.flush())


def is_idle(late: Late, now: float) -> bool:
    """Say whether no more late frames seem to come."""
    return now - late.received_at > _IDLE_SECONDS


def _tell(work: Work, host_id: str, late: Late, told: list[Event]) -> None:
    """Keep events of the past; those that were told when the machine was back are given their moment instead."""
    for one in told:
        number = late.told.pop((one.kind, one.subject), None)
        if number is None:
            work.tell(host_id, [one])
        else:
            work.batch.moved.append((number, host_id, one))


def _follows(late: Late, mark: EpochMark, frame: Frame) -> bool:
    return (late.order, late.seq + 1) == (mark.order, frame.seq)
