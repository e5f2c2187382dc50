"""Frames that a twin follows: each makes a new revision, with its events."""

from dataclasses import replace
from typing import Any

from safetytwin.bridge import timeline
from safetytwin.bridge.ingest_work import ORDERS, NeedFullError, Work, stored, text_of, twin_of, typed
from safetytwin.bridge.stores.base import EpochMark
from safetytwin.bridge.summary import moves_counts, service_counts
from safetytwin.bridge.twins import KEYFRAME_EVERY, KEYFRAME_SECONDS, Host, applied
from safetytwin.changes.diff import diff
from safetytwin.changes.events import first_events
from safetytwin.changes.kinds import event
from safetytwin.changes.trees import ChangeError
from safetytwin.changes.twin import Step, Twin
from safetytwin.models.change import Change, Frame
from safetytwin.models.event import Event
from safetytwin.models.quantities import duration

_OFFSET_KEPT = 0.05
"""Seconds by which a clock's offset is known better before it is written again."""


def begin(work: Work, frame: Frame, received_at: float, order: int) -> None:
    """Take the first frame of a machine; order is its epoch's."""
    mark = EpochMark(frame.host_id, frame.epoch, order, received_at - frame.monotonic)
    twin = twin_of(frame)
    host = Host(
        host_id=frame.host_id,
        twin=twin,
        revision=1,
        top_revision=1,
        mark=mark,
        epochs={frame.epoch: mark},
        began_at=received_at,
        seq=frame.seq,
        at=received_at,
        received_at=received_at,
        observed_at=frame.observed_at,
        monotonic=frame.monotonic,
        services=service_counts(twin.items("services").values()),
    )
    work.batch.epochs.append(mark)
    first = {"at": host.at, "twin": twin}
    _keep(work, host, first, frame, None, first_events(twin.rest, text_of(received_at)))


def begin_epoch(work: Work, host: Host, frame: Frame, twin: Twin, received_at: float) -> None:
    """Take the first frame of a machine's next run of the agent."""
    top = max(mark.order for mark in host.epochs.values())
    mark = EpochMark(frame.host_id, frame.epoch, top + ORDERS, received_at - frame.monotonic)
    work.batch.epochs.append(mark)
    at = timeline.after(received_at, host.at)
    changed = {
        "mark": mark,
        "epochs": {**host.epochs, frame.epoch: mark},
        "began_at": at,
        "monotonic": frame.monotonic,
        "at": at,
        "contenders": {},
    }
    _become(work, host, changed, frame, twin, received_at)


def follow(work: Work, host: Host, frame: Frame, received_at: float) -> None:
    """Take the next frame of the run that the twin follows; raises NeedFullError."""
    elapsed = frame.monotonic - host.monotonic
    offset = timeline.offset_after(host.mark.clock_offset, received_at, frame.monotonic, elapsed)
    changed: dict[str, Any] = {"at": timeline.after(offset + frame.monotonic, host.at), "monotonic": frame.monotonic}
    if abs(offset - host.mark.clock_offset) > _OFFSET_KEPT:
        mark = replace(host.mark, clock_offset=offset)
        work.batch.epochs.append(mark)
        changed |= {"mark": mark, "epochs": {**host.epochs, mark.epoch: mark}}
    if frame.change is None:
        _become(work, host, changed, frame, twin_of(frame), received_at)
        return
    if frame.seq != host.seq + 1:
        raise NeedFullError(f"Frame {host.seq + 1} is not here; send a full frame.")
    twin = applied(host.twin)
    try:
        step = twin.apply(frame.change)
    except ChangeError as error:
        raise NeedFullError(f"The change does not fit the twin ({error}); send a full frame.") from error
    if step.new.get("host_id") != host.host_id:
        raise NeedFullError("The change would make another machine of it; send a full frame.")
    _advance(work, host, changed, frame, twin, frame.change, step, received_at)


def _become(work: Work, host: Host, changed: dict[str, Any], frame: Frame, twin: Twin, received_at: float) -> None:
    """Take a whole state where there was one before."""
    change = diff(typed(host.twin), typed(twin))
    folded = applied(host.twin)
    step = folded.apply(change)
    exact = folded.canonical_bytes() == twin.canonical_bytes()
    _advance(work, host, changed, frame, twin, change if exact else None, step, received_at)


def _advance(
    work: Work,
    host: Host,
    changed: dict[str, Any],
    frame: Frame,
    twin: Twin,
    change: Change | None,
    step: Step,
    received_at: float,
) -> None:
    """Make the machine's next revision; changed is what else of it the frame changes."""
    at = text_of(changed["at"])
    told = host.folder.fold(step, at=at)
    if host.silent or received_at - host.received_at > host.quiet_after:
        silence = duration(received_at - host.received_at)
        told.insert(0, event("host.back", at, "host", hostname=host.name, silence=silence))
    if moves_counts(step):
        changed["services"] = service_counts(twin.items("services").values())
    revision = host.top_revision + 1
    changed |= {
        "twin": twin,
        "revision": revision,
        "top_revision": revision,
        "seq": frame.seq,
        "received_at": received_at,
        "observed_at": frame.observed_at,
        "silent": False,
    }
    _keep(work, host, changed, frame, change, told)


def _keep(
    work: Work, host: Host, changed: dict[str, Any], frame: Frame, change: Change | None, told: list[Event]
) -> None:
    """Put a frame that the twin has followed into the batch."""
    at, twin = changed["at"], changed["twin"]
    since = host.since_keyframe + 1
    state = None
    if frame.change is None or since >= KEYFRAME_EVERY or at - host.keyframe_at >= KEYFRAME_SECONDS:
        state, since = twin.canonical_bytes(), 0
        changed["keyframe_at"] = at
    host = replace(host, **changed, since_keyframe=since)
    work.put(host, stored(frame, host.mark.order, host.revision, at, host.received_at, state, twin))
    work.publish(host, change, told)
