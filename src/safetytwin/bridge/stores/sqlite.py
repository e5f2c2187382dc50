"""The embedded store: one SQLite file, one writer, readers of their own."""

import json
import logging
import sqlite3
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from safetytwin.bridge.stores import sqlite_schema
from safetytwin.bridge.stores.base import (
    Batch,
    Block,
    Epoch,
    EventQuery,
    KeptEvent,
    KeptFrame,
    KeptHost,
    SeriesRow,
    StoreError,
    StoreFullError,
    Stretch,
)
from safetytwin.bridge.stores.blobs import Blobs, DamagedError
from safetytwin.models.event import Event

LOG = logging.getLogger("safetytwin.bridge")

FILE = "bridge.sqlite"
_FRAME = "at, revision, epoch, seq, observed_at, received_at, whole, change"
_SHRINK_PAGES = 2000
"""Pages given back to the file system at a time: 8 MB."""


class SqliteStore:
    """Keeps everything in DIRECTORY/bridge.sqlite."""

    def __init__(self, directory: Path) -> None:
        """Open or make the store; raises StoreError."""
        self._path = directory / FILE
        self._writer = sqlite_schema.open_file(self._path)
        self._local = threading.local()
        self._readers: list[sqlite3.Connection] = []
        self._readers_lock = threading.Lock()
        self._blobs = Blobs()
        self._keys: dict[str, int] = {
            row[1]: row[0] for row in self._writer.execute("SELECT host, host_id FROM hosts")
        }
        self.damaged = 0

    # Writing: from one thread.

    def write(self, batch: Batch) -> list[int]:
        """Write a batch; when this returns it is on the disk."""

        def statements() -> list[int]:
            for kept in batch.hosts.values():
                self._put_host(kept)
            for host_id, epoch in batch.epochs:
                self._put_epoch(host_id, epoch)
            self._writer.executemany(
                f"INSERT INTO frames (host, {_FRAME}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - names are ours
                [self._frame_row(host_id, frame) for host_id, frame in batch.frames],
            )
            return [self._put_event(host_id, event) for host_id, event in batch.events]

        return self._transaction(statements)

    def forget(self, host_id: str) -> None:
        """Delete a machine and all that is kept of it."""
        host = self._key(host_id)

        def statements() -> None:
            for table in ("frames", "blocks", "block_epochs", "epochs", "events", "series", "hosts"):
                self._writer.execute(f"DELETE FROM {table} WHERE host = ?", (host,))  # noqa: S608 - names are ours

        self._transaction(statements)
        self._keys.pop(host_id, None)

    def pack(self, host_id: str, block: Block, series: Iterable[SeriesRow]) -> None:
        """Replace the loose frames of a block by the block, and keep the series that were made of them."""
        host = self._key(host_id)

        def statements() -> None:
            self._writer.executemany(
                "DELETE FROM frames WHERE host = ? AND at = ?", [(host, frame.at) for frame in block.frames]
            )
            self._insert_block(host, block)
            self._insert_series(host, series)

        self._transaction(statements)

    def replace_block(self, host_id: str, begin: int, block: Block | None) -> None:
        """Put a thinner block in the place of the one that begins there, or nothing."""
        host = self._key(host_id)

        def statements() -> None:
            self._writer.execute("DELETE FROM blocks WHERE host = ? AND begins = ?", (host, begin))
            self._writer.execute("DELETE FROM block_epochs WHERE host = ? AND begins = ?", (host, begin))
            if block is not None:
                self._insert_block(host, block)

        self._transaction(statements)

    def drop_events(self, before: int, limit: int) -> int:
        """Delete events older than a moment, at most limit of them."""
        query = "DELETE FROM events WHERE id IN (SELECT id FROM events WHERE at < ? ORDER BY at LIMIT ?)"
        return self._transaction(lambda: self._writer.execute(query, (before, limit)).rowcount)

    def put_series(self, host_id: str, rows: Iterable[SeriesRow]) -> None:
        """Write rows; one that begins where another of its level does replaces it."""
        host = self._key(host_id)
        self._transaction(lambda: self._insert_series(host, rows))

    def drop_series(self, host_id: str, level: int, before: int) -> int:
        """Delete the rows of a level that end before a moment."""
        values = (self._key(host_id), level, before)
        query = "DELETE FROM series WHERE host = ? AND level = ? AND ends < ?"
        return self._transaction(lambda: self._writer.execute(query, values).rowcount)

    def shrink(self) -> None:
        """Give freed pages back to the file system, some at a time."""
        self._guarded(lambda: self._writer.execute(f"PRAGMA incremental_vacuum({_SHRINK_PAGES})").fetchall())

    def close(self) -> None:
        """Close; the log is folded into the file."""
        with self._readers_lock:
            for reader in self._readers:
                reader.close()
            self._readers.clear()
        self._writer.close()

    # Reading: from any thread.

    def hosts(self) -> list[KeptHost]:
        """Return all machines, by host id."""
        rows = self._rows("SELECT host_id, revision, last_received FROM hosts ORDER BY host_id")
        return [KeptHost(*row) for row in rows]

    def epochs(self, host_id: str) -> list[Epoch]:
        """Return the epochs of a machine, oldest first."""
        rows = self._rows(
            "SELECT epoch, boot_id, started_at, last_seq, last_at, last_monotonic, spans FROM epochs WHERE host = ?"
            " ORDER BY started_at",
            self._key(host_id),
        )
        return [Epoch(*row[:6], spans=json.loads(row[6])) for row in rows]

    def loose(self, host_id: str, begin: int, end: int, limit: int | None = None) -> list[KeptFrame]:
        """Return frames that are not packed yet and are within begin..end, in order."""
        query = f"SELECT {_FRAME} FROM frames WHERE host = ? AND at BETWEEN ? AND ? ORDER BY at LIMIT ?"  # noqa: S608
        return self._frames(self._rows(query, self._key(host_id), begin, end, -1 if limit is None else limit))

    def loose_of_epoch(self, host_id: str, epoch: str, first: int, last: int) -> list[KeptFrame]:
        """Return frames of an epoch that are not packed yet, by seq."""
        query = f"SELECT {_FRAME} FROM frames WHERE host = ? AND epoch = ? AND seq BETWEEN ? AND ? ORDER BY seq"  # noqa: S608
        return self._frames(self._rows(query, self._key(host_id), epoch, first, last))

    def last_loose_before(self, host_id: str, at: int) -> tuple[int, str, int] | None:
        """Return (at, epoch, seq) of the last frame at or before a moment that is not packed yet."""
        query = "SELECT at, epoch, seq FROM frames WHERE host = ? AND at <= ? ORDER BY at DESC LIMIT 1"
        rows = self._rows(query, self._key(host_id), at)
        return (rows[0][0], rows[0][1], rows[0][2]) if rows else None

    def last_whole_before(self, host_id: str, epoch: str, seq: int) -> int | None:
        """Return the seq of the last frame of an epoch up to seq that is whole and not packed yet."""
        query = "SELECT max(seq) FROM frames WHERE host = ? AND epoch = ? AND seq <= ? AND whole IS NOT NULL"
        found: int | None = self._rows(query, self._key(host_id), epoch, seq)[0][0]
        return found

    def block_before(self, host_id: str, at: int) -> Block | None:
        """Return the last block that begins at or before a moment."""
        query = "SELECT begins, ends, data FROM blocks WHERE host = ? AND begins <= ? ORDER BY begins DESC LIMIT 1"
        return self._block(self._rows(query, self._key(host_id), at))

    def block_with(self, host_id: str, epoch: str, seq: int) -> Block | None:
        """Return the block that holds a frame."""
        query = (
            "SELECT b.begins, b.ends, b.data FROM block_epochs e JOIN blocks b ON b.host = e.host AND b.begins = e.begins"
            " WHERE e.host = ? AND e.epoch = ? AND e.first_seq <= ? AND e.last_seq >= ? LIMIT 1"
        )
        return self._block(self._rows(query, self._key(host_id), epoch, seq, seq))

    def stretches(self, host_id: str, begin: int, end: int) -> list[Stretch]:
        """Return the blocks, and the loose frames one by one, that overlap begin..end, in order."""
        host = self._key(host_id)
        query = "SELECT begins, ends, frames FROM blocks WHERE host = ? AND begins <= ? AND ends >= ?"
        blocks = [Stretch(*row) for row in self._rows(query, host, end, begin)]
        query = "SELECT at, at, 1 FROM frames WHERE host = ? AND at BETWEEN ? AND ?"
        loose = [Stretch(*row) for row in self._rows(query, host, begin, end)]
        return sorted(blocks + loose, key=lambda stretch: stretch.begin)

    def block_ages(self, host_id: str) -> list[Stretch]:
        """Return the blocks of a machine, oldest first."""
        query = "SELECT begins, ends, frames FROM blocks WHERE host = ? ORDER BY begins"
        return [Stretch(*row) for row in self._rows(query, self._key(host_id))]

    def events(self, query: EventQuery) -> list[KeptEvent]:
        """Return events, newest first."""
        conditions: list[str] = []
        values: list[Any] = []

        def add(condition: str, *bound: Any) -> None:
            conditions.append(condition)
            values.extend(bound)

        if query.host_id is not None:
            add("e.host = ?", self._key(query.host_id))
        if query.begin is not None:
            add("e.at >= ?", query.begin)
        if query.end is not None:
            add("e.at <= ?", query.end)
        if query.before_id is not None:
            add("(e.at, e.id) < (SELECT at, id FROM events WHERE id = ?)", query.before_id)
        if query.kinds:
            either = " OR ".join("e.kind = ? OR (e.kind >= ? AND e.kind < ?)" for _ in query.kinds)
            add(f"({either})", *(text for kind in query.kinds for text in (kind, f"{kind}.", f"{kind}/")))
        if query.subject is not None:
            # The character after "/" is "0": all that begins with SUBJECT/ lies between the two.
            add("(e.subject = ? OR (e.subject >= ? AND e.subject < ?))", query.subject, f"{query.subject}/", f"{query.subject}0")
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        rows = self._rows(
            "SELECT e.id, h.host_id, e.at, e.kind, e.severity, e.subject, e.text, e.details, e.count, e.last_at"  # noqa: S608
            f" FROM events e JOIN hosts h ON h.host = e.host {where} ORDER BY e.at DESC, e.id DESC LIMIT ?",
            *values,
            query.limit,
        )
        return [_event(row) for row in rows]

    def series(self, host_id: str, level: int, begin: int, end: int) -> list[SeriesRow]:
        """Return the rows of a level that overlap begin..end, in order."""
        query = (
            "SELECT level, begins, ends, data FROM series WHERE host = ? AND level = ? AND begins <= ? AND ends >= ?"
            " ORDER BY begins"
        )
        kept = []
        for found, begins, ends, data in self._rows(query, self._key(host_id), level, end, begin):
            try:
                kept.append(SeriesRow(found, begins, ends, self._blobs.unpack(data)))
            except DamagedError:
                self._count_damage("a row of series", begins)
        return kept

    def size(self) -> int:
        """Return the bytes in use on the disk, the log included."""
        total = 0
        for suffix in ("", "-wal"):
            path = self._path.with_name(self._path.name + suffix)
            total += path.stat().st_size if path.exists() else 0
        return total

    # Inside.

    def _key(self, host_id: str) -> int:
        return self._keys.get(host_id, -1)

    def _put_host(self, kept: KeptHost) -> None:
        row = self._writer.execute(
            "INSERT INTO hosts (host_id, revision, last_received) VALUES (?, ?, ?) ON CONFLICT (host_id) DO UPDATE"
            " SET revision = excluded.revision, last_received = excluded.last_received RETURNING host",
            (kept.host_id, kept.revision, kept.last_received),
        ).fetchone()
        self._keys[kept.host_id] = row[0]

    def _put_epoch(self, host_id: str, epoch: Epoch) -> None:
        self._writer.execute(
            "INSERT OR REPLACE INTO epochs (host, epoch, boot_id, started_at, last_seq, last_at, last_monotonic, spans)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                self._key(host_id),
                epoch.epoch,
                epoch.boot_id,
                epoch.started_at,
                epoch.last_seq,
                epoch.last_at,
                epoch.last_monotonic,
                json.dumps(epoch.spans),
            ),
        )

    def _frame_row(self, host_id: str, frame: KeptFrame) -> tuple[Any, ...]:
        return (
            self._key(host_id),
            frame.at,
            frame.revision,
            frame.epoch,
            frame.seq,
            frame.observed_at,
            frame.received_at,
            None if frame.full is None else self._blobs.pack(frame.full),
            None if frame.change is None else self._blobs.pack(frame.change),
        )

    def _put_event(self, host_id: str, event: Event) -> int:
        details = None if event.details is None else msgspec.json.encode(event.details).decode()
        cursor = self._writer.execute(
            "INSERT INTO events (host, at, kind, severity, subject, text, details, count, last_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                self._key(host_id),
                milliseconds(event.at),
                event.kind,
                event.severity,
                event.subject,
                event.text,
                details,
                event.count,
                event.last_at,
            ),
        )
        return cursor.lastrowid or 0

    def _insert_block(self, host: int, block: Block) -> None:
        self._writer.execute(
            "INSERT OR REPLACE INTO blocks (host, begins, ends, frames, data) VALUES (?, ?, ?, ?, ?)",
            (host, block.begin, block.end, len(block.frames), self._blobs.pack_frames(block.frames)),
        )
        self._writer.executemany(
            "INSERT OR REPLACE INTO block_epochs (host, epoch, first_seq, last_seq, begins) VALUES (?, ?, ?, ?, ?)",
            [(host, epoch, first, last, block.begin) for epoch, first, last in runs(block.frames)],
        )

    def _insert_series(self, host: int, rows: Iterable[SeriesRow]) -> None:
        self._writer.executemany(
            "INSERT OR REPLACE INTO series (host, level, begins, ends, data) VALUES (?, ?, ?, ?, ?)",
            [(host, row.level, row.begin, row.end, self._blobs.pack(row.data)) for row in rows],
        )

    def _transaction(self, statements: Any) -> Any:
        def run() -> Any:
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                result = statements()
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise
            return result

        return self._guarded(run)

    @staticmethod
    def _guarded(run: Any) -> Any:
        try:
            return run()
        except sqlite3.Error as error:
            text = str(error)
            if "full" in text or "disk I/O error" in text:
                raise StoreFullError(f"the disk of the store is full ({text}); make room, nothing acknowledged is lost") from error
            raise StoreError(f"the store can't be used: {text}") from error

    def _rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        try:
            return self._reader().execute(query, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise StoreError(f"the store can't be read: {error}") from error

    def _reader(self) -> sqlite3.Connection:
        reader: sqlite3.Connection | None = getattr(self._local, "reader", None)
        if reader is None:
            reader = self._local.reader = sqlite_schema.connect(self._path, read_only=True)
            with self._readers_lock:
                self._readers.append(reader)
        return reader

    def _frames(self, rows: Iterable[tuple[Any, ...]]) -> list[KeptFrame]:
        frames = []
        for *facts, whole, change in rows:
            try:
                full = None if whole is None else self._blobs.unpack(whole)
                changed = None if change is None else self._blobs.unpack(change)
            except DamagedError:
                self._count_damage("a frame", facts[0])
                continue
            frames.append(KeptFrame(*facts, full, changed))
        return frames

    def _block(self, rows: Sequence[tuple[Any, ...]]) -> Block | None:
        if not rows:
            return None
        begin, end, data = rows[0]
        try:
            return Block(begin, end, self._blobs.unpack_frames(data))
        except DamagedError:
            self._count_damage("a block of frames", begin)
            return Block(begin, end, [])

    def _count_damage(self, what: str, at: int) -> None:
        self.damaged += 1
        LOG.error("%s of %d is damaged and left out", what, at)


def runs(frames: Sequence[KeptFrame]) -> list[tuple[str, int, int]]:
    """Return (epoch, first seq, last seq) of each run of consecutive frames."""
    found: list[tuple[str, int, int]] = []
    for frame in frames:
        if found and found[-1][0] == frame.epoch and found[-1][2] == frame.seq - 1:
            found[-1] = (frame.epoch, found[-1][1], frame.seq)
        else:
            found.append((frame.epoch, frame.seq, frame.seq))
    return found


def milliseconds(timestamp: str) -> int:
    """Return an RFC 3339 moment as milliseconds since 1970."""
    from safetytwin.models.timestamps import seconds_of

    return round(seconds_of(timestamp) * 1000)


def _event(row: tuple[Any, ...]) -> KeptEvent:
    from safetytwin.models.timestamps import timestamp

    number, host_id, at, kind, severity, subject, text, details, count, last_at = row
    return KeptEvent(
        number,
        host_id,
        Event(
            at=timestamp(at / 1000) or "1970-01-01T00:00:00Z",
            kind=kind,
            severity=severity,
            subject=subject,
            text=text,
            details=None if details is None else json.loads(details),
            count=count,
            last_at=last_at,
        ),
    )
