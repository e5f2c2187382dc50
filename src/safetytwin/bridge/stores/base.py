"""What the bridge asks of a store; every store passes the same tests (tests/bridge/stores)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from safetytwin.models.event import Event

SILENCE = 60.0
"""Seconds without a frame that are a gap in a machine's history, whatever its interval."""


SALVAGED = "salvaged-"
"""How names of epochs begin whose own are lost."""


class StoreError(Exception):
    """The store can't do what it is asked; the text says why and how to mend it."""


class StoreFullError(StoreError):
    """There is no room on the disk: nothing of the batch was kept."""


class StoreLockedError(StoreError):
    """Another process uses the store."""


class StoreMovedError(StoreError):
    """What the bridge has in memory of some machines is not what is kept: load them again before the next batch."""

    def __init__(self, text: str, host_ids: frozenset[str]) -> None:
        super().__init__(text)
        self.host_ids = host_ids


class StoreDamagedError(StoreError):
    """What is on the disk is not what was written; the store mends itself before it is written to again."""


class StateMissingError(StoreError):
    """The state at this moment can't be told: nothing was kept of it, or what was kept is damaged."""


@dataclass(frozen=True, slots=True)
class EpochMark:
    """One run of an agent, as a machine's history has it."""

    host_id: str
    epoch: str
    order: int
    """Epochs of a machine follow each other by this number."""
    clock_offset: float
    """What makes the bridge's time of the agent's boot clock, in seconds."""


@dataclass(frozen=True, slots=True)
class StoredFrame:
    """One frame with its place in a machine's history."""

    host_id: str
    order: int
    """Of its epoch."""
    seq: int
    revision: int
    at: float
    """Seconds since 1970 on the bridge's time line; increases with (order, seq)."""
    received_at: float
    """The bridge's clock when it came."""
    observed_at: str
    """The machine's clock when it looked."""
    monotonic: float
    """The machine's boot clock, in seconds."""
    change: bytes | None
    """The change since seq - 1 as JSON; None of a full frame."""
    state: bytes | None = None
    """The whole state as canonical JSON: of a full frame, and of some others, so that no fold is long."""
    gauges: Mapping[str, float] = field(default_factory=dict)
    """What is plotted, by name of the series."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a frame stands in a machine's history."""

    order: int
    seq: int
    at: float


@dataclass(frozen=True, slots=True)
class KeptEvent:
    """One event with its number."""

    id: int
    host_id: str
    event: Event


@dataclass(frozen=True, slots=True)
class Refusal:
    """An agent that was refused, for another living one has its host id."""

    host_id: str
    epoch: str
    boot_id: str | None
    """The boot of its machine."""
    at: float
    """When it last tried."""


@dataclass(slots=True)
class Batch:
    """What is written together: all of it, or nothing."""

    epochs: list[EpochMark] = field(default_factory=list)
    """New ones, and those whose clock offset is known better now."""
    frames: list[StoredFrame] = field(default_factory=list)
    events: list[tuple[str, Event]] = field(default_factory=list)
    """With the machine's id."""
    moved: list[tuple[int, str, Event]] = field(default_factory=list)
    """Events that are there, by their number, and what they are to be instead."""
    refusals: list[Refusal] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class PastState:
    """A machine's state at a moment."""

    state: bytes
    """Canonical JSON."""
    frame: StoredFrame
    """The frame that made it; its state and change are None where they were not needed."""


@dataclass(frozen=True, slots=True)
class Span:
    """What there is of a machine between two moments."""

    first: float | None
    """The first and the last moment of all that is kept."""
    last: float | None
    revisions: int
    """How many states there are between the two moments that were asked for."""
    gaps: tuple[tuple[float, float], ...]
    """Times without states that can be told."""


@dataclass(frozen=True, slots=True)
class Points:
    """One series over time, one value a list for each point."""

    at: list[float]
    mean: list[float]
    min: list[float]
    max: list[float]


