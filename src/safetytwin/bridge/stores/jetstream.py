"""The store in NATS JetStream, for fleets: what counts is the stream; questions are answered from a copy made of it.

The copy is a SQLite store in a folder of this bridge alone, begun anew each time it starts, so that the past is told in
the same way by both stores.
"""

import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from safetytwin.bridge.stores.base import (
    Batch,
    EpochMark,
    EventQuery,
    KeptEvent,
    PastState,
    Place,
    Points,
    Refusal,
    Retention,
    Span,
    StoredFrame,
    StoreError,
    StoreFullError,
    StoreMovedError,
    StoreStats,
)
from safetytwin.bridge.stores.blobs import Damage, DamagedBlobError
from safetytwin.bridge.stores.jetstream_log import HistoryLog, Stored
from safetytwin.bridge.stores.jetstream_messages import by_host, numbered, packed, subject_of, subjects_of, unpacked
from safetytwin.bridge.stores.sqlite import SqliteStore
from safetytwin.nats_link import EXPECTED_LAST, NatsLink
from safetytwin.nats_subjects import PART, host_of, partition_of

_TOGETHER = 500
"""Messages of the stream that are copied with one write."""


def jetstream_store(link: NatsLink, options: Sequence[tuple[str, str]]) -> "JetStreamStore":
    """Open the store with what stands after the ? of NATS's address: replicas=1|3|5, max_bytes=BYTES.

    Both count where the stream is not there yet. Raises StoreError.
    """
    given = dict(options)
    unknown = given.keys() - {"replicas", "max_bytes"}
    if unknown:
        raise StoreError(f"The store in NATS has no option {min(unknown)!r}: only replicas and max_bytes.")
    replicas, size = given.get("replicas", "1"), given.get("max_bytes")
    if replicas not in {"1", "3", "5"}:
        raise StoreError("replicas is how many servers keep each message: 1, 3 or 5.")
    if size is not None and not (size.isascii() and size.isdecimal() and int(size) > 0):
        raise StoreError("max_bytes is the most that the history may take on each server, in bytes: a whole number.")
    return JetStreamStore(link, replicas=int(replicas), max_bytes=None if size is None else int(size))


