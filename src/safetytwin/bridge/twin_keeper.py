"""Keeps twins for the HTTP side: one thread writes, any thread reads, the event loop is told what is new.

Requests that arrive while the writer is busy are taken together with one write to the disk, so that the cost of a
sync is shared by as many machines as wait for it.
"""

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from safetytwin.bridge.ingest import Ingest
from safetytwin.bridge.ingest_work import (
    Accepted,
    IdentityConflictError,
    InvalidFrameError,
    NeedFullError,
    Publication,
    RefusedError,
    Request,
    UnplaceableError,
    WaitError,
)
from safetytwin.bridge.keeper import Publish, Seen
from safetytwin.bridge.problems import Problem, too_busy
from safetytwin.bridge.routes.answers import (
    AiHosts,
    Difference,
    EventList,
    HostList,
    HostRow,
    Moments,
    SeriesNames,
    SeriesSet,
    Taken,
    Updated,
)
from safetytwin.bridge.series import unit_of
from safetytwin.bridge.stores.base import (
    Retention,
    SharedStore,
    StateMissingError,
    Store,
    StoreError,
    StoreFullError,
    StoreMovedError,
)
from safetytwin.bridge.stores.sqlite import SqliteStore
from safetytwin.bridge.summary import summary_of
from safetytwin.bridge.twin_views import (
    ai_of,
    asked_list,
    difference_of,
    event_list,
    moments_of,
    series_set,
    stored_events,
)
from safetytwin.bridge.twins import Host
from safetytwin.exposition import Exposition, Labels
from safetytwin.models.change import Frame
from safetytwin.models.system_state import SystemState
from safetytwin.models.timestamps import timestamp
from safetytwin.nats_subjects import partition_of
from safetytwin.questions.asking import ask
from safetytwin.questions.tree import Question
from safetytwin.questions.view import View

_LOG = logging.getLogger(__name__)
T = TypeVar("T")

_TOGETHER = 64
"""Requests that are taken together at most."""
_WAITING = 2000
"""Requests that may wait for the writer; more are told to come back."""
_SILENCE_EVERY = 5.0
_RETAIN_EVERY = 60.0

_MOVED = "Another bridge has this machine, or is about to: try again in a moment, or ask that one."

_MILLISECOND = 0.000999
"""Moments are told to the millisecond, the rest cut off: asking for one that was told means all of it."""


@dataclass(slots=True)
class _Waiting:
    request: Request
    answer: asyncio.Future[Accepted]
    since: float
    """Of the monotonic clock, in seconds."""