@dataclass(frozen=True, slots=True)
class EventQuery:
    """Which events are asked for; by their moment, newest first."""

    host_id: str | None = None
    begin: float | None = None
    end: float | None = None
    kinds: Sequence[str] = ()
    """Names, or beginnings such as unit.*"""
    subject: str | None = None
    before: int | None = None
    """Number of an event: only those that come after it in the list."""
    limit: int = 100
    before_at: float | None = None
    """Moment of the event `before`, where it may be none that this store has."""


@dataclass(frozen=True, slots=True)
class Retention:
    """How long what is kept; the newest state of a machine is always kept."""

    full_days: float = 14.0
    """Days for which every state is kept."""
    sparse_days: float = 90.0
    """Days for which one state of ten minutes is kept."""
    days: float = 365.0
    """Days for which one state an hour is kept, and events and series."""
    max_bytes: int | None = None
    """Size on disk beyond which the oldest go first."""


@dataclass(frozen=True, slots=True)
class StoreStats:
    """What a store says of itself."""

    bytes: int
    """On disk."""
    frames: int
    events: int
    damaged: int
    """Blobs that were found damaged since it was opened."""
    full: bool
    """There was no room at the last attempt to write."""


class Store(Protocol):
    """Keeps frames, events and series.

    append, forget and retain are called by one thread; all others may be called by any, at the same time. Moments are
    seconds since 1970. Everything here raises StoreError where it can't be done.
    """

    def append(self, batch: Batch) -> list[KeptEvent]:
        """Write a batch and return its events with their numbers; once it returns, what was written is on disk.

        Raises StoreFullError where there is no room: then nothing was written.
        """

    def hosts(self) -> list[str]:
        """Return the ids of all machines, sorted."""

    def epochs(self, host_id: str) -> list[EpochMark]:
        """Return the epochs of a machine in their order."""

    def began_at(self, host_id: str, order: int) -> float | None:
        """Return where the first frame of an epoch that is kept stands, None where there is none."""

    def refusals(self, host_id: str) -> list[Refusal]:
        """Return which agents were refused in a machine's name, in the order of their last try."""

    def has(self, host_id: str, order: int, seq: int) -> bool:
        """Say whether a frame was ever kept, even if it has been thinned out since."""

    def last_of(self, host_id: str, order: int) -> StoredFrame | None:
        """Return the frame of an epoch with the highest seq, without its state."""

    def neighbours(self, host_id: str, order: int, seq: int) -> tuple[Place | None, Place | None]:
        """Return where the frames just before and after one stand that is not there yet."""

    def last_revision(self, host_id: str) -> int:
        """Return the highest revision of a machine, 0 where there is none."""

    def latest(self, host_id: str) -> PastState | None:
        """Return the last state in the history; of a damaged end, the last that can be told."""

    def state_of(self, host_id: str, order: int, seq: int) -> PastState:
        """Return the state that a frame made; raises StateMissingError."""

    def state_at(self, host_id: str, moment: float) -> PastState:
        """Return the state at a moment, exactly as it was; raises StateMissingError."""

    def span(self, host_id: str, begin: float | None, end: float | None) -> Span:
        """Return which moments between two there are states for."""

    def events(self, query: EventQuery) -> list[KeptEvent]:
        """Return events, newest first."""

    def series_names(self, host_id: str) -> list[str]:
        """Return the names of the series of a machine."""

    def series(self, host_id: str, names: Sequence[str], begin: float, end: float, step: float) -> Mapping[str, Points]:
        """Return series between two moments in steps of at least this many seconds (0: every look)."""

    def forget(self, host_id: str) -> None:
        """Delete a machine and all that is kept of it."""

    def retain(self, policy: Retention, now: float) -> bool:
        """Do one small step of thinning and deleting; returns whether there is more to do."""

    def stats(self) -> StoreStats:
        """Return sizes and counts."""

    def close(self) -> None:
        """Write what waits, and let go of the store."""


class SharedStore(Store, Protocol):
    """A store of several bridges, each of which writes for the machines of its own partitions.

    Questions to all machines are answered of those alone.
    """

    def gain(self, partition: int) -> list[str]:
        """Take a partition, and return its machines; nobody else is expected to write for them from now on."""

    def lose(self, partitions: frozenset[int]) -> None:
        """Let go of partitions: others may write for their machines."""
