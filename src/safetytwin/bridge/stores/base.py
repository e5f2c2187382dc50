"""What a store keeps and how it is asked; every store passes the same test-suite.

Times are whole milliseconds since 1970 on the bridge's time line. Within a machine `at` strictly increases in the order
of the frames, so that it names a frame as well as (epoch, seq) does.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from safetytwin.models.event import Event


class StoreError(Exception):
    """The store can't do what was asked; the text says why and how to mend it."""


class StoreFullError(StoreError):
    """There is no room on the disk; nothing of the batch was written."""


class KeptFrame(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One frame as it is kept: a whole state, or a change to the frame before it in its epoch, or both."""

    at: int
    revision: int
    epoch: str
    seq: int
    observed_at: str
    received_at: float
    full: bytes | None = None
    """The state after this frame, as canonical JSON."""
    change: bytes | None = None
    """JSON of the change."""


@dataclass(slots=True)
class Epoch:
    """One run of an agent, as far as it was heard."""

    epoch: str
    boot_id: str | None
    started_at: int
    """Where its first frame is on the time line."""
    last_seq: int
    last_at: int
    last_monotonic: float
    spans: list[list[int]]
    """Which frames are here: ascending [first, last] of seq, without neighbours that touch."""


@dataclass(frozen=True, slots=True)
class KeptHost:
    """One machine."""

    host_id: str
    revision: int
    last_received: float
    """Seconds since 1970, the bridge's clock."""


@dataclass(frozen=True, slots=True)
class KeptEvent:
    """One event as it is kept."""

    id: int
    host_id: str
    event: Event


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive frames packed together; the first one is whole, each other follows from the one before."""

    begin: int
    end: int
    frames: Sequence[KeptFrame]


@dataclass(frozen=True, slots=True)
class Stretch:
    """How many frames there are from begin to end, without one of them said."""

    begin: int
    end: int
    frames: int


@dataclass(frozen=True, slots=True)
class SeriesRow:
    """Gauges from begin to end at one level, packed; see bridge/series.py."""

    level: int
    """0: every frame; 60, 3600, 86400: seconds of a step."""
    begin: int
    end: int
    data: bytes


@dataclass(slots=True)
class Batch:
    """What is written together, or not at all."""

    frames: list[tuple[str, KeptFrame]] = field(default_factory=list)
    hosts: dict[str, KeptHost] = field(default_factory=dict)
    epochs: list[tuple[str, Epoch]] = field(default_factory=list)
    events: list[tuple[str, Event]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class EventQuery:
    """Which events are wanted, newest first."""

    host_id: str | None = None
    begin: int | None = None
    end: int | None = None
    kinds: Sequence[str] = ()
    """Names, or their first part (unit for unit.failed and all others of units)."""
    subject: str | None = None
    """A subject, or the beginning of one up to a slash."""
    before_id: int | None = None
    limit: int = 100


class Store(Protocol):
    """Keeps everything; reading is safe from any thread, writing from one.

    All methods raise StoreError; those that write raise StoreFullError where there is no room. What is damaged is left
    out by those that read and counted in damaged.
    """

    damaged: int

    def write(self, batch: Batch) -> list[int]:
        """Write a batch; when this returns it is on the disk. Returns the ids of the events, in their order."""
        ...

    def hosts(self) -> list[KeptHost]:
        """Return all machines, by host id."""
        ...

    def forget(self, host_id: str) -> None:
        """Delete a machine and all that is kept of it."""
        ...

    def epochs(self, host_id: str) -> list[Epoch]:
        """Return the epochs of a machine, oldest first."""
        ...

    def loose(self, host_id: str, begin: int, end: int, limit: int | None = None) -> list[KeptFrame]:
        """Return frames that are not packed yet and are within begin..end, in order."""
        ...

    def loose_of_epoch(self, host_id: str, epoch: str, first: int, last: int) -> list[KeptFrame]:
        """Return frames of an epoch that are not packed yet, by seq."""
        ...

    def last_loose_before(self, host_id: str, at: int) -> tuple[int, str, int] | None:
        """Return (at, epoch, seq) of the last frame at or before a moment that is not packed yet."""
        ...

    def last_whole_before(self, host_id: str, epoch: str, seq: int) -> int | None:
        """Return the seq of the last frame of an epoch up to seq that is whole and not packed yet."""
        ...

    def block_before(self, host_id: str, at: int) -> Block | None:
        """Return the last block that begins at or before a moment."""
        ...

    def block_with(self, host_id: str, epoch: str, seq: int) -> Block | None:
        """Return the block that holds a frame."""
        ...

    def pack(self, host_id: str, block: Block, series: Iterable[SeriesRow]) -> None:
        """Replace the loose frames of a block by the block, and keep the series that were made of them."""
        ...

    def stretches(self, host_id: str, begin: int, end: int) -> list[Stretch]:
        """Return the blocks, and the loose frames one by one, that overlap begin..end, in order."""
        ...

    def block_ages(self, host_id: str) -> list[Stretch]:
        """Return the blocks of a machine, oldest first."""
        ...

    def replace_block(self, host_id: str, begin: int, block: Block | None) -> None:
        """Put a thinner block in the place of the one that begins there, or nothing."""
        ...

    def events(self, query: EventQuery) -> list[KeptEvent]:
        """Return events, newest first."""
        ...

    def drop_events(self, before: int, limit: int) -> int:
        """Delete events older than a moment, at most limit of them; return how many went."""
        ...

    def series(self, host_id: str, level: int, begin: int, end: int) -> list[SeriesRow]:
        """Return the rows of a level that overlap begin..end, in order."""
        ...

    def put_series(self, host_id: str, rows: Iterable[SeriesRow]) -> None:
        """Write rows; one that begins where another of its level does replaces it."""
        ...

    def drop_series(self, host_id: str, level: int, before: int) -> int:
        """Delete the rows of a level that end before a moment; return how many went."""
        ...

    def size(self) -> int:
        """Return the bytes in use on the disk."""
        ...

    def shrink(self) -> None:
        """Give freed room back to the disk, some of it at a time."""
        ...

    def close(self) -> None:
        """Close."""
        ...