class JetStreamStore:
    """Keeps all machines in the stream PREFIX-history, for any number of bridges, each with machines of its own."""

    def __init__(
        self, link: NatsLink, *, prefix: str = "safetytwin", replicas: int = 1, max_bytes: int | None = None
    ) -> None:
        """Raise StoreError where the stream can't be had."""
        self._log = HistoryLog(link, prefix, replicas=replicas, max_bytes=max_bytes)
        self._prefix = prefix
        self.replicas = replicas
        """How many servers keep each message."""
        self._folder = tempfile.TemporaryDirectory(prefix="safetytwin-copy-")
        self._copy = SqliteStore(Path(self._folder.name), reserve_bytes=0)
        self._lock = threading.RLock()
        self._copied: dict[str, int] = {}
        """Sequence of each machine's last message that is in the copy."""
        self._whole = 0
        """Sequence up to which the copy has all machines."""
        self._fence: dict[str, int] = {}
        """Sequence behind which a machine is written: of the last message when it was loaded, or was written here."""
        self._stale: set[str] = set()
        """Machines of which a message may have been written that the bridge doesn't know of."""
        self._own: frozenset[int] | None = None
        """Partitions that no other bridge writes; None where there are none such."""
        self._gained: dict[int, int] = {}
        """Sequence up to which the copy had all of a partition when it was gained last."""
        self._full = False
        self._damage = Damage()

    def append(self, batch: Batch) -> list[KeptEvent]:
        """Write a batch, each machine's part of it at once or not at all.

        Raises StoreMovedError of machines that must be loaded again first: another bridge wrote for them, or an earlier
        batch failed for others while theirs was written. Raises StoreFullError and StoreError.
        """
        parts = by_host(batch)
        with self._lock:
            stale = self._stale & parts.keys()
            if stale:
                raise StoreMovedError("What is kept of some machines was written elsewhere.", frozenset(stale))
            blobs = {
                host_id: (packed(part, subject_of(self._prefix, host_id)), self._fence.get(host_id, 0))
                for host_id, part in parts.items()
            }
            answers = self._log.write(blobs)
            failed = {host_id: one for host_id, one in answers.items() if isinstance(one, StoreError)}
            if failed:
                # A machine that was refused for want of room is as it was before.
                clean = {host_id for host_id, one in failed.items() if isinstance(one, StoreFullError)}
                self._stale |= parts.keys() - clean
                error = next((one for one in failed.values() if isinstance(one, StoreFullError)), None)
                self._full = error is not None
                raise error or next(iter(failed.values()))
            self._full = False
            sequences = {host_id: one for host_id, one in answers.items() if isinstance(one, int)}
            return self._taken(batch, parts, sequences)

    def _taken(self, batch: Batch, parts: Mapping[str, Batch], sequences: Mapping[str, int]) -> list[KeptEvent]:
        kept = {host_id: iter(numbered(part, sequences[host_id])) for host_id, part in parts.items()}
        events = [next(kept[host_id]) for host_id, _ in batch.events]
        moved = [(one.id, one.host_id, one.event) for one in events]
        behind = {host_id for host_id in parts if self._copied.get(host_id, 0) not in {0, self._fence.get(host_id, 0)}}
        for host_id in behind:
            self._follow(host_id)
        fresh = Batch(batch.epochs, batch.frames, [], [*moved, *batch.moved], batch.refusals)
        known = {host_id for host_id in parts if self._copied.get(host_id, 0) >= sequences[host_id]}
        if known:
            fresh = _without(fresh, known)
        self._copy.append(fresh)
        for host_id, sequence in sequences.items():
            self._fence[host_id] = sequence
            self._copied[host_id] = max(sequence, self._copied.get(host_id, 0))
        return events

    def gain(self, partition: int) -> list[str]:
        """Copy a partition, to be told of without asking the stream from now on; return its machines.

        What another bridge writes all the same is noticed when this one writes: see append.
        """
        subject = subjects_of(self._prefix, partition)
        with self._lock:
            hosts = sorted(host_of(one) for one in self._log.subjects(subject))
            for host_id in [one for one in self._copied.keys() - {*hosts} if partition_of(one) == partition]:
                self._drop_copy(host_id)
            last = self._log.last(subject)
            messages = self._log.read(subject, self._gained.get(partition, 0), last)
            self._copy_in(messages)
            for message in messages:
                host_id = host_of(message.subject)
                self._copied[host_id] = max(message.sequence, self._copied.get(host_id, 0))
            self._gained[partition] = last
            self._stale.difference_update(hosts)
            self._own = frozenset((partition, *(self._own or ())))
            return hosts

    def lose(self, partitions: frozenset[int]) -> None:
        """Let go of partitions: others may write for their machines."""
        with self._lock:
            self._own = (self._own or frozenset()) - partitions

    def hosts(self) -> list[str]:
        """Return the ids of all machines, sorted."""
        return sorted(host_of(subject) for subject in self._log.subjects())

    def latest(self, host_id: str) -> PastState | None:
        """Return the last state; what is written of the machine from now on stands behind it."""
        with self._lock:
            self._fence[host_id] = self._follow(host_id)
            self._stale.discard(host_id)
            return self._copy.latest(host_id)

    def epochs(self, host_id: str) -> list[EpochMark]:
        """Return the epochs of a machine in their order."""
        return self._of(host_id).epochs(host_id)

    def began_at(self, host_id: str, order: int) -> float | None:
        """Return where the first frame of an epoch that is kept stands, None where there is none."""
        return self._of(host_id).began_at(host_id, order)

    def refusals(self, host_id: str) -> list[Refusal]:
        """Return which agents were refused in a machine's name, in the order of their last try."""
        return self._of(host_id).refusals(host_id)

    def has(self, host_id: str, order: int, seq: int) -> bool:
        """Say whether a frame was ever kept."""
        return self._of(host_id).has(host_id, order, seq)

    def last_of(self, host_id: str, order: int) -> StoredFrame | None:
        """Return the frame of an epoch with the highest seq, without its state."""
        return self._of(host_id).last_of(host_id, order)

    def neighbours(self, host_id: str, order: int, seq: int) -> tuple[Place | None, Place | None]:
        """Return where the frames just before and after one stand that is not there yet."""
        return self._of(host_id).neighbours(host_id, order, seq)

    def last_revision(self, host_id: str) -> int:
        """Return the highest revision of a machine, 0 where there is none."""
        return self._of(host_id).last_revision(host_id)

    def state_of(self, host_id: str, order: int, seq: int) -> PastState:
        """Return the state that a frame made; raises StateMissingError."""
        return self._of(host_id).state_of(host_id, order, seq)

    def state_at(self, host_id: str, moment: float) -> PastState:
        """Return the state at a moment, exactly as it was; raises StateMissingError."""
        return self._of(host_id).state_at(host_id, moment)

    def span(self, host_id: str, begin: float | None, end: float | None) -> Span:
        """Return which moments between two there are states for."""
        return self._of(host_id).span(host_id, begin, end)

    def events(self, query: EventQuery) -> list[KeptEvent]:
        """Return events, newest first."""
        if query.host_id is not None:
            return self._of(query.host_id).events(query)
        with self._lock:
            if self._own is not None:
                return self._own_events(query, self._own)
            self._follow_all()
            return self._copy.events(query)

    def _own_events(self, query: EventQuery, own: frozenset[int]) -> list[KeptEvent]:
        """Return events of this bridge's own machines; the copy may have others, from when those were its own."""
        found: list[KeptEvent] = []
        while len(found) < query.limit and (page := self._copy.events(query)):
            found += [one for one in page if partition_of(one.host_id) in own]
            query = replace(query, before=page[-1].id, before_at=None)
        return found[: query.limit]

    def series_names(self, host_id: str) -> list[str]:
        """Return the names of the series of a machine."""
        return self._of(host_id).series_names(host_id)

    def series(self, host_id: str, names: Sequence[str], begin: float, end: float, step: float) -> Mapping[str, Points]:
        """Return series between two moments in steps of at least this many seconds."""
        return self._of(host_id).series(host_id, names, begin, end, step)

    def forget(self, host_id: str) -> None:
        """Delete a machine and all that is kept of it."""
        with self._lock:
            self._log.purge(host_id)
            self._copy.forget(host_id)
            self._copied.pop(host_id, None)
            self._fence.pop(host_id, None)
            self._stale.discard(host_id)

    def retain(self, policy: Retention, now: float) -> bool:
        """Thin the copy; the stream keeps what its own limits say."""
        with self._lock:
            return self._copy.retain(policy, now)

    def stats(self) -> StoreStats:
        """Return the stream's bytes, and how many frames and events of it this bridge has a copy of."""
        copy = self._copy.stats()
        return StoreStats(self._log.size(), copy.frames, copy.events, copy.damaged + self._damage.count, self._full)

    def close(self) -> None:
        """Let go of the copy; the link is its maker's to close."""
        self._copy.close()
        self._folder.cleanup()

    def _of(self, host_id: str) -> SqliteStore:
        """Return the copy, in which all is that is kept of a machine now."""
        with self._lock:
            self._follow(host_id)
        return self._copy

    def _follow(self, host_id: str) -> int:
        known = self._copied.get(host_id, 0)
        if self._own is not None and partition_of(host_id) in self._own and host_id not in self._stale:
            return known
        subject = subject_of(self._prefix, host_id)
        last = self._log.last(subject)
        if last < known:  # forgotten by another bridge
            self._drop_copy(host_id)
            known = 0
        self._copy_in(self._log.read(subject, known, last))
        if last:
            self._copied[host_id] = last
        return last

    def _drop_copy(self, host_id: str) -> None:
        self._copy.forget(host_id)
        self._copied.pop(host_id, None)
        self._fence.pop(host_id, None)

    def _follow_all(self) -> None:
        last = self._log.last(self._log.everything)
        self._copy_in(self._log.read(self._log.everything, self._whole, last))
        self._whole = last

    def _copy_in(self, messages: Sequence[Stored]) -> None:
        """Copy messages; parts of a batch that was never written whole are left out."""
        pieces: dict[str, list[bytes]] = {}
        ahead = Batch()
        for index, (subject, sequence, headers, data) in enumerate(messages, 1):
            host_id = host_of(subject)
            number, _, parts = headers.get(PART, "1/1").partition("/")
            some = pieces.setdefault(subject, [])
            if number == "1":
                some.clear()
                if headers.get(EXPECTED_LAST) == "0" and 0 < self._copied.get(host_id, 0) < sequence:
                    # It was forgotten, and has come again.
                    self._copy.append(ahead)
                    ahead = Batch()
                    self._drop_copy(host_id)
            some.append(data)
            if number == parts and len(some) == int(parts) and sequence > self._copied.get(host_id, 0):
                try:
                    _add(ahead, unpacked(b"".join(some), subject, sequence))
                except DamagedBlobError as error:
                    self._damage.note(str(error))
                self._copied[host_id] = sequence
            if index % _TOGETHER == 0:
                self._copy.append(ahead)
                ahead = Batch()
        if ahead != Batch():
            self._copy.append(ahead)


def _add(all_of: Batch, one: Batch) -> None:
    all_of.epochs += one.epochs
    all_of.frames += one.frames
    all_of.moved += one.moved
    all_of.refusals += one.refusals


def _without(batch: Batch, host_ids: set[str]) -> Batch:
    return Batch(
        [one for one in batch.epochs if one.host_id not in host_ids],
        [one for one in batch.frames if one.host_id not in host_ids],
        [],
        [one for one in batch.moved if one[1] not in host_ids],
        [one for one in batch.refusals if one.host_id not in host_ids],
    )
