"""The store in one SQLite file: the default of a bridge."""

import contextlib
import logging
import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from safetytwin.bridge.stores.base import (
    SALVAGED,
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
    StateMissingError,
    StoreDamagedError,
    StoredFrame,
    StoreError,
    StoreFullError,
    StoreLockedError,
    StoreStats,
)
from safetytwin.bridge.stores.blobs import Damage, row_sum
from safetytwin.bridge.stores.sqlite_events import read_events, write_event
from safetytwin.bridge.stores.sqlite_frames import SEAL_AT, seal, write_frame
from safetytwin.bridge.stores.sqlite_history import History
from safetytwin.bridge.stores.sqlite_retention import retain_step
from safetytwin.bridge.stores.sqlite_salvage import damage_of, is_damage, salvaged
from safetytwin.bridge.stores.sqlite_schema import StoreConnection, connect, migrate
from safetytwin.bridge.stores.sqlite_series import read_names, read_series, write_series
from safetytwin.lock import FileLock, LockedError

_LOG = logging.getLogger(__name__)
_RESERVE_BYTES = 16 << 20
"""Room kept so that retention can delete when the disk is full: deleting writes first."""
_READERS = 4


class SqliteStore:
    """Keeps all machines in DIR/history.sqlite3; one process at a time."""

    def __init__(self, directory: Path, *, reserve_bytes: int = _RESERVE_BYTES) -> None:
        """Raise StoreLockedError, StoreFullError or StoreError where it can't be opened."""
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path = directory / "history.sqlite3"
        self._reserve = directory / "reserve"
        self._reserve_bytes = reserve_bytes
        self._lock = _held(directory)
        self._full = False
        self._damage = Damage()
        self._idle = threading.Semaphore(_READERS)
        self._suspect = False
        """Something was found damaged that can't be left out: to be mended before the next batch."""
        try:
            self._open()
        except BaseException:
            self._lock.close()
            raise
        self._fill_reserve()

    def _open(self) -> None:
        """Open the database, a damaged one after it was salvaged."""
        with self._translated():
            damaged = self._connected()
            if damaged is not None:
                salvaged(self._path, damaged, self._damage)
                damaged = self._connected()
                if damaged is not None:
                    raise StoreError(
                        f"The store in {self._path.parent} is damaged as often as it is written: {damaged}."
                    )
            self._numbers: dict[str, int] = dict(self._writer.execute("SELECT host_id, num FROM host"))
            self._rows: dict[int, int] = dict(self._writer.execute("SELECT host, count(*) FROM frame GROUP BY host"))
            self._readers = [connect(self._path, damage=self._damage) for _ in range(_READERS)]

    def _connected(self) -> str | None:
        """Connect the writer; where the database is damaged, return what is."""
        writer = None
        try:
            writer = connect(self._path, writes=True, damage=self._damage)
            migrate(writer)
            damaged = damage_of(writer, self._path)
            if damaged is None:
                self._writer, writer = writer, None
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            return str(error)
        except (StoreDamagedError, UnicodeDecodeError) as error:  # of an error that quotes a damaged name
            return str(error)
        else:
            return damaged
        finally:
            if writer is not None:
                writer.close()

    def _mend(self) -> None:
        """Open the database again, for something in it is damaged; nobody reads meanwhile."""
        for _ in range(_READERS):
            self._idle.acquire()
        try:
            for connection in (*self._readers, self._writer):
                connection.close()
            self._open()
            self._suspect = False
        finally:
            self._idle.release(_READERS)

    def append(self, batch: Batch) -> list[KeptEvent]:
        """Write a batch and return its events with their numbers; once it returns, it is on disk."""
        if self._suspect:
            self._mend()
        numbers = dict(self._numbers)
        added: dict[int, int] = {}
        try:
            with self._writing():
                for mark in batch.epochs:
                    self._write_epoch(numbers, mark)
                for frame in batch.frames:
                    host = self._number(numbers, frame.host_id)
                    write_frame(self._writer, host, frame)
                    added[host] = added.get(host, 0) + 1
                kept = [
                    write_event(self._writer, host_id, self._number(numbers, host_id), event)
                    for host_id, event in batch.events
                ]
                for number, host_id, event in batch.moved:
                    write_event(self._writer, host_id, self._number(numbers, host_id), event, number=number)
                for refusal in batch.refusals:
                    self._write_refusal(numbers, refusal)
        except StoreFullError:
            self._full = True
            raise
        self._numbers = numbers
        if self._full:
            self._full = False
            self._fill_reserve()
        for host, number in added.items():
            self._rows[host] = self._rows.get(host, 0) + number
        self._seal({frame.host_id for frame in batch.frames})
        return kept

    def _seal(self, host_ids: set[str]) -> None:
        for host_id in host_ids:
            host = self._numbers[host_id]
            if self._rows[host] < SEAL_AT:
                continue
            try:
                with self._writing():
                    write_series(self._writer, host, seal(self._writer, host_id, host))
            except StoreError as error:
                # The frames are on disk as rows; the next batch tries again.
                _LOG.warning("segments of %s wait: %s", host_id, error)
                continue
            self._rows[host] = self._writer.execute("SELECT count(*) FROM frame WHERE host = ?", (host,)).fetchone()[0]

    def _number(self, numbers: dict[str, int], host_id: str) -> int:
        if host_id not in numbers:
            number = self._writer.execute("INSERT INTO host (host_id) VALUES (?)", (host_id,)).lastrowid or 0
            self._writer.execute("UPDATE host SET sum = ? WHERE num = ?", (row_sum(number, host_id), number))
            numbers[host_id] = number
        return numbers[host_id]

    def _write_epoch(self, numbers: dict[str, int], mark: EpochMark) -> None:
        values = (self._number(numbers, mark.host_id), mark.order, mark.epoch, mark.clock_offset)
        self._writer.execute(
            "INSERT OR REPLACE INTO epoch (host, ord, epoch, clock_offset, sum) VALUES (?, ?, ?, ?, ?)",
            (*values, row_sum(*values)),
        )

    def _write_refusal(self, numbers: dict[str, int], refusal: Refusal) -> None:
        values = (self._number(numbers, refusal.host_id), refusal.epoch, refusal.boot_id, refusal.at)
        self._writer.execute(
            "INSERT OR REPLACE INTO refusal (host, epoch, boot, at, sum) VALUES (?, ?, ?, ?, ?)",
            (*values, row_sum(*values)),
        )

    def hosts(self) -> list[str]:
        """Return the ids of all machines, sorted."""
        return sorted(self._numbers)

    def epochs(self, host_id: str) -> list[EpochMark]:
        """Return the epochs of a machine in their order."""
        with self._reading() as connection:
            found = connection.execute(
                "SELECT host, ord, epoch, clock_offset, sum FROM epoch WHERE host = ? ORDER BY ord",
                (self._numbers.get(host_id),),
            ).fetchall()
        # One that is damaged keeps its place: its frames have it, and nothing may come to stand there.
        return [
            EpochMark(host_id, row[2], row[1], row[3])
            if self._is_right(f"epoch {row[1]} of {host_id}", row)
            else EpochMark(host_id, f"{SALVAGED}{row[1]}", row[1], 0.0)
            for row in found
        ]

    def refusals(self, host_id: str) -> list[Refusal]:
        """Return which agents were refused in a machine's name, in the order of their last try."""
        with self._reading() as connection:
            found = connection.execute(
                "SELECT host, epoch, boot, at, sum FROM refusal WHERE host = ? ORDER BY at",
                (self._numbers.get(host_id),),
            ).fetchall()
        return [Refusal(host_id, *row[1:-1]) for row in found if self._is_right(f"a refusal for {host_id}", row)]

    def _is_right(self, place: str, row: Sequence[Any]) -> bool:
        right: bool = row_sum(*row[:-1]) == row[-1]
        if not right:
            self._damage.note(place)
        return right

    def began_at(self, host_id: str, order: int) -> float | None:
        """Return where the first frame of an epoch that is kept stands, None where there is none."""
        with self._history(host_id) as history:
            return None if history is None else history.began_at(order)

    def has(self, host_id: str, order: int, seq: int) -> bool:
        """Say whether a frame was ever kept."""
        with self._history(host_id) as history:
            return history is not None and history.has(order, seq)

    def last_of(self, host_id: str, order: int) -> StoredFrame | None:
        """Return the frame of an epoch with the highest seq, without its state."""
        with self._history(host_id) as history:
            return None if history is None else history.last_of(order)

    def neighbours(self, host_id: str, order: int, seq: int) -> tuple[Place | None, Place | None]:
        """Return where the frames just before and after one stand that is not there yet."""
        with self._history(host_id) as history:
            return (None, None) if history is None else history.neighbours(order, seq)

    def last_revision(self, host_id: str) -> int:
        """Return the highest revision of a machine, 0 where there is none."""
        with self._history(host_id) as history:
            return 0 if history is None else history.last_revision()

    def latest(self, host_id: str) -> PastState | None:
        """Return the last state in the history that can be told."""
        with self._history(host_id) as history:
            return None if history is None else history.latest()

    def state_of(self, host_id: str, order: int, seq: int) -> PastState:
        """Return the state that a frame made; raises StateMissingError."""
        with self._history(host_id) as history:
            if history is None:
                raise StateMissingError(f"There is no machine {host_id!r}.")
            return history.state_of(order, seq)

    def state_at(self, host_id: str, moment: float) -> PastState:
        """Return the state at a moment, exactly as it was; raises StateMissingError."""
        with self._history(host_id) as history:
            if history is None:
                raise StateMissingError(f"There is no machine {host_id!r}.")
            return history.state_at(moment)

    def span(self, host_id: str, begin: float | None, end: float | None) -> Span:
        """Return which moments between two there are states for."""
        with self._history(host_id) as history:
            return Span(None, None, 0, ()) if history is None else history.span(begin, end)

    def events(self, query: EventQuery) -> list[KeptEvent]:
        """Return events, newest first."""
        host = None if query.host_id is None else self._numbers.get(query.host_id, -1)
        names = {number: host_id for host_id, number in self._numbers.items()}
        with self._reading() as connection:
            return read_events(connection, query, host, names)

    def series_names(self, host_id: str) -> list[str]:
        """Return the names of the series of a machine."""
        host = self._numbers.get(host_id)
        with self._reading() as connection:
            return [] if host is None else read_names(connection, host_id, host)

    def series(self, host_id: str, names: Sequence[str], begin: float, end: float, step: float) -> Mapping[str, Points]:
        """Return series between two moments in steps of at least this many seconds."""
        host = self._numbers.get(host_id)
        with self._reading() as connection:
            if host is None:
                return {name: Points([], [], [], []) for name in names}
            return read_series(connection, host_id, host, names, begin, end, step)

    def forget(self, host_id: str) -> None:
        """Delete a machine and all that is kept of it."""
        host = self._numbers.get(host_id)
        if host is None:
            return
        with self._writing():
            for table in ("frame", "segment", "series", "event", "epoch", "refusal", "lost"):
                self._writer.execute(f"DELETE FROM {table} WHERE host = ?", (host,))  # noqa: S608 - the names above
            self._writer.execute("DELETE FROM host WHERE num = ?", (host,))
        del self._numbers[host_id]
        self._rows.pop(host, None)
        self._give_back()

    def retain(self, policy: Retention, now: float) -> bool:
        """Do one small step of thinning and deleting; returns whether there is more to do."""
        if self._full:
            self._reserve.unlink(missing_ok=True)
        ids = {number: host_id for host_id, number in self._numbers.items()}
        with self._writing():
            more = retain_step(self._writer, policy, now, ids)
        self._give_back()
        return more

    def stats(self) -> StoreStats:
        """Return sizes and counts."""
        with self._reading() as connection:
            frames = connection.execute("SELECT (SELECT count(*) FROM frame) + coalesce(sum(frames), 0) FROM segment")
            events = connection.execute("SELECT count(*) FROM event")
            return StoreStats(self._size(), frames.fetchone()[0], events.fetchone()[0], self._damage.count, self._full)

    def close(self) -> None:
        """Let go of the store."""
        for reader in self._readers:
            reader.close()
        self._writer.close()
        self._lock.close()

    def _size(self) -> int:
        files = (self._path, self._path.with_name(self._path.name + "-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    def _give_back(self) -> None:
        """Return free pages to the file system, and the log's room."""
        with self._translated():
            self._writer.execute("PRAGMA incremental_vacuum(2000)").fetchall()
            self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _fill_reserve(self) -> None:
        try:
            with self._reserve.open("ab") as file:
                os.posix_fallocate(file.fileno(), 0, self._reserve_bytes)
        except OSError:
            self._reserve.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """One transaction: all of it, or nothing; raises StoreFullError."""
        with self._translated():
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                yield
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _reading(self) -> Iterator[StoreConnection]:
        """One snapshot of the database; what is written meanwhile does not move under the reader."""
        with self._idle:
            connection = self._readers.pop()
            try:
                with self._translated():
                    connection.execute("BEGIN")
                    try:
                        yield connection
                    finally:
                        if connection.in_transaction:
                            connection.execute("ROLLBACK")
            finally:
                self._readers.append(connection)

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """Say SQLite's errors in the store's words."""
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", None)
            if code is not None and (code & 0xFF == sqlite3.SQLITE_FULL or code == sqlite3.SQLITE_IOERR_WRITE):
                raise StoreFullError(
                    "The disk of the store is full: free some room, or keep less (retention); "
                    "nothing that was acknowledged is lost."
                ) from error
            if is_damage(error):
                self._suspect = True
                raise StoreDamagedError(f"The store's file is damaged here: {error}.") from error
            raise StoreError(f"The store can't do that: {error}.") from error

    @contextlib.contextmanager
    def _history(self, host_id: str) -> Iterator[History | None]:
        host = self._numbers.get(host_id)
        if host is None:
            yield None
            return
        with self._reading() as connection:
            yield History(connection, host_id, host)


def _held(directory: Path) -> FileLock:
    try:
        return FileLock(directory / "store.lock")
    except LockedError as error:
        raise StoreLockedError(
            f"The store in {directory} is used by another process (pid {error.holder}): end it, or give another --data."
        ) from None
