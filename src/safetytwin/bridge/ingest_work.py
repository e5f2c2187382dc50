"""What ingest is asked, what it answers, and what a batch would change before it is on disk."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from safetytwin.bridge.series import gauges_of
from safetytwin.bridge.stores.base import Batch, KeptEvent, StoredFrame
from safetytwin.bridge.twins import Host
from safetytwin.changes.trees import ChangeError, canonical_bytes
from safetytwin.changes.twin import Twin
from safetytwin.models.change import Change, Frame
from safetytwin.models.event import Event
from safetytwin.models.system_state import SystemState
from safetytwin.models.timestamps import timestamp

ORDERS = 1 << 20
"""Between two epochs, so that one that comes late finds a place between."""


class RefusedError(Exception):
    """Frames were not taken; the text says why and how to mend it."""


class NeedFullError(RefusedError):
    """The frame before is not here: the agent's next frame has to be a whole state."""


class UnplaceableError(RefusedError):
    """Frames of the past that what they build on is not here for: they can never be taken."""


class IdentityConflictError(RefusedError):
    """Another living agent uses this host id."""


class WaitError(RefusedError):
    """Whether another agent that uses this host id still lives is not known yet."""

    def __init__(self, text: str, seconds: float) -> None:
        super().__init__(text)
        self.seconds = seconds


class InvalidFrameError(RefusedError):
    """A frame is no valid frame; nothing of the request was taken."""

    def __init__(self, text: str, index: int) -> None:
        super().__init__(text)
        self.index = index


@dataclass(frozen=True, slots=True)
class Publication:
    """One new revision of a machine, for those who follow it."""

    host: Host
    change: Change | None
    """None where the whole state is to be told."""
    events: Sequence[KeptEvent]


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of a request."""

    accepted: int
    duplicates: int
    epoch: str
    seq: int
    """Highest frame of the epoch that was applied."""
    revision: int
    changes: Change | None = None
    """Of a whole state without a frame: what it changed; None where nothing, or nothing was before."""


@dataclass(frozen=True, slots=True)
class Request:
    """Frames of one machine that came together, or a whole state."""

    host_id: str
    frames: Sequence[Frame]
    received_at: float
    state: SystemState | None = None


@dataclass(slots=True)
class Work:
    """What a batch would change, before it is on disk."""

    hosts: dict[str, Host] = field(default_factory=dict)
    batch: Batch = field(default_factory=Batch)
    published: list[tuple[Host, Change | None, int, int]] = field(default_factory=list)
    """With where its events begin and end in the batch."""
    pending: set[tuple[str, int, int]] = field(default_factory=set)

    def lengths(self) -> tuple[int, ...]:
        """Return where the lists end, to go back to."""
        return tuple(len(one) for one in self._lists())

    def go_back(self, lengths: Sequence[int], host_id: str, host: Host | None) -> None:
        """Forget what was added for one machine since the lists ended there."""
        for frame in self.batch.frames[lengths[1] :]:
            self.pending.discard((frame.host_id, frame.order, frame.seq))
        for one, length in zip(self._lists(), lengths, strict=True):
            del one[length:]
        if host is None:
            self.hosts.pop(host_id, None)
        else:
            self.hosts[host_id] = host

    def _lists(self) -> tuple[list[object], ...]:
        batch = self.batch
        return (batch.epochs, batch.frames, batch.events, batch.moved, batch.refusals, self.published)  # type: ignore[return-value]  # only cut short

    def put(self, host: Host, frame: StoredFrame) -> None:
        """Take a frame and what its machine is after it."""
        self.batch.frames.append(frame)
        self.pending.add((frame.host_id, frame.order, frame.seq))
        self.hosts[host.host_id] = host

    def tell(self, host_id: str, told: Iterable[Event]) -> None:
        """Keep events, of which only those who ask hear."""
        self.batch.events += [(host_id, one) for one in told]

    def publish(self, host: Host, change: Change | None, told: Iterable[Event]) -> None:
        """Keep events and tell those who follow the machine of them and of its new revision."""
        begin = len(self.batch.events)
        self.tell(host.host_id, told)
        self.published.append((host, change, begin, len(self.batch.events)))


def twin_of(frame: Frame) -> Twin:
    """Return the state of a full frame; raises ChangeError, or ValidationError where it is none."""
    twin = Twin(frame.state or {})
    if twin.rest.get("host_id") != frame.host_id:
        raise ChangeError(f"The state is of {twin.rest.get('host_id')!r}, the frame of {frame.host_id!r}.")
    return twin


def typed(twin: Twin) -> SystemState:
    """Return a twin as a typed state."""
    return msgspec.convert(twin.tree(), SystemState)


def stored(
    frame: Frame, order: int, revision: int, at: float, received_at: float, state: bytes | None, twin: Twin
) -> StoredFrame:
    """Return a frame as the store takes it."""
    change = None if frame.change is None else canonical_bytes(frame.change)
    return StoredFrame(
        frame.host_id,
        order,
        frame.seq,
        revision,
        at,
        received_at,
        frame.observed_at,
        frame.monotonic,
        change,
        state,
        gauges_of(twin),
    )


def text_of(at: float) -> str:
    """Return a moment as it stands in events."""
    return timestamp(at) or "1970-01-01T00:00:00.000Z"