class TwinKeeper:
    """The twins of one bridge, in memory and in a store."""

    def __init__(
        self,
        store: Store,
        publish: Publish,
        retention: Retention,
        *,
        shared: SharedStore | None = None,
        dropped: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Keep all machines of the store; where it is given as shared too, only those of the partitions gained.

        dropped is told on the event loop of each machine that another bridge has from now on.
        """
        self._store = store
        self._publish = publish
        self._retention = retention
        self._told: list[Publication] = []
        """By the work under way; touched by the writer only."""
        self._shared = shared
        self._partitions: set[int] | None = None if shared is None else set()
        """Those that are this bridge's, None where all machines are; changed by the writer only."""
        self._dropped = dropped
        self._ingest = Ingest(store, self._tell, load=shared is None)
        self._shown: dict[str, Host] = dict(self._ingest.hosts)
        """Machines as those who listen were told of them; touched on the event loop only. What the writer has beyond
        that is on its way: who is shown it early would be told of the same change twice."""
        self._writer = ThreadPoolExecutor(1, "writer")
        self._readers = ThreadPoolExecutor(4, "reader")
        self._queue: list[_Waiting] = []
        self._draining: asyncio.Task[None] | None = None

    async def gain(self, partition: int) -> None:
        """Load the machines of a partition of a shared store, and tell who listens of them; raises StoreError."""
        for host in await asyncio.get_running_loop().run_in_executor(self._writer, self._gained, partition):
            self._show_whole(host)

    async def lose(self, partitions: frozenset[int], *, flush: bool) -> None:
        """Let go of partitions, having written what waits where that is asked."""
        host_ids = await asyncio.get_running_loop().run_in_executor(self._writer, self._lost, partitions, flush)
        for host_id in host_ids:
            self._shown.pop(host_id, None)
            self._dropped(host_id)

    def _gained(self, partition: int) -> list[Host]:
        if self._shared is None or self._partitions is None:
            raise StoreError("This store is this bridge's alone.")
        host_ids = self._shared.gain(partition)
        self._ingest.load(host_ids)
        self._partitions.add(partition)
        return [self._ingest.hosts[host_id] for host_id in host_ids if host_id in self._ingest.hosts]

    def _lost(self, partitions: frozenset[int], flush: bool) -> list[str]:
        host_ids = [host_id for host_id in self._ingest.hosts if partition_of(host_id) in partitions]
        if self._partitions is not None:
            self._partitions -= partitions
        try:
            self._ingest.drop(host_ids, flush=flush)
        except StoreError as error:
            _LOG.warning("events that were held back are lost, for they can't be written: %s", error)
        if self._shared is not None:
            self._shared.lose(partitions)
        return host_ids

    async def take(self, host_id: str, frames: Sequence[Frame], received_at: float) -> Taken:
        """Apply frames of one machine; returns when they are on disk."""
        done = await self._submit(Request(host_id, frames, received_at))
        return Taken(done.accepted, done.duplicates, done.epoch, done.seq, done.revision)

    async def update(self, state: SystemState, received_at: float) -> Updated:
        """Apply a whole state that came without a frame."""
        done = await self._submit(Request(state.host_id, (), received_at, state))
        return Updated(
            "updated" if done.accepted else "no_changes",
            state.host_id,
            f"{state.host_id}@{done.revision}",
            done.revision,
            done.changes if done.accepted else None,
        )

    async def forget(self, host_id: str) -> None:
        """Forget a machine and its history."""
        self._host(host_id)
        await self._write(self._ingest.forget, host_id)
        self._shown.pop(host_id, None)

    async def hosts(self, limit: int, cursor: str | None, where: Question | None = None) -> HostList:
        """Return a page of machines: all, or those that a question is true of."""
        names = sorted(name for name in self._shown if cursor is None or name > cursor)
        if where is not None:
            now = time.time()
            views = (View(host.host_id, host.status(now), host.twin) for host in [self._shown[name] for name in names])
            asked = await self._read(ask, where, views, limit)
            # A machine may have been forgotten meanwhile.
            rows = [self.row(name) for name in asked.matching if name in self._shown]
            return asked_list(rows, asked)
        page = [self.row(name) for name in names[:limit]]
        return HostList(page, names[limit - 1] if len(names) > limit else None)

    async def state(self, host_id: str, at: float | None) -> Seen:
        """Return a machine's state at a moment, or now."""
        if at is None:
            return self.now(host_id)
        self._host(host_id)
        past = await self._read(self._store.state_at, host_id, at + _MILLISECOND)
        return Seen(past.state, past.frame.revision, past.frame.at, past.frame.observed_at)

    async def difference(self, host_id: str, begin: float, end: float | None, *, everything: bool) -> Difference:
        """Return what changed between two moments."""
        self._host(host_id)
        until = time.time() if end is None else end
        return await self._read(
            difference_of, self._store, host_id, begin + _MILLISECOND, until + _MILLISECOND, everything
        )

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
        if host_id is not None:
            self._host(host_id)
        return await self._read(event_list, self._store, host_id, begin, end, kinds, subject, limit, cursor)

    async def series(
        self, host_id: str, names: Sequence[str], begin: float | None, end: float | None, points: int
    ) -> SeriesSet:
        """Return gauges over time; left out, the span is the last hour."""
        self._host(host_id)
        until = time.time() if end is None else end
        return await self._read(
            series_set, self._store, host_id, names, until - 3600 if begin is None else begin, until, points
        )

    async def series_names(self, host_id: str) -> SeriesNames:
        """Return which series a machine has."""
        self._host(host_id)
        names = await self._read(self._store.series_names, host_id)
        return SeriesNames({name: unit_of(name) for name in names})

    async def moments(self, host_id: str, begin: float | None, end: float | None) -> Moments:
        """Return which moments of a machine there are states for."""
        self._host(host_id)
        return moments_of(await self._read(self._store.span, host_id, begin, end))

    async def ai(self) -> AiHosts:
        """Return the AI workloads and models of all machines."""
        hosts = sorted(self._shown.values(), key=lambda host: host.host_id)
        return AiHosts([ai_of(host) for host in hosts])

    def now(self, host_id: str) -> Seen:
        """Return a machine's state now, in one step of the event loop."""
        host = self._host(host_id)
        return Seen(host.twin.canonical_bytes(), host.revision, host.at, host.observed_at)

    def row(self, host_id: str) -> HostRow:
        """Return a machine's row now, in one step of the event loop."""
        return _row(self._host(host_id))

    def rows(self) -> list[HostRow]:
        """Return the rows of all machines now, in one step of the event loop."""
        return [_row(host) for host in list(self._shown.values())]

    def write_metrics(self, page: Exposition) -> None:
        """Write what this knows of itself."""
        now = time.time()
        hosts = list(self._shown.values())
        statuses = dict.fromkeys(("live", "silent", "conflict"), 0)
        for host in hosts:
            statuses[host.status(now)] += 1
        by_status: dict[Labels, float] = {(("status", status),): count for status, count in statuses.items()}
        page.gauge("safetytwin_bridge_hosts", "Machines, by status.", by_status)
        page.gauge("safetytwin_bridge_queue", "Requests that wait for the writer.", len(self._queue))
        lag = max((time.monotonic() - waiting.since for waiting in list(self._queue)), default=0.0)
        page.gauge("safetytwin_bridge_lag_seconds", "How long the oldest request has waited for the writer.", lag)
        stats = self._store.stats()
        page.gauge("safetytwin_bridge_store_bytes", "Bytes of the store on disk.", stats.bytes)
        page.gauge("safetytwin_bridge_store_frames", "Frames kept.", stats.frames)
        page.gauge("safetytwin_bridge_store_events", "Events kept.", stats.events)
        page.gauge("safetytwin_bridge_store_full", "1 where the disk had no room at the last write.", int(stats.full))
        page.counter("safetytwin_bridge_store_damaged_total", "Blobs found damaged.", stats.damaged)
        page.counter(
            "safetytwin_bridge_unplaceable_total", "Late frames that could not be kept.", self._ingest.unplaceable
        )

    async def run(self) -> None:
        """Look after silent machines and old history, until cancelled."""
        retained = time.monotonic()
        while True:
            await asyncio.sleep(_SILENCE_EVERY)
            try:
                await self._write(self._ingest.check_silence, time.time())
                if time.monotonic() - retained >= _RETAIN_EVERY:
                    retained = time.monotonic()
                    # The writer takes its work in turn: frames that wait go between two steps.
                    while await self._write(self._store.retain, self._retention, time.time()):
                        pass
            except Problem as problem:
                _LOG.warning("%s", problem)

    def close(self) -> None:
        """Write what waits and let go of the store."""
        self._writer.shutdown(wait=True)
        self._readers.shutdown(wait=True)
        with contextlib.suppress(StoreFullError):
            self._ingest.flush()
        self._store.close()

    async def _submit(self, request: Request) -> Accepted:
        if len(self._queue) >= _WAITING:
            raise too_busy("More frames wait to be written than can be soon.", 5)
        answer: asyncio.Future[Accepted] = asyncio.get_running_loop().create_future()
        self._queue.append(_Waiting(request, answer, time.monotonic()))
        if self._draining is None or self._draining.done():
            self._draining = asyncio.create_task(self._drain())
        return await answer

    async def _drain(self) -> None:
        """Take what waits, some together, until nothing does."""
        while self._queue:
            together = _one_of_each_host(self._queue, _TOGETHER)
            requests = [waiting.request for waiting in together]
            answers: Sequence[Accepted | Exception]
            try:
                answers = await self._write(self._accepted, requests)
            except Exception as error:
                answers = [error] * len(together)
            for waiting, answer in zip(together, answers, strict=True):
                if waiting.answer.done():  # the client has gone
                    continue
                if isinstance(answer, Accepted):
                    self._note_unchanged(waiting.request.host_id)
                    waiting.answer.set_result(answer)
                else:
                    waiting.answer.set_exception(_problem_of(answer))

    def _accepted(self, requests: Sequence[Request]) -> Sequence[Accepted | RefusedError]:
        """Take requests; those of machines that another bridge has now are refused."""
        if self._partitions is None:
            return self._ingest.accept_all(requests)
        here = [one for one in requests if partition_of(one.host_id) in self._partitions]
        answers = iter(self._ingest.accept_all(here))
        return [
            next(answers) if partition_of(one.host_id) in self._partitions else WaitError(_MOVED, 1.0)
            for one in requests
        ]

    def _tell(self, publication: Publication) -> None:
        self._told.append(publication)

    def _note_unchanged(self, host_id: str) -> None:
        """Show when a machine was last heard of, where that is all that a request changed."""
        host, shown = self._ingest.hosts.get(host_id), self._shown.get(host_id)
        if host is not None and shown is not None and host.revision == shown.revision:
            self._shown[host_id] = host

    async def _write(self, call: Callable[..., T], *arguments: Any) -> T:
        """Have the writer do something, and tell what it published, in the order in which it was done."""
        try:
            result, told = await asyncio.get_running_loop().run_in_executor(
                self._writer, self._written, call, *arguments
            )
        except (StoreError, RefusedError) as error:
            if isinstance(error, StoreMovedError):
                self._show_again(error.host_ids)
            raise _problem_of(error) from error
        for publication in told:
            host = publication.host
            self._shown[host.host_id] = host
            events = stored_events(publication.events)
            self._publish(_row(host), publication.change, events, host.twin.canonical_bytes)
        return result

    def _show_again(self, host_ids: Iterable[str]) -> None:
        """Show machines as they are, which another bridge has written for."""
        for host_id in host_ids:
            host = self._ingest.hosts.get(host_id)
            if host is not None:
                self._show_whole(host)

    def _show_whole(self, host: Host) -> None:
        self._shown[host.host_id] = host
        self._publish(_row(host), None, (), host.twin.canonical_bytes)

    def _written(self, call: Callable[..., T], *arguments: Any) -> tuple[T, list[Publication]]:
        result = call(*arguments)
        told, self._told = self._told, []
        return result, told

    async def _read(self, call: Callable[..., T], *arguments: Any) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._readers, call, *arguments)
        except StoreError as error:
            raise _problem_of(error) from error

    def _host(self, host_id: str) -> Host:
        host = self._shown.get(host_id)
        if host is None and self._partitions is not None and partition_of(host_id) not in self._partitions:
            raise too_busy(_MOVED, 1)
        if host is None:
            raise Problem(404, f"There is no machine {host_id!r} here. /api/v1/hosts lists those that are.")
        return host


