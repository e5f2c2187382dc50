"""What the HTTP side asks of the part that keeps the twins."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from safetytwin.bridge.routes.answers import (
    AiHosts,
    Difference,
    EventList,
    HostList,
    HostRow,
    Moments,
    SeriesNames,
    SeriesSet,
    StoredEvent,
    Taken,
    Updated,
)
from safetytwin.exposition import Exposition
from safetytwin.models.change import Change, Frame
from safetytwin.models.system_state import SystemState
from safetytwin.questions.tree import Question


@dataclass(frozen=True, slots=True)
class Seen:
    """A state of a machine and where it stands."""

    state: bytes
    """JSON."""
    revision: int
    at: float
    """Seconds since 1970, on the bridge's time line."""
    observed_at: str
    """The machine's clock."""


Publish = Callable[[HostRow, Change | None, Sequence[StoredEvent], Callable[[], bytes]], None]
"""Is told of each new revision on the event loop: the row, the change that led to it (None: tell the whole state), the
events, and what returns the whole state."""


class Keeper(Protocol):
    """Everything here raises Problem where it can't be done."""

    async def take(self, host_id: str, frames: Sequence[Frame], received_at: float) -> Taken:
        """Apply frames of one machine; returns when they are on disk."""

    async def update(self, state: SystemState, received_at: float) -> Updated:
        """Apply a whole state that came without a frame."""

    async def forget(self, host_id: str) -> None:
        """Forget a machine and its history."""

    async def hosts(self, limit: int, cursor: str | None, where: Question | None = None) -> HostList:
        """Return a page of machines: all, or those that a question is true of."""

    async def state(self, host_id: str, at: float | None) -> Seen:
        """Return a machine's state at a moment, or now."""

    async def difference(self, host_id: str, begin: float, end: float | None, *, everything: bool) -> Difference:
        """Return what changed between two moments."""

    async def events(
        self,
        host_id: str | None,
        begin: float | None,
        end: float | None,
        kinds: Sequence[str],
        subject: str | None,
        limit: int,
        cursor: str | None,
    ) -> EventList:
        """Return a page of events."""

    async def series(
        self, host_id: str, names: Sequence[str], begin: float | None, end: float | None, points: int
    ) -> SeriesSet:
        """Return gauges over time."""

    async def series_names(self, host_id: str) -> SeriesNames:
        """Return which series a machine has."""

    async def moments(self, host_id: str, begin: float | None, end: float | None) -> Moments:
        """Return which moments of a machine there are states for."""

    async def ai(self) -> AiHosts:
        """Return the AI workloads and models of all machines."""

    def now(self, host_id: str) -> Seen:
        """Return a machine's state now, in one step of the event loop."""

    def row(self, host_id: str) -> HostRow:
        """Return a machine's row now, in one step of the event loop."""

    def rows(self) -> list[HostRow]:
        """Return the rows of all machines now, in one step of the event loop."""

    def write_metrics(self, page: Exposition) -> None:
        """Write what this knows of itself: machines by status, twins, bytes, queue."""

    async def run(self) -> None:
        """Look after what time brings (silence, old history), until cancelled."""
