"""What the history's messages in JetStream are: all that is written together for one machine, in parts if large."""

from typing import Any

import msgspec

from safetytwin.bridge.stores.base import Batch, EpochMark, KeptEvent, Refusal, StoredFrame
from safetytwin.bridge.stores.blobs import opened, sealed
from safetytwin.models.event import Event
from safetytwin.nats_subjects import host_of, partition_of, token_of

EVENTS = 4096
"""Numbers for events that each message has; of its sequence 41 bits stay within what JSON's numbers are exact for."""


def subject_of(prefix: str, host_id: str) -> str:
    """Return the subject of a machine's history."""
    return f"{prefix}.history.{partition_of(host_id):02}.{token_of(host_id)}"


def subjects_of(prefix: str, partition: int) -> str:
    """Return the subject that stands for all machines of a partition."""
    return f"{prefix}.history.{partition:02}.*"


def by_host(batch: Batch) -> dict[str, Batch]:
    """Split a batch by machine; each one's order is kept."""
    found: dict[str, Batch] = {}

    def of(host_id: str) -> Batch:
        return found.setdefault(host_id, Batch())

    for mark in batch.epochs:
        of(mark.host_id).epochs.append(mark)
    for frame in batch.frames:
        of(frame.host_id).frames.append(frame)
    for host_id, event in batch.events:
        of(host_id).events.append((host_id, event))
    for number, host_id, event in batch.moved:
        of(host_id).moved.append((number, host_id, event))
    for refusal in batch.refusals:
        of(refusal.host_id).refusals.append(refusal)
    return found


def packed(batch: Batch, subject: str) -> bytes:
    """Return one machine's batch as bytes that open only on its subject."""
    value = [
        [(one.epoch, one.order, one.clock_offset) for one in batch.epochs],
        [_frame_values(one) for one in batch.frames],
        [msgspec.to_builtins(event) for _, event in batch.events],
        [(number, msgspec.to_builtins(event)) for number, _, event in batch.moved],
        [(one.epoch, one.boot_id, one.at) for one in batch.refusals],
    ]
    return sealed(value, subject)


def unpacked(blob: bytes, subject: str, sequence: int) -> Batch:
    """Return a batch whose events have their numbers, as moved ones; raises DamagedBlobError."""
    host_id = host_of(subject)
    epochs, frames, events, moved, refusals = opened(blob, subject)
    return Batch(
        epochs=[EpochMark(host_id, *one) for one in epochs],
        frames=[StoredFrame(host_id, *one) for one in frames],
        moved=[
            *((sequence * EVENTS + index, host_id, _event(one)) for index, one in enumerate(events)),
            *((number, host_id, _event(one)) for number, one in moved),
        ],
        refusals=[Refusal(host_id, *one) for one in refusals],
    )


def numbered(batch: Batch, sequence: int) -> list[KeptEvent]:
    """Return the events of one machine's batch with the numbers that its message's sequence gives them."""
    return [KeptEvent(sequence * EVENTS + index, host_id, event) for index, (host_id, event) in enumerate(batch.events)]


def _frame_values(frame: StoredFrame) -> tuple[Any, ...]:
    return (
        frame.order,
        frame.seq,
        frame.revision,
        frame.at,
        frame.received_at,
        frame.observed_at,
        frame.monotonic,
        frame.change,
        frame.state,
        dict(frame.gauges),
    )


def _event(value: Any) -> Event:
    return msgspec.convert(value, Event)