@contextlib.contextmanager
def sqlite_keeper(data_dir: Path, publish: Publish, retention: Retention | None = None) -> Iterator[TwinKeeper]:
    """Keep twins in a SQLite store within the data directory; raises StoreError where it can't be opened."""
    keeper = TwinKeeper(SqliteStore(data_dir), publish, retention or Retention())
    try:
        yield keeper
    finally:
        keeper.close()


def _row(host: Host) -> HostRow:
    return HostRow(
        host.host_id,
        host.hostname,
        host.revision,
        host.observed_at,
        timestamp(host.received_at) or "",
        host.status(time.time()),  # type: ignore[arg-type]  # one of the three
        summary_of(host.twin, host.services),
    )


def _one_of_each_host(queue: list[_Waiting], most: int) -> list[_Waiting]:
    """Take the first request of each machine off the queue, the order within a machine kept."""
    taken: list[_Waiting] = []
    hosts: set[str] = set()
    left: list[_Waiting] = []
    for waiting in queue:
        if len(taken) < most and waiting.request.host_id not in hosts:
            taken.append(waiting)
        else:
            left.append(waiting)
        hosts.add(waiting.request.host_id)
    queue[:] = left
    return taken


def _problem_of(error: Exception) -> Exception:
    """Return what the protocol answers to an error; what is no expected error stays what it is."""
    text = str(error)
    if isinstance(error, NeedFullError):
        return Problem(409, text, need="full")
    if isinstance(error, IdentityConflictError):
        return Problem(409, text, need="identity")
    if isinstance(error, UnplaceableError):
        return Problem(409, text)
    if isinstance(error, WaitError):
        return too_busy(text, math.ceil(error.seconds))
    if isinstance(error, InvalidFrameError):
        return Problem(422, text, field=f"$[{error.index}]")
    if isinstance(error, StoreFullError):
        return Problem(507, text)
    if isinstance(error, StateMissingError):
        return Problem(404, text)
    if isinstance(error, StoreMovedError):
        return too_busy(text, 1)
    if isinstance(error, StoreError):
        return too_busy(text, 30)
    return error
